"""Host memory by frame: who has which, and which are free, for a monitor and its virtual machines.

Frames are handed out lowest first, so that the same requests always give the same frames. Everything is plain
data: ``save`` costs nothing while nothing changes, because the state is replaced, never changed in place.
"""

from __future__ import annotations

from typing import NamedTuple

from vizapp.errors import ScenarioError
from vizapp.messages import N_, Message


class FrameRange(NamedTuple):
    """``frames`` frames from ``first`` on, all of one owner (``vmm``, ``vm0``, ...; ``""``: nobody's)."""

    first: int
    frames: int
    owner: str

    @property
    def end(self) -> int:
        """The first frame after the range."""
        return self.first + self.frames


class FrameAllocator:
    """Host frames ``first`` to ``end`` - 1 as sorted ranges that cover them without gap."""

    def __init__(self, first: int, end: int) -> None:
        self._ranges: tuple[FrameRange, ...] = (FrameRange(first, end - first, ""),)

    def allocate(self, owner: str, count: int = 1) -> int:
        """The first of ``count`` adjacent frames, now of ``owner``; ScenarioError when there are too few."""
        for index, free in enumerate(self._ranges):
            if free.owner == "" and free.frames >= count:
                taken = FrameRange(free.first, count, owner)
                rest = FrameRange(free.first + count, free.frames - count, "")
                self._ranges = _merge((*self._ranges[:index], taken, rest, *self._ranges[index + 1 :]))
                return free.first
        raise ScenarioError(
            Message(
                N_("{count} more pages of host memory were needed, and {free} are free"),
                {"count": count, "free": sum(item.frames for item in self._ranges if item.owner == "")},
            )
        )

    def free(self, first: int, count: int = 1) -> None:
        """Take back frames, which must all have an owner."""
        self.give(first, count, "")

    def give(self, first: int, count: int, owner: str) -> None:
        """Hand frames from whoever has them to ``owner``. ValueError if any is outside or free already."""
        pieces: list[FrameRange] = []
        found = 0
        for item in self._ranges:
            low, high = max(item.first, first), min(item.end, first + count)
            if low >= high:
                pieces.append(item)
                continue
            if item.owner == "":
                raise ValueError(f"frame {low:#x} has no owner")
            found += high - low
            pieces.append(FrameRange(item.first, low - item.first, item.owner))
            pieces.append(FrameRange(low, high - low, owner))
            pieces.append(FrameRange(high, item.end - high, item.owner))
        if found != count:
            raise ValueError(f"frames {first:#x} to {first + count - 1:#x} are not all here")
        self._ranges = _merge(tuple(pieces))

    def owner(self, frame: int) -> str:
        """Who has ``frame``; ``""`` for a free frame or one outside."""
        for item in self._ranges:
            if item.first <= frame < item.end:
                return item.owner
        return ""

    def ranges(self) -> tuple[FrameRange, ...]:
        """Every range that has an owner, in order."""
        return tuple(item for item in self._ranges if item.owner)

    def save(self) -> tuple[FrameRange, ...]:
        """The state, as plain data."""
        return self._ranges

    def load(self, saved: tuple[FrameRange, ...]) -> None:
        """Take up a saved state."""
        self._ranges = saved


def _merge(ranges: tuple[FrameRange, ...]) -> tuple[FrameRange, ...]:
    """Drop empty ranges and join neighbours of one owner."""
    merged: list[FrameRange] = []
    for item in ranges:
        if not item.frames:
            continue
        if merged and merged[-1].owner == item.owner:
            last = merged.pop()
            item = FrameRange(last.first, last.frames + item.frames, item.owner)
        merged.append(item)
    return tuple(merged)
