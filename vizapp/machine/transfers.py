"""Far transfers: JMP, CALL and RET to other segments, call gates with stack switch, IRET, SYSENTER, SYSEXIT.

SDM Vol. 2, the instructions' pseudocode; Vol. 3, "Privilege Level Checking When Transferring Program
Control Between Code Segments". Everything that can fault comes before the first register is changed.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.isa import descriptors as d
from vizapp.isa import registers as r
from vizapp.isa import vectors
from vizapp.isa.addresses import M32
from vizapp.isa.instruction import FarPointer, Memory
from vizapp.machine import events, real_mode
from vizapp.machine.faults import Fault
from vizapp.machine.flags import EFLAGS_SYSTEM
from vizapp.machine.operands import effective_address, next_eip, read_operand, second_field
from vizapp.machine.segments import (
    DescriptorAt,
    SegmentState,
    checked_stack,
    mark_accessed,
    read_descriptor,
    state_of,
    virtual_segment,
)
from vizapp.machine.stacks import inner_stack, push_frame
from vizapp.machine.tasks import AVAILABLE, find_task, return_to_task, switch
from vizapp.machine.virtual_interrupts import require_frame, taken_flags

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.machine.cpu import Cpu

_CALL_GATES: Final = (d.CALL_GATE_16, d.CALL_GATE_32)
_DATA: Final = (r.ES, r.DS, r.FS, r.GS)
_SAME_RING: Final = "far_transfer"
_OTHER_RING: Final = "gate_call"
_REMEMBERED: Final = 64


class _Target(NamedTuple):
    """Where a transfer goes: the code segment, the offset there, and the gate it went through."""

    found: DescriptorAt
    selector: int
    offset: int
    gate: d.Gate | None

    @property
    def code(self) -> d.Descriptor:
        return self.found.descriptor


class _Task(NamedTuple):
    """A transfer that is a task switch: to the available TSS ``found``."""

    found: DescriptorAt
    selector: int


def jmp_far(cpu: Cpu, instruction: Instruction) -> None:
    """JMP ptr16:32 and JMP m16:32: never changes the CPL."""
    selector, offset = _pointer(cpu, instruction)
    if not cpu.protected:
        real_mode.jump(cpu, selector, offset)
        return
    target = _resolve(cpu, selector, offset, call=False)
    if isinstance(target, _Task):
        switch(cpu, target.selector, target.found, "jmp", next_eip(cpu, instruction), cpu.eflags)
        return
    if target.offset > target.code.limit:
        raise Fault(vectors.GP, 0)
    mark_accessed(cpu, target.found)
    cpu.charge(_SAME_RING if target.gate is None else _OTHER_RING)
    _go(cpu, target, cpu.cpl)
    if target.gate is not None:
        _tell(cpu, events.GATE_CALLED, "jmp")


def call_far(cpu: Cpu, instruction: Instruction) -> None:
    """CALL ptr16:32 and CALL m16:32, through a call gate perhaps to an inner ring."""
    selector, offset = _pointer(cpu, instruction)
    if not cpu.protected:
        real_mode.call(cpu, selector, offset, instruction.operand_size, next_eip(cpu, instruction))
        return
    target = _resolve(cpu, selector, offset, call=True)
    if isinstance(target, _Task):
        switch(cpu, target.selector, target.found, "call", next_eip(cpu, instruction), cpu.eflags)
        return
    code, gate = target.code, target.gate
    size = instruction.operand_size if gate is None else gate.size
    frame = [cpu.segments[r.CS].selector, next_eip(cpu, instruction)]
    stack, esp, cpl = cpu.segments[r.SS], cpu.esp, cpu.cpl
    if gate is not None and code.dpl < cpl and not code.is_conforming:
        parameters = [cpu.stack_load(esp + size * i, size) for i in reversed(range(gate.parameters))]
        frame = [stack.selector, esp, *parameters, *frame]
        cpl = code.dpl
        stack, esp, *_ = inner_stack(cpu, cpl)
        room_error = stack.selector & d.SELECTOR_ERROR
    else:
        room_error = 0
    if target.offset > code.limit:
        raise Fault(vectors.GP, 0)
    mark_accessed(cpu, target.found)
    memory = cpu.space if cpl == cpu.cpl else cpu.implicit
    esp = push_frame(memory, stack, esp, size, frame, room_error, user=cpl == 3)
    cpu.charge(_SAME_RING if gate is None else _OTHER_RING)
    cpu.esp = esp
    cpu.set_segment(r.SS, stack)
    _go(cpu, target, cpl)
    if gate is not None:
        _tell(cpu, events.GATE_CALLED, "call")


def retf(cpu: Cpu, instruction: Instruction) -> None:
    """RETF and RETF imm16, to the same ring or an outer one."""
    size = instruction.operand_size
    released = read_operand(cpu, instruction, instruction.operands[0]) if instruction.operands else 0
    eip = cpu.stack_load(cpu.esp, size)
    selector = cpu.stack_load(cpu.esp + size, size) & 0xFFFF
    if cpu.protected:
        _return(cpu, "retf", eip, selector, size, 2 * size, released)
    else:
        real_mode.return_to(cpu, selector, eip, 2 * size + released, _SAME_RING)


def iret(cpu: Cpu, instruction: Instruction) -> None:
    """IRET and IRETD, to the same ring or an outer one."""
    size = instruction.operand_size
    back = None if cpu.passages is None or size != 4 else cpu.passages.pop(cpu)
    if back is not None:
        cpu.nmi_blocked = False
        way, eip, flags, esp = back
        _go_outward(cpu, "iret", eip, _returned_flags(cpu, flags, 4), way.stack, esp, way.code)
        return
    replaced = require_frame(cpu, size)
    cpu.nmi_blocked = False
    protected = cpu.protected
    if protected and cpu.system_flags & r.EFLAGS_NT:
        return_to_task(cpu, next_eip(cpu, instruction))
        return
    eip = cpu.stack_load(cpu.esp, size)
    selector = cpu.stack_load(cpu.esp + size, size) & 0xFFFF
    flags = cpu.stack_load(cpu.esp + 2 * size, size)
    if size == 4 and flags & r.EFLAGS_VM and cpu.cpl == 0 and protected:
        _enter_virtual_8086(cpu, eip, selector, flags)
        return
    new_flags = taken_flags(cpu, flags) if replaced else _returned_flags(cpu, flags, size)
    if protected:
        _return(cpu, "iret", eip, selector, size, 3 * size, 0, new_flags)
    else:
        real_mode.return_to(cpu, selector, eip, 3 * size, "iret_same", new_flags)


def _returned_flags(cpu: Cpu, flags: int, size: int) -> int:
    """EFLAGS after IRET found ``flags`` on the stack."""
    changed = r.EFLAGS_ARITHMETIC | r.EFLAGS_TF | r.EFLAGS_DF | r.EFLAGS_NT
    if size == 4:
        # RF would be clear again after the next instruction: it matters to a breakpoint alone.
        changed |= r.EFLAGS_AC | r.EFLAGS_ID | (r.EFLAGS_RF if cpu.watched else 0)
    cpl = cpu.cpl
    if cpl <= cpu.system_flags >> r.IOPL_SHIFT & 3:
        changed |= r.EFLAGS_IF
    if cpl == 0:
        changed |= r.EFLAGS_IOPL
        if size == 4 and cpu.cr0 & r.CR0_PE:
            changed |= r.EFLAGS_VIF | r.EFLAGS_VIP
    return cpu.system_flags & ~changed | flags & changed


def _enter_virtual_8086(cpu: Cpu, eip: int, selector: int, flags: int) -> None:
    """IRETD from ring 0 to a virtual-8086 task, with all its segment registers on the stack."""
    esp, ss, es, ds, fs, gs = (cpu.stack_load(cpu.esp + 4 * index, 4) for index in range(3, 9))
    if eip > virtual_segment(selector).limit:
        raise Fault(vectors.GP, 0)
    cpu.charge("iret_outer")
    cpu.eflags = flags & ~r.EFLAGS_RF
    cpu.eip, cpu.esp = eip, esp
    for index, value in ((r.SS, ss), (r.ES, es), (r.DS, ds), (r.FS, fs), (r.GS, gs)):
        cpu.set_segment(index, virtual_segment(value & 0xFFFF))
    cpu.set_code_segment(virtual_segment(selector), 3)
    _tell(cpu, events.RETURNED, "iret")


def sysenter(cpu: Cpu, instruction: Instruction) -> None:
    """SYSENTER: to ring 0 by the three MSRs, with no look at any table."""
    selector, esp, eip = cpu.sysenter
    if d.is_null(selector) or not cpu.cr0 & r.CR0_PE:
        raise Fault(vectors.GP, 0)
    cpu.charge("sysenter")
    cpu.system_flags &= ~(r.EFLAGS_IF | r.EFLAGS_VM | r.EFLAGS_RF)
    cpu.esp, cpu.eip = esp, eip
    cpu.change_ring(*_flat(selector & d.SELECTOR_ERROR, 0), 0)
    _tell(cpu, events.GATE_CALLED, "sysenter")


def sysexit(cpu: Cpu, instruction: Instruction) -> None:
    """SYSEXIT: to ring 3 at EDX, with the stack at ECX."""
    if cpu.cpl or d.is_null(cpu.sysenter[0]) or not cpu.cr0 & r.CR0_PE:
        raise Fault(vectors.GP, 0)
    cpu.charge("sysenter")
    cpu.esp, cpu.eip = cpu.ecx, cpu.edx
    cpu.change_ring(*_flat((cpu.sysenter[0] & d.SELECTOR_ERROR) + 16, 3), 3)
    _tell(cpu, events.RETURNED, "sysexit")


@lru_cache(_REMEMBERED)
def _flat(selector: int, cpl: int) -> tuple[SegmentState, SegmentState]:
    """SS from the selector after ``selector`` and CS from itself, both flat whatever the GDT says."""
    data = d.segment(0, M32, d.DATA_READ_WRITE | d.TYPE_ACCESSED, cpl)
    code = d.segment(0, M32, d.CODE_READ | d.TYPE_ACCESSED, cpl)
    return SegmentState(selector + 8 & 0xFFFF | cpl, *data), SegmentState(selector & 0xFFFF | cpl, *code)


def _pointer(cpu: Cpu, instruction: Instruction) -> tuple[int, int]:
    """Selector and offset that a far JMP or CALL names."""
    operand = instruction.operands[0]
    if isinstance(operand, FarPointer):
        return operand.selector, operand.offset
    assert isinstance(operand, Memory)
    at = effective_address(cpu, operand, instruction.address_size)
    size = instruction.operand_size
    offset = cpu.load(operand.segment, at, size)
    return cpu.load2(operand.segment, second_field(instruction, at, size)), offset


def _resolve(cpu: Cpu, selector: int, offset: int, *, call: bool) -> _Target | _Task:
    """The code segment or the task that a far JMP or CALL reaches, all privilege checks done."""
    if d.is_null(selector):
        raise Fault(vectors.GP, 0)
    found = read_descriptor(cpu, selector)
    error = selector & d.SELECTOR_ERROR
    descriptor = found.descriptor
    if descriptor.is_code:
        _check_direct(cpu, selector, descriptor)
        return _Target(found, selector, offset, None)
    rpl = selector & d.SELECTOR_RPL
    if not descriptor.is_system or descriptor.type not in (*_CALL_GATES, d.TASK_GATE, *AVAILABLE):
        raise Fault(vectors.GP, error)
    if descriptor.dpl < max(cpu.cpl, rpl):
        raise Fault(vectors.GP, error)
    if not descriptor.present:
        raise Fault(vectors.NP, error)
    gate = found.gate
    if descriptor.type == d.TASK_GATE:
        return _Task(find_task(cpu, gate.selector), gate.selector)
    if descriptor.type in AVAILABLE:
        if selector & d.SELECTOR_LDT:
            raise Fault(vectors.GP, error)
        return _Task(found, selector)
    if d.is_null(gate.selector):
        raise Fault(vectors.GP, 0)
    inner = read_descriptor(cpu, gate.selector)
    _check_gated(cpu, gate.selector, inner.descriptor, call=call)
    return _Target(inner, gate.selector, gate.offset, gate)


def _check_direct(cpu: Cpu, selector: int, code: d.Descriptor) -> None:
    error = selector & d.SELECTOR_ERROR
    same_ring = selector & d.SELECTOR_RPL <= cpu.cpl == code.dpl
    if not (code.dpl <= cpu.cpl if code.is_conforming else same_ring):
        raise Fault(vectors.GP, error)
    if not code.present:
        raise Fault(vectors.NP, error)


def _check_gated(cpu: Cpu, selector: int, code: d.Descriptor, *, call: bool) -> None:
    error = selector & d.SELECTOR_ERROR
    inward = call or code.is_conforming
    if not code.is_code or code.dpl > cpu.cpl or (not inward and code.dpl != cpu.cpl):
        raise Fault(vectors.GP, error)
    if not code.present:
        raise Fault(vectors.NP, error)


def _go(cpu: Cpu, target: _Target, cpl: int) -> None:
    """Enter a code segment at a privilege level, all checks done."""
    cpu.eip = target.offset
    cpu.set_code_segment(state_of(target.selector & d.SELECTOR_ERROR | cpl, target.code), cpl)


def _tell(cpu: Cpu, kind: str, cause: str) -> None:
    cpu.notify(kind, cause, {"selector": cpu.segments[r.CS].selector, "address": cpu.eip})


def _return(
    cpu: Cpu,
    cause: str,
    eip: int,
    selector: int,
    size: int,
    popped: int,
    released: int,
    flags: int | None = None,
) -> None:
    """What RETF and IRET share: ``popped`` bytes are read so far, ``released`` more are skipped."""
    if d.is_null(selector):
        raise Fault(vectors.GP, 0)
    error = selector & d.SELECTOR_ERROR
    rpl = selector & d.SELECTOR_RPL
    found = read_descriptor(cpu, selector)
    code = found.descriptor
    matches = code.dpl <= rpl if code.is_conforming else code.dpl == rpl
    if not code.is_code or rpl < cpu.cpl or not matches:
        raise Fault(vectors.GP, error)
    if not code.present:
        raise Fault(vectors.NP, error)
    outward = rpl > cpu.cpl
    if outward:
        outer_esp = cpu.stack_load(cpu.esp + popped + released, size)
        outer_ss = cpu.stack_load(cpu.esp + popped + released + size, size) & 0xFFFF
        stack, stack_found = checked_stack(cpu, outer_ss, rpl)
        mark_accessed(cpu, stack_found)
    if eip > code.limit:
        raise Fault(vectors.GP, 0)
    mark_accessed(cpu, found)

    if not outward:
        cpu.charge("iret_same" if cause == "iret" else _SAME_RING)
        if flags is not None:
            cpu.eflags = flags
        cpu.move_stack(popped + released)
        cpu.eip = eip
        cpu.set_code_segment(state_of(selector, code), rpl)
        return
    state = state_of(selector, code)
    if cause == "iret" and size == 4 and cpu.passages is not None:
        cpu.passages.remember_return(cpu, found, stack_found, state, stack)
    _go_outward(cpu, cause, eip, flags, stack, outer_esp + released, state)


def _go_outward(
    cpu: Cpu,
    cause: str,
    eip: int,
    flags: int | None,
    stack: SegmentState,
    esp: int,
    code: SegmentState,
) -> None:
    """Return to an outer ring, all checks done; of ``esp`` as many bits count as the stack has."""
    cpu.charge("iret_outer" if cause == "iret" else _OTHER_RING)
    if flags is not None:
        cpu.system_flags = flags & EFLAGS_SYSTEM | r.EFLAGS_FIXED
        cpu.set_arithmetic(flags)
    mask = stack.stack_mask
    cpu.esp = cpu.esp & ~mask & M32 | esp & mask
    cpu.eip = eip
    cpl = code.selector & d.SELECTOR_RPL
    cpu.change_ring(stack, code, cpl)
    # Data segments that the outer ring could not have loaded become null.
    segments = cpu.segments
    for index in _DATA:
        if segments[index].outermost < cpl:
            cpu.set_segment(index, SegmentState(0))
    cpu.notify(events.RETURNED, cause, {"selector": code.selector, "address": eip})
