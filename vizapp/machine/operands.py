"""Operands of the instructions that are written by hand: reading, writing and addressing them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import M32
from vizapp.isa.instruction import Immediate, Memory, Register
from vizapp.isa.registers import GENERAL

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction, Operand
    from vizapp.machine.cpu import Cpu

WIDTH_MASK: Final = {1: 0xFF, 2: 0xFFFF, 4: M32}


def next_eip(cpu: Cpu, instruction: Instruction) -> int:
    """The offset of the instruction after this one."""
    return cpu.eip + instruction.length & M32


def effective_address(cpu: Cpu, memory: Memory, address_size: int) -> int:
    """The offset of a memory operand in its segment."""
    offset = memory.displacement
    if memory.base is not None:
        offset += getattr(cpu, GENERAL[memory.base])
    if memory.index is not None:
        offset += getattr(cpu, GENERAL[memory.index]) * memory.scale
    return offset & WIDTH_MASK[address_size]


def second_field(instruction: Instruction, offset: int, distance: int) -> int:
    """Where a pointer or table operand goes on: it wraps as addresses of the instruction do."""
    return offset + distance & WIDTH_MASK[instruction.address_size]


def read_register(cpu: Cpu, register: Register) -> int:
    """The value of a general register or of a part of one."""
    if register.size == 1 and register.index > 3:
        value: int = getattr(cpu, GENERAL[register.index - 4])
        return value >> 8 & 0xFF
    value = getattr(cpu, GENERAL[register.index])
    return value & WIDTH_MASK[register.size]


def write_register(cpu: Cpu, register: Register, value: int) -> None:
    """Change a general register or a part of one; ``value`` is cut to its size."""
    high_byte = register.size == 1 and register.index > 3
    name = GENERAL[register.index - 4 if high_byte else register.index]
    shift = 8 if high_byte else 0
    mask = WIDTH_MASK[register.size] << shift
    setattr(cpu, name, getattr(cpu, name) & ~mask & M32 | value << shift & mask)


def read_operand(cpu: Cpu, instruction: Instruction, operand: Operand) -> int:
    """The value of a register, immediate or memory operand."""
    if isinstance(operand, Register):
        return read_register(cpu, operand)
    if isinstance(operand, Immediate):
        return operand.value
    assert isinstance(operand, Memory)
    offset = effective_address(cpu, operand, instruction.address_size)
    return cpu.load(operand.segment, offset, operand.size)


def write_operand(cpu: Cpu, instruction: Instruction, operand: Operand, value: int) -> None:
    """Change a register or memory operand; ``value`` is cut to its size."""
    if isinstance(operand, Register):
        write_register(cpu, operand, value)
        return
    assert isinstance(operand, Memory)
    offset = effective_address(cpu, operand, instruction.address_size)
    cpu.store(operand.segment, offset, operand.size, value & WIDTH_MASK[operand.size])
