"""Motions: a command that moves the cursor, as work done a short stretch at a time.

Whoever drives a motion calls ``advance`` until it says that it is done. Between two calls anything may
happen: a frame is shown, the motion is dropped for another.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.machine.events import Event
    from vizapp.session.recorder import EventStore
    from vizapp.session.timeline import Timeline


class Motion(Protocol):
    """Moves the cursor. ``visible``: whether the way is worth showing and not only the goal."""

    visible: ClassVar[bool]

    def advance(self) -> bool:
        """Do about 20 ms of work; whether the goal is reached."""

    def delay(self) -> float:
        """Seconds until there is work to do."""


class _Working:
    """A motion that always has work to do and shows only where it ends."""

    visible: ClassVar[bool] = False

    def delay(self) -> float:
        """Work is always due."""
        return 0.0


class ToPosition(_Working):
    """To a position; beyond the end by recording.

    ``look`` is called one step before, where the cursor passes anyway: sentences tell of the last step.
    """

    def __init__(self, timeline: Timeline, position: int, look: Callable[[], None]) -> None:
        self._timeline = timeline
        self._goal = max(0, position)
        self._eve = max(0, self._goal - 1)
        self._look = look
        self._placed = False

    def advance(self) -> bool:
        """One stretch nearer."""
        timeline = self._timeline
        if not self._placed:
            timeline.approach(min(self._eve, timeline.end))
            self._placed = True
        if timeline.cursor < self._eve and not timeline.forward(self._eve):
            return False
        if timeline.cursor == self._eve < self._goal:
            self._look()
        return timeline.cursor >= self._goal or timeline.forward(self._goal)


class ToInstruction(_Working):
    """To where a guest instruction, counted from 0, is about to execute."""

    def __init__(self, timeline: Timeline, instruction: int) -> None:
        self._timeline = timeline
        self._goal = max(0, instruction)
        self._placed = False

    def advance(self) -> bool:
        """One stretch nearer."""
        timeline = self._timeline
        if not self._placed:
            self._placed = True
            if self._goal <= timeline.end_instruction:
                timeline.seek_instruction(self._goal)
            else:
                timeline.seek(timeline.end)
        if timeline.machine.instructions >= self._goal:
            return True
        return timeline.forward(instruction=self._goal)


class ToNextEvent(_Working):
    """To just behind the next event of one of ``kinds``; at the end of the run if there is none."""

    def __init__(
        self,
        timeline: Timeline,
        store: EventStore,
        kinds: frozenset[str] | None,
        catch: Callable[[frozenset[str] | None], None],
        look: Callable[[], None],
    ) -> None:
        self._timeline = timeline
        self._store = store
        self._kinds = kinds
        self._catch = catch
        self._look = look
        self._start = timeline.cursor
        self._last: ToPosition | None = None

    def advance(self) -> bool:
        """Jump if it is recorded, else record one more stretch."""
        timeline = self._timeline
        if self._last is not None:
            return self._last.advance()
        found = self._store.following(self._start, self._kinds)
        if found is not None:
            self._last = ToPosition(timeline, found.position + 1, self._look)
            return False
        if timeline.cursor < timeline.end:
            timeline.seek(timeline.end)
        self._catch(self._kinds)
        ended = timeline.forward()
        return ended and self._store.following(self._start, self._kinds) is None


class Running:
    """On and on, at a chosen speed, until the end or until told to stop.

    ``condition`` gives what to ask after each step, None while there are no breakpoints; ``caught`` says
    whether an event between two positions is one to stop at; ``look`` is called one step before the cursor
    rests at a chosen speed.
    """

    visible: ClassVar[bool] = True

    def __init__(
        self,
        timeline: Timeline,
        steps_per_second: float | None,
        condition: Callable[[], Callable[[], bool] | None],
        caught: Callable[[int, int], Event | None],
        look: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timeline = timeline
        self._rate = steps_per_second
        self._condition = condition
        self._caught = caught
        self._look = look
        self._clock = clock
        self._began = clock()
        self._start = timeline.cursor

    def _due(self) -> float:
        """The position where the chosen speed has the cursor by now."""
        assert self._rate is not None
        return self._start + (self._clock() - self._began) * self._rate

    def delay(self) -> float:
        """Seconds until the next step is due."""
        if self._rate is None:
            return 0.0
        return max(0.0, (self._timeline.cursor + 1 - self._due()) / self._rate)

    def advance(self) -> bool:
        """Do what is due by now, at most one stretch."""
        timeline = self._timeline
        limit = None if self._rate is None else int(self._due())
        before = timeline.cursor
        if limit is not None and limit <= before:
            return timeline.at_end or timeline.waits
        held = self._condition()
        reached = timeline.forward(None if limit is None else limit - 1, until=held)
        if limit is not None and timeline.cursor == limit - 1 and not (held and held()):
            self._look()  # slow enough to be told step by step
            timeline.forward(limit, until=held)
        found = self._caught(before, timeline.cursor)
        if found is not None:
            timeline.seek(found.position + 1)
            return True
        stands = held is not None and held()
        return timeline.at_end or timeline.waits or (reached and limit is None) or stands


class UntilHeld(_Working):
    """Until a condition holds after a step: Over, and whatever else looks at every step."""

    def __init__(self, timeline: Timeline, held: Callable[[], bool]) -> None:
        self._timeline = timeline
        self._held = held

    def advance(self) -> bool:
        """One stretch, looking after each step."""
        return self._timeline.forward(until=self._held)
