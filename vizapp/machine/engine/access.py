"""How an operand or a register is read and written, as expressions and statements over the processor.

This is what an instruction executed by itself uses: registers are attributes of ``cpu``, and memory goes
through its checked accesses. Local names that begin with an underscore are the generator's.
"""

from __future__ import annotations

import ast
from functools import cache
from typing import Protocol

from vizapp.isa.registers import BYTES, GENERAL, WORDS
from vizapp.machine.engine.shapes import (
    REGISTERS,
    ImmediateShape,
    MemoryShape,
    OperandShape,
    RegisterShape,
    RelativeShape,
    number_name,
    register_shape,
)
from vizapp.machine.engine.trees import HERE, expression, statements

MASKS = {1: 0xFF, 2: 0xFFFF, 4: 0xFFFF_FFFF}
REGISTER_NAMES = {
    name: register_shape(index, size)
    for size, names in ((1, BYTES), (2, WORDS), (4, GENERAL))
    for index, name in enumerate(names)
    if name != "sp"  # in a specification that is SP or ESP, as the stack's size says
}


@cache
def read_register(register: RegisterShape) -> ast.expr:
    """The value of a general register."""
    name = f"cpu.{REGISTERS[register.number]}"
    if register.size == 4:
        return expression(name)
    if register.high:
        return expression(f"{name} >> 8 & 0xff")
    return expression(f"{name} & {MASKS[register.size]:#x}")


def write_register(register: RegisterShape, value: ast.expr) -> list[ast.stmt]:
    """Put a value into a general register; the rest of the 32-bit register stays."""
    name = f"cpu.{REGISTERS[register.number]}"
    if register.size == 4:
        return statements(f"{name} = VALUE", VALUE=value)
    if register.high:
        return statements(f"{name} = {name} & 0xffff00ff | VALUE << 8", VALUE=value)
    rest = 0xFFFF_FFFF ^ MASKS[register.size]
    return statements(f"{name} = {name} & {rest:#x} | VALUE", VALUE=value)


def effective_address(memory: MemoryShape, number: str) -> ast.expr:
    """The offset of a memory operand in its segment (SDM Vol. 1, "Specifying an Offset")."""
    parts = []
    if memory.base is not None:
        parts.append(f"cpu.{REGISTERS[memory.base]}")
    if memory.scaled is not None:
        scale = "" if memory.scale == 1 else f" * {memory.scale}"
        parts.append(f"cpu.{REGISTERS[memory.scaled]}{scale}")
    if memory.displaced:
        parts.append(number)
    if memory.bit_offset is not None:
        bits = memory.size * 8
        mask, sign = MASKS[memory.size], 1 << bits - 1
        offset = f"((cpu.{REGISTERS[memory.bit_offset]} & {mask:#x} ^ {sign:#x}) - {sign:#x})"
        parts.append(f"({offset} // {bits} * {memory.size})")
    whole = " + ".join(parts)
    if len(parts) == 1 and memory.address_size == 4 and "*" not in whole and memory.bit_offset is None:
        return expression(whole)
    return expression(f"({whole}) & {MASKS[memory.address_size]:#x}")


class Location(Protocol):
    """Where an operand is."""

    def prelude(self) -> list[ast.stmt]:
        """What comes before the instruction's first statement."""
        ...

    def read(self) -> ast.expr:
        """Its value."""
        ...

    def write(self, value: ast.expr) -> list[ast.stmt]:
        """Replace it."""
        ...


class RegisterLocation:
    """A general register."""

    def __init__(self, register: RegisterShape) -> None:
        self._register = register

    def prelude(self) -> list[ast.stmt]:
        """Nothing."""
        return []

    def read(self) -> ast.expr:
        """Its value."""
        return read_register(self._register)

    def write(self, value: ast.expr) -> list[ast.stmt]:
        """Replace it, or the part of it that the operand is."""
        return write_register(self._register, value)


class MemoryLocation:
    """An operand in memory. One that is read and written is read as what will be written."""

    def __init__(self, memory: MemoryShape, position: int, *, modified: bool) -> None:
        self._memory = memory
        self._modified = modified
        self._local = f"_address{position}"
        self._offset = effective_address(memory, number_name(position))

    def prelude(self) -> list[ast.stmt]:
        """The address, kept where two accesses need it."""
        return statements(f"{self._local} = OFFSET", OFFSET=self._offset) if self._modified else []

    def read(self) -> ast.expr:
        """Load it."""
        access = "modify" if self._modified else "load"
        return self._access(f"cpu.{access}{self._memory.size}({self._memory.segment}, OFFSET)")

    def write(self, value: ast.expr) -> list[ast.stmt]:
        """Store it."""
        call = f"cpu.store{self._memory.size}({self._memory.segment}, OFFSET, VALUE)"
        return [ast.Expr(self._access(call, VALUE=value), **HERE)]

    def _access(self, text: str, **parts: ast.expr) -> ast.expr:
        offset = expression(self._local) if self._modified else self._offset
        return expression(text, OFFSET=offset, **parts)


class ValueLocation:
    """An operand that is only read: a constant, a branch target, an address."""

    def __init__(self, value: ast.expr) -> None:
        self._value = value

    def prelude(self) -> list[ast.stmt]:
        """Nothing."""
        return []

    def read(self) -> ast.expr:
        """Its value."""
        return self._value

    def write(self, value: ast.expr) -> list[ast.stmt]:
        """Never."""
        raise TypeError("a constant operand cannot be written")


def locate(operand: OperandShape, position: int, *, address: bool, modified: bool) -> Location:
    """Where the operand at ``position`` is; ``address``: its offset alone is wanted."""
    match operand:
        case RegisterShape():
            return RegisterLocation(operand)
        case MemoryShape() if address:
            return ValueLocation(effective_address(operand, number_name(position)))
        case MemoryShape():
            return MemoryLocation(operand, position, modified=modified)
        case ImmediateShape():
            return ValueLocation(expression(number_name(position)))
        case RelativeShape(size):
            return ValueLocation(expression(f"cpu.eip + {number_name(position)} & {MASKS[size]:#x}"))
