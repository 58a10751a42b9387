"""Which states VM entry accepts of a guest in protected mode, and which virtual-8086 mode stands for.

A processor without unrestricted guests takes a guest in protected mode with paging, or a virtual-8086 task.
Real mode is run as the latter where its segments are those of an 8086. What is left over (between setting PE
and loading CS, "unreal mode" with its limits of 4 GB) the monitor runs itself. SDM Vol. 3, "Checks on Guest
Segment Registers".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa import descriptors as d
from vizapp.isa.registers import CS, EFLAGS_VM, SS

if TYPE_CHECKING:
    from vizapp.machine.cpu import Cpu
    from vizapp.machine.segments import SegmentState

_CODE_TYPES: Final = (9, 11)
_CONFORMING_TYPES: Final = (13, 15)
_STACK_TYPES: Final = (3, 7)
_PLAIN_16_BITS: Final = 0xFFFF


def accepts(cpu: Cpu) -> bool:
    """Whether the segments of a guest in protected mode, or of its own virtual-8086 task, pass."""
    if cpu.system_flags & EFLAGS_VM:
        return all(like_8086(state) for state in cpu.segments)
    code, stack = cpu.segments[CS], cpu.segments[SS]
    if not code.usable or not code.access & d.AR_S:
        return False
    kind = code.access & d.AR_TYPE
    conforms = kind in _CONFORMING_TYPES and code.dpl <= cpu.cpl
    suits = conforms or (kind in _CODE_TYPES and code.dpl == cpu.cpl)
    if not suits or stack.selector & d.SELECTOR_RPL != code.selector & d.SELECTOR_RPL:
        return False
    if stack.selector & d.SELECTOR_RPL != cpu.cpl:
        return False
    if stack.usable and (stack.access & d.AR_TYPE not in _STACK_TYPES or stack.dpl != cpu.cpl):
        return False
    return all(_is_data(state) for index, state in enumerate(cpu.segments) if index not in (CS, SS))


def like_8086(state: SegmentState) -> bool:
    """Whether a segment is one of the 8086: 64 KB at 16 times its selector."""
    plain = state.usable and not state.big  # G says nothing beyond the limit
    return plain and state.base == state.selector << 4 and state.limit == _PLAIN_16_BITS


def _is_data(state: SegmentState) -> bool:
    if not state.usable:
        return True
    kind = state.access & d.AR_TYPE
    if not state.access & d.AR_S or not kind & d.TYPE_ACCESSED:
        return False
    if kind & d.TYPE_CODE and not kind & d.TYPE_READABLE:
        return False
    return kind > 11 or state.dpl >= state.selector & d.SELECTOR_RPL
