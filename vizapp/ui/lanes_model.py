"""Stays of the processor in its places, from events, reduced to what a screen can show."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vizapp.session.frames import Stage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vizapp.machine.events import Event
    from vizapp.machine.places import Place

    Floats = NDArray[np.float64]

_NO_STAGE = Stage(())


class Lane(NamedTuple):
    """One row of the picture; ``vm`` is -1 where it serves all, or there is only one."""

    world: str
    ring: int
    vm: int = -1


class Block(NamedTuple):
    """One stay: from one cycle to another in a lane."""

    lane: int
    start: float
    end: float


class LanesModel:
    """Grows with the events; answers for any stretch of cycles in time that depends on the stretch alone.

    Between event i and event i + 1 the processor is where event i took it; before the first, where the
    first came from, or while there is none, where it was seen.

    Attributes:
        lanes: the rows, outermost ring of the first world on top.
        events: all events, in order.
    """

    def __init__(self, stage: Stage = _NO_STAGE) -> None:
        self._several = stage.several_vms
        self.lanes: list[Lane] = [
            Lane(world.id, ring, vm)
            for world in stage.worlds
            for ring, vm in sorted(
                {(component.ring, self._vm(component.vm)) for component in world.components},
                key=lambda row: (-row[0], row[1]),
            )
        ]
        self.events: list[Event] = []
        self._cycles = np.zeros(1024, dtype=np.int64)
        self._lanes_of = np.zeros(1024, dtype=np.int16)
        self._count = 0
        self._known: dict[Place, int] = {}
        self._first_lane = 0

    def add(self, events: tuple[Event, ...]) -> None:
        """Take events that follow those already here."""
        if not events:
            return
        if not self.events:
            self._first_lane = self._lane(events[0].source)
        need = self._count + len(events)
        while need > len(self._cycles):
            self._cycles = np.concatenate([self._cycles, np.zeros_like(self._cycles)])
            self._lanes_of = np.concatenate([self._lanes_of, np.zeros_like(self._lanes_of)])
        self._cycles[self._count : need] = [event.cycle for event in events]
        self._lanes_of[self._count : need] = [self._lane(event.target) for event in events]
        self._count = need
        self.events.extend(events)

    def see(self, place: Place) -> None:
        """Take note of where the processor is; it counts as long as there is no event."""
        if not self.events:
            self._first_lane = self._lane(place)

    def blocks(self, start: float, end: float, last: float) -> list[Block]:
        """Stays between two cycles, neighbours in one lane joined; the recording ends at ``last``."""
        bounds, lanes = self._slice(start, end, last)
        made: list[Block] = []
        for index, lane in enumerate(lanes):
            if made and made[-1].lane == lane and made[-1].end >= bounds[index]:
                made[-1] = made[-1]._replace(end=float(bounds[index + 1]))
            else:
                made.append(Block(int(lane), float(bounds[index]), float(bounds[index + 1])))
        return made

    def count(self, start: float, end: float) -> int:
        """How many events lie between two cycles."""
        cycles = self._cycles[: self._count]
        return int(np.searchsorted(cycles, end) - np.searchsorted(cycles, start))

    def coverage(self, start: float, end: float, last: float, columns: int) -> Floats:
        """Share of each of ``columns`` equal stretches that each lane has: shape (lanes, columns), 0 to 1."""
        bounds, lanes = self._slice(start, end, last)
        edges = np.linspace(start, end, columns + 1)
        shares = np.zeros((len(self.lanes), columns))
        lengths = np.diff(bounds)
        for lane in range(len(self.lanes)):
            spent = np.concatenate([[0.0], np.cumsum(np.where(lanes == lane, lengths, 0.0))])
            shares[lane] = np.diff(np.interp(edges, bounds, spent)) / max((end - start) / columns, 1e-9)
        return shares

    def event_at(self, cycle: float) -> Event | None:
        """The event that began the stay at a cycle."""
        index = int(np.searchsorted(self._cycles[: self._count], cycle, side="right")) - 1
        return self.events[index] if index >= 0 else None

    def nearest(self, cycle: float, reach: float) -> Event | None:
        """The event nearest to a cycle, at most ``reach`` cycles away."""
        cycles = self._cycles[: self._count]
        index = int(np.searchsorted(cycles, cycle))
        near = [number for number in (index - 1, index) if 0 <= number < self._count]
        best = min(near, key=lambda number: abs(cycles[number] - cycle), default=None)
        return self.events[best] if best is not None and abs(cycles[best] - cycle) <= reach else None

    def _slice(self, start: float, end: float, last: float) -> tuple[Floats, NDArray[np.int16]]:
        """Bounds (n + 1) and lanes (n) of the stays that meet a stretch, cut to it."""
        cycles = self._cycles[: self._count]
        first = int(np.searchsorted(cycles, start, side="right"))
        final = int(np.searchsorted(cycles, end, side="left"))
        inner = cycles[first:final].astype(np.float64)
        before = self._lanes_of[first - 1] if first else self._first_lane
        lanes = np.concatenate([[before], self._lanes_of[first:final]]).astype(np.int16)
        stop = max(min(end, last), inner[-1] if len(inner) else start)
        return np.concatenate([[start], inner, [stop]]), lanes

    def _vm(self, number: int) -> int:
        return number if self._several else -1

    def _lane(self, place: Place) -> int:
        number = self._known.get(place)
        if number is None:
            lane = Lane(place.world, place.ring, self._vm(place.vm))
            if lane not in self.lanes:
                self.lanes.append(lane)
            number = self._known[place] = self.lanes.index(lane)
        return number
