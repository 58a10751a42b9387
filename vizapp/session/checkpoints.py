"""Checkpoints: whole machine states along a run, dense enough to go back quickly, few enough to keep.

A state shares every page of memory that did not change with its neighbours (copy on write), so a
checkpoint costs about as much as the guest wrote since the last one.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 2500  # of one run
RECENT = 100  # the last ones added are thinned last: they lie where the cursor has just been
BUDGET = 192 << 20  # bytes of guest memory that they keep, beyond what the first one has
FEWEST = 4  # whatever they weigh


class Checkpoint(NamedTuple):
    """The machine at ``position`` (steps); ``instruction`` counts retired guest instructions, ``state`` is
    what the machine's own save gave."""

    position: int
    instruction: int
    state: Any


def _position(checkpoint: Checkpoint) -> int:
    return checkpoint.position


def _nothing(older: Any, newer: Any) -> int:
    """States of no weight."""
    return 0


class Checkpoints:
    """The checkpoints of one run, ordered by position; the first, at the start, always stays.

    ``weigh`` tells how many bytes a state keeps that the one before it does not keep too.
    """

    def __init__(
        self,
        limit: int = LIMIT,
        recent: int = RECENT,
        budget: int = BUDGET,
        weigh: Callable[[Any, Any], int] = _nothing,
    ) -> None:
        self._kept: list[Checkpoint] = []
        self._limit = limit
        self._recent: deque[int] = deque(maxlen=recent)
        self._budget = budget
        self._weigh = weigh
        self._weight = 0

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, checkpoint: Checkpoint) -> None:
        """Keep one more; one at the same position is not kept twice."""
        if self.holds(checkpoint.position):
            return
        index = self._index(checkpoint.position) + 1
        self._kept.insert(index, checkpoint)
        self._weight += self._weight_of(index)
        self._recent.append(checkpoint.position)
        while len(self._kept) > self._limit or (self._weight > self._budget and len(self._kept) > FEWEST):
            self._thin()

    def at_or_before(self, position: int) -> Checkpoint:
        """The nearest from which ``position`` can be reached forwards."""
        return self._kept[max(self._index(position), 0)]

    def before_instruction(self, instruction: int) -> Checkpoint:
        """The nearest at which no more than ``instruction`` guest instructions had retired."""
        return self._kept[
            max(bisect_right(self._kept, instruction, key=lambda kept: kept.instruction) - 1, 0)
        ]

    def holds(self, position: int) -> bool:
        """Whether there is one exactly at ``position``."""
        nearest = self._index(position)
        return nearest >= 0 and self._kept[nearest].position == position

    def room_after(self, position: int) -> int:
        """Steps from ``position`` to the next one behind it; a large number where none follows."""
        following = self._index(position) + 1
        return self._kept[following].position - position if following < len(self._kept) else sys.maxsize

    def drop_after(self, position: int) -> None:
        """Forget those behind ``position``: that part of the run is not recorded after all."""
        while self._kept[-1].position > position:
            self._drop(len(self._kept) - 1)

    def _thin(self) -> None:
        """Drop the old ones that leave the smallest gaps, so that the old ones end up evenly spread.

        One in sixteen goes, no two neighbours; without an old one, the least recent.
        """
        kept, recent = self._kept, set(self._recent)
        old = [index for index in range(1, len(kept) - 1) if kept[index].position not in recent]
        old.sort(key=lambda index: kept[index + 1].position - kept[index - 1].position)
        gone: set[int] = set()
        for index in old:
            if len(gone) > len(kept) // 16:
                break
            if index - 1 not in gone and index + 1 not in gone:
                gone.add(index)
        for index in sorted(gone, reverse=True):
            self._drop(index)
        if not old:
            oldest = self._recent.popleft()
            index = self._index(oldest)
            if 0 < index < len(kept) - 1 and kept[index].position == oldest:
                self._drop(index)

    def _drop(self, index: int) -> None:
        self._weight -= self._weight_of(index)
        del self._kept[index]

    def _weight_of(self, index: int) -> int:
        """What one adds to those beside it: the first weighs nothing."""
        kept, weigh = self._kept, self._weigh
        if index == 0:
            return 0
        weight = weigh(kept[index - 1].state, kept[index].state)
        if index + 1 < len(kept):
            following = kept[index + 1].state
            weight += weigh(kept[index].state, following) - weigh(kept[index - 1].state, following)
        return weight

    def _index(self, position: int) -> int:
        return bisect_right(self._kept, position, key=_position) - 1
