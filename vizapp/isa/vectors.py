"""Exception vectors: SDM Vol. 3, "Protected-Mode Exceptions and Interrupts"."""

from __future__ import annotations

DE, DB, NMI, BP, OF, BR, UD, NM, DF = range(9)
TS, NP, SS, GP, PF = 10, 11, 12, 13, 14
MF, AC, MC = 16, 17, 18

NAMES = {
    DE: "#DE", DB: "#DB", NMI: "NMI", BP: "#BP", OF: "#OF", BR: "#BR", UD: "#UD", NM: "#NM", DF: "#DF",
    TS: "#TS", NP: "#NP", SS: "#SS", GP: "#GP", PF: "#PF", MF: "#MF", AC: "#AC", MC: "#MC",
}  # fmt: skip
WITH_ERROR_CODE = frozenset({DF, TS, NP, SS, GP, PF, AC})


def name(vector: int) -> str:
    """The manual's short name of an exception, or the number of an interrupt (``0x20``)."""
    return NAMES.get(vector, f"{vector:#04x}")
