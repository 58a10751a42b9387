"""The shape of an instruction: what is left of it when its numbers are taken out.

Two instructions of one shape differ only in displacements, immediates, branch distances and length, so they
share one compiled function. ``add eax, [ebx + 8]`` and ``add eax, [ebx - 400]`` have one shape;
``add eax, [ebx]`` has another, because it needs no addition.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from vizapp.isa.instruction import Immediate, Instruction, Memory, Register, Relative
from vizapp.isa.registers import ESP
from vizapp.machine.semantics import INSTRUCTIONS
from vizapp.machine.semantics.bits import INSTRUCTIONS as BIT_INSTRUCTIONS


class RegisterShape(NamedTuple):
    """A general register: ``number`` is the index of ``Register``."""

    number: int
    size: int


class MemoryShape(NamedTuple):
    """A memory operand: segment:[base + scaled * scale], and a displacement if it is ``displaced``.

    ``bit_offset`` is the register whose value, as a signed number of bits, reaches beyond the operand of a
    bit test.
    """

    segment: int
    base: int | None
    scaled: int | None
    scale: int
    size: int
    address_size: int
    displaced: bool
    bit_offset: int | None


class ImmediateShape(NamedTuple):
    """A constant of ``size`` bytes."""

    size: int


class RelativeShape(NamedTuple):
    """A branch target in a code segment of ``size`` bytes an offset."""

    size: int


OperandShape: TypeAlias = RegisterShape | MemoryShape | ImmediateShape | RelativeShape


class Shape(NamedTuple):
    """``meaning`` is a name in ``INSTRUCTIONS``; sizes are in bytes."""

    meaning: str
    operands: tuple[OperandShape, ...]
    operand_size: int
    address_size: int


Numbers: TypeAlias = tuple[int, ...]
_IMUL = ("imul", "imul", "imul_two", "imul_three")


def meaning_of(instruction: Instruction) -> str | None:
    """The name of its semantics in ``INSTRUCTIONS``; None for a system instruction."""
    name = instruction.opcode.operation
    if instruction.repeat:
        name = f"{instruction.repeat}_{name}"
    elif name == "imul":
        name = _IMUL[len(instruction.operands)]
    elif name == "ret" and instruction.operands:
        name = "ret_and_drop"
    elif name == "pop" and type(instruction.operands[0]) is Memory:
        name = "pop_memory"
    return name if name in INSTRUCTIONS else None


def describe(instruction: Instruction, meaning: str) -> tuple[Shape, Numbers]:
    """The shape, and the numbers in the order of ``number_names``."""
    length = len(instruction.raw)
    operand_size, address_size = instruction.operand_size, instruction.address_size
    numbers = [length]
    shapes: list[OperandShape] = []
    for operand in instruction.operands:
        if type(operand) is Register:
            shapes.append(RegisterShape(operand.index, operand.size))
        elif type(operand) is Memory:
            displacement = operand.displacement
            bit_offset = None
            if meaning == "pop_memory" and operand.base == ESP:
                # The address is made after ESP has moved, and the semantics store before they move it.
                displacement += operand_size
            elif meaning in BIT_INSTRUCTIONS and len(instruction.operands) == 2:
                source = instruction.operands[1]
                bit_offset = source.index if type(source) is Register else None
            displaced = displacement != 0 or (operand.base is None and operand.index is None)
            shapes.append(
                MemoryShape(
                    operand.segment,
                    operand.base,
                    operand.index,
                    operand.scale,
                    operand.size,
                    address_size,
                    displaced,
                    bit_offset,
                )
            )
            if displaced:
                numbers.append(displacement)
        elif type(operand) is Immediate:
            shapes.append(ImmediateShape(operand.size))
            numbers.append(operand.value)
        elif type(operand) is Relative:
            shapes.append(RelativeShape(operand_size))
            numbers.append(length + operand.displacement)
        else:
            raise TypeError(f"{meaning} has no general operand {operand!r}")
    return Shape(meaning, tuple(shapes), operand_size, address_size), tuple(numbers)


LENGTH = "_length"


def number_name(position: int) -> str:
    """The local variable that holds the number of the operand at ``position``."""
    return f"_number{position}"


def number_names(shape: Shape) -> tuple[str, ...]:
    """The numbers that an instruction of this shape has: its length, then one an operand that has one."""
    return (
        LENGTH,
        *(
            number_name(position)
            for position, operand in enumerate(shape.operands)
            if not (
                isinstance(operand, RegisterShape)
                or (isinstance(operand, MemoryShape) and not operand.displaced)
            )
        ),
    )


def width(shape: Shape) -> int:
    """The size in bytes of the first operand that has one, or else the operand size."""
    if shape.operands:
        first = shape.operands[0]
        if isinstance(first, RegisterShape | MemoryShape) and first.size in (1, 2, 4):
            return first.size
    return shape.operand_size
