"""Runs a lesson against the machine: does everything that it says hold, in every step?"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vizapp.experiment.scenarios import make_scenario
from vizapp.lesson.conditions import holds
from vizapp.lesson.runner import StepRunner
from vizapp.messages import N_, Message
from vizapp.session.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vizapp.lesson.loader import LoadedLesson
    from vizapp.lesson.schema import LessonScenario, Step
    from vizapp.machine.events import Event
    from vizapp.session.frames import Frame
    from vizapp.session.scenario import Scenario


class StepOutcome(NamedTuple):
    """A step that ran: the frame where it ended, its events, and which answers are right (by index)."""

    step: Step
    frame: Frame
    events: Sequence[Event]
    right: tuple[int, ...]


class Failure(NamedTuple):
    """Something that a lesson says and that does not hold."""

    lesson: str
    step: str
    message: Message


def scenario_of(wanted: LessonScenario) -> Scenario:
    """The scenario that a step names."""
    return make_scenario(
        wanted.guest,
        technique_name=wanted.technique,
        build=wanted.build,
        virtualizable=wanted.virtualizable,
    )


def run_steps(lesson: LoadedLesson) -> Iterator[StepOutcome]:
    """Run every step in order, in this process.

    Raises:
        VizappError: a scenario, label or event that does not exist.
    """
    session: Session | None = None
    for step in lesson.lesson.steps:
        if step.scenario is not None:
            session = Session(scenario_of(step.scenario))
        assert session is not None  # the schema wants a scenario in the first step
        yield run_step(session, step)


def run_step(session: Session, step: Step) -> StepOutcome:
    """Run one step in a session that stands where the step before it ended."""
    start = session.timeline.cursor
    runner = StepRunner(step, session.scenario.image.symbols)
    frame = session.frame()
    while (command := runner.following(frame)) is not None:
        motion = session.begin(command)
        while motion is not None and not motion.advance():
            pass
        frame = session.frame()
    events = [event for event in session.events().events if start <= event.position < frame.position]
    choices = step.predict.choices if step.predict else ()
    right = tuple(index for index, choice in enumerate(choices) if holds(choice.when, frame, events))
    return StepOutcome(step, frame, events, right)


def check(lesson: LoadedLesson) -> list[Failure]:
    """Everything in a lesson that does not hold; empty if all is well."""
    failures = []
    for outcome in run_steps(lesson):
        name, step = lesson.lesson.name, outcome.step
        for index, condition in enumerate(step.check, 1):
            if not holds(condition, outcome.frame, outcome.events):
                said = condition.model_dump_json(by_alias=True, exclude_none=True)
                message = Message(N_("check {index} does not hold: {condition}"),
                                  {"index": index, "condition": said})  # fmt: skip
                failures.append(Failure(name, step.id, message))
        if step.predict is not None and len(outcome.right) != 1:
            message = Message(
                N_("of the {count} answers exactly one must be right, and {right} are"),
                {"count": len(step.predict.choices), "right": len(outcome.right)},
            )
            failures.append(Failure(name, step.id, message))
    return failures
