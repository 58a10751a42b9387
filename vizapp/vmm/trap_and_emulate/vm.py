"""A virtual machine of the classical monitor: its parts, and what its phases hand each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vizapp.isa.addresses import M32, Linear
from vizapp.isa.registers import CS
from vizapp.machine.cpu_state import load_cpu, save_cpu
from vizapp.machine.faults import Fault
from vizapp.machine.places import APPLICATION, GUEST_KERNEL, VMM, Place
from vizapp.vmm import ring0
from vizapp.vmm.bill import Bill
from vizapp.vmm.physical_timer import PhysicalTimer
from vizapp.vmm.virtual_machine import VirtualMachine
from vizapp.vmm.virtual_machines import KEYBOARD_LINE, SERIAL_LINE, VirtualMachines
from vizapp.vmm.vmkernel.host import KernelHost

if TYPE_CHECKING:
    from vizapp.machine.events import Payload
    from vizapp.machine.pc import Pc
    from vizapp.messages import Message
    from vizapp.vmm.base import Paths, VmOptions
    from vizapp.vmm.frame_allocator import FrameAllocator
    from vizapp.vmm.guest_memory import GuestMemory
    from vizapp.vmm.guest_mmu import GuestMmu
    from vizapp.vmm.hidden_fault import Hidden
    from vizapp.vmm.host_paging import HostPager
    from vizapp.vmm.host_tables import HostTables
    from vizapp.vmm.shadow import Shadow
    from vizapp.vmm.trap_and_emulate.virtual_cpu import VirtualCpu
    from vizapp.vmm.virtual_devices import VirtualDevices

MONITOR: Final = Place(ring=0, component=VMM)


def places_of(vm: int) -> tuple[Place, ...]:
    """By ring, where the processor is while virtual machine ``vm`` has it."""
    kernel = tuple(Place(ring=ring, vm=vm, component=GUEST_KERNEL) for ring in (1, 2))
    return (MONITOR, *kernel, Place(ring=3, vm=vm, component=APPLICATION))


@dataclass(frozen=True, slots=True)
class Pending:
    """What one phase leaves for the next.

    Attributes:
        fault: (vector, error code, CR2) to hand to the guest.
        instruction: (offset in CS, bytes) of the guest instruction to emulate.
        hidden: the page to shadow.
    """

    fault: tuple[int, int | None, int | None] | None = None
    instruction: tuple[int, bytes] | None = None
    hidden: Hidden | None = None


class Host(KernelHost):
    """What the virtual machines share: the PC, its memory and its timer.

    Attributes:
        machines: all of them.
        pager: takes memory from one guest for another, where they have less than they believe.
    """

    machines: VirtualMachines[Vm]

    def __init__(self, pc: Pc, paths: Paths, frames: FrameAllocator) -> None:
        self.pc = pc
        self.bill = Bill(pc, paths)
        self.frames = frames
        self.pager: HostPager | None = None
        self.timer = PhysicalTimer(pc, (KEYBOARD_LINE, SERIAL_LINE))
        self.machines = VirtualMachines(pc, (), MONITOR)

    def start_paging(self) -> None:
        """The clock begins to run: what is paged from now on is told and paid for."""
        if self.pager is not None:
            self.pager.begin()
            self.pager.quiet = False


class Parts(NamedTuple):
    """What a virtual machine is made of besides memory and devices."""

    tables: HostTables
    mmu: GuestMmu
    shadow: Shadow
    virtual: VirtualCpu


class Vm(VirtualMachine):
    """The virtual machine as the monitor holds it.

    Attributes:
        held: the virtual CPU, not the frame nor the processor, has the guest's state now.
        pending: what the running chain of phases carries along.
    """

    def __init__(
        self, host: Host, index: int, options: VmOptions, memory: GuestMemory, devices: VirtualDevices,
        parts: Parts,
    ) -> None:  # fmt: skip
        super().__init__(
            host.pc, index, memory, devices,
            name=options.name, weight=options.weight, image=options.image,
        )  # fmt: skip
        self.host = host
        self.bill = host.bill
        self.frames = host.frames
        self.timer = host.timer
        self.tables, self.mmu, self.shadow, self.virtual = parts
        self.places = places_of(index)
        self.held = True
        self.pending = Pending()

    @property
    def is_current(self) -> bool:
        """Whether it has the processor, or the monitor has it on its behalf."""
        return self.host.machines.current is self

    @property
    def place(self) -> Place:
        """Where the guest will be when it runs on."""
        return self.places[self.virtual.cpu.cpl or 1]

    def emit(self, kind: str, cause: str, payload: Payload, *, to_guest: bool = False) -> None:
        """Report something that the monitor did, to itself or to the guest."""
        self.pc.emit(kind, cause, payload, MONITOR, self.place if to_guest else MONITOR)

    def reflect(self, fault: Fault) -> str:
        """Leave a fault for the phase that hands it to the guest."""
        self.pending = Pending(fault=(fault.vector, fault.error, fault.address))
        return "reflect"

    def stop(self, reason: str, message: Message) -> str | None:
        """The guest has ended or died: the phase that goes on with the others, or None with the run over."""
        return "wait" if self.host.machines.stop(self, reason, message) else None

    def frame_leaves(self, host: int) -> None:
        """A host frame is about to be taken from the guest: nothing may lead there any more."""
        for linear in self.shadow.drop_frame(host):
            if self.is_current:
                ring0.invlpg(self.pc, linear)

    def power_on(self) -> bool:
        """What the reset line does; False: it ends the run."""
        return False

    def stub_offset(self, eip: int) -> int:
        """How far into the pages of its entry stubs ``eip`` is; what is not in them is far away."""
        return eip - self.tables.code(0)

    @property
    def linear_eip(self) -> Linear:
        """Linear address of the guest's next instruction."""
        cpu = self.virtual.cpu
        return Linear(cpu.segments[CS].base + cpu.eip & M32)

    def here(self) -> dict[str, str | int | float | Message]:
        """The guest's EIP as a linear address and the bytes there, for sentences."""
        linear = self.linear_eip
        at = self.mmu.probe(linear)
        raw = b"" if at is None else self.memory.dump(at, 8)
        return {"address": f"{linear:#010x}", "bytes": raw.hex(" ") or "?"}

    @property
    def is_held(self) -> bool:
        """Whether the virtual CPU has the guest's state."""
        return self.held

    def take_out(self) -> dict[str, Any]:
        """See ``VirtualMachine``: the virtual CPU too. What the shadow remembers is filled anew."""
        kernel = self.host.kernel
        return {
            **super().take_out(),
            "cpu": save_cpu(self.virtual.cpu),
            "mmu": self.mmu.save(),
            "sectors": {} if kernel is None else kernel.take_sectors(self.index),
        }

    def put_in(self, state: Mapping[str, Any]) -> None:
        """Become the machine that ``take_out`` told of."""
        super().put_in(state)
        if self.host.kernel is not None:
            self.host.kernel.put_sectors(self.index, state["sectors"])
        load_cpu(self.virtual.cpu, state["cpu"])
        self.mmu.load(state["mmu"])
        self.virtual.reload = True
        self.held = True
        self.pending = Pending()
        if self.is_current:
            # The processor is the monitor's at first: the way into the guest is that of any other time.
            self.pc.phase = "wait" if self.blocked else "resume"

    def save(self) -> dict[str, Any]:
        """Everything outside machine memory, as plain data."""
        return {
            **super().save(),
            "mmu": self.mmu.save(),
            "shadow": self.shadow.save(),
            "virtual": self.virtual.save(),
            "held": self.held,
            "pending": self.pending,
        }

    def load(self, saved: Mapping[str, Any]) -> None:
        """Take up a saved state."""
        super().load(saved)
        self.shadow.load(saved["shadow"])
        self.virtual.load(saved["virtual"])
        self.mmu.load(saved["mmu"])
        self.held = saved["held"]
        self.pending = saved["pending"]
