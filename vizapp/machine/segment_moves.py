"""MOV, PUSH and POP of segment registers, and LDS, LES, LFS, LGS, LSS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa.instruction import Memory, SegmentRegister
from vizapp.isa.registers import DS, ES, FS, GS, SS
from vizapp.machine.debug import hold
from vizapp.machine.operands import effective_address, next_eip, read_operand, second_field, write_operand
from vizapp.machine.segments import check_segment, load_segment

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.machine.cpu import Cpu

_LOADED_BY: Final = {"les": ES, "lds": DS, "lss": SS, "lfs": FS, "lgs": GS}


def _shadow_stack_load(cpu: Cpu, index: int) -> None:
    # So that ESP can be loaded next with nothing in between: SDM Vol. 3, "Masking Exceptions and
    # Interrupts When Switching Stacks".
    if index == SS:
        cpu.shadow = True
        if cpu.unit is not None:
            cpu.unit.stack_loaded = True
        hold(cpu)


def mov_to_segment(cpu: Cpu, instruction: Instruction) -> None:
    """MOV Sreg, r/m16."""
    register, source = instruction.operands
    assert isinstance(register, SegmentRegister)
    load_segment(cpu, register.index, read_operand(cpu, instruction, source) & 0xFFFF)
    _shadow_stack_load(cpu, register.index)
    cpu.eip = next_eip(cpu, instruction)


def mov_from_segment(cpu: Cpu, instruction: Instruction) -> None:
    """MOV r/m16, Sreg: zero-extended into a 32-bit register."""
    target, register = instruction.operands
    assert isinstance(register, SegmentRegister)
    write_operand(cpu, instruction, target, cpu.segments[register.index].selector)
    cpu.eip = next_eip(cpu, instruction)


def push_segment(cpu: Cpu, instruction: Instruction) -> None:
    """PUSH Sreg, zero-extended to the operand size."""
    register = instruction.operands[0]
    assert isinstance(register, SegmentRegister)
    cpu.push(instruction.operand_size, cpu.segments[register.index].selector)
    cpu.eip = next_eip(cpu, instruction)


def pop_segment(cpu: Cpu, instruction: Instruction) -> None:
    """POP Sreg: all of the operand size is popped, 16 bits are used."""
    register = instruction.operands[0]
    assert isinstance(register, SegmentRegister)
    size = instruction.operand_size
    state = check_segment(cpu, register.index, cpu.stack_load(cpu.esp, size) & 0xFFFF)
    cpu.move_stack(size)
    cpu.set_segment(register.index, state)
    _shadow_stack_load(cpu, register.index)
    cpu.eip = next_eip(cpu, instruction)


def load_far_pointer(cpu: Cpu, instruction: Instruction) -> None:
    """LDS, LES, LFS, LGS and LSS: offset and selector from memory."""
    register, memory = instruction.operands
    assert isinstance(memory, Memory)
    index = _LOADED_BY[instruction.mnemonic]
    size = instruction.operand_size
    at = effective_address(cpu, memory, instruction.address_size)
    offset = cpu.load(memory.segment, at, size)
    selector = cpu.load2(memory.segment, second_field(instruction, at, size))
    cpu.set_segment(index, check_segment(cpu, index, selector))
    write_operand(cpu, instruction, register, offset)
    cpu.eip = next_eip(cpu, instruction)
