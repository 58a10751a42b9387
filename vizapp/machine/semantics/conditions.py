"""The sixteen conditions of Jcc, SETcc and CMOVcc (SDM Vol. 1, "EFLAGS Condition Codes").

Below and above compare unsigned numbers, less and greater signed ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vizapp.machine.semantics.language import CF, LESS, OF, PF, SF, ZF


def o() -> bool:
    """Overflow."""
    return OF


def no() -> bool:
    """No overflow."""
    return not OF


def b() -> bool:
    """Below, carry."""
    return CF


def ae() -> bool:
    """Above or equal, no carry."""
    return not CF


def z() -> bool:
    """Zero, equal."""
    return ZF


def nz() -> bool:
    """Not zero, not equal."""
    return not ZF


def be() -> bool:
    """Below or equal."""
    return CF or ZF


def a() -> bool:
    """Above."""
    return not (CF or ZF)


def s() -> bool:
    """Sign."""
    return SF


def ns() -> bool:
    """No sign."""
    return not SF


def p() -> bool:
    """Parity even."""
    return PF


def np() -> bool:
    """Parity odd."""
    return not PF


def l() -> bool:  # noqa: E743 - the manual's letter
    """Less."""
    return LESS


def ge() -> bool:
    """Greater or equal."""
    return not LESS


def le() -> bool:
    """Less or equal."""
    return ZF or LESS


def g() -> bool:
    """Greater."""
    return not (ZF or LESS)


CONDITIONS = {
    "o": o, "no": no, "b": b, "ae": ae, "z": z, "nz": nz, "be": be, "a": a,
    "s": s, "ns": ns, "p": p, "np": np, "l": l, "ge": ge, "le": le, "g": g,
}  # fmt: skip
