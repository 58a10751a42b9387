"""The event store: every recorded event in columns, looked up by position and by kind.

Columns, because a long run has a million events: numbers lie in machine arrays, and what repeats (kind,
places and cause) is stored once and referred to. The same columns cross the process boundary.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass
from heapq import merge
from typing import TYPE_CHECKING, NamedTuple

from vizapp.machine.events import Event, Payload
from vizapp.session.frames import EventBatch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from vizapp.machine.places import Place

Charges = tuple[tuple[str, int], ...]
_REMEMBERED = 1024  # payloads, and charges


class Way(NamedTuple):
    """What events have in common that differ in time and details only."""

    kind: str
    source: Place
    target: Place
    cause: str


class _Numbers(dict["tuple[str, Place, Place, str]", int]):
    """Ways numbered in order of first appearance, which is their order here too."""

    def __missing__(self, way: tuple[str, Place, Place, str]) -> int:
        number = self[way] = len(self)
        return number


@dataclass(frozen=True, slots=True)
class EventColumns:
    """A run of events as columns."""

    first: int
    total: int
    positions: array[int]
    cycles: array[int]
    ways: list[Way]
    payloads: list[Payload]
    charges: list[Charges]

    def batch(self) -> EventBatch:
        """The same as records."""
        events = tuple(
            Event(position, cycle, *way, payload, charges)
            for position, cycle, way, payload, charges in zip(
                self.positions, self.cycles, self.ways, self.payloads, self.charges, strict=True
            )
        )
        return EventBatch(self.first, self.total, events)


class EventStore:
    """Recorded events in the order in which they happened.

    An event's ``position`` is that of the step that made it: it is in the past of every cursor that
    stands behind that step.

    Attributes:
        truncated: the least length to which it was cut since somebody last set this.
    """

    def __init__(self) -> None:
        self._positions = array("Q")
        self._cycles = array("Q")
        self._ways = array("I")
        self._payloads: list[Payload] = []
        self._charges: list[Charges] = []
        self._numbers = _Numbers()
        self._all_ways: list[Way] = []  # by number
        # Most are like one before: that one is kept in their stead.
        self._like: dict[tuple[int | str, ...], Payload] = {}
        self._kept_charges: dict[Charges, Charges] = {}
        self._by_kind: defaultdict[str, array[int]] = defaultdict(lambda: array("I"))
        self.truncated = sys.maxsize

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, index: int) -> Event:
        way = self._all_ways[self._ways[index]]
        return Event(
            self._positions[index], self._cycles[index], *way, self._payloads[index], self._charges[index]
        )

    def extend(self, events: Sequence[Event]) -> None:
        """Record some; positions never go down. Many at a time take less time each."""
        if not events:
            return
        positions, cycles, kinds, sources, targets, causes, payloads, charges = zip(*events, strict=True)
        for index, kind in enumerate(kinds, len(self)):
            self._by_kind[kind].append(index)
        self._positions.extend(positions)
        self._cycles.extend(cycles)
        self._ways.extend(map(self._numbers.__getitem__, zip(kinds, sources, targets, causes, strict=True)))
        keep = self._like.setdefault
        self._payloads.extend([keep((*payload, *payload.values()), payload) for payload in payloads])
        self._charges.extend(map(self._kept_charges.setdefault, charges, charges))
        if len(self._like) + len(self._kept_charges) > _REMEMBERED:
            self._like.clear()
            self._kept_charges.clear()
        if len(self._numbers) > len(self._all_ways):
            self._all_ways = [Way(*way) for way in self._numbers]

    def truncate(self, length: int) -> None:
        """Forget the events from index ``length`` on."""
        self.truncated = min(self.truncated, length)
        for column in (self._positions, self._cycles, self._ways, self._payloads, self._charges):
            del column[length:]
        for indices in self._by_kind.values():
            del indices[bisect_left(indices, length) :]

    def before(self, position: int) -> int:
        """How many events lie in the past of a cursor at ``position``."""
        return bisect_left(self._positions, position)

    def at(self, position: int) -> range:
        """The indices of the events of the step at ``position``."""
        return range(bisect_left(self._positions, position), bisect_right(self._positions, position))

    def following(self, position: int, kinds: Iterable[str] | None) -> Event | None:
        """The first event of one of ``kinds`` (None: of any) that a cursor at ``position`` has before it.

        One of them may be ``kind:cause``.
        """
        start = self.before(position)
        if kinds is None:
            return self[start] if start < len(self) else None
        found = min((self._first(kind, start, len(self)) for kind in kinds), default=len(self))
        return self[found] if found < len(self) else None

    def preceding(self, position: int, kinds: Iterable[str] | None) -> Event | None:
        """The last event of one of ``kinds`` (None: of any) of a step before ``position``."""
        end = self.before(position)
        if kinds is None:
            return self[end - 1] if end else None
        found = max((self._last(kind, end) for kind in kinds), default=-1)
        return self[found] if found >= 0 else None

    def of_kinds(self, kinds: Iterable[str], position: int) -> Iterator[Event]:
        """The events of some kinds in the past of a cursor at ``position``, in order."""
        end = self.before(position)
        for index in merge(*(self._by_kind.get(kind, ()) for kind in kinds)):
            if index >= end:
                return
            yield self[index]

    def _first(self, wanted: str, start: int, end: int) -> int:
        """The first index from ``start`` on of a kind, or of ``kind:cause``; ``end`` if there is none."""
        kind, _, cause = wanted.partition(":")
        indices = self._by_kind.get(kind, array("I"))
        for index in indices[bisect_left(indices, start) :] if cause else ():
            if self._all_ways[self._ways[index]].cause == cause:
                return index
        place = len(indices) if cause else bisect_left(indices, start)
        return indices[place] if place < len(indices) else end

    def _last(self, wanted: str, end: int) -> int:
        """The last index before ``end`` of a kind, or of ``kind:cause``; -1 if there is none."""
        kind, _, cause = wanted.partition(":")
        indices = self._by_kind.get(kind, array("I"))
        place = bisect_left(indices, end)
        if not cause:
            return indices[place - 1] if place else -1
        for index in reversed(indices[:place]):
            if self._all_ways[self._ways[index]].cause == cause:
                return index
        return -1

    def counts(self, position: int) -> dict[str, int]:
        """How many events of each kind lie in the past of a cursor at ``position``."""
        end = self.before(position)
        counted = {kind: bisect_left(indices, end) for kind, indices in self._by_kind.items()}
        return {kind: count for kind, count in counted.items() if count}

    def causes(self, kind: str, position: int) -> dict[str, int]:
        """How many events of ``kind`` there are by cause, in the past of a cursor at ``position``."""
        end = self.before(position)
        counted: dict[str, int] = {}
        for index in self._by_kind.get(kind, ()):
            if index >= end:
                break
            cause = self._all_ways[self._ways[index]].cause
            counted[cause] = counted.get(cause, 0) + 1
        return counted

    def columns(self, first: int, last: int | None = None) -> EventColumns:
        """Events from index ``first`` up to ``last`` (None: to the end), for the process boundary."""
        part = slice(first, len(self) if last is None else min(last, len(self)))
        return EventColumns(
            first,
            len(self),
            self._positions[part],
            self._cycles[part],
            [self._all_ways[number] for number in self._ways[part]],
            self._payloads[part],
            self._charges[part],
        )

    def batch(self, first: int, last: int | None = None) -> EventBatch:
        """Events from index ``first`` up to ``last`` (None: to the end) as records."""
        return self.columns(first, last).batch()
