"""A virtual machine of a hosted monitor: the VMM's world is its own, and its devices are partly VMApp's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from vizapp.isa.addresses import HostPhysical
from vizapp.machine.places import APPLICATION, TRANSLATION_CACHE, VMM, VMM_WORLD, Place
from vizapp.vmm.binary_translation.vm import TranslatedVm
from vizapp.vmm.hosted import layout
from vizapp.vmm.hosted.neighbours import frames_from
from vizapp.vmm.hosted.ports import HostedPorts
from vizapp.vmm.hosted.shared import SharedPages
from vizapp.vmm.hosted.timer import HostTimer
from vizapp.vmm.trap_and_emulate.vm import Host

if TYPE_CHECKING:
    from vizapp.machine.events import Payload
    from vizapp.machine.pc import Pc
    from vizapp.vmm.base import Hosted, Paths
    from vizapp.vmm.frame_allocator import FrameAllocator

Relayed: TypeAlias = tuple[int, int, tuple[bytes, ...]]
_NOTHING: Final[Relayed] = (0, 0, ())
VMM_PLACE: Final = Place(world=VMM_WORLD, ring=0, component=VMM)


def places_of(vm: int) -> tuple[Place, ...]:
    """By ring, where the processor is while virtual machine ``vm`` has it."""
    cache = Place(world=VMM_WORLD, ring=1, vm=vm, component=TRANSLATION_CACHE)
    return (VMM_PLACE, cache, cache, Place(world=VMM_WORLD, ring=3, vm=vm, component=APPLICATION))


class HostedHost(Host):
    """What ``Host`` is, beside a host operating system.

    Attributes:
        shared: where the pages are that the first machine shares with VMDriver and VMApp.
        processes: where the slots of the VMApps are in the host's kernel.
        leave: the linear address of a VMM's way out, in its switch page.
    """

    def __init__(
        self,
        pc: Pc,
        paths: Paths,
        frames: FrameAllocator,
        *,
        shared: HostPhysical,
        processes: HostPhysical,
        leave: int,
    ) -> None:
        super().__init__(pc, paths, frames)
        self.shared = shared
        self.processes = processes
        self.leave = leave


class HostedVm(TranslatedVm):
    """The virtual machine as its VMM holds it.

    Attributes:
        timer: the host's timer, as far as this VMM has asked for it.
        shared: the pages shared with VMDriver and VMApp.
        ports: the ports of VMApp's devices.
        asked: VMApp does the port access of the instruction that is being emulated.
        after: the phase that follows when VMApp has been told of the end of a sector; "" if none does.
        text: the virtual serial port's text is for VMApp now.
        relayed: how many descriptors of the virtual adapter VMApp has emptied and filled, and what
            neighbours' frames are in them, not told yet; see ``frames_from``.
        on_relay: told of them, at the guest instruction that finds it done.
    """

    host: HostedHost
    timer: HostTimer
    ports: HostedPorts

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.places = places_of(self.index)
        self.timer = HostTimer(self.pc)
        at = HostPhysical(self.host.shared + self.index * layout.SHARED_BYTES)
        self.shared = SharedPages(self.pc.memory, at, self.bill.charge)
        self.asked = False
        self.after = ""
        self.text = False
        self.relayed: Relayed = _NOTHING
        self.on_relay: Callable[[int, int, tuple[bytes, ...]], None] | None = None

    def connect(self, hosted: Hosted, *, network: bool, disk: bool) -> None:
        """Connect its board with what VMApp does for it."""
        shared, devices, pc = self.shared, self.devices, self.pc

        def read_time(source: str, value: int) -> int:
            return value if pc.read_time is None else pc.read_time(source, value)

        def sent(byte: int) -> None:
            self.text = shared.add_text(byte) or self.text

        self.ports = HostedPorts(shared, hosted, devices, read_time)
        self.ports.attach(network=network, disk=disk)
        devices.uart.on_sent = sent

    def emit(self, kind: str, cause: str, payload: Payload, *, to_guest: bool = False) -> None:
        """Report something that the VMM did, to itself or to the guest."""
        vmm = self.places[0]
        self.pc.emit(kind, cause, payload, vmm, self.place if to_guest else vmm)

    @property
    def state(self) -> str:
        """See ``base.Guest``; while its process waits in the host, for a sector too, so does the machine."""
        state = super().state
        slot = self.host.processes + self.index * layout.SLOT
        if state in ("running", "ready") and self.pc.memory.read(HostPhysical(slot), 4) == layout.WAITING:
            return "waiting"
        return state

    def save(self) -> dict[str, Any]:
        """Everything outside machine memory, as plain data."""
        ports = (self.ports.answer, self.ports.through)
        hosted = (self.asked, self.after, self.text, ports, self.relayed, self.timer.save())
        return {**super().save(), "hosted": hosted}

    def load(self, saved: Mapping[str, Any]) -> None:
        """Take up a saved state."""
        super().load(saved)
        self.asked, self.after, self.text, ports, self.relayed, armed = saved["hosted"]
        self.timer.load(armed)
        self.ports.answer, self.ports.through = ports

    def note_stores(self) -> None:
        """VMApp has stored in guest memory, by itself: translations of it may be stale."""
        stores = self.shared.take_stores()
        if stores is None:
            stores = ((0, self.memory.size),)
        for address, count in stores:
            self.memory.note(address, count)
        emptied, filled = (self._given_back(ring, stores) for ring in (layout.TRANSMIT, layout.RECEIVE))
        others = (vm for vm in self.host.machines.vms if vm is not self)
        neighbours = {vm.station for vm in others if isinstance(vm, HostedVm)}
        frames = frames_from(self.memory, filled, neighbours) if neighbours else ()
        left, came, whole = self.relayed
        self.relayed = (left + len(emptied), came + len(filled), whole + frames)

    @property
    def station(self) -> bytes:
        """The address of its virtual adapter."""
        return self.pc.memory.dump(HostPhysical(self.shared.address + layout.STATION), 6)

    def tell_relayed(self) -> None:
        """The guest's next instruction finds done what VMApp has done for its adapter."""
        relayed, self.relayed = self.relayed, _NOTHING
        if any(relayed) and self.on_relay is not None:
            self.on_relay(*relayed)

    def _given_back(self, ring: int, stores: Iterable[tuple[int, int]]) -> list[int]:
        """The descriptors of a ring that VMApp has given back to the guest."""
        base, size = (self.shared.peek(ring + offset) for offset in (0, 4))
        last = base + 8 * size
        # Of a descriptor its flags and what follows are stored.
        return [
            address & ~7 for address, count in stores if count == layout.GIVEN_BACK and base <= address < last
        ]

    def tell_deadline(self) -> None:
        """Let VMDriver program the timer, if the VMM would be brought in too late."""
        timer, deadline = self.timer, self.host.machines.deadline()
        if deadline is not None and timer.misses(deadline):
            self.shared.write(layout.TIMER_COUNT, timer.count(deadline))
            timer.armed = deadline
