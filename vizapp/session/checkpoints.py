"""Checkpoints: whole machine states along a run, dense enough to go back quickly, few enough to keep.

A state shares every page of memory that did not change with its neighbours (copy on write), so a
checkpoint costs about as much as the guest wrote since the last one.
"""

from __future__ import annotations

import sys
from bisect import bisect_right, insort
from collections import deque
from typing import Any, NamedTuple

LIMIT = 1000  # of one run
RECENT = 100  # the last ones added are never thinned: they lie where the cursor has just been


class Checkpoint(NamedTuple):
    """The machine at ``position`` (steps); ``instruction`` counts retired guest instructions, ``state`` is
    what the machine's own save gave."""

    position: int
    instruction: int
    state: Any


def _position(checkpoint: Checkpoint) -> int:
    return checkpoint.position


class Checkpoints:
    """The checkpoints of one run, ordered by position; the first, at the start, always stays."""

    def __init__(self, limit: int = LIMIT, recent: int = RECENT) -> None:
        self._kept: list[Checkpoint] = []
        self._limit = limit
        self._recent: deque[int] = deque(maxlen=recent)

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, checkpoint: Checkpoint) -> None:
        """Keep one more; one at the same position is not kept twice."""
        if self.holds(checkpoint.position):
            return
        insort(self._kept, checkpoint, key=_position)
        self._recent.append(checkpoint.position)
        if len(self._kept) > self._limit:
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
        del self._kept[self._index(position) + 1 :]

    def _thin(self) -> None:
        """Drop the old one that leaves the smallest gap, so that the old ones end up evenly spread."""
        kept, recent = self._kept, set(self._recent)
        old = [index for index in range(1, len(kept) - 1) if kept[index].position not in recent]
        del kept[min(old, key=lambda index: kept[index + 1].position - kept[index - 1].position)]

    def _index(self, position: int) -> int:
        return bisect_right(self._kept, position, key=_position) - 1
