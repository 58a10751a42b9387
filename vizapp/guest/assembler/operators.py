"""The operators of NASM's expressions on 64-bit numbers ("Expressions" in NASM's manual)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping

_U64 = 0xFFFF_FFFF_FFFF_FFFF


def _divide(left: int, right: int) -> int:
    return (left & _U64) // (right & _U64)


def _modulo(left: int, right: int) -> int:
    return (left & _U64) % (right & _U64)


def _signed_divide(left: int, right: int) -> int:
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _signed_modulo(left: int, right: int) -> int:
    return left - right * _signed_divide(left, right)


def _shift_left(left: int, right: int) -> int:
    return left << right if 0 <= right < 64 else 0


def _shift_right(left: int, right: int) -> int:
    return (left & _U64) >> right if 0 <= right < 64 else 0


def _arithmetic_shift_right(left: int, right: int) -> int:
    return left >> right if 0 <= right < 64 else left >> 63


def _compare(test: Callable[[int, int], bool]) -> Callable[[int, int], int]:
    return lambda left, right: int(test(left, right))


NUMBERS_ONLY: Mapping[str, Callable[[int, int], int]] = {
    "||": lambda left, right: int(bool(left) or bool(right)),
    "^^": lambda left, right: int(bool(left) != bool(right)),
    "&&": lambda left, right: int(bool(left) and bool(right)),
    "|": operator.or_,
    "^": operator.xor,
    "&": operator.and_,
    "<<": _shift_left,
    "<<<": _shift_left,
    ">>": _shift_right,
    ">>>": _arithmetic_shift_right,
    "/": _divide,
    "//": _signed_divide,
    "%": _modulo,
    "%%": _signed_modulo,
}
"""By sign; / and % are unsigned, // and %% signed."""

COMPARISONS: Mapping[str, Callable[[int, int], int]] = {
    "=": _compare(operator.eq),
    "==": _compare(operator.eq),
    "!=": _compare(operator.ne),
    "<>": _compare(operator.ne),
    "<": _compare(operator.lt),
    "<=": _compare(operator.le),
    ">": _compare(operator.gt),
    ">=": _compare(operator.ge),
    "<=>": lambda left, right: (left > right) - (left < right),
}
"""These take two addresses too: what they compare is their difference with 0."""
