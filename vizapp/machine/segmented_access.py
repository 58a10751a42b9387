"""Memory as instructions address it: segment and offset, through the pages that this ring may use.

What a ring may read or write without asking stands in two maps of pages; the rest goes the long way, through
the address space, which translates, checks and faults.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from struct import error as StructError  # noqa: N812 - a class
from typing import TYPE_CHECKING, Final, Protocol

from vizapp.isa import vectors
from vizapp.isa.addresses import M32
from vizapp.isa.registers import SS
from vizapp.machine.faults import Fault
from vizapp.machine.flags import FlagState

if TYPE_CHECKING:
    from vizapp.machine.segments import SegmentState

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


class SegmentedAccess(FlagState):
    """The segment registers, the stack pointer, and loads and stores through them.

    Attributes:
        segments: ES CS SS DS FS GS with their hidden parts.
        cpl: current privilege level.
        stack_mask: 0xFFFFFFFF or 0xFFFF, by SS.
        space: the address space of explicit accesses.
        readable, writable: pages that this CPL may use without asking the address space; empty on a
            virtual processor.
    """

    __slots__ = ("cpl", "esp", "readable", "segments", "space", "stack_mask", "writable")

    cpl: int
    esp: int
    readable: Mapping[int, bytearray]
    segments: list[SegmentState]
    space: AddressSpace
    stack_mask: int
    writable: Mapping[int, bytearray]

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
