"""Runs a session to its end or to a bound, in this process, and keeps the outcome as a value."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from vizapp.machine.events import CLI_NAMES
from vizapp.messages import N_, Message
from vizapp.session import protocol as p
from vizapp.session.port_taps import EXIT_PORT
from vizapp.session.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.experiment.until import Until
    from vizapp.machine.events import Event
    from vizapp.session.motion import Motion
    from vizapp.session.scenario import Scenario


class Bounds(NamedTuple):
    """Where a run ends if the guest does not end it: guest instructions, and seconds of real time."""

    instructions: int | None = None
    seconds: float | None = None


UNBOUNDED = Bounds()


@dataclass(frozen=True, slots=True)
class Cycles:
    """Cycles in all and by purpose."""

    total: int
    by_purpose: dict[str, int]


@dataclass(frozen=True, slots=True)
class Run:
    """The outcome of one run.

    ``overhead`` is cycles from ``start`` on over the bare machine's for the same guest: None where there is
    nothing to compare with, and for a run that is not equivalent. ``report`` is the JSON of ``vizapp run``.
    ``port_logs`` is what the guest wrote to each logged port, ``exit_status`` what it wrote to the exit port
    if that ended the run. ``why`` and ``first_difference`` are the report's two sentences, untranslated.
    """

    report: dict[str, Any]
    recorded: tuple[Event, ...]
    overhead: float | None = None
    port_logs: dict[int, bytes] = field(default_factory=dict)
    exit_status: int | None = None
    why: Message = Message("")
    first_difference: Message | None = None

    @property
    def technique(self) -> str:
        """The technique's name."""
        return str(self.report["technique"])

    @property
    def cycles(self) -> Cycles:
        """What the run cost."""
        return Cycles(**self.report["cycles"])

    @property
    def start(self) -> int:
        """Cycles before the guest's own first instruction, where a host or a domain 0 comes first; else 0."""
        return int(self.report["start"]["cycles"])

    @property
    def events(self) -> dict[str, Any]:
        """Counts of events, by their names on the command line."""
        return dict(self.report["events"])

    @property
    def stopped(self) -> str:
        """Why the run ended: halted, crashed, limit, ..."""
        return str(self.report["stopped"]["reason"])

    @property
    def serial(self) -> str:
        """What the guest wrote to COM1."""
        return str(self.report["serial"])

    @property
    def instructions(self) -> dict[str, int]:
        """Counts of guest instructions: in all, by ring, and written by the monitor."""
        return dict(self.report["instructions"])

    @property
    def scorecard(self) -> dict[str, Any]:
        """Equivalence, resource control, efficiency."""
        return dict(self.report["scorecard"])


def execute(
    scenario: Scenario,
    *,
    until: Until | None = None,
    bounds: Bounds = UNBOUNDED,
    score: bool = False,
    prepare: Callable[[Session], None] | None = None,
) -> Run:
    """Run a scenario. ``prepare`` may attach observers to the session before its first step."""
    session = Session(scenario)
    if prepare is not None:
        prepare(session)
    reached = _drive(session, until, bounds)
    if score:
        session.score()
    report = session.report()
    frame = session.frame()
    stopped = frame.stopped
    why = Message("") if stopped is None else stopped.detail
    if reached:
        why = Message("{event}", {"event": reached})
        report["stopped"] = {"reason": "until", "detail": reached}
    elif report["stopped"]["reason"] == "limit":
        why = _limit(bounds, report["instructions"]["guest"])
        report["stopped"]["detail"] = why.in_english()
    status = stopped.detail.parameters["status"] if stopped and stopped.reason == EXIT_PORT else None
    assert status is None or isinstance(status, int)
    return Run(
        report,
        session.events().events,
        port_logs=session.port_logs,
        exit_status=status,
        why=why,
        first_difference=frame.scorecard.first_difference if score else None,
    )


def find(scenario: Scenario, until: Until, bounds: Bounds = UNBOUNDED) -> int:
    """The position (in steps) at which an event has just happened, or where the run ends without it."""
    session = Session(scenario)
    _drive(session, until, bounds)
    return session.timeline.cursor


def _limit(bounds: Bounds, instructions: int) -> Message:
    if bounds.instructions is not None and instructions >= bounds.instructions:
        return Message(N_("the bound of {count} instructions"), {"count": bounds.instructions})
    return Message(N_("the bound of {seconds} seconds"), {"seconds": f"{bounds.seconds:g}"})


def _drive(session: Session, until: Until | None, bounds: Bounds) -> str:
    """Move a session to its end, its bound or the event; the event's name if that was it."""
    deadline = None if bounds.seconds is None else time.monotonic() + bounds.seconds
    if until is None:
        session.advance(max_instructions=bounds.instructions, seconds=bounds.seconds)
        return ""
    while not session.timeline.at_end:
        command: p.Command = p.NextEvent(frozenset({until.kind}))
        if until.address is not None:
            command = p.RunTo(until.address)
        done = _move(session, session.begin(command), bounds.instructions, deadline)
        if not done:
            return ""
        if until.address is not None:
            standing = any(line.current and line.address == until.address for line in session.frame().code)
            return f"instruction:{until.address:#x}" if standing else ""
        event = session.frame().event
        if event is not None and event.kind == until.kind and until.cause in (None, event.cause):
            return f"{CLI_NAMES[event.kind]}:{event.cause}"
    return ""


def _move(session: Session, motion: Motion | None, instructions: int | None, deadline: float | None) -> bool:
    """Drive one motion; False when a bound came first."""
    while motion is not None and not motion.advance():
        if deadline is not None and time.monotonic() >= deadline:
            return False
        if instructions is not None and session.timeline.end_instruction >= instructions:
            return False
    return True
