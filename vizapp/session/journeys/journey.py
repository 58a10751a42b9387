"""A journey: one packet or block on its way, as the stages that it has been seen at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple
from zlib import crc32

from vizapp.machine.devices.network import SHORTEST_FRAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vizapp.machine.pc import Pc

Fact = tuple[str, int]
MOST_ACTIVE: Final = 512
"""Journeys that are waited for at most: what a guest never finishes is not looked for for ever."""


class Stop(NamedTuple):
    """A stage that was reached: in the step at ``position``, at ``cycle``; and what was seen there."""

    stage: str
    position: int
    cycle: int
    facts: tuple[Fact, ...] = ()


@dataclass(slots=True)
class Journey:
    """One packet or block of virtual machine ``vm`` (-1: nobody's yet) on a route.

    ``facts`` are what it is known by: its length in bytes, its check sequence, a grant's reference, a sector.
    """

    number: int
    route: str
    vm: int
    facts: dict[str, int] = field(default_factory=dict)
    stops: list[Stop] = field(default_factory=list)

    def at(self, stage: str) -> bool:
        """Whether it has reached a stage."""
        return any(stop.stage == stage for stop in self.stops)


class Witness:
    """Whoever notes that a journey has reached a stage: in the step that the PC is at."""

    def __init__(self, pc: Pc) -> None:
        self._pc = pc

    def _reach(self, journey: Journey, stage: str, **facts: int) -> None:
        """The first time counts."""
        if not journey.at(stage):
            at = self._pc.position, self._pc.meter.cycles
            journey.stops.append(Stop(stage, *at, tuple(facts.items())))


def check_sequence(frame: bytes) -> int:
    """What the line's check sequence of a frame is: short ones are filled up before they are sent."""
    return crc32(frame.ljust(SHORTEST_FRAME, b"\0"))


class Journeys:
    """All journeys of a recording, and those among them that are still under way."""

    def __init__(self) -> None:
        self.all: list[Journey] = []
        self.active: list[Journey] = []

    def open(self, route: str, vm: int, **facts: int) -> Journey:
        """A journey begins."""
        made = Journey(len(self.all), route, vm, facts)
        self.all.append(made)
        self.active.append(made)
        del self.active[:-MOST_ACTIVE]
        return made

    def close(self, journey: Journey) -> None:
        """A journey is over."""
        self.active = [other for other in self.active if other is not journey]

    def under_way(self, route: str, after: str = "", before: str = "") -> Iterator[Journey]:
        """Those on a route that have reached the stage ``after`` and not yet ``before``, oldest first."""
        for journey in list(self.active):
            reached = not after or journey.at(after)
            if journey.route == route and reached and not (before and journey.at(before)):
                yield journey

    def drop_after(self, position: int) -> None:
        """Forget what was seen at ``position`` and behind: it did not happen after all."""
        for journey in self.all:
            journey.stops = [stop for stop in journey.stops if stop.position < position]
        while self.all and not self.all[-1].stops:
            self.all.pop()
        self.active = []
