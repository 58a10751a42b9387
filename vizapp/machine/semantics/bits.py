"""Bit tests and scans (SDM Vol. 1, "Bit and Byte Instructions").

A bit offset in a register reaches beyond a memory operand: the generator adds the whole words to its address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.registers import EFLAGS_CF
from vizapp.machine.semantics.declare import Meaning

if TYPE_CHECKING:
    from vizapp.machine.semantics.language import BITS, LOGIC, change_flags, flags


def bt(dst: int, src: int) -> None:
    """Copy a bit to CF."""
    change_flags(EFLAGS_CF, dst >> (src & BITS - 1) & 1)


def bts(dst: int, src: int) -> None:
    """Copy a bit to CF and set it."""
    a = dst
    n = src & BITS - 1
    dst = a | 1 << n
    change_flags(EFLAGS_CF, a >> n & 1)


def btr(dst: int, src: int) -> None:
    """Copy a bit to CF and clear it."""
    a = dst
    n = src & BITS - 1
    dst = a & ~(1 << n)
    change_flags(EFLAGS_CF, a >> n & 1)


def btc(dst: int, src: int) -> None:
    """Copy a bit to CF and complement it."""
    a = dst
    n = src & BITS - 1
    dst = a ^ 1 << n
    change_flags(EFLAGS_CF, a >> n & 1)


def bsf(dst: int, src: int) -> None:
    """Find the lowest one; if there is none ZF is set and the destination stays, as on every processor."""
    a = src
    if a:
        dst = (a & -a).bit_length() - 1
    flags(LOGIC, a, 0, 0)


def bsr(dst: int, src: int) -> None:
    """Find the highest one; if there is none ZF is set and the destination stays."""
    a = src
    if a:
        dst = a.bit_length() - 1
    flags(LOGIC, a, 0, 0)


INSTRUCTIONS: dict[str, Meaning] = {
    "bt": bt,
    "bts": bts,
    "btr": btr,
    "btc": btc,
    "bsf": bsf,
    "bsr": bsr,
}
