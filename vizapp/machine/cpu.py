"""The processor: registers, memory accesses through segments, and the ways in and out of an instruction.

One class serves as the physical processor of a PC and as the virtual one of a monitor. They differ in what
they are given: an address space (the MMU of the machine, or a walk of the guest's tables), ports (the bus, or
virtual devices), and the hooks, which are empty on a virtual one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from vizapp.isa import descriptors as d
from vizapp.isa.addresses import M32
from vizapp.isa.registers import (
    CR0_ET,
    CR0_PE,
    CS,
    DS,
    EFLAGS_FIXED,
    EFLAGS_VIP,
    EFLAGS_VM,
    ES,
    FS,
    GS,
    IOPL_SHIFT,
    SS,
)
from vizapp.isa.vectors import GP
from vizapp.machine import fpu
from vizapp.machine.execute import executor
from vizapp.machine.faults import Fault
from vizapp.machine.identity import PENTIUM_4, Identity
from vizapp.machine.interrupts import deliver
from vizapp.machine.segmented_access import SegmentedAccess
from vizapp.machine.segments import SegmentState, TableRegister
from vizapp.machine.virtual_interrupts import is_pending

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.machine.events import Payload
    from vizapp.machine.guest_mode import GuestMode, VirtualizationUnit
    from vizapp.machine.passages import Passages
    from vizapp.machine.segmented_access import AddressSpace, SystemMemory


class Ports(Protocol):
    """The I/O address space."""

    def read(self, port: int, size: int) -> int:
        """IN."""
        ...

    def write(self, port: int, size: int, value: int) -> None:
        """OUT."""
        ...


def _no_charge(name: str) -> None:
    """A virtual processor charges nothing: its monitor pays for what it does."""


def _no_event(kind: str, cause: str, payload: Payload) -> None:
    """A virtual processor reports nothing: its monitor tells what it did."""


def _nobody(address: int, size: int) -> int:
    """A virtual processor has no PAE."""
    return (1 << 8 * size) - 1


def _nothing() -> None:
    """No one needs to know."""


class Cpu(SegmentedAccess):
    """An IA-32 processor.

    Attributes:
        eax ... edi: general registers, 0 to 2**32 - 1.
        eip: offset of the next instruction in CS.
        segments: ES CS SS DS FS GS with their hidden parts; changed by ``set_segment`` only.
        cpl: current privilege level; changed by ``set_code_segment`` only.
        gdtr, idtr: bases and limits. ldtr, tr: selectors with hidden parts.
        cr0, cr2, cr3, cr4, debug: control registers, and DR0-DR7.
        fpu: the state of the floating-point unit, if the identity has one.
        watched: a breakpoint or the alignment check needs a look at every access; see ``machine.debug``.
        nmi_pending, nmi_blocked: an NMI waits; none is taken until the next IRET.
        pointers: the four PDPTEs of PAE paging.
        sysenter: the three MSRs of SYSENTER: CS, ESP, EIP.
        unit: VMX or SVM, on a processor that has it; never on a virtual one.
        guest_mode: set while a monitor's guest runs under VMX or SVM.
        halted: HLT was executed and no interrupt has come since.
        shadow: the last instruction was an STI that set IF, or loaded SS: no interrupt before the next.
        single_step: the last instruction began with TF set: #DB is due.
        traps: bits of DR6 for what the last instruction met besides: #DB is due.
        stack_mask: 0xFFFFFFFF or 0xFFFF, by SS.
        readable, writable: pages that this CPL may use without asking the address space; empty on a
            virtual processor.
        implicit: the address space for the processor's own accesses.
        tsc, tsc_offset: the clock that the time stamp counter follows, and by how much it differs.
        charge: called with the name of a priced input for what costs beyond an instruction's class.
        passages: the changes of ring that have been checked before; a virtual processor checks each.
        notify: called with (kind, cause, payload) of an event.
        read_physical: reads memory for the PDPTEs; ones where there is none.
        mode_changed: called when CPL, the code segment, CR0, CR3 or CR4 changed; ``ring_changed`` instead
            when CR0, CR3 and CR4 did not.
    """

    __slots__ = (
        "charge", "cr0", "cr2", "cr3", "cr4", "debug", "eax", "ebp", "ebx", "ecx", "edi", "edx",
        "eip", "esi", "fpu", "gdtr", "guest_mode", "halted", "identity", "idtr", "implicit", "ldtr",
        "mode_changed", "nmi_blocked", "nmi_pending", "notify", "passages", "pointers", "ports",
        "read_physical", "ring_changed", "shadow", "single_step", "sysenter", "tr", "traps",
        "tsc", "tsc_offset", "unit", "watched",
    )  # fmt: skip

    def __init__(
        self,
        space: AddressSpace,
        ports: Ports,
        *,
        implicit: SystemMemory | None = None,
        identity: Identity = PENTIUM_4,
        tsc: Callable[[], int] = lambda: 0,
    ) -> None:
        super().__init__()
        self.space = space
        self.ports = ports
        self.implicit: SystemMemory = space if implicit is None else implicit
        self.identity = identity
        self.tsc = tsc
        self.charge: Callable[[str], None] = _no_charge
        self.notify: Callable[[str, str, Payload], None] = _no_event
        self.mode_changed: Callable[[], None] = _nothing
        self.ring_changed: Callable[[], None] = _nothing
        self.passages: Passages | None = None
        self.read_physical: Callable[[int, int], int] = _nobody
        self.unit: VirtualizationUnit | None = None
        self.guest_mode: GuestMode | None = None
        self.readable = {}
        self.writable = {}
        self.reset()

    def reset(self) -> None:
        """Flat protected mode at CPL 0, paging off, interrupts off: what a loader leaves behind.

        The flat segments are in the hidden parts only; the guest has to load tables of its own before it
        loads a segment register.
        """
        if self.unit is not None:
            self.unit.reset()
            self.guest_mode = None
        self.eax = self.ecx = self.edx = self.ebx = 0
        self.esp = self.ebp = self.esi = self.edi = 0
        self.eip = 0
        self.eflags = EFLAGS_FIXED
        self.cr0, self.cr2, self.cr3, self.cr4 = CR0_PE | CR0_ET, 0, 0, 0
        self.pointers: tuple[int, ...] = ()
        self.debug = [0, 0, 0, 0, 0, 0, 0xFFFF_0FF0, 0x400]
        self.sysenter = [0, 0, 0]
        self.fpu = fpu.RESET
        self.halted = self.shadow = self.single_step = False
        self.traps = self.tsc_offset = 0
        self.watched = self.nmi_blocked = self.nmi_pending = False
        self.gdtr = self.idtr = TableRegister(0, 0xFFFF)
        self.ldtr = self.tr = SegmentState(0)
        self.segments = [SegmentState(0)] * 6
        data = d.segment(0, M32, d.DATA_READ_WRITE | d.TYPE_ACCESSED)
        for index in (ES, SS, DS, FS, GS):
            self.set_segment(index, SegmentState(0x10, *data))
        self.set_code_segment(SegmentState(0x08, *d.segment(0, M32, d.CODE_READ | d.TYPE_ACCESSED)), 0)

    @property
    def iopl(self) -> int:
        """I/O privilege level, 0-3."""
        return self.system_flags >> IOPL_SHIFT & 3

    @property
    def protected(self) -> bool:
        """Whether selectors name descriptors: protected mode, and not virtual-8086 mode within it."""
        return bool(self.cr0 & CR0_PE) and not self.system_flags & EFLAGS_VM

    @property
    def virtual_8086(self) -> bool:
        """Virtual-8086 mode: a task of protected mode, at CPL 3, that addresses as the 8086 does."""
        return bool(self.system_flags & EFLAGS_VM)

    def execute(self, instruction: Instruction) -> None:
        """Run one instruction (one iteration of a repeated one), or raise its Fault with nothing changed.

        The instruction's ``address`` is its offset in CS.
        """
        self.shadow = False
        if self.system_flags & EFLAGS_VIP and is_pending(self):
            raise Fault(GP, 0)
        executor(instruction)(self)

    def deliver(
        self, vector: int, error: int | None = None, *, software: bool = False, external: bool = False
    ) -> None:
        """Enter the handler of an exception, of an external interrupt or of ``INT vector`` through the IDT.

        EIP is what is pushed. A fault on the way becomes a double fault by the rules.

        Raises:
            Fault: ``software`` only: the INT instruction itself faults.
            TripleFault: the processor shuts down.
        """
        deliver(self, vector, error, software=software, external=external)

    def take(self, fault: Fault) -> None:
        """Deliver a fault that an instruction raised, CR2 included."""
        deliver(self, fault.vector, fault.error, fault=fault)

    def set_segment(self, index: int, state: SegmentState) -> None:
        """Replace a segment register other than CS, all checks done."""
        self.segments[index] = state
        if index == SS:
            self.stack_mask = state.stack_mask

    def set_code_segment(self, state: SegmentState, cpl: int) -> None:
        """Replace CS and with it CPL, all checks done."""
        self.segments[CS] = state
        self.cpl = cpl
        self.mode_changed()

    def change_ring(self, stack: SegmentState, code: SegmentState, cpl: int) -> None:
        """Replace SS and CS and with them CPL, all checks done."""
        segments = self.segments
        segments[SS], segments[CS] = stack, code
        self.stack_mask = stack.stack_mask
        self.cpl = cpl
        self.ring_changed()
