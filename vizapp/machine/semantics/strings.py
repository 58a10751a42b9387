"""String instructions and their repetition (SDM Vol. 1, "String Instructions").

One execution of a repeated instruction is one iteration. EIP stays until the last one, so an interrupt comes
between two of them with the registers telling how far the work has gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.machine.semantics.declare import Meaning, Repeated, Specification

if TYPE_CHECKING:
    from vizapp.machine.semantics.language import (
        ADDRESS_MASK,
        ITERATION,
        MASK,
        STEP,
        SUB,
        ZF,
        again,
        cpu,
        flags,
    )


def movs(dst: int, src: int) -> None:
    """Move an element."""
    step = STEP
    dst = src
    cpu.source = cpu.source + step & ADDRESS_MASK
    cpu.destination = cpu.destination + step & ADDRESS_MASK


def cmps(first: int, second: int) -> None:
    """Compare two elements."""
    step = STEP
    a = first
    b = second
    cpu.source = cpu.source + step & ADDRESS_MASK
    cpu.destination = cpu.destination + step & ADDRESS_MASK
    flags(SUB, a - b & MASK, a, b)


def stos(dst: int, src: int) -> None:
    """Store the accumulator."""
    dst = src
    cpu.destination = cpu.destination + STEP & ADDRESS_MASK


def lods(dst: int, src: int) -> None:
    """Load the accumulator."""
    dst = src
    cpu.source = cpu.source + STEP & ADDRESS_MASK


def scas(accumulator: int, element: int) -> None:
    """Compare the accumulator with an element."""
    a = accumulator
    b = element
    cpu.destination = cpu.destination + STEP & ADDRESS_MASK
    flags(SUB, a - b & MASK, a, b)


def rep() -> None:
    """Repeat while the counter is not zero."""
    count = cpu.counter
    if count:
        ITERATION()
        cpu.counter = count - 1
        if count != 1:
            again()


def repe() -> None:
    """Repeat while the counter is not zero and the elements compare equal."""
    count = cpu.counter
    if count:
        ITERATION()
        cpu.counter = count - 1
        if count != 1 and ZF:
            again()


def repne() -> None:
    """Repeat while the counter is not zero and the elements differ."""
    count = cpu.counter
    if count:
        ITERATION()
        cpu.counter = count - 1
        if count != 1 and not ZF:
            again()


MOVES: dict[str, Specification] = {"movs": movs, "stos": stos, "lods": lods}
COMPARISONS: dict[str, Specification] = {"cmps": cmps, "scas": scas}
INSTRUCTIONS: dict[str, Meaning] = {
    **MOVES,
    **COMPARISONS,
    # Either prefix repeats a move; a comparison ends as its prefix says.
    **{"rep_" + name: Repeated(rep, move) for name, move in MOVES.items()},
    **{"repne_" + name: Repeated(rep, move) for name, move in MOVES.items()},
    **{"rep_" + name: Repeated(repe, comparison) for name, comparison in COMPARISONS.items()},
    **{"repne_" + name: Repeated(repne, comparison) for name, comparison in COMPARISONS.items()},
}
