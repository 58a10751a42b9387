"""The VMkernel: carries the frames and the sectors of virtual machines on a machine without a host.

It has the machine's adapter and disk. What it keeps is which of its work is left: interrupts that have come,
a frame in hand, frames that wait for room in a guest's ring, the request that the disk is at. It looks for
work when one of the processor's doors has brought the monitor in (``due``), and does it a phase at a time
(``phases``).

It serves any monitor whose machines have ``CarriedLance`` and ``CarriedDrive`` on their boards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vizapp.machine import events
from vizapp.machine.devices.carried_drive import CarriedDrive, Request
from vizapp.machine.devices.carried_lance import CarriedLance
from vizapp.machine.devices.ide import IDE_IRQ, IDE_PORTS
from vizapp.machine.devices.lance import LANCE_IRQ, LANCE_PORTS
from vizapp.machine.places import VMKERNEL
from vizapp.vmm.vmkernel.disk_driver import DiskDriver
from vizapp.vmm.vmkernel.extents import Extent, read_table
from vizapp.vmm.vmkernel.lance_driver import OWNER, PAGES, LanceDriver, copying
from vizapp.vmm.vmkernel.virtual_switch import UPLINK, Port, targets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vizapp.machine.devices.disk import Disk
    from vizapp.machine.pc import Pc
    from vizapp.machine.places import Place
    from vizapp.vmm.base import Options
    from vizapp.vmm.bill import Bill
    from vizapp.vmm.frame_allocator import FrameAllocator
    from vizapp.vmm.virtual_machine import VirtualMachine

MOST_WAITING: Final = 32
"""Frames that wait for room in a guest's ring at most; what comes beyond is lost, as it is at an adapter."""


class Frame(NamedTuple):
    """A frame with the port of the switch that it came in by."""

    source: int
    data: bytes


class Job(NamedTuple):
    """Whose request the disk is at."""

    vm: int
    drive: int
    request: Request


def pages_for(options: Options) -> int:
    """Frames that the VMkernel needs for these machines: those of its adapter's rings and buffers."""
    equipment = (options.features, *(other.features for other in options.others))
    return PAGES if any(features is not None and features.mac is not None for features in equipment) else 0


class Vmkernel:
    """The kernel of one machine, which has an adapter, a disk or both.

    Attributes:
        lines: the interrupt lines of its devices.
        place: where its code runs, beside that of ``monitor``.
        go_on: the monitor's phase for a machine that can run.
        hand: the frame that is being switched.
        going: the ports that it has still to leave by.
    """

    def __init__(self, pc: Pc, frames: FrameAllocator, bill: Bill, monitor: Place, go_on: str) -> None:
        devices = pc.board.peripherals
        assert devices is not None
        self.adapter = None if devices.network is None else LanceDriver(pc, frames, bill)
        self.disk = None if devices.ide is None else DiskDriver(pc, bill)
        self.monitor, self.place = monitor, monitor._replace(component=VMKERNEL)
        self.go_on = go_on
        self.lines = tuple(
            line
            for line, there in ((LANCE_IRQ, self.adapter is not None), (IDE_IRQ, self.disk is not None))
            if there
        )
        # What its loader has read from the disk.
        self.extents = () if devices.ide is None else read_table(devices.ide.drives[0].disk.read(0))
        self.hand: Frame | None = None
        self.going: tuple[int, ...] = ()
        self._pc = pc
        self._bill = bill
        self._vms: tuple[VirtualMachine, ...] = ()
        self._raised: tuple[int, ...] = ()  # lines whose interrupts have not been served
        self._comes = False  # there may be frames in the adapter's ring
        self._waiting: tuple[tuple[Frame, ...], ...] = ()  # by virtual machine
        self._job: Job | None = None
        self._turn = 0  # whose frames and requests are looked for first

    @classmethod
    def of(cls, pc: Pc, frames: FrameAllocator, bill: Bill, monitor: Place, go_on: str) -> Vmkernel | None:
        """A kernel if the machine has what it drives."""
        devices = pc.board.peripherals
        if devices is None or (devices.network is None and devices.ide is None):
            return None
        return cls(pc, frames, bill, monitor, go_on)

    def start(self, vms: Sequence[VirtualMachine]) -> None:
        """Serve these machines; before the clock runs."""
        self._vms = tuple(vms)
        self._waiting = ((),) * len(self._vms)
        if self.adapter is not None:
            self.adapter.start()

    @property
    def ports(self) -> tuple[tuple[int, int, str], ...]:
        """The machine's ports that are its own: (first, last, owner)."""
        owned = ((LANCE_PORTS, self.adapter), (IDE_PORTS, self.disk))
        return tuple((ports[0], ports[-1], OWNER) for ports, driver in owned if driver is not None)

    def interrupted(self, line: int) -> None:
        """A device has interrupted, and the controllers know that we know."""
        if line not in self._raised:
            self._raised = (*self._raised, line)

    def due(self) -> str:
        """The phase that is to be run next; "" if there is nothing to do."""
        if LANCE_IRQ in self._raised:
            return "serve_adapter"
        if IDE_IRQ in self._raised:
            return "serve_disk"
        if self._comes:
            return "fetch_frame"
        if any(self._may_deliver(vm) for vm in self._vms):
            return "deliver_waiting"
        if self.adapter is not None and self.adapter.room and self._next(self._asks) is not None:
            return "take_frame"
        if self.disk is not None and self._job is None and self._next(self._wants) is not None:
            return "start_request"
        return ""

    def awaits(self, vm: int) -> bool:
        """Whether something is under way for a machine, so that it may be waiting for that."""
        return bool(self._waiting[vm]) or any(drive.request is not None for drive in self._drives(vm))

    # What the phases do.

    def serve_adapter(self) -> None:
        """Find out why the adapter interrupts."""
        assert self.adapter is not None
        self._raised = tuple(line for line in self._raised if line != LANCE_IRQ)
        self.adapter.acknowledge()
        self.adapter.reclaim()
        self._comes = True

    def fetch_frame(self) -> bool:
        """Take a frame from the machine's adapter in hand; whether there was one."""
        assert self.adapter is not None
        data = self.adapter.fetch()
        self._comes = data is not None
        self.hand = None if data is None else Frame(UPLINK, data)
        return self._comes

    def take_frame(self) -> bool:
        """Take a frame from a virtual adapter in hand; whether there was one."""
        vm = self._next(self._asks)
        assert vm is not None
        self._turn = (vm + 1) % len(self._vms)
        adapter = self._adapter(vm)
        assert adapter is not None
        data = adapter.take_frame()
        self.hand = None if data is None else Frame(vm, data)
        return data is not None

    def switch_frame(self) -> None:
        """Decide where the frame in hand goes."""
        assert self.hand is not None
        ports = []
        for vm in self._vms:
            adapter = self._adapter(vm.index)
            if adapter is not None and vm.stopped is None:
                ports.append(Port(vm.index, adapter.address, adapter.station))
        self.going = targets(self.hand.data, self.hand.source, ports)
        payload: dict[str, int | str] = {
            "from": self.hand.source, "to": " ".join(map(str, self.going)), "bytes": len(self.hand.data),
        }  # fmt: skip
        self._pc.emit(events.FRAME_SWITCHED, self._way(), payload)

    def deliver(self) -> None:
        """Let the frame in hand leave by its next port."""
        assert self.hand is not None
        port, *rest = self.going
        self.going = tuple(rest)
        if port == UPLINK:
            assert self.adapter is not None
            if self.adapter.room:
                self.adapter.send(self.hand.data)
            return
        adapter = self._adapter(port)
        assert adapter is not None
        waiting = self._waiting[port]
        if not waiting and adapter.room:
            self._give(adapter, self.hand)
        elif len(waiting) < MOST_WAITING:
            self._bill.charge("mon_memory_reference", copying(len(self.hand.data)))
            self._wait(port, (*waiting, self.hand))
        else:
            outside = sum(frame.source == UPLINK for frame in waiting)
            adapter.miss_frame(outside if self.hand.source == UPLINK else None)

    def deliver_waiting(self) -> None:
        """Give a guest that may have made room what waits for it."""
        vm = next(vm for vm in self._vms if self._may_deliver(vm))
        adapter = self._adapter(vm.index)
        assert adapter is not None
        waiting = self._waiting[vm.index]
        if adapter.room:
            self._give(adapter, waiting[0])
            self._wait(vm.index, waiting[1:])
        else:
            adapter.touched = False

    def start_request(self) -> None:
        """Give the disk the next request of a virtual drive, if it is one for its own extent."""
        assert self.disk is not None
        vm = self._next(self._wants)
        assert vm is not None
        self._turn = (vm + 1) % len(self._vms)
        number, drive = next(
            (number, drive) for number, drive in enumerate(self._drives(vm)) if drive.request is not None
        )
        request = drive.request
        assert request is not None
        first = self._where(vm, number, request)
        if first is None:
            drive.refuse(request)
            self._vms[vm].devices.advance()
            return
        self._job = Job(vm, number, request)
        self.disk.start(request.write, first, request.sectors, request.data)

    def serve_disk(self) -> None:
        """Move a sector; when a request is done, let the virtual drive go on."""
        assert self.disk is not None
        self._raised = tuple(line for line in self._raised if line != IDE_IRQ)
        over = self.disk.serve()
        if over is None or self._job is None:
            return
        transfer, whole = over
        (vm, number, request), self._job = self._job, None
        drive = self._drives(vm)[number]
        if whole:
            drive.serve(request, b"" if request.write else transfer.data)
        else:
            drive.refuse(request)
        self._vms[vm].devices.advance()

    def take_sectors(self, vm: int) -> dict[tuple[int, int], bytes]:
        """What a machine has written to its disks, by disk and sector: it leaves, and takes that along."""
        return {
            (extent.drive, at - extent.first): data
            for extent in self._own(vm)
            for at, data in self._medium.save().items()
            if 0 <= at - extent.first < extent.sectors
        }

    def put_sectors(self, vm: int, sectors: Mapping[tuple[int, int], bytes]) -> None:
        """A machine has come, with what it had written; before the clock runs."""
        for (drive, block), data in sectors.items():
            for extent in self._own(vm):
                if extent.drive == drive and (at := extent.physical(block, 1)) is not None:
                    self._medium.write(at, data)

    def save(self) -> Any:
        """Everything outside memory and devices, as plain data."""
        return (
            self.hand, self.going, self._raised, self._comes, self._waiting, self._job, self._turn,
            None if self.adapter is None else self.adapter.save(),
            None if self.disk is None else self.disk.save(),
        )  # fmt: skip

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        (
            self.hand, self.going, self._raised, self._comes, self._waiting, self._job, self._turn,
            adapter, disk,
        ) = saved  # fmt: skip
        if self.adapter is not None:
            self.adapter.load(adapter)
        if self.disk is not None:
            self.disk.load(disk)

    def _way(self) -> str:
        assert self.hand is not None
        if not self.going:
            return "dropped"
        if self.hand.source == UPLINK:
            return "in"
        return "out" if UPLINK in self.going else "local"

    def _next(self, wants: Callable[[int], bool]) -> int | None:
        """The next machine in turn that wants something."""
        count = len(self._vms)
        order = ((self._turn + index) % count for index in range(count))
        return next((vm for vm in order if self._vms[vm].stopped is None and wants(vm)), None)

    def _asks(self, vm: int) -> bool:
        adapter = self._adapter(vm)
        return adapter is not None and adapter.asks

    def _wants(self, vm: int) -> bool:
        return any(drive.request is not None for drive in self._drives(vm))

    def _may_deliver(self, vm: VirtualMachine) -> bool:
        adapter = self._adapter(vm.index)
        return adapter is not None and adapter.touched and bool(self._waiting[vm.index])

    def _give(self, adapter: CarriedLance, frame: Frame) -> None:
        self._bill.charge("mon_memory_reference", copying(len(frame.data)))
        adapter.give_frame(frame.data, local=frame.source != UPLINK)

    def _wait(self, vm: int, frames: tuple[Frame, ...]) -> None:
        self._waiting = (*self._waiting[:vm], frames, *self._waiting[vm + 1 :])

    def _adapter(self, vm: int) -> CarriedLance | None:
        devices = self._vms[vm].devices.peripherals
        adapter = None if devices is None else devices.network
        return adapter if isinstance(adapter, CarriedLance) else None

    def _drives(self, vm: int) -> tuple[CarriedDrive, ...]:
        devices = self._vms[vm].devices.peripherals
        drives = () if devices is None or devices.ide is None else devices.ide.drives
        return tuple(drive for drive in drives if isinstance(drive, CarriedDrive))

    def _where(self, vm: int, drive: int, request: Request) -> int | None:
        """The sector of the machine's disk at which a request begins; None: it is not for its extent."""
        extent = next((extent for extent in self._own(vm) if extent.drive == drive), None)
        return None if extent is None else extent.physical(request.block, request.sectors)

    def _own(self, vm: int) -> list[Extent]:
        return [extent for extent in self.extents if extent.vm == vm]

    @property
    def _medium(self) -> Disk:
        devices = self._pc.board.peripherals
        assert devices is not None
        assert devices.ide is not None
        return devices.ide.drives[0].disk
