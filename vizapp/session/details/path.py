"""Packets and blocks on their way: those of the recording around the cursor, and the one in hand there."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

from vizapp.session.journeys.routes import ROUTES

if TYPE_CHECKING:
    from vizapp.session.details.registry import Subject
    from vizapp.session.journeys.journey import Fact, Journey, Stop

BEFORE, BEHIND = 60, 20


class Followed(NamedTuple):
    """One packet or block: its route, whose it is, what it is known by, and the stages seen in the recording.

    Stops are in the order in which they happened, those behind the cursor included.
    """

    number: int
    route: str
    vm: int
    facts: tuple[Fact, ...]
    stops: tuple[Stop, ...]


class Paths(NamedTuple):
    """``total`` were followed; ``shown`` are those that began around the cursor, which is at ``position``.

    ``current`` is the number of the one that came a stage further last, -1 before the first. ``names`` are
    the virtual machines'.
    """

    total: int
    shown: tuple[Followed, ...]
    current: int
    position: int
    names: tuple[str, ...]


def path(subject: Subject) -> Paths:
    """What was followed around the cursor."""
    everything, position = subject.journeys.all, subject.position
    begun = bisect_left(everything, position, key=lambda journey: journey.stops[0].position)
    window = everything[max(0, begun - BEFORE) : begun + BEHIND]
    names = tuple(guest.name for guest in subject.monitor.vms)
    return Paths(len(everything), tuple(map(_shown, window)), _current(window, position), position, names)


def _current(window: list[Journey], position: int) -> int:
    latest, current = -1, -1
    for journey in window:
        reached = [stop.position for stop in journey.stops if stop.position < position]
        if reached and reached[-1] >= latest:
            latest, current = reached[-1], journey.number
    return current


def _shown(journey: Journey) -> Followed:
    order = {stage.key: index for index, stage in enumerate(ROUTES[journey.route].stages)}
    stops = tuple(sorted(journey.stops, key=lambda stop: (stop.position, order[stop.stage])))
    return Followed(journey.number, journey.route, journey.vm, tuple(journey.facts.items()), stops)
