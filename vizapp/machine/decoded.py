"""From the bytes of an instruction to the function that executes it.

Instructions whose bytes are the same up to the numbers (displacement, immediate, branch distance) have one
head. They have the same length, registers, price and template; the numbers alone are left to be read:

    81 83 10 00 00 00 05 00 00 00      add dword [ebx + 16], 5
    ╰─┬─╯ ╰────┬────╯ ╰────┬────╯
    head   displacement  immediate

A head is found by following its bytes from one table to the next, and made at the first instruction that has
it. System instructions and whatever does not decode have none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from struct import Struct
from typing import TYPE_CHECKING, Final, TypeAlias

from vizapp.isa.addresses import Linear
from vizapp.isa.decode import Field, decode, dissect
from vizapp.isa.instruction import Immediate, Instruction, Memory, Relative
from vizapp.machine.engine.generator import template
from vizapp.machine.engine.shapes import MemoryShape, Numbers, RegisterShape, Shape, describe, meaning_of
from vizapp.machine.execute import executor
from vizapp.machine.inputs import INDEX
from vizapp.machine.operands import WIDTH_MASK
from vizapp.machine.system import HANDLERS, SELF_PRICED

if TYPE_CHECKING:
    from vizapp.machine.cpu import Cpu

Executor: TypeAlias = "Callable[[Cpu], None]"

# What the run loop has to look at after an instruction, beyond charging its class.
SYSTEM: Final = 1  # may have changed how to go on: interrupts, mode, devices, halting
PRICED: Final = 2  # its handler has charged it
REPEATED: Final = 4  # retires only once EIP has moved on
MARKED: Final = 8  # a progress mark stands at its address
SILENT: Final = 64  # part of a translation of guest code that ends no guest instruction
BRANCH: Final = 16  # what follows it may be a compiled block; nothing to look at
PASSAGE: Final = 32  # INT n or IRETD: there may be a crossing
_BRANCHES: Final = frozenset(("branch", "branch_indirect", "call", "call_indirect", "ret"))
_EVERY_BIT: Final = -1
_REMEMBERED: Final = 4096
_READ: Final = {
    (size, signed): Struct("<" + (letter if signed else letter.upper())).unpack_from
    for size, letter in ((1, "b"), (2, "h"), (4, "i"))
    for signed in (False, True)
}


Decoded: TypeAlias = tuple[Executor, int, int, bytes, Instruction | int]
"""An instruction ready to run: run, price, kind, raw, source.

They are its effect, the index of its price, what to look at afterwards, every byte with the prefixes, and
for ``instruction_of`` the instruction or the bits of its code segment. It is a plain tuple because the parts
of one with names take four times as long to have at once.
"""

# Place, read, position, offset, mask: a template's number at a place is what ``read`` finds at a position,
# plus an offset, masked.
_Read: TypeAlias = tuple[int, Callable[[bytes, int], tuple[int]], int, int, int]


def instruction_of(found: Decoded) -> Instruction:
    """What it was made of; its address says nothing."""
    *_, raw, source = found
    return source if isinstance(source, Instruction) else _instruction(raw, source)


@lru_cache(_REMEMBERED)
def _instruction(raw: bytes, bits: int) -> Instruction:
    return decode(raw, Linear(0), bits)


class Head:
    """What the instructions of one head have in common.

    Attributes:
        length: of the whole instruction in bytes.
    """

    __slots__ = ("_bits", "_kind", "_numbers", "_only", "_price", "_reads", "_template", "length")

    def __init__(
        self, instruction: Instruction, meaning: str, fields: Sequence[Field | None], bits: int
    ) -> None:
        shape, self._numbers = describe(instruction, meaning, fields)
        self.length = len(instruction.raw)
        self._bits = bits
        self._price, self._kind = _charge(instruction)
        self._template = template(shape)
        self._reads = tuple(_reads(instruction, shape, self._numbers, fields))
        # Without numbers to be read there is but one instruction with this head.
        self._only: Decoded | None = None
        if not self._reads:
            self._only = self._template.bind(self._numbers), self._price, self._kind, instruction.raw, bits

    def decoded(self, code: bytes) -> Decoded:
        """The instruction that ``code`` begins with, which has this head and is complete."""
        if self._only is not None:
            return self._only
        numbers = [*self._numbers]
        for place, read, position, offset, mask in self._reads:
            numbers[place] = read(code, position)[0] + offset & mask
        run = self._template.bind(tuple(numbers))
        return run, self._price, self._kind, code[: self.length], self._bits


def _reads(
    instruction: Instruction, shape: Shape, numbers: Numbers, fields: Sequence[Field | None]
) -> Iterator[_Read]:
    """How to read those numbers of a template that are not the same for the whole head."""
    place = 0
    for operand, described, field in zip(instruction.operands, shape.operands, fields, strict=True):
        if isinstance(described, RegisterShape) or (
            isinstance(described, MemoryShape) and not described.displaced
        ):
            continue
        place += 1
        if field is None:
            continue
        read = _READ[field.size, field.signed]
        match operand:
            case Memory(displacement=displacement):
                mask = WIDTH_MASK[instruction.address_size]
                yield place, read, field.position, numbers[place] - displacement, mask
            case Immediate(size=size):
                yield place, read, field.position, 0, WIDTH_MASK[size]
            case Relative():
                yield place, read, field.position, len(instruction.raw), _EVERY_BIT


def _charge(instruction: Instruction) -> tuple[int, int]:
    """The index of an instruction's price, and the kind."""
    opcode = instruction.opcode
    kind = REPEATED if instruction.repeat else BRANCH if opcode.cost in _BRANCHES else 0
    if opcode.operation in HANDLERS:
        kind |= SYSTEM | (PRICED if opcode.operation in SELF_PRICED else 0)
        if opcode.operation == "int" or (opcode.operation == "iret" and instruction.operand_size == 4):
            kind |= PASSAGE
    return INDEX[instruction.price_class], kind


def prepare(instruction: Instruction) -> Decoded:
    """Everything about an instruction that does not depend on where it lies."""
    price, kind = _charge(instruction)
    return executor(instruction), price, kind, instruction.raw, instruction


_Table: TypeAlias = "dict[int, _Table | Head]"


@cache
def _table(bits: int) -> _Table:
    """The first table of all heads that were met."""
    return {}


def prepared(code: bytes, bits: int) -> Decoded:
    """The instruction that ``code`` begins with, in a code segment of ``bits``.

    Raises:
        DecodeError: as ``decode``.
    """
    found: _Table | Head | None = _table(bits)
    for byte in code:
        found = found.get(byte)  # type: ignore[union-attr]
        if type(found) is not dict:
            break
    if type(found) is Head and found.length <= len(code):
        return found.decoded(code)
    instruction, fields = dissect(code, Linear(0), bits)
    meaning = meaning_of(instruction)
    if meaning is None:
        return prepare(instruction)
    head = Head(instruction, meaning, fields, bits)
    raw = instruction.raw
    *path, last = raw[: min((field.position for field in fields if field is not None), default=len(raw))]
    table = _table(bits)
    for byte in path:
        inner = table.setdefault(byte, {})
        assert isinstance(inner, dict)
        table = inner
    table[last] = head
    return head.decoded(code)
