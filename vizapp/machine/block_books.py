"""What blocks have done, as charges and as heat: entered when somebody looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vizapp.machine.linked_blocks import Compiled, Joined
    from vizapp.machine.meter import Meter
    from vizapp.machine.places import Place


class BlockBooks:
    """Turns counts of ways out into charges of a meter.

    Attributes:
        heat: if there, how often execution arrived at each EIP of the guest; see ``Pc.heat``.
    """

    def __init__(self, meter: Meter) -> None:
        self.heat: dict[int, int] | None = None
        self._meter = meter
        self._begun: dict[int, int] = {}  # where runs of blocks began, by EIP

    def ran(self, first: int, last: int | None) -> None:
        """Blocks have run from one EIP to another, None if the last one has executed nothing.

        What leads from block to block is counted by ``enter`` as the beginning of the one. How the first
        began has been counted before, and the end of the last one has not.
        """
        if self.heat is not None and self._meter.in_guest:
            self._begun[first] = self._begun.get(first, 0) + 1
            if last is not None:
                self.heat[last] = self.heat.get(last, 0) + 1

    def settle(self) -> None:
        """All blocks have been entered: what is left of heat is how runs began."""
        heat = self.heat
        if heat is not None:
            for eip, times in self._begun.items():
                heat[eip] -= times
                if not heat[eip]:
                    del heat[eip]
            self._begun.clear()

    def enter(self, compiled: Compiled) -> None:
        """Enter what a block has done."""
        for place, runs in compiled.runs.items():
            self._enter(place, compiled, runs, 0)

    def enter_region(self, joined: Joined) -> None:
        """Enter what a region has done."""
        for place, tally in joined.runs.items():
            for part, piece in zip(joined.parts, joined.region.pieces, strict=True):
                self._enter(place, part, tally, piece.tally)

    def _enter(self, place: Place, compiled: Compiled, runs: list[int], first: int) -> None:
        """Enter a block's counts, which begin at ``first``."""
        for done in range(len(compiled.prices) + 1):
            times = runs[first + done]
            if times:
                self._meter.book(place, compiled.prices[:done], times)
                runs[first + done] = 0
                if self.heat is not None and place.is_guest:
                    for eip in compiled.block.addresses[: done or 1]:
                        self.heat[eip] = self.heat.get(eip, 0) + times
