"""Shifts and rotations (SDM Vol. 1, "Shift and Rotate Instructions").

Only the low five bits of a count matter. A count of 0 changes nothing, flags included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.registers import EFLAGS_CF, EFLAGS_OF
from vizapp.machine.semantics.declare import Meaning

if TYPE_CHECKING:
    from vizapp.machine.semantics.language import BITS, CF, MASK, SIGN, change_flags, set_flags


def shl(dst: int, src: int) -> None:
    """Shift left."""
    a = dst
    count = src & 31
    if count:
        wide = a << count
        r = wide & MASK
        carry = wide >> BITS & 1
        dst = r
        set_flags(r, cf=carry, of=carry != r >> BITS - 1, af=0)


def shr(dst: int, src: int) -> None:
    """Shift right, filling with zeros."""
    a = dst
    count = src & 31
    if count:
        last = a >> count - 1
        r = last >> 1
        dst = r
        set_flags(r, cf=last & 1, of=last & SIGN != 0, af=0)


def sar(dst: int, src: int) -> None:
    """Shift right, filling with the sign."""
    a = dst
    count = src & 31
    if count:
        last = (a ^ SIGN) - SIGN >> count - 1
        r = last >> 1 & MASK
        dst = r
        set_flags(r, cf=last & 1, of=0, af=0)


def shld(dst: int, src: int, count: int) -> None:
    """Shift left, filling from the top of the source.

    A 16-bit shift by more than 16 is undefined; as on Intel's processors since the P6, the destination's
    own bits follow those of the source.
    """
    a = dst
    b = src
    n = count & 31
    if n:
        wide = ((a << BITS | b) << BITS | a) << n
        r = wide >> 2 * BITS & MASK
        carry = wide >> 3 * BITS & 1
        dst = r
        set_flags(r, cf=carry, of=carry != r >> BITS - 1, af=0)


def shrd(dst: int, src: int, count: int) -> None:
    """Shift right, filling from the bottom of the source; 16 bits by more than 16 as for SHLD."""
    a = dst
    b = src
    n = count & 31
    if n:
        last = ((a << BITS | b) << BITS | a) >> n - 1
        r = last >> 1 & MASK
        dst = r
        set_flags(r, cf=last & 1, of=(last ^ r) & SIGN != 0, af=0)


def rol(dst: int, src: int) -> None:
    """Rotate left; CF is the bit that came round. Only CF and OF change."""
    a = dst
    count = src & 31
    if count:
        n = count % BITS
        r = (a << n | a >> BITS - n) & MASK
        carry = r & 1
        dst = r
        change_flags(EFLAGS_CF | EFLAGS_OF, carry | (EFLAGS_OF if carry != r >> BITS - 1 else 0))


def ror(dst: int, src: int) -> None:
    """Rotate right; CF is the bit that came round. Only CF and OF change."""
    a = dst
    count = src & 31
    if count:
        n = count % BITS
        r = (a >> n | a << BITS - n) & MASK
        top = r >> BITS - 1
        dst = r
        change_flags(EFLAGS_CF | EFLAGS_OF, top | (EFLAGS_OF if top != r >> BITS - 2 & 1 else 0))


def rcl(dst: int, src: int) -> None:
    """Rotate left through CF, a rotation of BITS + 1 bits. Only CF and OF change."""
    a = dst
    count = src & 31
    if count:
        n = count % (BITS + 1)
        wide = CF << BITS | a
        wide = wide << n | wide >> BITS + 1 - n
        r = wide & MASK
        carry = wide >> BITS & 1
        dst = r
        change_flags(EFLAGS_CF | EFLAGS_OF, carry | (EFLAGS_OF if carry != r >> BITS - 1 else 0))


def rcr(dst: int, src: int) -> None:
    """Rotate right through CF, a rotation of BITS + 1 bits. Only CF and OF change."""
    a = dst
    count = src & 31
    if count:
        n = count % (BITS + 1)
        wide = CF << BITS | a
        wide = wide >> n | wide << BITS + 1 - n
        r = wide & MASK
        dst = r
        change_flags(
            EFLAGS_CF | EFLAGS_OF,
            wide >> BITS & 1 | (EFLAGS_OF if r >> BITS - 1 != r >> BITS - 2 & 1 else 0),
        )


INSTRUCTIONS: dict[str, Meaning] = {
    "shl": shl,
    "shr": shr,
    "sar": sar,
    "shld": shld,
    "shrd": shrd,
    "rol": rol,
    "ror": ror,
    "rcl": rcl,
    "rcr": rcr,
}
