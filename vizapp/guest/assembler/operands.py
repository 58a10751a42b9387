"""Instruction operands: registers, immediates, addresses in brackets, far pointers and size words."""

from __future__ import annotations

from dataclasses import dataclass

from vizapp.guest.assembler.expression import REGISTERS, Expression, Reader, Scope, parse_expression
from vizapp.guest.assembler.problems import LineError
from vizapp.guest.assembler.values import SECTION, Value
from vizapp.isa.instruction import (
    ControlRegister,
    DebugRegister,
    FarPointer,
    Immediate,
    Memory,
    Operand,
    Register,
    SegmentRegister,
)
from vizapp.isa.modrm import default_segment
from vizapp.isa.registers import EBP, EBX, ESP, GENERAL, SEGMENTS
from vizapp.messages import N_, Message

SIZES = {"byte": 1, "word": 2, "dword": 4, "qword": 8}
SEGMENT_REGISTERS = {name: index for index, name in enumerate(SEGMENTS)}
_SYSTEM_REGISTERS: dict[str, Operand] = {
    **{f"cr{index}": ControlRegister(index) for index in (0, 2, 3, 4)},
    **{f"dr{index}": DebugRegister(index) for index in range(8)},
}
_PLAIN: dict[str, Operand] = {
    **REGISTERS,
    **_SYSTEM_REGISTERS,
    **{name: SegmentRegister(index) for name, index in SEGMENT_REGISTERS.items()},
}
RESERVED = frozenset(_PLAIN)
"""Names that no label can have."""


@dataclass(slots=True)
class Resolved:
    """An operand with its numbers, as ``vizapp.isa.encode`` wants it, and how it wants to be encoded.

    ``address_size`` is in bytes, None where the operand leaves it open; ``segment`` is a written override.
    """

    operand: Operand
    wide: bool = False
    address_size: int | None = None
    displacement_size: int | None = None
    segment: int | None = None
    known: bool = True


@dataclass(slots=True)
class SourceOperand:
    """An operand as written, before its labels have addresses.

    Attributes:
        column: of its first token.
        fixed: the operand if it is a register.
        value: an immediate, a branch target, a far pointer's offset or the inside of the brackets.
        selector: of a far pointer.
        in_brackets: whether it is memory.
        size: that a size word before it tells, in bytes; 0: none.
        inner_size: that a size word inside the brackets tells; 0: none.
        segment: an override inside the brackets.
        strict: whether the size is meant to the letter.
        no_split: whether ``[eax*2]`` stays as it is.
        distance: ``short``, ``near``, ``far`` or nothing.
    """

    column: int
    fixed: Operand | None = None
    value: Expression | None = None
    selector: Expression | None = None
    in_brackets: bool = False
    size: int = 0
    inner_size: int = 0
    segment: int | None = None
    strict: bool = False
    no_split: bool = False
    distance: str = ""

    def resolve(self, scope: Scope, bits: int) -> Resolved:
        """The operand with the values of this pass; raises LineError."""
        if self.fixed is not None:
            return Resolved(self.fixed)
        assert self.value is not None
        value = self.value(scope)
        if self.in_brackets:
            return self._resolve_memory(value, bits)
        _check_no_register(value, self.column)
        if self.selector is not None:
            selector = self.selector(scope)
            _check_no_register(selector, self.column)
            return Resolved(FarPointer(selector.number & 0xFFFF, value.number), known=value.known)
        wide = self.strict or not value.is_number or self.distance == "near"
        return Resolved(Immediate(value.number, self.size), wide, known=value.known)

    def _resolve_memory(self, value: Value, bits: int) -> Resolved:
        registers = [(term, factor) for term, factor in value.terms if isinstance(term, Register)]
        moves = len(registers) < len(value.terms)
        if moves and dict(value.terms)[SECTION] != 1:
            raise LineError(Message(N_("this is neither an address nor a number")), self.column)
        sizes = {register.size for register, _ in registers}
        if len(sizes) > 1 or 1 in sizes:
            raise _not_an_address(self.column)
        address_size = sizes.pop() if sizes else self.inner_size if self.inner_size in (2, 4) else bits >> 3
        if address_size == 2:
            base, index, scale = _registers16(registers, self.column)
        else:
            base, index, scale = _registers32(registers, value, self.no_split, self.column)
        displacement_size = None
        if registers and (moves or self.inner_size):
            displacement_size = 1 if self.inner_size == 1 and not moves else address_size
        limit = 1 << 8 * address_size
        if not -limit <= value.number < limit:
            raise LineError(
                Message(
                    N_("{value} does not fit in {bits} bits"),
                    {"value": f"{value.number:#x}", "bits": 8 * address_size},
                ),
                self.column,
            )
        segment = default_segment(base) if self.segment is None else self.segment
        memory = Memory(segment, base, index, scale, value.number & limit - 1, self.size)
        return Resolved(memory, False, address_size, displacement_size, self.segment, value.known)


def _check_no_register(value: Value, column: int) -> None:
    if value.terms and not value.is_address:
        raise LineError(Message(N_("this is neither an address nor a number")), column)


def _not_an_address(column: int) -> LineError:
    return LineError(Message(N_("these registers do not make an address")), column)


def _registers16(registers: list[tuple[Register, int]], column: int) -> tuple[int | None, int | None, int]:
    if any(factor != 1 for _, factor in registers):
        raise _not_an_address(column)
    names = [register.index for register, _ in registers]
    bases = [name for name in names if name in (EBX, EBP)]
    others = [name for name in names if name not in (EBX, EBP)]
    if len(bases) > 1 or len(others) > 1:
        raise _not_an_address(column)
    if not bases:
        return (others[0] if others else None), None, 1
    return bases[0], (others[0] if others else None), 1


def _registers32(
    registers: list[tuple[Register, int]], value: Value, no_split: bool, column: int
) -> tuple[int | None, int | None, int]:
    """Base, index and scale as NASM picks them.

    By the alphabet the first register is the base; but the first that was written is, if it was not
    multiplied, and is not, if it was.
    """
    if len(registers) > 2:
        raise _not_an_address(column)
    base: int | None = None
    index: int | None = None
    scale = 1
    for register, factor in sorted(registers, key=lambda pair: GENERAL[pair[0].index]):
        if factor == 1 and base is None:
            base = register.index
        elif index is None:
            index, scale = register.index, factor
        else:
            raise _not_an_address(column)
    if len(registers) == 2 and scale == 1 and not value.summed:
        first = registers[0][0]
        if (first.index == base) == (first in value.scaled):
            base, index = index, base
    if base is None and index is not None and not no_split and scale in (2, 3, 5, 9):
        # [eax*2] is shorter as [eax+eax]: without a base the displacement takes four bytes
        base, scale = index, scale - 1
    if base is None and scale == 1:
        base, index = index, None
    if index == ESP and scale == 1:
        base, index = index, base
    return base, index, scale


def parse_operand(reader: Reader) -> SourceOperand:
    """Parse one operand; raises LineError."""
    operand = SourceOperand(reader.column)
    while True:
        word = reader.accept_word("strict", "short", "near", "far", "to", *SIZES)
        if word is None:
            break
        if word in SIZES:
            operand.size = SIZES[word]
        elif word == "strict":
            operand.strict = True
        elif word != "to":
            operand.distance = word
    if reader.accept("["):
        _parse_brackets(reader, operand)
        return operand
    token = reader.peek()
    if token is not None and token.kind == "name" and token.text.lower() in _PLAIN:
        follower = reader.peek(1)
        if follower is None or follower.is_operator(","):
            reader.position += 1
            operand.fixed = _PLAIN[token.text.lower()]
            return operand
        if follower.is_operator(":") and token.text.lower() in SEGMENT_REGISTERS:
            raise LineError(Message(N_("a segment override belongs inside the brackets")), token.column)
    operand.value = parse_expression(reader)
    if reader.accept(":"):
        operand.selector, operand.value = operand.value, parse_expression(reader)
    return operand


def _parse_brackets(reader: Reader, operand: SourceOperand) -> None:
    operand.in_brackets = True
    while True:
        word = reader.accept_word("nosplit", "rel", "abs", *SIZES)
        if word is None:
            break
        if word == "nosplit":
            operand.no_split = True
        elif word in SIZES:
            operand.inner_size = SIZES[word]
        elif word == "rel":
            raise LineError(Message(N_("relative addresses exist in 64-bit mode only")), reader.column)
    token, colon = reader.peek(), reader.peek(1)
    if token is not None and colon is not None and colon.is_operator(":"):
        segment = SEGMENT_REGISTERS.get(token.text.lower())
        if segment is None:
            raise LineError(
                Message(N_("{text} is not a segment register"), {"text": token.text}), token.column
            )
        operand.segment = segment
        reader.position += 2
    operand.value = parse_expression(reader)
    reader.expect("]")
