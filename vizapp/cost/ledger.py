"""The ledger: what a run cost, by place, purpose and input, at these prices or at others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from vizapp.machine.inputs import NAMES
from vizapp.machine.meter import Purpose, Row
from vizapp.machine.places import Place

if TYPE_CHECKING:
    from collections.abc import Hashable

    from vizapp.machine.meter import Meter

Key = TypeVar("Key", bound="Hashable")


class Entry(NamedTuple):
    """``times`` charges of ``input`` at ``place`` for ``purpose``: ``cycles`` together."""

    place: Place
    purpose: Purpose
    input: str
    times: int
    cycles: int


class Ledger:
    """Counts of a run, priced: rows of a ``Meter`` and cycles by input."""

    def __init__(self, rows: Iterable[Row], prices: Mapping[str, int]) -> None:
        self.rows = tuple(rows)
        self.prices = dict(prices)

    @classmethod
    def of(cls, meter: Meter) -> Ledger:
        """What a meter has counted so far."""
        return cls(meter.rows(), dict(zip(NAMES, meter.prices, strict=True)))

    @property
    def total(self) -> int:
        """Cycles of everything."""
        return sum(self.prices[row.input] * row.times for row in self.rows)

    def entries(self) -> tuple[Entry, ...]:
        """Every row with its cycles."""
        return tuple(Entry(*row, row.times * self.prices[row.input]) for row in self.rows)

    def by_place(self) -> dict[Place, int]:
        """Cycles by place, in the order in which places were first entered."""
        return self._grouped(lambda row: row.place)

    def by_purpose(self) -> dict[Purpose, int]:
        """Cycles by purpose, every purpose named."""
        return dict.fromkeys(Purpose, 0) | self._grouped(lambda row: row.purpose)

    def by_input(self) -> dict[str, int]:
        """Cycles by input, the dearest first."""
        totals = self._grouped(lambda row: row.input)
        return dict(sorted(totals.items(), key=lambda pair: -pair[1]))

    def counts(self) -> dict[str, int]:
        """Charges by input, wherever and for whatever."""
        totals: dict[str, int] = {}
        for row in self.rows:
            totals[row.input] = totals.get(row.input, 0) + row.times
        return totals

    def share(self, purpose: Purpose) -> float:
        """The part of all cycles that went to a purpose, 0 to 1; 0 for an empty ledger."""
        total = self.total
        return self.by_purpose()[purpose] / total if total else 0.0

    def repriced(self, prices: Mapping[str, int]) -> Ledger:
        """The same counts at other prices: every input that was charged needs one.

        It is what the run would have cost if it had gone the same way; timer interrupts would come at other
        instructions.
        """
        return Ledger(self.rows, prices)

    def difference(self, cycles: int) -> int:
        """Cycles on the counter that no row accounts for: 0, or the machine has a defect."""
        return cycles - self.total

    def _grouped(self, key: Callable[[Row], Key]) -> dict[Key, int]:
        totals: dict[Key, int] = {}
        for row in self.rows:
            group = key(row)
            totals[group] = totals.get(group, 0) + row.times * self.prices[row.input]
        return totals
