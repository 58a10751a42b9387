"""Plays a lesson: brings the player's session to where a step begins, runs the step, judges the prediction.

            go_to                run, reveal
    CLOSED -------> PREPARING -> READY -------> RUNNING -> DONE
                        ^          ^               |        |
                        |          +-- steered ----+        +-> READY (again), PREPARING (another step)
                        +------------ FAILED (what went wrong; again, or another step)

Where a step begins is a position of a session: it is reached by seeking if that session is still there,
else by opening the scenario and running every step before it. Nothing is scored on the way.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import QObject, Signal

from vizapp.errors import VizappError
from vizapp.lesson.conditions import holds
from vizapp.lesson.runner import StepRunner
from vizapp.messages import N_, Message
from vizapp.session.protocol import Run, Seek
from vizapp.ui.lesson_progress import DONE, RIGHT, WRONG
from vizapp.ui.selection import Selection

if TYPE_CHECKING:
    from vizapp.lesson.loader import LoadedLesson
    from vizapp.lesson.schema import Step
    from vizapp.machine.events import Event
    from vizapp.session.frames import EventBatch, Frame
    from vizapp.session.protocol import Command
    from vizapp.ui.lesson_progress import LessonProgress
    from vizapp.ui.player import Player
    from vizapp.ui.selection import Selection

_DIVERGED = "diverged"


class Phase(StrEnum):
    """What the lesson is doing."""

    CLOSED = "closed"
    PREPARING = "preparing"
    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Outcome(NamedTuple):
    """How a step ended: the answers that the machine made right, and the machine's own sentence."""

    right: tuple[int, ...]
    sentence: Message
    scored: bool


class LessonController(QObject):
    """The lesson that is open, if one is, and the step that it stands at.

    Attributes:
        lesson, index: what is played; the step counts from 0.
        phase: what it is doing.
        chosen: the answer that was given, by index.
        outcome: of the step, once it has run.
        notice: a sentence about what went wrong or was interrupted.

    Signals:
        changed: any of these attributes.
        step_changed: another step, or none, is shown.
    """

    changed = Signal()
    step_changed = Signal()

    def __init__(self, player: Player, progress: LessonProgress, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._player = player
        self.progress = progress
        self.lesson: LoadedLesson | None = None
        self.index = 0
        self.phase = Phase.CLOSED
        self.chosen: int | None = None
        self.outcome: Outcome | None = None
        self.notice: Message | None = None
        self._scored = True
        # Of the session that the lesson opened: where steps begin in it, and everything that happened.
        self._starts: dict[int, int] = {}
        self._events: list[Event] = []
        # What is still to be done: steps to run, and how the one under way goes.
        self._plan: deque[int] = deque()
        self._runner: StepRunner | None = None
        self._sent: Command | None = None
        self._base: int | None = None  # the step whose scenario is being opened
        self._goal: int | None = None  # the position that is being sought
        self._own = False  # the player opens a session because the lesson wants it
        self._frame: Frame | None = None
        self._cut = False  # the verdict has cut the recording off: earlier steps cannot run in it again
        player.selected.connect(self._take_selection)
        player.events_changed.connect(self._take_events)
        player.frame_changed.connect(self._take_frame)
        player.steered.connect(self._take_steering)
        player.failed.connect(self._take_failure)
        player.died.connect(self._take_death)

    @property
    def step(self) -> Step | None:
        """The step that is shown."""
        return self.lesson.lesson.steps[self.index] if self.lesson is not None else None

    @property
    def last(self) -> bool:
        """Whether it is the last one."""
        return self.lesson is not None and self.index == len(self.lesson.lesson.steps) - 1

    @property
    def can_run(self) -> bool:
        """Whether the step may run now: a question is answered first."""
        step = self.step
        if step is None or self.phase is Phase.RUNNING:
            return False
        return step.predict is None or self.chosen is not None

    # What a person wants.

    def open(self, lesson: LoadedLesson, index: int | None = None) -> None:
        """Open a lesson at a step, or where it was left."""
        self.lesson = lesson
        self._starts = {}
        self.go_to(self.progress.place(lesson.lesson) if index is None else index)

    def close(self) -> None:
        """Leave the lesson; the machine stays as it is."""
        if self.lesson is None:
            return
        self._abandon()
        self.lesson = None
        self._starts, self._events = {}, []
        self._show(Phase.CLOSED)
        self.step_changed.emit()

    def go_to(self, index: int) -> None:
        """Show a step and bring the machine to where it begins."""
        if self.lesson is None:
            return
        self.index = min(max(0, index), len(self.lesson.lesson.steps) - 1)
        self.progress.keep_place(self.lesson.lesson, self.index)
        self.chosen = self.outcome = self.notice = None
        self._show(Phase.PREPARING)
        self.step_changed.emit()
        self._reach(run=False)

    def next(self) -> None:
        """The next step; what this one would have done is done on the way."""
        if not self.last:
            self.go_to(self.index + 1)

    def previous(self) -> None:
        """The step before, with the machine as it was."""
        if self.index > 0:
            self.go_to(self.index - 1)

    def again(self) -> None:
        """This step once more, from its beginning."""
        self.go_to(self.index)

    def choose(self, answer: int) -> None:
        """Give an answer, before the step runs."""
        step = self.step
        if step is None or step.predict is None or self.phase not in (Phase.READY, Phase.PREPARING):
            return
        if 0 <= answer < len(step.predict.choices):
            self.chosen = answer
            self.changed.emit()

    def run(self) -> None:
        """Run the step and judge the answer; at once, or as soon as the machine is where the step begins."""
        if not self.can_run:
            return
        if self.phase is Phase.PREPARING:
            self._scored = True
            self._plan.append(self.index)
            self._show(Phase.RUNNING)
        else:
            self._start(scored=True)

    def reveal(self) -> None:
        """Run the step and show which answer was right, without counting it."""
        if self.phase in (Phase.READY, Phase.FAILED):
            self._start(scored=False)

    def stop(self) -> None:
        """Give up what is under way."""
        if self.phase in (Phase.PREPARING, Phase.RUNNING):
            self._abandon()
            self._starts = {}
            self._player.interrupt()
            self.notice = Message(N_("Stopped. The step can be run again, from its beginning."))
            self._show(Phase.READY)

    # Reaching where a step begins, and running it.

    def _start(self, *, scored: bool) -> None:
        self._scored = scored
        self.outcome = self.notice = None
        self._show(Phase.RUNNING)
        self._reach(run=True)

    def _reach(self, *, run: bool) -> None:
        """Plan the way to where the step begins, through it if it shall ``run``, and set out."""
        assert self.lesson is not None
        self._abandon()
        steps = self.lesson.lesson.steps
        base = max(index for index in range(self.index + 1) if steps[index].scenario is not None)
        if self._cut:
            self._starts = {}
        known = [index for index in self._starts if base <= index <= self.index]
        first = max(known, default=base)
        self._plan.extend(range(first, self.index + run))
        if known:
            self._seek(self._starts[first])
        else:
            self._open_scenario(base)

    def _open_scenario(self, base: int) -> None:
        assert self.lesson is not None
        wanted = self.lesson.lesson.steps[base].scenario
        assert wanted is not None
        self._starts, self._events, self._frame, self._cut = {}, [], None, False
        self._base = base
        selection = Selection(
            guest=wanted.guest,
            technique=wanted.technique,
            virtualizable=wanted.virtualizable,
            build=wanted.build,
        )
        self._own = True
        # Unchecked: a lesson goes on where equivalence is lost, and asks for the verdict when it wants it.
        self._player.open(selection, checked=False)
        self._own = False

    def _seek(self, position: int) -> None:
        self._goal = position
        frame = self._frame
        if frame is not None and not frame.moving and not self._player.busy and frame.position == position:
            self._advance(frame)
        else:
            self._player.perform(Seek(position))

    def _abandon(self) -> None:
        self._plan.clear()
        self._runner = self._sent = self._base = self._goal = None

    def _take_frame(self, frame: Frame) -> None:
        if self.lesson is None:
            return
        self._frame = frame
        self._cut = frame.stopped is not None and frame.stopped.reason == _DIVERGED
        if not frame.moving and not self._player.busy:
            self._advance(frame)

    def _advance(self, frame: Frame) -> None:
        """The session stands still at ``frame``: what comes next?"""
        if self.phase not in (Phase.PREPARING, Phase.RUNNING):
            return
        if self._base is not None:
            self._starts[self._base] = frame.position
            self._base = None
        elif self._goal is not None:
            if frame.position != self._goal:
                return  # the answer to something older; the one that is awaited follows
            self._goal = None
        try:
            while self._follow(frame):
                pass
        except VizappError as error:
            self._fail(error.message)

    def _follow(self, frame: Frame) -> bool:
        """Send the next command, or end the step that has run; whether there is more to do at this frame."""
        if self._runner is None:
            if not self._plan:
                self._show(Phase.READY)
                return False
            assert self.lesson is not None
            scenario = self._player.scenario
            symbols = scenario.image.symbols if scenario is not None else {}
            self._runner = StepRunner(self.lesson.lesson.steps[self._plan[0]], symbols)
        if isinstance(self._sent, Run) and frame.stopped is None and frame.waiting is None:
            command: Command | None = self._sent  # a breakpoint held it: a step that runs to the end goes on
        else:
            command = self._runner.following(frame)
        self._sent = command
        if command is not None:
            self._player.perform(command)
            return False
        return self._end_step(frame)

    def _end_step(self, frame: Frame) -> bool:
        assert self.lesson is not None
        ended = self._plan.popleft()
        self._runner = None
        steps = self.lesson.lesson.steps
        if ended + 1 < len(steps) and steps[ended + 1].scenario is None:
            self._starts[ended + 1] = frame.position
        if ended == self.index:
            self._judge(frame)
            return False
        return True

    def _judge(self, frame: Frame) -> None:
        """Which answers did the machine make right?"""
        lesson, step = self.lesson, self.step
        assert lesson is not None
        assert step is not None
        start = self._starts[self.index]
        events = [event for event in self._events if start <= event.position < frame.position]
        choices = step.predict.choices if step.predict is not None else ()
        right = tuple(index for index, choice in enumerate(choices) if holds(choice.when, frame, events))
        self.outcome = Outcome(right, frame.sentence, self._scored and self.chosen is not None)
        result = DONE
        if self.outcome.scored:
            result = RIGHT if self.chosen in right else WRONG
        self.progress.record(lesson.lesson, step.id, result)
        self._show(Phase.DONE)

    # What may come in between.

    def _take_selection(self, _selection: Selection) -> None:
        """Another session begins; unless the lesson wanted it, no step begins anywhere in it."""
        if self.lesson is None or self._own:
            return
        self._starts, self._events, self._frame = {}, [], None
        self._take_steering()

    def _take_steering(self) -> None:
        if self.phase in (Phase.PREPARING, Phase.RUNNING):
            self._abandon()
            text = N_("You moved the machine yourself. Running the step takes it back to its beginning.")
            self.notice = Message(text)
            self._show(Phase.READY)

    def _take_events(self, batch: EventBatch) -> None:
        if self.lesson is not None:
            del self._events[batch.first :]
            self._events.extend(batch.events)

    def _take_failure(self, message: Message) -> None:
        if self.phase in (Phase.PREPARING, Phase.RUNNING):
            self._fail(message)

    def _take_death(self, message: Message) -> None:
        self._starts, self._events, self._frame = {}, [], None
        if self.phase in (Phase.PREPARING, Phase.READY, Phase.RUNNING):
            self._fail(message)

    def _fail(self, message: Message) -> None:
        self._abandon()
        self.notice = message
        self._show(Phase.FAILED)

    def _show(self, phase: Phase) -> None:
        self.phase = phase
        self.changed.emit()
