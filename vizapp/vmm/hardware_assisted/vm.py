"""One virtual machine of a monitor that the processor helps, and the host that they all share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from vizapp.isa.addresses import M32, Linear
from vizapp.isa.registers import CS
from vizapp.machine.cpu_state import load_cpu
from vizapp.machine.guest_mode import Delivery
from vizapp.machine.places import APPLICATION, GUEST_KERNEL, VMM, Place
from vizapp.vmm.bill import Bill
from vizapp.vmm.guest_start import start_cpu
from vizapp.vmm.hardware_assisted.control_structure import DIRECT
from vizapp.vmm.hardware_assisted.exit import Exit
from vizapp.vmm.hardware_assisted.traces import Traces
from vizapp.vmm.hardware_assisted.virtual_cpu import CONTROL, EVERYTHING, GENERAL, SEGMENTS
from vizapp.vmm.physical_timer import PhysicalTimer
from vizapp.vmm.virtual_machine import VirtualMachine
from vizapp.vmm.virtual_machines import KEYBOARD_LINE, SERIAL_LINE, VirtualMachines
from vizapp.vmm.vmkernel.host import KernelHost

if TYPE_CHECKING:
    from vizapp.machine.events import Payload
    from vizapp.machine.faults import Fault
    from vizapp.machine.pc import Pc
    from vizapp.messages import Message
    from vizapp.vmm.base import Paths, VmOptions
    from vizapp.vmm.frame_allocator import FrameAllocator
    from vizapp.vmm.guest_memory import GuestMemory
    from vizapp.vmm.guest_mmu import GuestMmu
    from vizapp.vmm.hardware_assisted.control_structure import ControlStructure
    from vizapp.vmm.hardware_assisted.nested_map import NestedMap
    from vizapp.vmm.hardware_assisted.virtual_cpu import VirtualCpu
    from vizapp.vmm.hidden_fault import Hidden
    from vizapp.vmm.host_tables import HostTables
    from vizapp.vmm.shadow import Shadow
    from vizapp.vmm.virtual_devices import VirtualDevices


class Worlds(NamedTuple):
    """The two ring systems of a vendor, by ``machine.places``."""

    monitor: str
    guest: str


class Pending(NamedTuple):
    """What one phase leaves for the next.

    Attributes:
        exit: why the guest was left.
        fault: (vector, error code, CR2) to hand to the guest.
        instruction: the bytes of the instruction to carry out; ``fetched`` if they are the guest's own.
        hidden: the page to shadow.
        nested: (guest frame, host frame, writable) of the page to map.
        traced: the guest-physical address in a page table that is about to be written.
    """

    exit: Exit = Exit("")
    fault: tuple[int, int | None, int | None] | None = None
    instruction: bytes = b""
    fetched: bool = False
    hidden: Hidden | None = None
    nested: tuple[int, int, bool] | None = None
    traced: int = 0


class Host(KernelHost):
    """What the virtual machines share: the PC, its memory and its timer, and the monitor's own tables.

    Attributes:
        place: where the monitor's code runs.
        guest_world: the world of its guests.
        directory: the frame of the monitor's page directory, in which an exit arrives.
        switch_code: linear address of the stubs that enter a guest.
        take_interrupt: the offset there of the one that lets a physical interrupt in.
        machines: all of them.
    """

    machines: VirtualMachines[Vm]

    def __init__(
        self, pc: Pc, paths: Paths, frames: FrameAllocator, tables: HostTables, worlds: Worlds
    ) -> None:
        self.pc = pc
        self.bill = Bill(pc, paths)
        self.frames = frames
        self.tables = tables
        self.timer = PhysicalTimer(pc, (KEYBOARD_LINE, SERIAL_LINE))
        self.place = Place(world=worlds.monitor, ring=0, component=VMM)
        self.guest_world = worlds.guest
        self.directory = 0
        self.switch_code = Linear(0)
        self.take_interrupt = 0
        self.machines = VirtualMachines(pc, (), self.place)

    def go_to(self, offset: int) -> None:
        """Leave the routine: the processor goes on at one of the stubs of the switch."""
        self.pc.cpu.eip = self.switch_code + offset


class Vm(VirtualMachine):
    """The virtual machine as the monitor holds it.

    Attributes:
        mmu: the guest's own page tables.
        virtual: the virtual CPU.
        shadow: the shadow tables; None with nested paging.
        traces: the guest's tables that the shadow was made from; None with nested paging.
        nested: the nested tables; None with shadow paging.
        pending: what the running chain of phases carries along.
        event: what the next entry is to deliver: one that an exit broke off, a fault, or an interrupt.
        mode: how the guest last ran; see ``control_structure``.
        stack: linear address of the general registers on the monitor's stack for this machine.
    """

    def __init__(
        self,
        host: Host,
        index: int,
        memory: GuestMemory,
        devices: VirtualDevices,
        mmu: GuestMmu,
        virtual: VirtualCpu,
        paging: tuple[Shadow | None, NestedMap | None],
        options: VmOptions,
        stack: Linear,
    ) -> None:
        super().__init__(
            host.pc, index, memory, devices, name=options.name, weight=options.weight, image=options.image
        )
        self.host = host
        self.mmu = mmu
        self.virtual = virtual
        self.shadow, self.nested = paging
        self.traces = None if self.shadow is None else Traces(self.shadow)
        self.stack = stack
        self.pending = Pending()
        self.event: Delivery | None = None
        self.mode = DIRECT
        kernel, user = GUEST_KERNEL, APPLICATION
        self._places = tuple(
            Place(world=host.guest_world, ring=ring, vm=index, component=user if ring == 3 else kernel)
            for ring in range(4)
        )

    @property
    def structure(self) -> ControlStructure:
        """Its VMCS or VMCB."""
        return self.virtual.structure

    @property
    def bill(self) -> Bill:
        """Where its work is charged."""
        return self.host.bill

    def place(self, ring: int) -> Place:
        """Where the guest is in a ring."""
        return self._places[ring]

    @property
    def way(self) -> str:
        """How the guest can run on, by what the virtual CPU is known to hold."""
        held = self.virtual.held
        if CONTROL in held and SEGMENTS in held:
            return self.structure.way_to_run(self.virtual.cpu)
        return self.mode

    def emit(self, kind: str, cause: str, payload: Payload, *, to_guest: bool = False) -> None:
        """Report something that the monitor did, to itself or to the guest."""
        monitor = self.host.place
        target = self.place(self.virtual.cpu.cpl) if to_guest else monitor
        self.pc.emit(kind, cause, payload, monitor, target)

    def reflect(self, fault: Fault) -> str:
        """Leave a fault for the phase that hands it to the guest."""
        self.pending = Pending(self.pending.exit, fault=(fault.vector, fault.error, fault.address))
        return "inject_fault"

    def finish(self, reason: str, message: Message) -> str | None:
        """The guest has ended or died: the phase that goes on with the others, or None with the run over."""
        return "wait" if self.host.machines.stop(self, reason, message) else None

    def executed(self) -> None:
        """The virtual CPU has carried out an instruction for the guest, or one iteration of it."""

    def memory_changed(self) -> None:
        """What the guest's memory is has changed: nothing that is mapped may stay."""
        if self.nested is not None:
            self.nested.clear()
        self.mmu.flush()

    def power_on(self) -> None:
        """Bring the virtual CPU to where the image starts, all of it held."""
        assert self.image is not None
        self.virtual.held = EVERYTHING
        start_cpu(self.virtual.cpu, self.image)
        self.event = None

    @property
    def linear_eip(self) -> Linear:
        """Linear address of the guest's next instruction; for those who look on, so nothing is paid for."""
        cpu, held, peek = self.virtual.cpu, self.virtual.held, self.structure.peek
        eip = cpu.eip if GENERAL in held else peek("eip")
        base = cpu.segments[CS].base if SEGMENTS in held else peek("cs_base")
        return Linear(base + eip & M32)

    def bytes_at(self, linear: int, count: int) -> bytes:
        """What the guest has at a linear address, for sentences; empty where it has nothing."""
        at = self.mmu.probe(linear)
        return b"" if at is None else self.memory.dump(at, count)

    def here(self) -> dict[str, str | int | float | Message]:
        """The guest's EIP as a linear address and the bytes there, for sentences."""
        linear = self.linear_eip
        return {"address": f"{linear:#010x}", "bytes": self.bytes_at(linear, 8).hex(" ") or "?"}

    @property
    def is_held(self) -> bool:
        """Whether all of it is in the control structure or with the monitor."""
        return not self.host.machines.is_current(self) or self.pc.cpu.guest_mode is None

    def take_out(self) -> dict[str, Any]:
        """See ``VirtualMachine``: the virtual CPU too. What is mapped for it is filled anew."""
        kernel = self.host.kernel
        return {
            **super().take_out(),
            "cpu": self.virtual.peek(),
            "mmu": self.mmu.save(),
            "event": self.event,
            "sectors": {} if kernel is None else kernel.take_sectors(self.index),
        }

    def put_in(self, state: Mapping[str, Any]) -> None:
        """Become the machine that ``take_out`` told of."""
        super().put_in(state)
        if self.host.kernel is not None:
            self.host.kernel.put_sectors(self.index, state["sectors"])
        load_cpu(self.virtual.cpu, state["cpu"])
        self.mmu.load(state["mmu"])
        self.virtual.held = EVERYTHING
        self.event = state["event"]

    def save(self) -> dict[str, Any]:
        """Everything outside machine memory, as plain data."""
        return {
            **super().save(),
            "mmu": self.mmu.save(),
            "virtual": self.virtual.save(),
            "shadow": None if self.shadow is None else self.shadow.save(),
            "traces": None if self.traces is None else self.traces.save(),
            "nested": None if self.nested is None else self.nested.save(),
            "pending": self.pending,
            "event": self.event,
            "mode": self.mode,
        }

    def load(self, saved: Mapping[str, Any]) -> None:
        """Take up a saved state."""
        super().load(saved)
        if self.shadow is not None:
            self.shadow.load(saved["shadow"])
        if self.traces is not None:
            self.traces.load(saved["traces"])
        if self.nested is not None:
            self.nested.load(saved["nested"])
        self.virtual.load(saved["virtual"])
        self.mmu.load(saved["mmu"])
        self.pending, self.event, self.mode = saved["pending"], saved["event"], saved["mode"]
