"""The shape of an instruction: what is left of it when its numbers are taken out.

Two instructions of one shape differ only in displacements, immediates, branch distances and length, so they
share one compiled function. ``add eax, [ebx + 8]`` and ``add eax, [ebx - 400]`` have one shape;
``add eax, [ebx]`` has another, because it needs no addition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from vizapp.isa.instruction import Immediate, Instruction, Memory, Register, Relative
from vizapp.isa.registers import ESP, GENERAL
from vizapp.machine.semantics import INSTRUCTIONS
from vizapp.machine.semantics.bits import INSTRUCTIONS as BIT_INSTRUCTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizapp.isa.fields import Field


# A register by its number: the general ones, then the places where a template's registers are put in.
PLACES: Final = tuple(f"_place{index}" for index in range(8))
REGISTERS: Final = (*GENERAL, *PLACES)


class RegisterShape(NamedTuple):
    """A general register, or its lowest ``size`` bytes, or the byte above the lowest if it is ``high``.

    ``number`` is an index of ``REGISTERS``.
    """

    number: int
    size: int
    high: bool = False


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

    def generalised(self) -> tuple[Shape, tuple[str, ...]]:
        """The shape with places for registers, and the names of the registers that take these places."""
        registers: list[str] = []

        def place(number: int) -> int:
            registers.append(GENERAL[number])
            return len(GENERAL) + len(registers) - 1

        operands: list[OperandShape] = []
        for operand in self.operands:
            if type(operand) is RegisterShape:
                operands.append(RegisterShape(place(operand.number), operand.size, operand.high))
            elif type(operand) is MemoryShape:
                used = [
                    None if number is None else place(number)
                    for number in (operand.base, operand.scaled, operand.bit_offset)
                ]
                operands.append(operand._replace(base=used[0], scaled=used[1], bit_offset=used[2]))
            else:
                operands.append(operand)
        return self._replace(operands=tuple(operands)), tuple(registers)


Numbers: TypeAlias = tuple[int, ...]
_IMUL = ("imul", "imul", "imul_two", "imul_three")


def register_shape(index: int, size: int) -> RegisterShape:
    """The shape of ``Register(index, size)``."""
    high = size == 1 and index >= 4
    return RegisterShape(index - 4 if high else index, size, high)


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


def describe(
    instruction: Instruction, meaning: str, fields: Sequence[Field | None] = ()
) -> tuple[Shape, Numbers]:
    """The shape, and the numbers in the order of ``number_names``.

    With the ``fields`` of ``dissect`` the shape has a number for each field, a displacement of 0 included.
    """
    length = len(instruction.raw)
    operand_size, address_size = instruction.operand_size, instruction.address_size
    numbers = [length]
    shapes: list[OperandShape] = []
    for position, operand in enumerate(instruction.operands):
        if type(operand) is Register:
            shapes.append(register_shape(operand.index, operand.size))
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
            displaced = displaced or bool(fields and fields[position])
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
