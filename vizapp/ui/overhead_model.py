"""The race: cycles by purpose of each technique over guest progress, read off where all of them have been."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vizapp.ui.look import PURPOSES
from vizapp.ui.selection import PORTED

if TYPE_CHECKING:
    from vizapp.messages import Message
    from vizapp.session.frames import Progress, Stopped


class Bar(NamedTuple):
    """One technique at the progress that all have reached.

    ``ratio`` is cycles over native's, None while it cannot be told or where there is no such figure.
    ``reason`` says why a technique has no bar.
    """

    technique: str
    purposes: dict[str, float]
    ratio: float | None
    finished: bool
    valid: bool
    reason: Message | None

    @property
    def cycles(self) -> float:
        """The whole bar."""
        return sum(self.purposes.values())


@dataclass
class _Runner:
    """What came of one technique: points of (instructions, marks, cycles by purpose)."""

    instructions: list[int] = field(default_factory=lambda: [0])
    marks: list[int] = field(default_factory=lambda: [0])
    purposes: list[tuple[float, ...]] = field(default_factory=lambda: [(0.0,) * len(PURPOSES)])
    stopped: Stopped | None = None
    valid: bool = True
    reason: Message | None = None

    def add(self, progress: Progress) -> None:
        if progress.instructions < self.instructions[-1]:
            return
        self.instructions.append(progress.instructions)
        self.marks.append(progress.marks)
        self.purposes.append(tuple(float(progress.since_start.get(purpose, 0)) for purpose in PURPOSES))
        self.stopped = progress.stopped
        self.valid = progress.overhead_valid

    def measure(self, in_marks: bool) -> list[int]:
        return self.marks if in_marks else self.instructions

    def at(self, progress: float, in_marks: bool) -> dict[str, float]:
        """Cycles by purpose where the guest had come so far."""
        measure = np.asarray(self.measure(in_marks), dtype=float)
        points = np.asarray(self.purposes)
        # Of several points at one mark the first counts: the mark had just been passed.
        keep = np.concatenate([[True], np.diff(measure) > 0])
        if progress >= measure[-1] and self.stopped is not None:
            return dict(zip(PURPOSES, points[-1], strict=True))
        columns = (
            np.interp(progress, measure[keep], points[keep, column]) for column in range(len(PURPOSES))
        )
        return {purpose: float(value) for purpose, value in zip(PURPOSES, columns, strict=True)}


class OverheadModel:
    """Collects progress; answers with bars that can be compared."""

    def __init__(self, techniques: tuple[str, ...] = ()) -> None:
        self._runners = {technique: _Runner() for technique in techniques}

    def add(self, progress: Progress) -> None:
        """One technique came further."""
        if progress.technique in self._runners:
            self._runners[progress.technique].add(progress)

    def fail(self, technique: str, reason: Message) -> None:
        """A technique cannot run this guest."""
        if technique in self._runners:
            self._runners[technique].reason = reason
            self._runners[technique].valid = False

    @property
    def in_marks(self) -> bool:
        """Whether progress is counted in marks: a ported guest takes part, and the guest has marks."""
        return any(
            name in PORTED and runner.valid and runner.marks[-1] for name, runner in self._runners.items()
        )

    @property
    def progress(self) -> float:
        """Guest progress that every technique still in the race has reached."""
        reached = [
            runner.measure(self.in_marks)[-1]
            for runner in self._runners.values()
            if runner.valid and runner.reason is None
        ]
        return float(min(reached, default=0))

    @property
    def finished(self) -> bool:
        """Whether every technique has come to its end."""
        return all(runner.stopped is not None or runner.reason for runner in self._runners.values())

    def bars(self) -> list[Bar]:
        """A bar a technique, in the order of the race."""
        progress, in_marks = self.progress, self.in_marks
        native = self._runners.get("native")
        base = sum(native.at(progress, in_marks).values()) if native is not None and native.valid else 0.0
        made = []
        for name, runner in self._runners.items():
            own = float(runner.measure(in_marks)[-1]) if not runner.valid else progress
            purposes = runner.at(own, in_marks) if runner.reason is None else {}
            total = sum(purposes.values())
            ratio = total / base if runner.valid and base > 0 and total > 0 else None
            made.append(Bar(name, purposes, ratio, runner.stopped is not None, runner.valid, runner.reason))
        return made

    def series(self, technique: str) -> tuple[list[float], list[float]]:
        """Guest progress and cycles of one technique, point by point, for a curve."""
        runner = self._runners[technique]
        if runner.reason is not None:
            return [], []
        measure = runner.measure(self.in_marks)
        points = [
            (float(progress), sum(purposes))
            for index, (progress, purposes) in enumerate(zip(measure, runner.purposes, strict=True))
            if index == 0 or progress > measure[index - 1]
        ]
        return [progress for progress, _ in points], [cycles for _, cycles in points]

    @property
    def techniques(self) -> tuple[str, ...]:
        """Who races, in order."""
        return tuple(self._runners)
