"""Drives a session through one step of a lesson: a little state machine over commands and frames.

Whoever owns the session (the window's player, the checker) sends ``begin`` and then, for every frame at
which the session stands still, what ``following`` answers, until that is None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.errors import ScenarioError
from vizapp.experiment.until import kind_named
from vizapp.lesson.conditions import matches
from vizapp.messages import N_, Message
from vizapp.session import protocol as p

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vizapp.lesson.schema import Condition, Move, Step
    from vizapp.session.frames import Frame


def _conditions(step: Step) -> list[Condition]:
    asked = [choice.when for choice in step.predict.choices] if step.predict else []
    return [*step.check, *asked]


class StepRunner:
    """Runs the movements of ``step``; ``symbols`` are the labels of its guest."""

    def __init__(self, step: Step, symbols: Mapping[str, int]) -> None:
        self._step = step
        self._symbols = symbols
        self._moves = list(step.go)
        self._score = any(condition.equivalence is not None for condition in _conditions(step))
        self._current: Move | None = None

    def following(self, frame: Frame) -> p.Command | None:
        """The next command, now that the session stands at ``frame``; None when the step has run.

        Raises:
            ScenarioError: a label or a kind of event that does not exist.
        """
        if self._current is not None and not self._reached(self._current, frame):
            return self._command(self._current)
        if self._moves:
            self._current = self._moves.pop(0)
            return self._command(self._current)
        self._current = None
        if self._score:
            self._score = False
            return p.Score()
        return None

    def _command(self, move: Move) -> p.Command:
        if move.label is not None:
            return p.RunTo(self._address(move.label))
        if move.event is not None:
            return p.NextEvent(frozenset({kind_named(move.event.kind)}))
        if move.instruction is not None:
            return p.SeekInstruction(move.instruction)
        if move.steps is not None:
            return p.Step(move.steps)
        return p.Run(None)

    def _reached(self, move: Move, frame: Frame) -> bool:
        if move.event is None or frame.stopped is not None:
            return True
        return frame.event is not None and matches(frame.event, move.event.kind, move.event.cause)

    def _address(self, label: str) -> int:
        if label not in self._symbols:
            raise ScenarioError(
                Message(N_("step {step}: the guest has no label {label}"),
                        {"step": self._step.id, "label": label})
            )  # fmt: skip
        return self._symbols[label]
