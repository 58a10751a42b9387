"""Changes of ring that have been checked once: what was read for each, and what came of it.

An interrupt to an inner ring looks at a gate, two descriptors and the TSS, an IRET to an outer one at two
descriptors, and nearly always finds what it found the last time. So the outcome is kept together with the
bytes that it follows from:

    bytes of tables ── the same as then ──▶ the segments as then, no check again
                    └─ others, or not at hand ──▶ the long way, which remembers its outcome

The long way is the only one that knows the rules. The short one takes bytes out of the MMU's fast maps alone,
where an access has no effect but its own: it makes no walk, sets no bit and never faults, and goes back to
the long way with nothing changed.
"""

from __future__ import annotations

from struct import Struct
from struct import error as StructError  # noqa: N812 - a class
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from vizapp.isa.addresses import M32, PAGE_MASK, PAGE_SHIFT, PAGE_SIZE
from vizapp.isa.registers import CR0_PE, EFLAGS_NT, EFLAGS_VM, SS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vizapp.machine.cpu import Cpu
    from vizapp.machine.segments import DescriptorAt, SegmentState, TableRegister
    from vizapp.machine.stacks import InnerStack

MISS: Final = (KeyError, StructError)
_RETURNS: Final = 256
load_stack: Final = Struct("<IH").unpack_from
load_frame: Final = Struct("<5I").unpack_from
store_frame: Final = Struct("<5I").pack_into
_store_frame_and_error: Final = Struct("<6I").pack_into
FRAME_BYTES: Final = 20


Piece: TypeAlias = tuple[int, int, int, bytes]
"""Page, start, end, raw: the bytes of a table from ``start`` to ``end`` of a linear page were ``raw``."""


class Entry(NamedTuple):
    """The way through a 32-bit gate to an inner ring with a 32-bit stack.

    ``stack_page`` and ``stack_offset`` say where the TSS has that ring's ESP and SS; they are read each time.
    """

    idtr: TableRegister
    gdtr: TableRegister
    ldtr: SegmentState
    tr: SegmentState
    pieces: tuple[Piece, ...]
    stack_page: int
    stack_offset: int
    stack: SegmentState
    code: SegmentState
    cpl: int
    offset: int
    kept_flags: int


class Return(NamedTuple):
    """An IRETD from ``cpl`` to an outer ring with a 32-bit stack."""

    gdtr: TableRegister
    ldtr: SegmentState
    cpl: int
    pieces: tuple[Piece, ...]
    stack: SegmentState
    code: SegmentState


def _pieces(parts: Mapping[int, bytes]) -> tuple[Piece, ...] | None:
    """Bytes by linear address as few pieces; None where one of them crosses into another page."""
    merged: list[tuple[int, bytes]] = []
    for address in sorted(parts):
        if merged and merged[-1][0] + len(merged[-1][1]) == address and address & PAGE_MASK:
            before, raw = merged.pop()
            merged.append((before, raw + parts[address]))
        else:
            merged.append((address, parts[address]))
    pieces = []
    for address, raw in merged:
        start = address & PAGE_MASK
        if start + len(raw) > PAGE_SIZE:
            return None
        pieces.append((address >> PAGE_SHIFT, start, start + len(raw), raw))
    return tuple(pieces)


def entry_key(vector: int, cpl: int, *, software: bool, error: bool) -> int:
    """Tells apart interrupts whose way depends on more than memory and the tables' registers."""
    return vector | cpl << 8 | software << 10 | error << 11


class Passages:
    """Those of one processor. ``readable`` and ``writable`` are the fast maps of its implicit accesses.

    Attributes:
        entries: by ``entry_key``.
        returns: by the selector of CS, and that of SS shifted by 16 bits.
    """

    def __init__(self, readable: Mapping[int, bytearray], writable: Mapping[int, bytearray]) -> None:
        self.use(readable, writable)
        self.entries: dict[int, Entry] = {}
        self.returns: dict[int, Return] = {}

    def use(self, readable: Mapping[int, bytearray], writable: Mapping[int, bytearray]) -> None:
        """The processor is in another address space, whose maps are these."""
        self._readable, self._writable = readable, writable

    def remember_entry(
        self,
        cpu: Cpu,
        key: int,
        gate: DescriptorAt,
        code: DescriptorAt,
        inner: InnerStack,
        state: SegmentState,
        cpl: int,
        kept_flags: int,
    ) -> None:
        """An interrupt with this ``entry_key`` has found a 32-bit gate to ring ``cpl``, and a stack."""
        esp_page, esp_offset = inner.address >> PAGE_SHIFT, inner.address & PAGE_MASK
        pieces = _pieces(
            {gate.address: gate.raw, code.address: code.raw, inner.found.address: inner.found.raw}
        )
        # A clear bit has to be set anew each time.
        marked = code.accessed and inner.found.accessed
        if pieces is not None and marked and inner.size == 4 and inner.stack.big:
            self.entries[key] = Entry(
                cpu.idtr, cpu.gdtr, cpu.ldtr, cpu.tr, pieces, esp_page, esp_offset,
                inner.stack, state, cpl, gate.gate.offset, kept_flags,
            )  # fmt: skip

    def remember_return(
        self,
        cpu: Cpu,
        code: DescriptorAt,
        stack: DescriptorAt,
        code_state: SegmentState,
        stack_state: SegmentState,
    ) -> None:
        """An IRETD at the present CPL has found code and stack of an outer ring."""
        pieces = _pieces({code.address: code.raw, stack.address: stack.raw})
        if pieces is not None and code.accessed and stack.accessed and stack_state.big:
            if len(self.returns) >= _RETURNS:
                self.returns.clear()
            key = code_state.selector | stack_state.selector << 16
            self.returns[key] = Return(cpu.gdtr, cpu.ldtr, cpu.cpl, pieces, stack_state, code_state)

    def push(self, cpu: Cpu, key: int, error: int | None, frame: list[int]) -> tuple[Entry, int] | None:
        """Push ``frame`` (EFLAGS, CS, EIP) on the inner stack: the way in, and ESP; None: nothing done."""
        entry = self.entries.get(key)
        if (
            entry is None
            or entry.idtr is not cpu.idtr
            or entry.gdtr is not cpu.gdtr
            or entry.tr is not cpu.tr
            or entry.ldtr is not cpu.ldtr
            or cpu.system_flags & EFLAGS_VM
            or cpu.watched
        ):
            return None
        readable, stack = self._readable, entry.stack
        flags, selector, eip = frame
        old_esp, old_ss = cpu.esp, cpu.segments[SS].selector
        try:
            for page, start, end, raw in entry.pieces:
                if readable[page][start:end] != raw:
                    return None
            esp, stack_selector = load_stack(readable[entry.stack_page], entry.stack_offset)
            top: int = esp - FRAME_BYTES if error is None else esp - FRAME_BYTES - 4
            if stack_selector != stack.selector or top < 0 or esp - 1 > stack.writable_to:
                return None
            linear = stack.base + top & M32
            top_page, offset = self._writable[linear >> PAGE_SHIFT], linear & PAGE_MASK
            if error is None:
                store_frame(top_page, offset, eip, selector, flags, old_esp, old_ss)
            else:
                _store_frame_and_error(top_page, offset, error, eip, selector, flags, old_esp, old_ss)
        except MISS:
            return None
        return entry, top

    def pop(self, cpu: Cpu) -> tuple[Return, int, int, int] | None:
        """The way back that an IRETD finds on the stack, with EIP, EFLAGS and ESP; None if unknown."""
        esp, stack = cpu.esp, cpu.segments[SS]
        if (
            cpu.system_flags & (EFLAGS_NT | EFLAGS_VM)
            or not cpu.cr0 & CR0_PE
            or cpu.watched
            or cpu.stack_mask != M32
            or esp + FRAME_BYTES - 1 > stack.readable_to
        ):
            return None
        readable = self._readable
        linear = stack.base + esp & M32
        try:
            eip, selector, flags, outer_esp, outer_ss = load_frame(
                cpu.readable[linear >> PAGE_SHIFT], linear & PAGE_MASK
            )
            entry = self.returns[selector & 0xFFFF | (outer_ss & 0xFFFF) << 16]
            if (
                entry.cpl != cpu.cpl
                or entry.gdtr is not cpu.gdtr
                or entry.ldtr is not cpu.ldtr
                or flags & EFLAGS_VM
                or eip > entry.code.limit
            ):
                return None
            for page, start, end, raw in entry.pieces:
                if readable[page][start:end] != raw:
                    return None
        except MISS:
            return None
        return entry, eip, flags, outer_esp
