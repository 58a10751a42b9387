"""Playing a lesson: the way to where a step begins, the run, the judgement, and what may come in between."""

import dataclasses
from collections import deque

import pytest
from PySide6.QtCore import QObject, Signal

from vizapp import app
from vizapp.lesson.checker import run_steps
from vizapp.lesson.loader import find_lesson
from vizapp.lesson.schema import Move
from vizapp.messages import Message
from vizapp.session import protocol as p
from vizapp.session.session import Session
from vizapp.ui.lesson_controller import LessonController, Phase
from vizapp.ui.lesson_progress import DONE, RIGHT, WRONG, LessonProgress, Tally
from vizapp.ui.selection import Selection

NAME = "rings-and-popf"


class FakePlayer(QObject):
    """A player whose session runs in this process; what it would say waits until it is pumped."""

    selected = Signal(object)
    events_changed = Signal(object)
    frame_changed = Signal(object)
    steered = Signal()
    failed = Signal(object)
    died = Signal(object)

    def __init__(self):
        super().__init__()
        self.scenario = None
        self.session = None
        self.busy = False
        self.opened = []
        self.sent = []
        self.interrupted = 0
        self.refusal = None
        self._told = 0
        self._replies = deque()

    def open(self, selection, opening=(), *, checked=True):
        self.selected.emit(selection)
        self.opened.append((selection, checked))
        if self.refusal is not None:
            self.died.emit(self.refusal)
            return
        self.scenario = app.make_scenario(selection)
        self.session = Session(self.scenario)
        self._told = 0
        self._replies.clear()
        self._answer()

    def perform(self, command):
        self.sent.append(command)
        motion = self.session.begin(command)
        while motion is not None and not motion.advance():
            pass
        self._answer()

    def interrupt(self):
        self.interrupted += 1
        self._replies.clear()

    def _answer(self):
        batch = self.session.events(self._told)
        self._told = batch.total
        self._replies.append((batch, self.session.frame()))

    def pump(self):
        while self._replies:
            batch, frame = self._replies.popleft()
            self.events_changed.emit(batch)
            self.frame_changed.emit(frame)


@pytest.fixture(scope="module")
def lesson():
    return find_lesson(NAME)


@pytest.fixture
def player(qapp):
    return FakePlayer()


@pytest.fixture
def progress(settings):
    return LessonProgress(settings)


@pytest.fixture
def controller(player, progress):
    return LessonController(player, progress)


def at(controller, player, lesson, index):
    """The lesson opened at a step, its machine where the step begins."""
    controller.open(lesson, index)
    player.pump()
    assert controller.phase is Phase.READY


def play(controller, player, answer=0):
    controller.choose(answer)
    controller.run()
    player.pump()
    assert controller.phase is Phase.DONE


def test_a_lesson_opens_its_scenario_at_the_first_instruction(controller, player, lesson):
    at(controller, player, lesson, 0)
    assert player.opened == [(Selection(guest="rings", technique="native", virtualizable=False), False)]
    assert player.session.timeline.cursor == 0
    assert player.sent == []


def test_window_and_checker_judge_every_step_alike(controller, player, lesson):
    controller.open(lesson, 0)
    for outcome in run_steps(lesson):
        player.pump()
        assert controller.step is outcome.step
        play(controller, player)
        assert controller.outcome.right == outcome.right
        assert player.session.frame().position == outcome.frame.position
        controller.next()
    assert controller.last


def test_a_question_is_answered_before_the_step_runs(controller, player, lesson):
    at(controller, player, lesson, 1)
    controller.run()
    assert controller.phase is Phase.READY
    assert not controller.can_run
    controller.choose(7)
    assert not controller.can_run
    controller.choose(2)
    assert controller.can_run


@pytest.mark.parametrize(("answer", "result"), [(0, WRONG), (2, RIGHT)])
def test_the_machine_decides(controller, player, lesson, progress, answer, result):
    at(controller, player, lesson, 1)
    play(controller, player, answer)
    assert controller.outcome.right == (2,)
    assert controller.outcome.scored
    assert progress.of(lesson.lesson) == {"down-to-ring-3": result}
    controller.choose(1)
    assert controller.chosen == answer


def test_trying_again_begins_where_the_step_began(controller, player, lesson, progress):
    at(controller, player, lesson, 1)
    start = player.session.timeline.cursor
    play(controller, player, 0)
    controller.again()
    player.pump()
    assert (controller.phase, controller.chosen, controller.outcome) == (Phase.READY, None, None)
    assert player.session.timeline.cursor == start
    play(controller, player, 2)
    assert progress.of(lesson.lesson) == {"down-to-ring-3": RIGHT}


def test_revealing_counts_nothing(controller, player, lesson, progress):
    at(controller, player, lesson, 1)
    controller.reveal()
    player.pump()
    assert controller.outcome.right == (2,)
    assert not controller.outcome.scored
    assert progress.of(lesson.lesson) == {"down-to-ring-3": DONE}


def test_the_next_step_does_what_this_one_would_have_done(controller, player, lesson, progress):
    at(controller, player, lesson, 0)
    controller.next()
    player.pump()
    assert controller.index == 1
    assert player.session.timeline.cursor > 0
    assert progress.of(lesson.lesson) == {}
    play(controller, player, 2)
    assert controller.outcome.right == (2,)


def test_the_step_before_has_the_machine_as_it_was(controller, player, lesson):
    at(controller, player, lesson, 0)
    play(controller, player)
    start = player.session.timeline.cursor
    controller.next()
    player.pump()
    play(controller, player, 2)
    controller.next()
    player.pump()
    controller.previous()
    player.pump()
    assert (controller.index, controller.phase) == (1, Phase.READY)
    assert player.session.timeline.cursor == start
    assert len(player.opened) == 1


def test_going_back_over_a_scenario_opens_the_former_one(controller, player, lesson):
    at(controller, player, lesson, 4)
    controller.previous()
    player.pump()
    assert controller.phase is Phase.READY
    assert [selection.technique for selection, _ in player.opened] == ["trap-and-emulate", "native"]
    play(controller, player, 1)
    assert controller.outcome.right == (1,)


def test_a_recording_that_a_verdict_cut_off_is_made_anew(controller, player, lesson):
    at(controller, player, lesson, 8)
    play(controller, player, 1)
    assert controller.outcome.right == (1,)
    assert player.session.frame().stopped.reason == "diverged"
    controller.previous()
    player.pump()
    play(controller, player, 1)
    assert controller.outcome.right == (1,)
    assert len(player.opened) == 2


def test_a_cursor_moved_by_hand_is_put_back_before_the_step_runs(controller, player, lesson):
    at(controller, player, lesson, 1)
    start = player.session.timeline.cursor
    player.steered.emit()
    player.perform(p.Seek(3))
    player.pump()
    assert controller.phase is Phase.READY
    play(controller, player, 2)
    assert player.sent[-2] == p.Seek(start)
    assert controller.outcome.right == (2,)


def test_an_older_answer_is_not_taken_for_the_one_awaited(controller, player, lesson):
    at(controller, player, lesson, 1)
    player.perform(p.Seek(3))
    player.pump()
    older = player.session.frame()
    controller.choose(2)
    controller.run()
    player.frame_changed.emit(older)
    player.pump()
    assert controller.phase is Phase.DONE
    assert controller.outcome.right == (2,)


def test_a_step_that_is_run_too_early_runs_as_soon_as_it_can(controller, player, lesson):
    controller.open(lesson, 3)
    controller.choose(1)
    controller.run()
    assert controller.phase is Phase.RUNNING
    player.pump()
    assert controller.phase is Phase.DONE
    assert controller.outcome.right == (1,)
    assert controller.outcome.scored


def test_steering_gives_up_what_is_under_way(controller, player, lesson):
    controller.open(lesson, 1)
    player.steered.emit()
    assert controller.phase is Phase.READY
    assert "yourself" in controller.notice.in_english()
    player.pump()
    play(controller, player, 2)
    assert controller.outcome.right == (2,)


def test_another_guest_chosen_meanwhile_is_replaced_by_the_lessons(controller, player, lesson):
    at(controller, player, lesson, 1)
    player.open(Selection(guest="hello", technique="native"))
    player.pump()
    play(controller, player, 2)
    assert [selection.guest for selection, _ in player.opened] == ["rings", "hello", "rings"]
    assert controller.outcome.right == (2,)


def test_stopping_leaves_the_step_ready(controller, player, lesson):
    controller.open(lesson, 1)
    controller.stop()
    assert controller.phase is Phase.READY
    assert player.interrupted == 1


def test_a_session_that_dies_leaves_a_way_on(controller, player, lesson):
    at(controller, player, lesson, 1)
    player.died.emit(Message("The session is gone."))
    assert controller.phase is Phase.FAILED
    assert controller.notice == Message("The session is gone.")
    controller.again()
    player.pump()
    assert controller.phase is Phase.READY
    play(controller, player, 2)
    assert controller.outcome.right == (2,)


def test_a_scenario_that_cannot_be_is_told_and_can_be_skipped(controller, player, lesson):
    player.refusal = Message("no such pair")
    controller.open(lesson, 0)
    assert controller.phase is Phase.FAILED
    assert controller.notice == Message("no such pair")
    player.refusal = None
    controller.next()
    player.pump()
    assert (controller.index, controller.phase) == (1, Phase.READY)


def test_a_command_that_fails_is_told(controller, player, lesson):
    controller.open(lesson, 1)
    player.failed.emit(Message("cannot"))
    assert controller.phase is Phase.FAILED
    assert controller.notice == Message("cannot")


def test_a_label_that_the_guest_has_not_is_told(controller, player, lesson):
    first = lesson.lesson.steps[0].model_copy(update={"go": (Move(label="nowhere"),)})
    broken = lesson.lesson.model_copy(update={"steps": (first, *lesson.lesson.steps[1:])})
    at(controller, player, dataclasses.replace(lesson, lesson=broken), 0)
    controller.run()
    player.pump()
    assert controller.phase is Phase.FAILED
    assert "nowhere" in controller.notice.in_english()


def test_closing_leaves_the_machine_alone(controller, player, lesson):
    at(controller, player, lesson, 0)
    controller.close()
    assert (controller.lesson, controller.step, controller.phase) == (None, None, Phase.CLOSED)
    player.pump()
    player.died.emit(Message("gone"))
    assert controller.phase is Phase.CLOSED
    assert len(player.opened) == 1


def test_a_lesson_opens_where_it_was_left(controller, player, lesson, progress, settings):
    at(controller, player, lesson, 3)
    assert LessonProgress(settings).place(lesson.lesson) == 3
    for step in lesson.lesson.steps:
        progress.record(lesson.lesson, step.id, DONE)
    assert progress.place(lesson.lesson) == 0


def test_progress_survives_and_can_be_forgotten(lesson, progress, settings):
    progress.record(lesson.lesson, "down-to-ring-3", RIGHT)
    progress.record(lesson.lesson, "down-to-ring-3", WRONG)
    progress.record(lesson.lesson, "asking-the-kernel", WRONG)
    assert LessonProgress(settings).tally(lesson.lesson) == Tally(2, 11, 1, 10)
    progress.forget(lesson.lesson)
    assert progress.tally(lesson.lesson) == Tally(0, 11, 0, 10)


@pytest.mark.parametrize("kept", ["no JSON", "[1]", '{"a step of old": "done"}'])
def test_settings_that_are_damaged_count_as_none(lesson, progress, settings, kept):
    settings.setValue(f"lessons/{NAME}/steps", kept)
    assert progress.of(lesson.lesson) == {}
