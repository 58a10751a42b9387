"""Stacks that are not the present one: an inner ring's out of the TSS, and frames pushed in one piece."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vizapp.isa import descriptors as d
from vizapp.isa import vectors
from vizapp.isa.addresses import M32
from vizapp.machine.faults import Fault
from vizapp.machine.guest_mode import VmExit
from vizapp.machine.segments import DescriptorAt, SegmentState, checked_stack, mark_accessed

if TYPE_CHECKING:
    from vizapp.machine.cpu import Cpu
    from vizapp.machine.segmented_access import SystemMemory


class InnerStack(NamedTuple):
    """What the TSS has for an inner ring: SS, with its descriptor, and ESP, ``size`` bytes at ``address``."""

    stack: SegmentState
    esp: int
    found: DescriptorAt
    address: int
    size: int


def inner_stack(cpu: Cpu, cpl: int, external_bit: int = 0) -> InnerStack:
    """SS and ESP of an inner ring from the TSS, checked; faults are #TS, and #SS for an absent segment."""
    tss = cpu.tr
    wide = tss.descriptor.type & 8
    offset = d.TSS_ESP0 + 8 * cpl if wide else d.TSS16_SP0 + 4 * cpl
    if not tss.usable or offset + (7 if wide else 3) > tss.limit:
        raise Fault(vectors.TS, tss.selector & d.SELECTOR_ERROR | external_bit)
    size = 4 if wide else 2
    address = tss.base + offset & M32
    esp = cpu.implicit.read(address, size, False)
    selector = cpu.implicit.read(address + size & M32, 2, False)
    stack, found = checked_stack(cpu, selector, cpl, vectors.TS, external_bit)
    mark_accessed(cpu, found)
    return InnerStack(stack, esp, found, address, size)


def push_frame(
    memory: SystemMemory,
    stack: SegmentState,
    esp: int,
    size: int,
    values: list[int],
    room_error: int,
    *,
    user: bool,
) -> int:
    """Push ``values``, the first one deepest, on a stack that need not be the present one.

    Returns the new ESP. #SS(``room_error``) when the segment has no room, found before anything is stored.
    """
    mask = M32 if stack.big else 0xFFFF
    value_mask = (1 << 8 * size) - 1
    total = size * len(values)
    top = esp - total & mask
    if top + total - 1 <= mask and stack.allows(top, total, write=True):
        whole = 0
        for value in values:
            whole = whole << 8 * size | value & value_mask
        try:
            memory.write(stack.base + top & M32, total, whole, user)
        except (Fault, VmExit):
            # What the first push that cannot be done touches is what the processor tells.
            for count, value in enumerate(values, 1):
                offset = esp - size * count & mask
                memory.write(stack.base + offset & M32, size, value & value_mask, user)
            raise
    else:  # the frame goes round the end of the stack segment, or does not fit
        offsets = [esp - size * count & mask for count in range(1, len(values) + 1)]
        if not all(stack.allows(offset, size, write=True) for offset in offsets):
            raise Fault(vectors.SS, room_error)
        for offset, value in zip(offsets, values, strict=True):
            memory.write(stack.base + offset & M32, size, value & value_mask, user)
    return esp & ~mask & M32 | top
