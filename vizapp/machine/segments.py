"""Segment registers: their hidden part, loading one with every check, and reading descriptors.

SDM Vol. 3, "Segment-Descriptor Tables" and "Privilege Checking When Accessing Data Segments"; the order of
checks is that of the MOV instruction's pseudocode in Vol. 2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.isa import descriptors as d
from vizapp.isa import vectors
from vizapp.isa.addresses import M32
from vizapp.isa.registers import CS, SS
from vizapp.machine.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vizapp.machine.cpu import Cpu


_CONFORMING: Final = d.AR_S | d.TYPE_CODE | d.TYPE_CONFORMING
_VIRTUAL_ACCESS: Final = d.DATA_READ_WRITE | d.TYPE_ACCESSED | d.AR_S | 3 << d.AR_DPL_SHIFT | d.AR_P
_REMEMBERED: Final = 4096


@dataclass(frozen=True, slots=True)
class SegmentState:
    """A segment register with its hidden descriptor; immutable, replaced when the register is loaded.

    ``limit`` is the last valid offset in bytes (of an expand-down segment the last invalid one), ``access``
    the rights as in ``isa.descriptors``; 0 makes the segment unusable, as after loading a null selector.
    ``readable_to`` and ``writable_to`` are the last offset that may be read or written, or -1 where that
    takes a closer look (expand-down, no right, unusable). ``outermost`` is the highest CPL at which a data
    segment register may keep it. ``stack_mask`` covers the bits of ESP that count when it is in SS.
    """

    selector: int
    base: int = 0
    limit: int = 0
    access: int = 0
    readable_to: int = field(init=False)
    writable_to: int = field(init=False)
    outermost: int = field(init=False)
    stack_mask: int = field(init=False)

    def __post_init__(self) -> None:
        descriptor = self.descriptor
        upward = not (descriptor.is_data and descriptor.type & d.TYPE_EXPAND_DOWN)
        object.__setattr__(self, "readable_to", self.limit if upward and descriptor.is_readable else -1)
        object.__setattr__(self, "writable_to", self.limit if upward and descriptor.is_writable else -1)
        object.__setattr__(self, "outermost", 3 if not self.usable or self.is_conforming else self.dpl)
        object.__setattr__(self, "stack_mask", M32 if self.big else 0xFFFF)

    @property
    def descriptor(self) -> d.Descriptor:
        """The hidden part as a descriptor."""
        return d.Descriptor(self.base, self.limit, self.access)

    @property
    def dpl(self) -> int:
        """Descriptor privilege level, 0-3."""
        return self.access >> d.AR_DPL_SHIFT & 3

    @property
    def usable(self) -> bool:
        """False after a null selector was loaded."""
        return bool(self.access & d.AR_P)

    @property
    def big(self) -> bool:
        """D/B."""
        return bool(self.access & d.AR_DB)

    @property
    def is_conforming(self) -> bool:
        """A code segment that keeps its caller's CPL."""
        return self.access & _CONFORMING == _CONFORMING

    def holds(self, offset: int, size: int) -> bool:
        """Whether ``size`` bytes from ``offset`` on are within the limit."""
        last = offset + size - 1
        if self.access & (d.AR_S | d.TYPE_CODE | d.TYPE_EXPAND_DOWN) == d.AR_S | d.TYPE_EXPAND_DOWN:
            return offset > self.limit and last <= (M32 if self.big else 0xFFFF)
        return last <= self.limit

    def allows(self, offset: int, size: int, *, write: bool) -> bool:
        """Whether a data access is within the limit and the segment's rights."""
        top = self.writable_to if write else self.readable_to
        if top >= 0:
            return offset + size - 1 <= top
        descriptor = self.descriptor
        right = descriptor.is_writable if write else descriptor.is_readable
        return self.usable and right and self.holds(offset, size)


class TableRegister(NamedTuple):
    """GDTR or IDTR: linear base, and the last valid offset."""

    base: int
    limit: int


class DescriptorAt(NamedTuple):
    """A descriptor read from a table, with its linear address there and its two double words."""

    address: int
    low: int
    high: int

    @property
    def descriptor(self) -> d.Descriptor:
        """The words as a segment descriptor."""
        return d.unpack(self.low, self.high)

    @property
    def gate(self) -> d.Gate:
        """The words as a gate."""
        return d.unpack_gate(self.low, self.high)

    @property
    def raw(self) -> bytes:
        """The words as they are in the table."""
        return d.to_bytes((self.low, self.high))

    @property
    def accessed(self) -> bool:
        """Whether a code or data descriptor has its accessed bit set."""
        return bool(self.high >> 8 & d.TYPE_ACCESSED)


def descriptor_at(cpu: Cpu, address: int) -> DescriptorAt:
    """What a table has at a linear address. Page faults propagate; the access is the processor's own."""
    both = cpu.implicit.read(address, d.DESCRIPTOR_BYTES, False)
    return DescriptorAt(address, both & M32, both >> 32)


def find_descriptor(cpu: Cpu, selector: int) -> DescriptorAt | None:
    """The descriptor that a selector names, or None when it lies beyond its table's limit.

    Page faults of the access propagate; they are the processor's own, whatever the CPL.
    """
    index = selector & d.SELECTOR_INDEX
    if selector & d.SELECTOR_LDT:
        base, limit = (cpu.ldtr.base, cpu.ldtr.limit) if cpu.ldtr.usable else (0, -1)
    else:
        base, limit = cpu.gdtr
    if index + d.DESCRIPTOR_BYTES - 1 > limit:
        return None
    return descriptor_at(cpu, base + index & M32)


def read_descriptor(cpu: Cpu, selector: int, vector: int = vectors.GP, external: int = 0) -> DescriptorAt:
    """As ``find_descriptor``, with the fault ``vector``(selector + EXT) when there is none."""
    found = find_descriptor(cpu, selector)
    if found is None:
        raise Fault(vector, selector & d.SELECTOR_ERROR | external)
    return found


def mark_accessed(cpu: Cpu, found: DescriptorAt) -> None:
    """Set the accessed bit of a code or data descriptor in its table, where it is clear."""
    if not found.accessed:
        rights = found.high >> 8 & 0xFF | d.TYPE_ACCESSED
        cpu.implicit.write(found.address + 5 & M32, 1, rights, False)


@lru_cache(_REMEMBERED)
def state_of(selector: int, descriptor: d.Descriptor) -> SegmentState:
    """A segment register loaded with a code or data descriptor, which is accessed from now on.

    The same for the same arguments, whether the descriptor was accessed before or not: who keeps something
    for a segment register may look at the identity of what is in it.
    """
    if descriptor.access & d.TYPE_ACCESSED:
        return SegmentState(selector, *descriptor)
    return state_of(selector, descriptor._replace(access=descriptor.access | d.TYPE_ACCESSED))


def system_state(selector: int, descriptor: d.Descriptor) -> SegmentState:
    """LDTR or TR loaded with a system descriptor."""
    return SegmentState(selector, descriptor.base, descriptor.limit, descriptor.access)


def checked_stack(
    cpu: Cpu, selector: int, cpl: int, vector: int = vectors.GP, external: int = 0
) -> tuple[SegmentState, DescriptorAt]:
    """What SS becomes at privilege level ``cpl``; faults with ``vector`` and, absent, with #SS.

    A null selector faults with error 0 (+ EXT). The accessed bit is not yet set.
    """
    if d.is_null(selector):
        raise Fault(vector, external)
    error = selector & d.SELECTOR_ERROR | external
    found = read_descriptor(cpu, selector, vector, external)
    descriptor = found.descriptor
    if selector & d.SELECTOR_RPL != cpl or not descriptor.is_writable or descriptor.dpl != cpl:
        raise Fault(vector, error)
    if not descriptor.present:
        raise Fault(vectors.SS, error)
    return state_of(selector, descriptor), found


def checked_data(cpu: Cpu, selector: int) -> tuple[SegmentState, DescriptorAt | None]:
    """What DS, ES, FS or GS becomes; a null selector makes it unusable."""
    if d.is_null(selector):
        return SegmentState(selector), None
    error = selector & d.SELECTOR_ERROR
    found = read_descriptor(cpu, selector)
    descriptor = found.descriptor
    if not descriptor.is_readable:
        raise Fault(vectors.GP, error)
    privilege = max(selector & d.SELECTOR_RPL, cpu.cpl)
    if not descriptor.is_conforming and privilege > descriptor.dpl:
        raise Fault(vectors.GP, error)
    if not descriptor.present:
        raise Fault(vectors.NP, error)
    return state_of(selector, descriptor), found


@lru_cache(_REMEMBERED)
def _paragraph(selector: int, limit: int, access: int) -> SegmentState:
    return SegmentState(selector, selector << 4, limit, access)


def paragraph_segment(cpu: Cpu, index: int, selector: int) -> SegmentState:
    """What register ``index`` becomes in real or virtual-8086 mode; see ``machine.real_mode``."""
    if cpu.virtual_8086:
        return virtual_segment(selector)
    old = cpu.segments[index]
    if old.usable:
        return _paragraph(selector, old.limit, old.access)
    return _paragraph(selector, 0xFFFF, _VIRTUAL_ACCESS & ~(3 << d.AR_DPL_SHIFT))


def load_paragraphs(cpu: Cpu, selectors: Iterable[int], cpl: int) -> None:
    """Replace every segment register, in the order of their numbers, as real or virtual-8086 mode does."""
    for index, selector in enumerate(selectors):
        state = paragraph_segment(cpu, index, selector)
        if index == CS:
            cpu.set_code_segment(state, cpl)
        else:
            cpu.set_segment(index, state)


def virtual_segment(selector: int) -> SegmentState:
    """Any segment of virtual-8086 mode."""
    return _paragraph(selector, 0xFFFF, _VIRTUAL_ACCESS)


def check_segment(cpu: Cpu, index: int, selector: int) -> SegmentState:
    """What register ``index`` (not CS) becomes when loaded; raises the Fault that loading it would.

    Marks the descriptor accessed, changes no register.
    """
    if not cpu.protected:
        return paragraph_segment(cpu, index, selector)
    state: SegmentState
    found: DescriptorAt | None
    state, found = checked_stack(cpu, selector, cpu.cpl) if index == SS else checked_data(cpu, selector)
    if found is not None:
        mark_accessed(cpu, found)
    return state


def load_segment(cpu: Cpu, index: int, selector: int) -> None:
    """MOV or POP to a segment register other than CS."""
    cpu.set_segment(index, check_segment(cpu, index, selector))
