"""Scoring: the check of equivalence for a run that was recorded without it.

An unported guest is run once more from the start in lockstep with the bare machine, up to the same end. Of a
ported guest the instructions differ by intent: there the native build runs on the bare machine, and what both
say at the end is compared (see ``Scenario.compared_by_result``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vizapp.machine.events import MARK_PASSED
from vizapp.messages import N_, Message
from vizapp.session.frames import Scorecard
from vizapp.session.view import serial_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.session.session import Session

RESULT = "result:"


def result_line(serial: str) -> str:
    """The last line of a guest's output that says its result; empty if it has said none."""
    lines = [line.strip() for line in serial.splitlines() if line.startswith(RESULT)]
    return lines[-1] if lines else ""


class Scoring:
    """Runs the comparison a stretch at a time and hands the outcome to ``adopt``."""

    visible: ClassVar[bool] = False

    def __init__(self, session: Session, other: Session, adopt: Callable[[Scorecard, Session], None]) -> None:
        self._session = session
        self._other = other
        self._adopt = adopt
        self._ported = session.scenario.compared_by_result

    def delay(self) -> float:
        """Work is always due."""
        return 0.0

    def advance(self) -> bool:
        """One stretch of the other run; at its end the outcome is handed over."""
        timeline = self._other.timeline
        limit = None if self._ported else self._session.timeline.end
        if not timeline.forward(limit):
            return False
        self._adopt(self._ported_outcome() if self._ported else self._other.scorecard(), self._other)
        return True

    def _ported_outcome(self) -> Scorecard:
        claimed = self._session.machine.technique.claims_equivalence
        marks = self._session.store.counts(self._session.timeline.end).get(MARK_PASSED, 0)
        if self._session.timeline.stopped is None:
            return Scorecard(claimed, None, marks, marks)
        mine = result_line(self._session.final_serial)
        native = result_line(serial_text(self._other.machine.monitor.devices))
        if mine == native:
            return Scorecard(claimed, True, marks, marks)
        return Scorecard(
            claimed,
            False,
            marks,
            marks,
            Message(
                N_("the guest's last word is “{mine}” here and “{native}” on the bare machine"),
                {"mine": mine, "native": native},
            ),
        )
