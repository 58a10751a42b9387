"""Multiplication and division (SDM Vol. 1, "Binary Arithmetic Instructions").

Operands of one byte have their double-width partner in AX, that is AH:AL; wider ones in DX:AX or EDX:EAX.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.vectors import DE
from vizapp.machine.faults import Fault
from vizapp.machine.semantics.declare import Meaning

if TYPE_CHECKING:
    from vizapp.machine.semantics.language import BITS, MASK, SIGN, cpu, set_flags


def mul(src: int) -> None:
    """Multiply unsigned; CF and OF tell whether the high half is used."""
    product = cpu.accumulator * src
    low = product & MASK
    cpu.accumulator = low
    cpu.extension = product >> BITS
    set_flags(low, cf=product > MASK, of=product > MASK, af=0)


def imul(src: int) -> None:
    """Multiply signed; CF and OF tell whether the low half alone is the product."""
    product = ((cpu.accumulator ^ SIGN) - SIGN) * ((src ^ SIGN) - SIGN)
    low = product & MASK
    lost = product != (low ^ SIGN) - SIGN
    cpu.accumulator = low
    cpu.extension = product >> BITS & MASK
    set_flags(low, cf=lost, of=lost, af=0)


def imul_two(dst: int, src: int) -> None:
    """Multiply signed, keeping the low half."""
    product = ((dst ^ SIGN) - SIGN) * ((src ^ SIGN) - SIGN)
    low = product & MASK
    lost = product != (low ^ SIGN) - SIGN
    dst = low
    set_flags(low, cf=lost, of=lost, af=0)


def imul_three(dst: int, src: int, factor: int) -> None:
    """Multiply signed by a constant, keeping the low half."""
    product = ((src ^ SIGN) - SIGN) * ((factor ^ SIGN) - SIGN)
    low = product & MASK
    lost = product != (low ^ SIGN) - SIGN
    dst = low
    set_flags(low, cf=lost, of=lost, af=0)


def div(src: int) -> None:
    """Divide unsigned; #DE if the quotient does not fit."""
    divisor = src
    dividend = cpu.extension << BITS | cpu.accumulator
    if divisor << BITS <= dividend:
        raise Fault(DE)
    cpu.accumulator = dividend // divisor
    cpu.extension = dividend % divisor


def idiv(src: int) -> None:
    """Divide signed, rounding towards zero; #DE if the quotient does not fit."""
    divisor = (src ^ SIGN) - SIGN
    dividend = ((cpu.extension ^ SIGN) - SIGN << BITS) + cpu.accumulator
    if divisor == 0:
        raise Fault(DE)
    quotient = abs(dividend) // abs(divisor)
    if (dividend < 0) != (divisor < 0):
        quotient = -quotient
    if quotient >= SIGN or quotient < -SIGN:
        raise Fault(DE)
    cpu.accumulator = quotient & MASK
    cpu.extension = dividend - quotient * divisor & MASK


INSTRUCTIONS: dict[str, Meaning] = {
    "mul": mul,
    "imul": imul,
    "imul_two": imul_two,
    "imul_three": imul_three,
    "div": div,
    "idiv": idiv,
}
