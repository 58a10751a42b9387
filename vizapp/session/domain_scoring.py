"""Scoring of domains U: what each says at the end, beside its native build on a bare machine.

A domain that was stopped before its end, or that has no native build, is not compared.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from vizapp.messages import N_, Message
from vizapp.session.frames import Scorecard
from vizapp.session.scoring import result_line
from vizapp.session.view import serial_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.session.scenario import Scenario
    from vizapp.session.session import Session


def has_domains(scenario: Scenario) -> bool:
    """Whether domain 0 runs others, of which some have a native build to be compared with."""
    return scenario.technique == "paravirtual" and any(vm.yardstick for vm in scenario.others)


class DomainScoring:
    """Runs the native builds one after the other, a stretch at a time, and hands all outcomes to ``adopt``.

    ``make`` makes a session of a scenario.
    """

    visible: ClassVar[bool] = False

    def __init__(
        self,
        session: Session,
        make: Callable[[Scenario], Session],
        adopt: Callable[[Scorecard, tuple[Scorecard, ...]], None],
    ) -> None:
        self._session = session
        self._make = make
        self._adopt = adopt
        self._claimed = session.machine.technique.claims_equivalence
        self._cards: list[Scorecard] = []
        self._other: Session | None = None

    def delay(self) -> float:
        """Work is always due."""
        return 0.0

    def advance(self) -> bool:
        """One stretch of the next native run; when all are done the outcomes are handed over."""
        machines = self._session.scenario.machines
        number = len(self._cards)
        if number == len(machines):
            self._adopt(self._whole(), tuple(self._cards))
            return True
        image = machines[number].yardstick
        if image is None or self._said(number) == "":
            self._cards.append(Scorecard(self._claimed, None, 0, 0))
            return False
        if self._other is None:
            alone = self._session.scenario.alone(number)
            self._other = self._make(replace(alone, image=image, technique="native", yardstick=None))
        if self._other.timeline.forward(None):
            self._cards.append(self._compared(number, self._other))
            self._other = None
        return False

    def _said(self, number: int) -> str:
        """The result that a domain had printed by the end of the recording."""
        timeline = self._session.timeline
        cursor = timeline.cursor
        timeline.seek(timeline.end)
        text = serial_text(self._session.machine.monitor.vms[number].hardware)
        timeline.seek(cursor)
        return result_line(text)

    def _compared(self, number: int, other: Session) -> Scorecard:
        mine, native = self._said(number), result_line(serial_text(other.machine.monitor.devices))
        if mine == native:
            return Scorecard(self._claimed, True, 1, 1)
        text = N_("the guest's last word is “{mine}” here and “{native}” on the bare machine")
        return Scorecard(self._claimed, False, 1, 1, Message(text, {"mine": mine, "native": native}))

    def _whole(self) -> Scorecard:
        """Of all domains that could be compared."""
        compared = [card for card in self._cards if card.holds is not None]
        if not compared:
            return Scorecard(self._claimed, None, 0, 0)
        first = next((card.first_difference for card in compared if not card.holds), None)
        return Scorecard(self._claimed, first is None, len(compared), len(compared), first_difference=first)
