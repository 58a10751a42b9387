"""Data, reserved space and alignment: bytes computed anew in each pass from the labels known by then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from vizapp.guest.assembler.expression import Expression, Scope
from vizapp.guest.assembler.problems import LineError
from vizapp.guest.assembler.values import Value
from vizapp.messages import N_, Message

MAX_BYTES = 16 << 20
"""Bytes that a source may make, and that one ``times`` or ``align`` may."""


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
