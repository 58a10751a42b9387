"""What is kept of lessons between two runs of the program: where one was, what was done and foreseen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from PySide6.QtCore import QSettings

    from vizapp.lesson.schema import Lesson

DONE, RIGHT, WRONG = "done", "right", "wrong"


class Tally(NamedTuple):
    """How far a lesson is: steps that were run, of how many, and predictions that came true."""

    done: int
    steps: int
    right: int
    asked: int


class LessonProgress:
    """Reads and writes the settings; a step is kept by its id, so that a lesson may grow."""

    def __init__(self, settings: QSettings) -> None:
        self._settings = settings

    def of(self, lesson: Lesson) -> dict[str, str]:
        """What became of each step that was run: done, right or wrong."""
        try:
            kept = json.loads(str(self._settings.value(f"lessons/{lesson.name}/steps", "{}")))
        except json.JSONDecodeError:
            return {}
        known = {step.id for step in lesson.steps}
        return {key: value for key, value in kept.items() if key in known} if isinstance(kept, dict) else {}

    def record(self, lesson: Lesson, step: str, result: str) -> None:
        """Note a result; a prediction that came true once stays so."""
        kept = self.of(lesson)
        if kept.get(step) != RIGHT and (result != DONE or step not in kept):
            kept[step] = result
            self._settings.setValue(f"lessons/{lesson.name}/steps", json.dumps(kept))

    def forget(self, lesson: Lesson) -> None:
        """Begin the lesson anew."""
        self._settings.remove(f"lessons/{lesson.name}")

    def place(self, lesson: Lesson) -> int:
        """The step to open the lesson at, from 0: where one was; the first once everything is done."""
        if len(self.of(lesson)) == len(lesson.steps):
            return 0
        at = str(self._settings.value(f"lessons/{lesson.name}/at", ""))
        return next((index for index, step in enumerate(lesson.steps) if step.id == at), 0)

    def keep_place(self, lesson: Lesson, index: int) -> None:
        """Note where one is."""
        self._settings.setValue(f"lessons/{lesson.name}/at", lesson.steps[index].id)

    def tally(self, lesson: Lesson) -> Tally:
        """The sums."""
        kept = self.of(lesson)
        asked = sum(step.predict is not None for step in lesson.steps)
        return Tally(len(kept), len(lesson.steps), list(kept.values()).count(RIGHT), asked)
