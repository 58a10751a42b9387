"""Segments as the 8086 has them: real mode, and virtual-8086 mode wherever the two are alike.

A selector is a paragraph number: the base is 16 times as much, and no table is asked. What a load does to the
rest of the hidden part is where the two modes differ:

    real mode           limit, rights and size stay as they were: a limit of 4 GB that protected mode has left
                        there serves on ("unreal mode")
    virtual-8086 mode   64 KB, ring 3, 16 bits, whatever was there

SDM Vol. 3, "8086 Emulation" and "Processor Management and Initialization".
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from vizapp.isa import descriptors as d
from vizapp.isa import registers as r
from vizapp.isa import vectors
from vizapp.isa.addresses import M32
from vizapp.machine.faults import Fault
from vizapp.machine.segments import SegmentState, TableRegister, paragraph_segment
from vizapp.machine.stacks import push_frame

if TYPE_CHECKING:
    from vizapp.machine.cpu import Cpu

_RESET_SELECTOR: Final = 0xF000
_RESET_BASE: Final = 0xFFFF_0000
_RESET_EIP: Final = 0xFFF0
_VECTOR_BYTES: Final = 4
_CLEARED_BY_INTERRUPT: Final = r.EFLAGS_IF | r.EFLAGS_TF | r.EFLAGS_RF | r.EFLAGS_AC


def power_on(cpu: Cpu) -> None:
    """The state after RESET: 16 bytes below 4 GB, in real mode.

    CS has a base that no load in real mode could give it; the first far jump takes the processor down into
    the first megabyte.
    """
    cpu.reset()
    cpu.edx = cpu.identity.leaf(1).eax
    cpu.eip = _RESET_EIP
    cpu.cr0 = r.CR0_ET | r.CR0_CD | r.CR0_NW
    cpu.gdtr = cpu.idtr = TableRegister(0, 0xFFFF)
    data = d.segment(0, 0xFFFF, d.DATA_READ_WRITE | d.TYPE_ACCESSED, big=False)
    for index in (r.ES, r.SS, r.DS, r.FS, r.GS):
        cpu.set_segment(index, SegmentState(0, *data))
    cpu.set_code_segment(SegmentState(_RESET_SELECTOR, _RESET_BASE, data.limit, data.access), 0)


@lru_cache
def code_in_real_mode(state: SegmentState) -> SegmentState:
    """CS when PE is cleared: from now on code can be written through it, as everything in real mode."""
    access = state.access & ~(d.AR_TYPE | 3 << d.AR_DPL_SHIFT) | d.DATA_READ_WRITE | d.TYPE_ACCESSED
    return SegmentState(state.selector, state.base, state.limit, access)


def enter(cpu: Cpu, vector: int, return_eip: int, price: str) -> None:
    """Call the handler in the interrupt vector table, where IDTR says (at 0 after RESET).

    vector * 4   | offset | selector |          what is pushed   FLAGS, CS, IP
    """
    base, limit = cpu.idtr
    at = vector * _VECTOR_BYTES
    if at + _VECTOR_BYTES - 1 > limit:
        raise Fault(vectors.GP, 0)
    entry = cpu.implicit.read(base + at & M32, _VECTOR_BYTES, False)
    offset = entry & 0xFFFF
    code = paragraph_segment(cpu, r.CS, entry >> 16)
    if offset > code.limit:
        raise Fault(vectors.GP, 0)
    frame = [cpu.eflags, cpu.segments[r.CS].selector, return_eip]
    esp = push_frame(cpu.space, cpu.segments[r.SS], cpu.esp, 2, frame, 0, user=False)
    cpu.charge(price)
    cpu.system_flags &= ~_CLEARED_BY_INTERRUPT
    cpu.halted = cpu.shadow = cpu.single_step = False
    cpu.eip, cpu.esp = offset, esp
    cpu.set_code_segment(code, cpu.cpl)


def jump(cpu: Cpu, selector: int, offset: int) -> None:
    """A far JMP."""
    _go(cpu, *_target(cpu, selector, offset))


def call(cpu: Cpu, selector: int, offset: int, size: int, return_eip: int) -> None:
    """A far CALL, which pushes ``size`` bytes each of CS and EIP."""
    code, offset = _target(cpu, selector, offset)
    frame = [cpu.segments[r.CS].selector, return_eip]
    user = cpu.cpl == 3
    cpu.esp = push_frame(cpu.space, cpu.segments[r.SS], cpu.esp, size, frame, 0, user=user)
    _go(cpu, code, offset)


def return_to(
    cpu: Cpu, selector: int, offset: int, released: int, price: str, flags: int | None = None
) -> None:
    """The end of RETF and IRET: ``released`` bytes come off the stack, and perhaps EFLAGS among them."""
    code, offset = _target(cpu, selector, offset)
    if flags is not None:
        cpu.eflags = flags
    cpu.move_stack(released)
    _go(cpu, code, offset, price)


def _target(cpu: Cpu, selector: int, offset: int) -> tuple[SegmentState, int]:
    code = paragraph_segment(cpu, r.CS, selector)
    if offset > code.limit:
        raise Fault(vectors.GP, 0)
    return code, offset


def _go(cpu: Cpu, code: SegmentState, offset: int, price: str = "far_transfer") -> None:
    cpu.charge(price)
    cpu.eip = offset
    cpu.set_code_segment(code, cpu.cpl)
