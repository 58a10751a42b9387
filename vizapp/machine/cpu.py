"""The processor: registers, memory accesses through segments, and the ways in and out of an instruction.

One class serves as the physical processor of a PC and as the virtual one of a monitor. They differ in what
they are given: an address space (the MMU of the machine, or a walk of the guest's tables), ports (the bus, or
virtual devices), and the hooks, which are empty on a virtual one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from struct import Struct
from struct import error as StructError  # noqa: N812 - a class
from typing import TYPE_CHECKING, Final, Protocol

from vizapp.isa import descriptors as d
from vizapp.isa import vectors
from vizapp.isa.addresses import M32
from vizapp.isa.registers import (
    CR0_ET,
    CR0_PE,
    CS,
    DS,
    EFLAGS_FIXED,
    EFLAGS_VM,
    ES,
    FS,
    GS,
    IOPL_SHIFT,
    SS,
)
from vizapp.machine import fpu
from vizapp.machine.execute import executor
from vizapp.machine.faults import Fault
from vizapp.machine.flags import FlagState
from vizapp.machine.identity import PENTIUM_4, Identity
from vizapp.machine.interrupts import deliver
from vizapp.machine.segments import SegmentState, TableRegister

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.machine.events import Payload

_U16: Final = Struct("<H")
_U32: Final = Struct("<I")
_load16, _store16 = _U16.unpack_from, _U16.pack_into
_load32, _store32 = _U32.unpack_from, _U32.pack_into
_MISS: Final = (KeyError, StructError)


class SystemMemory(Protocol):
    """Linear memory for the processor's own accesses: descriptor tables, TSS, stacks of inner rings."""

    def read(self, linear: int, size: int, user: bool) -> int:
        """``size`` bytes, little-endian; raises the page Fault."""
        ...

    def write(self, linear: int, size: int, value: int, user: bool) -> None:
        """Store ``size`` bytes; raises the page Fault before any is stored."""
        ...


class AddressSpace(SystemMemory, Protocol):
    """Linear memory as instructions see it. ``user`` is whether the access has the rights of CPL 3."""

    def modify(self, linear: int, size: int, user: bool) -> int:
        """As ``read``, but faults as the write would that follows."""
        ...

    def fetch(self, linear: int, count: int, user: bool) -> bytes:
        """``count`` bytes of code."""
        ...

    def flush(self) -> None:
        """CR3 was loaded."""
        ...

    def invalidate(self, linear: int) -> None:
        """INVLPG of a linear address."""
        ...


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


class Cpu(FlagState):
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
        notify: called with (kind, cause, payload) of an event.
        read_physical: reads memory for the PDPTEs; ones where there is none.
        mode_changed: called when CPL, the code segment, CR0, CR3 or CR4 changed.
    """

    __slots__ = (
        "charge", "cpl", "cr0", "cr2", "cr3", "cr4", "debug", "eax", "ebp", "ebx", "ecx", "edi", "edx",
        "eip", "esi", "esp", "fpu", "gdtr", "halted", "identity", "idtr", "implicit", "ldtr",
        "mode_changed", "nmi_blocked", "nmi_pending", "notify", "pointers", "ports", "read_physical",
        "readable", "segments", "shadow", "single_step", "space", "stack_mask", "sysenter", "tr", "traps",
        "tsc", "tsc_offset", "watched", "writable",
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
        self.read_physical: Callable[[int, int], int] = _nobody
        self.readable: Mapping[int, bytearray] = {}
        self.writable: Mapping[int, bytearray] = {}
        self.reset()

    def reset(self) -> None:
        """Flat protected mode at CPL 0, paging off, interrupts off: what a loader leaves behind.

        The flat segments are in the hidden parts only; the guest has to load tables of its own before it
        loads a segment register.
        """
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
        self.segments: list[SegmentState] = [SegmentState(0)] * 6
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
        if fault.address is not None:
            self.cr2 = fault.address
        deliver(self, fault.vector, fault.error)

    def set_segment(self, index: int, state: SegmentState) -> None:
        """Replace a segment register other than CS, all checks done."""
        self.segments[index] = state
        if index == SS:
            self.stack_mask = M32 if state.big else 0xFFFF

    def set_code_segment(self, state: SegmentState, cpl: int) -> None:
        """Replace CS and with it CPL, all checks done."""
        self.segments[CS] = state
        self.cpl = cpl
        self.mode_changed()

    def load1(self, seg: int, offset: int) -> int:
        """The byte at segment:offset."""
        segment = self.segments[seg]
        if offset <= segment.readable_to:
            linear = segment.base + offset & M32
            try:
                return self.readable[linear >> 12][linear & 0xFFF]
            except KeyError:
                return self.space.read(linear, 1, self.cpl == 3)
        return self._load(seg, offset, 1)

    def load2(self, seg: int, offset: int) -> int:
        """The word at segment:offset."""
        segment = self.segments[seg]
        if offset < segment.readable_to:
            linear = segment.base + offset & M32
            try:
                value: int = _load16(self.readable[linear >> 12], linear & 0xFFF)[0]
            except _MISS:
                return self.space.read(linear, 2, self.cpl == 3)
            return value
        return self._load(seg, offset, 2)

    def load4(self, seg: int, offset: int) -> int:
        """The double word at segment:offset."""
        segment = self.segments[seg]
        if offset + 3 <= segment.readable_to:
            linear = segment.base + offset & M32
            try:
                value: int = _load32(self.readable[linear >> 12], linear & 0xFFF)[0]
            except _MISS:
                return self.space.read(linear, 4, self.cpl == 3)
            return value
        return self._load(seg, offset, 4)

    def store1(self, seg: int, offset: int, value: int) -> None:
        """Store a byte at segment:offset."""
        segment = self.segments[seg]
        if offset <= segment.writable_to:
            linear = segment.base + offset & M32
            try:
                self.writable[linear >> 12][linear & 0xFFF] = value
            except KeyError:
                self.space.write(linear, 1, value, self.cpl == 3)
        else:
            self._store(seg, offset, 1, value)

    def store2(self, seg: int, offset: int, value: int) -> None:
        """Store a word at segment:offset."""
        segment = self.segments[seg]
        if offset < segment.writable_to:
            linear = segment.base + offset & M32
            try:
                _store16(self.writable[linear >> 12], linear & 0xFFF, value)
            except _MISS:
                self.space.write(linear, 2, value, self.cpl == 3)
        else:
            self._store(seg, offset, 2, value)

    def store4(self, seg: int, offset: int, value: int) -> None:
        """Store a double word at segment:offset."""
        segment = self.segments[seg]
        if offset + 3 <= segment.writable_to:
            linear = segment.base + offset & M32
            try:
                _store32(self.writable[linear >> 12], linear & 0xFFF, value)
            except _MISS:
                self.space.write(linear, 4, value, self.cpl == 3)
        else:
            self._store(seg, offset, 4, value)

    def modify1(self, seg: int, offset: int) -> int:
        """The byte at segment:offset, which the same instruction will store: faults as the store would."""
        segment = self.segments[seg]
        if offset <= segment.writable_to:
            linear = segment.base + offset & M32
            try:
                return self.writable[linear >> 12][linear & 0xFFF]
            except KeyError:
                return self.space.modify(linear, 1, self.cpl == 3)
        return self._modify(seg, offset, 1)

    def modify2(self, seg: int, offset: int) -> int:
        """As ``modify1``, of a word."""
        segment = self.segments[seg]
        if offset < segment.writable_to:
            linear = segment.base + offset & M32
            try:
                value: int = _load16(self.writable[linear >> 12], linear & 0xFFF)[0]
            except _MISS:
                return self.space.modify(linear, 2, self.cpl == 3)
            return value
        return self._modify(seg, offset, 2)

    def modify4(self, seg: int, offset: int) -> int:
        """As ``modify1``, of a double word."""
        segment = self.segments[seg]
        if offset + 3 <= segment.writable_to:
            linear = segment.base + offset & M32
            try:
                value: int = _load32(self.writable[linear >> 12], linear & 0xFFF)[0]
            except _MISS:
                return self.space.modify(linear, 4, self.cpl == 3)
            return value
        return self._modify(seg, offset, 4)

    def load(self, seg: int, offset: int, size: int) -> int:
        """1, 2 or 4 bytes at segment:offset."""
        return (self.load4 if size == 4 else self.load2 if size == 2 else self.load1)(seg, offset)

    def store(self, seg: int, offset: int, size: int, value: int) -> None:
        """Store 1, 2 or 4 bytes at segment:offset; ``value`` fits."""
        (self.store4 if size == 4 else self.store2 if size == 2 else self.store1)(seg, offset, value)

    def stack_load(self, offset: int, size: int) -> int:
        """2 or 4 bytes at SS:offset; the offset wraps as the stack's size says."""
        return self.load(SS, offset & self.stack_mask, size)

    def stack_store(self, offset: int, size: int, value: int) -> None:
        """Store 2 or 4 bytes at SS:offset; the offset wraps as the stack's size says."""
        self.store(SS, offset & self.stack_mask, size, value)

    def move_stack(self, change: int) -> None:
        """Add ``change`` bytes to ESP, or to SP of a 16-bit stack."""
        mask = self.stack_mask
        self.esp = self.esp & ~mask & M32 | self.esp + change & mask

    def push(self, size: int, value: int) -> None:
        """Push 2 or 4 bytes; a Fault leaves ESP alone."""
        self.stack_store(self.esp - size, size, value)
        self.move_stack(-size)

    def _load(self, seg: int, offset: int, size: int) -> int:
        return self.space.read(self._linear(seg, offset, size, write=False), size, self.cpl == 3)

    def _store(self, seg: int, offset: int, size: int, value: int) -> None:
        self.space.write(self._linear(seg, offset, size, write=True), size, value, self.cpl == 3)

    def _modify(self, seg: int, offset: int, size: int) -> int:
        return self.space.modify(self._linear(seg, offset, size, write=True), size, self.cpl == 3)

    def _linear(self, seg: int, offset: int, size: int, *, write: bool) -> int:
        """The linear address of an access that needs the full check."""
        segment = self.segments[seg]
        if not segment.allows(offset, size, write=write):
            raise Fault(vectors.SS if seg == SS else vectors.GP, 0)
        return segment.base + offset & M32
