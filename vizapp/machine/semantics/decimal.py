"""Decimal adjustment (SDM Vol. 1, "Decimal Arithmetic Instructions")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.vectors import DE
from vizapp.machine.faults import Fault
from vizapp.machine.semantics.declare import Meaning, of_size

if TYPE_CHECKING:
    from vizapp.machine.semantics.language import AF, CF, LOGIC, cpu, flags, set_flags


@of_size(1)
def daa() -> None:
    """Make the sum in AL two packed decimal digits."""
    a = cpu.al
    low = a & 15 > 9 or AF
    high = a > 0x99 or CF
    r = a + (6 if low else 0) + (0x60 if high else 0) & 0xFF
    cpu.al = r
    set_flags(r, cf=high, of=0, af=low)


@of_size(1)
def das() -> None:
    """Make the difference in AL two packed decimal digits."""
    a = cpu.al
    low = a & 15 > 9 or AF
    high = a > 0x99 or CF
    r = a - (6 if low else 0) - (0x60 if high else 0) & 0xFF
    cpu.al = r
    set_flags(r, cf=high or (low and a < 6), of=0, af=low)


@of_size(1)
def aaa() -> None:
    """Make the sum in AL an unpacked decimal digit, carrying to AH."""
    low = cpu.al & 15 > 9 or AF
    r = cpu.ax + (0x106 if low else 0) & 0xFF0F
    cpu.ax = r
    set_flags(r & 0xFF, cf=low, of=0, af=low)


@of_size(1)
def aas() -> None:
    """Make the difference in AL an unpacked decimal digit, borrowing from AH."""
    low = cpu.al & 15 > 9 or AF
    r = cpu.ax - (0x106 if low else 0) & 0xFF0F
    cpu.ax = r
    set_flags(r & 0xFF, cf=low, of=0, af=low)


@of_size(1)
def aam(base: int) -> None:
    """Split AL into two digits of a base, ten unless the assembler is told otherwise; base 0 is #DE."""
    b = base
    if b == 0:
        raise Fault(DE)
    a = cpu.al
    r = a % b
    cpu.ax = a // b << 8 | r
    flags(LOGIC, r, 0, 0)


@of_size(1)
def aad(base: int) -> None:
    """Join two digits of a base in AL."""
    r = cpu.al + cpu.ah * base & 0xFF
    cpu.ax = r
    flags(LOGIC, r, 0, 0)


INSTRUCTIONS: dict[str, Meaning] = {
    "daa": daa,
    "das": das,
    "aaa": aaa,
    "aas": aas,
    "aam": aam,
    "aad": aad,
}
