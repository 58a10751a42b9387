"""Bitwise logic and single flags (SDM Vol. 1, "Logical Instructions", "Flag Control Instructions")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.registers import (
    EFLAGS_AF,
    EFLAGS_CF,
    EFLAGS_DF,
    EFLAGS_FIXED,
    EFLAGS_PF,
    EFLAGS_SF,
    EFLAGS_ZF,
)
from vizapp.machine.semantics.declare import Meaning

if TYPE_CHECKING:
    from vizapp.machine.semantics.language import CF, LOGIC, MASK, change_flags, cpu, flags

LOW_FLAGS = EFLAGS_SF | EFLAGS_ZF | EFLAGS_AF | EFLAGS_PF | EFLAGS_CF


def and_(dst: int, src: int) -> None:
    """Bitwise and."""
    r = dst & src
    dst = r
    flags(LOGIC, r, 0, 0)


def or_(dst: int, src: int) -> None:
    """Bitwise or."""
    r = dst | src
    dst = r
    flags(LOGIC, r, 0, 0)


def xor(dst: int, src: int) -> None:
    """Bitwise exclusive or."""
    r = dst ^ src
    dst = r
    flags(LOGIC, r, 0, 0)


def test(dst: int, src: int) -> None:
    """A bitwise and of which only the flags remain."""
    r = dst & src
    flags(LOGIC, r, 0, 0)


def not_(dst: int) -> None:
    """Complement; no flag changes."""
    dst = dst ^ MASK


def clc() -> None:
    """Clear CF."""
    change_flags(EFLAGS_CF, 0)


def stc() -> None:
    """Set CF."""
    change_flags(EFLAGS_CF, EFLAGS_CF)


def cmc() -> None:
    """Complement CF."""
    change_flags(EFLAGS_CF, not CF)


def cld() -> None:
    """Clear DF: strings go up."""
    cpu.system_flags = cpu.system_flags & ~EFLAGS_DF


def std() -> None:
    """Set DF: strings go down."""
    cpu.system_flags = cpu.system_flags | EFLAGS_DF


def lahf() -> None:
    """Load AH from the low byte of EFLAGS."""
    cpu.ah = cpu.arithmetic_flags & LOW_FLAGS | EFLAGS_FIXED


def sahf() -> None:
    """Store AH in the low byte of EFLAGS."""
    change_flags(LOW_FLAGS, cpu.ah)


def salc() -> None:
    """Set AL from CF (undocumented until the P6)."""
    cpu.al = 0xFF if CF else 0


INSTRUCTIONS: dict[str, Meaning] = {
    "and": and_,
    "or": or_,
    "xor": xor,
    "test": test,
    "not": not_,
    "clc": clc,
    "stc": stc,
    "cmc": cmc,
    "cld": cld,
    "std": std,
    "lahf": lahf,
    "sahf": sahf,
    "salc": salc,
}
