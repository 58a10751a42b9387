"""The event store: every recorded event in columns, looked up by position and by kind.

Columns, because a long run has a million events: numbers lie in machine arrays, and what repeats (kinds,
places, causes) is stored once and referred to. The same columns cross the process boundary.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from heapq import merge
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from vizapp.machine.events import Event, Payload
from vizapp.session.frames import EventBatch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vizapp.machine.places import Place

T = TypeVar("T")
Charges = tuple[tuple[str, int], ...]
_SHAPES = 1024  # remembered


class _Shape(NamedTuple):
    """What events of one kind between the same places for the same cause have in common, in numbers.

    The places are here so that no others get their identity.
    """

    of_kind: array[int]
    kind: int
    source: int
    target: int
    cause: int
    places: tuple[Place, Place]


class _Pool(Generic[T]):
    """Values that repeat, numbered in order of first appearance."""

    def __init__(self) -> None:
        self.values: list[T] = []
        self._numbers: dict[T, int] = {}

    def number(self, value: T) -> int:
        known = self._numbers.get(value)
        if known is None:
            known = self._numbers[value] = len(self.values)
            self.values.append(value)
        return known


@dataclass(frozen=True, slots=True)
class EventColumns:
    """A run of events as columns; ``kinds``, ``sources``, ``targets`` and ``causes`` index the ``_names``."""

    first: int
    total: int
    positions: array[int]
    cycles: array[int]
    kinds: array[int]
    sources: array[int]
    targets: array[int]
    causes: array[int]
    payloads: list[Payload]
    charges: list[Charges]
    names: list[str]
    places: list[Place]

    def batch(self) -> EventBatch:
        """The same as records."""
        names, places = self.names, self.places
        events = tuple(
            Event(
                position, cycle, names[kind], places[source], places[target], names[cause], payload, charges
            )
            for position, cycle, kind, source, target, cause, payload, charges in zip(
                self.positions,
                self.cycles,
                self.kinds,
                self.sources,
                self.targets,
                self.causes,
                self.payloads,
                self.charges,
                strict=True,
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
        self._kinds = array("I")
        self._sources = array("I")
        self._targets = array("I")
        self._causes = array("I")
        self._payloads: list[Payload] = []
        self._charges: list[Charges] = []
        self._names: _Pool[str] = _Pool()
        self._places: _Pool[Place] = _Pool()
        self._by_kind: dict[str, array[int]] = {}
        self._shapes: dict[tuple[str, int, int, str], _Shape] = {}
        self.truncated = sys.maxsize

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, index: int) -> Event:
        names, places = self._names.values, self._places.values
        return Event(
            self._positions[index],
            self._cycles[index],
            names[self._kinds[index]],
            places[self._sources[index]],
            places[self._targets[index]],
            names[self._causes[index]],
            self._payloads[index],
            self._charges[index],
        )

    def append(self, event: Event) -> None:
        """Record one event; positions never go down."""
        position, cycle, kind, source, target, cause, payload, charges = event
        shape = self._shapes.get((kind, id(source), id(target), cause)) or self._shape(event)
        of_kind, kind_number, source_number, target_number, cause_number, _ = shape
        of_kind.append(len(self._positions))
        self._positions.append(position)
        self._cycles.append(cycle)
        self._kinds.append(kind_number)
        self._sources.append(source_number)
        self._targets.append(target_number)
        self._causes.append(cause_number)
        self._payloads.append(payload)
        self._charges.append(charges)

    def _shape(self, event: Event) -> _Shape:
        if len(self._shapes) >= _SHAPES:
            self._shapes.clear()
        places = event.source, event.target
        shape = self._shapes[event.kind, id(event.source), id(event.target), event.cause] = _Shape(
            self._by_kind.setdefault(event.kind, array("I")),
            self._names.number(event.kind),
            self._places.number(event.source),
            self._places.number(event.target),
            self._names.number(event.cause),
            places,
        )
        return shape

    def truncate(self, length: int) -> None:
        """Forget the events from index ``length`` on."""
        self.truncated = min(self.truncated, length)
        columns: list[array[int]] = [
            self._positions,
            self._cycles,
            self._kinds,
            self._sources,
            self._targets,
            self._causes,
        ]
        for column in columns:
            del column[length:]
        del self._payloads[length:]
        del self._charges[length:]
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
            if self._names.values[self._causes[index]] == cause:
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
            if self._names.values[self._causes[index]] == cause:
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
            cause = self._names.values[self._causes[index]]
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
            self._kinds[part],
            self._sources[part],
            self._targets[part],
            self._causes[part],
            self._payloads[part],
            self._charges[part],
            list(self._names.values),
            list(self._places.values),
        )

    def batch(self, first: int, last: int | None = None) -> EventBatch:
        """Events from index ``first`` up to ``last`` (None: to the end) as records."""
        return self.columns(first, last).batch()
