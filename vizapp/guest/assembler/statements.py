"""Statements: the bytes that a line makes, computed anew in each pass from the labels known by then."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from vizapp.guest.assembler.expression import Expression, Scope
from vizapp.guest.assembler.operands import Resolved, SourceOperand
from vizapp.guest.assembler.problems import LineError
from vizapp.guest.assembler.values import Value
from vizapp.isa.encode import EncodeError, encode
from vizapp.isa.instruction import Immediate, Operand
from vizapp.isa.names import STRING_OPERANDS, Name, implied_operands
from vizapp.isa.opcodes import BY_MNEMONIC
from vizapp.isa.registers import DS
from vizapp.messages import N_, Message

MAX_BYTES = 16 << 20
"""Bytes that a source may make, and that one ``times`` or ``align`` may."""

BRANCHES = frozenset(
    mnemonic
    for mnemonic, forms in BY_MNEMONIC.items()
    if any(code in ("Jb", "Jz") for form in forms for code in form.operands)
)


class Statement(Protocol):
    """What makes bytes at a place."""

    def emit(self, scope: Scope, long_branches: bool) -> bytes:
        """The bytes, with the addresses that ``scope`` knows; ``long_branches``: jumps never shrink any more.

        Raises:
            LineError: they cannot be made.
        """
        ...

    @property
    def depends_on_place(self) -> bool:
        """Whether the same statement a few bytes on makes other bytes."""
        ...


@dataclass(slots=True)
class Data:
    """DB, DW, DD or DQ: strings, and expressions with their columns."""

    size: int
    items: list[bytes | tuple[Expression, int]]
    depends_on_place: bool = False

    def emit(self, scope: Scope, long_branches: bool) -> bytes:
        """See ``Statement``."""
        result = bytearray()
        for item in self.items:
            if isinstance(item, bytes):
                result += item + bytes(-len(item) % self.size)
            else:
                expression, column = item
                result += number_bytes(expression(scope), self.size, column)
        return bytes(result)


@dataclass(slots=True)
class Reserve:
    """RESB, RESW, RESD, RESQ: zeros, as in NASM's flat binaries."""

    size: int
    count: Expression
    column: int
    depends_on_place: bool = False

    def emit(self, scope: Scope, long_branches: bool) -> bytes:
        """See ``Statement``."""
        return bytes(self.size * count_of(self.count(scope), self.size, self.column))


@dataclass(slots=True)
class Align:
    """ALIGN and ALIGNB: up to a multiple of a power of two, counted from the section's start."""

    boundary: Expression
    fill: Statement
    column: int
    depends_on_place: bool = True

    def emit(self, scope: Scope, long_branches: bool) -> bytes:
        """See ``Statement``."""
        value = self.boundary(scope)
        boundary = count_of(value, 1, self.column)
        if not value.known:
            return b""
        if boundary == 0 or boundary & boundary - 1:
            raise LineError(Message(N_("{value} is not a power of two"), {"value": boundary}), self.column)
        gap = -(scope.here.number - scope.start.number) % boundary
        return self.fill.emit(scope, long_branches) * gap


@dataclass(slots=True)
class InstructionStatement:
    """A machine instruction with its prefixes."""

    name: Name
    operands: list[SourceOperand]
    bits: int
    column: int
    repeat: str = ""
    lock: bool = False
    segment: int | None = None
    operand_size: int | None = None
    address_size: int | None = None
    _last: tuple[list[Resolved], bytes] | None = field(default=None, repr=False)
    _stays_long: bool = False

    @property
    def depends_on_place(self) -> bool:
        """See ``Statement``."""
        return self.name.mnemonic in BRANCHES

    def emit(self, scope: Scope, long_branches: bool) -> bytes:
        """See ``Statement``."""
        if self.depends_on_place:
            return self._branch(scope, long_branches)
        resolved = [operand.resolve(scope, self.bits) for operand in self.operands]
        if self._last is not None and self._last[0] == resolved:
            return self._last[1]
        code = self._encode(self._mnemonic(), resolved, {i for i, one in enumerate(resolved) if one.wide})
        self._last = (resolved, code)
        return code

    def _mnemonic(self) -> str:
        mnemonic = self.name.mnemonic
        is_far = any(operand.distance == "far" or operand.selector is not None for operand in self.operands)
        return mnemonic + " far" if is_far and mnemonic in ("jmp", "call") else mnemonic

    def _branch(self, scope: Scope, long_branches: bool) -> bytes:
        resolved = [operand.resolve(scope, self.bits) for operand in self.operands]
        wide: set[int] = set()
        short = False
        if resolved and isinstance(resolved[0].operand, Immediate):
            written = self.operands[0]
            short = written.distance == "short"
            if not resolved[0].known:
                # Until its address is known a label is taken to be near: jumps begin short and grow.
                resolved[0].operand = Immediate(scope.position, written.size)
            elif not resolved[0].wide and not short:
                wide = {0}  # NASM's near jump to a number that is no label
            if written.distance == "near" or written.strict or self._stays_long:
                wide = {0}
        code = self._encode(self._mnemonic(), resolved, wide, scope.position, short)
        if long_branches and len(code) > 2:
            self._stays_long = True
        return code

    def _encode(
        self, mnemonic: str, resolved: list[Resolved], wide: set[int], address: int = 0, short: bool = False
    ) -> bytes:
        operand_size = self.name.operand_size or self.operand_size
        address_size = self.address_size or self.name.address_size
        displacement_size = None
        segment = self.segment
        operands: list[Operand] = []
        for one in resolved:
            operands.append(one.operand)
            if one.address_size is not None:
                if address_size not in (None, one.address_size):
                    raise LineError(Message(N_("two address sizes in one instruction")), self.column)
                address_size = one.address_size
                displacement_size = one.displacement_size
            if one.segment is not None:
                segment = one.segment
        if self.operands and ("far" in mnemonic or mnemonic in BRANCHES):
            size = self.operands[0].size
            is_register = self.operands[0].fixed is not None
            if size and not is_register:
                operand_size = size
            if mnemonic in ("loop", "loope", "loopne", "jcxz") and len(operands) == 2:
                address_size = {1: 2, 2: 2, 4: 4}[getattr(operands.pop(), "size", 4)]
        if mnemonic in STRING_OPERANDS or mnemonic == "xlat":
            size = self.name.operand_size or 1
            if operands:
                raise LineError(
                    Message(N_("{mnemonic} is written without operands"), {"mnemonic": mnemonic}), self.column
                )
            operands = list(implied_operands(mnemonic, size, DS if segment is None else segment))
            operand_size = self.operand_size if size == 1 else size
        if mnemonic in ("aam", "aad") and not operands:
            operands = [Immediate(10, 1)]
        try:
            return encode(
                mnemonic,
                operands,
                self.bits,
                operand_size=operand_size,
                address_size=address_size,
                repeat=self.repeat,
                lock=self.lock,
                segment=segment,
                address=address,
                wide=wide,
                displacement_size=displacement_size,
                short=short,
            )
        except EncodeError as error:
            blamed = error.position or 0
            column = (
                self.operands[min(blamed, len(self.operands) - 1)].column if self.operands else self.column
            )
            raise LineError(error.message, column) from None


def count_of(value: Value, size: int, column: int) -> int:
    """A count of things of ``size`` bytes, 0 while it is not known; LineError if it cannot be one."""
    if not value.known:
        return 0
    if not value.is_number:
        raise LineError(Message(N_("a count must be a number, not an address")), column)
    if value.number < 0:
        raise LineError(Message(N_("a count of {value} is negative"), {"value": value.number}), column)
    if value.number * size > MAX_BYTES:
        raise LineError(
            Message(
                N_("{count} bytes are more than the {limit} that a source may make"),
                {"count": value.number * size, "limit": MAX_BYTES},
            ),
            column,
        )
    return value.number


def number_bytes(value: Value, size: int, column: int) -> bytes:
    """A number or an address as ``size`` bytes; LineError if it does not fit."""
    if value.terms and not value.is_address:
        raise LineError(Message(N_("this is neither an address nor a number")), column)
    limit = 1 << 8 * size
    if size < 8 and not -limit <= value.number < limit:
        raise LineError(
            Message(
                N_("{value} does not fit in {bits} bits"), {"value": f"{value.number:#x}", "bits": 8 * size}
            ),
            column,
        )
    return (value.number & limit - 1).to_bytes(size, "little")
