"""What the window is asked to open on: a guest or a lesson, by name or by file.

popf   my.asm   disk.img                     guests
rings-and-popf   rings-and-popf:3            lessons, at a step by number or by id
lessons/01-rings-and-popf/   .../lesson.yaml a lesson that is being written
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vizapp.errors import ScenarioError, UnknownNameError
from vizapp.guest.catalogue import GUESTS
from vizapp.guest.loader import load_guest
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from vizapp.lesson.loader import LoadedLesson

_LESSON = "lesson.yaml"


class Subject(NamedTuple):
    """A guest's name or file, or a lesson with the step (from 0) that was asked for."""

    guest: str = ""
    lesson: LoadedLesson | None = None
    step: int | None = None


def resolve(subject: str) -> Subject:
    """What ``subject`` names.

    Raises:
        UnknownNameError: neither a guest nor a lesson has the name.
        VizappError: the file is no guest or no lesson, or the lesson has no such step.
    """
    if subject in GUESTS:
        return Subject(guest=subject)
    # Here, because a window that opens on no lesson shall not wait for what reads them.
    from vizapp.lesson.loader import all_lessons, load_lesson

    if (folder := _lesson_folder(subject)) is not None:
        return Subject(lesson=load_lesson(folder))
    if Path(subject).is_file():
        return Subject(guest=subject)
    name, _, step = subject.rpartition(":") if ":" in subject else (subject, "", "")
    if (folder := _lesson_folder(name)) is not None:
        lesson = load_lesson(folder)
        return Subject(lesson=lesson, step=step_index(lesson, step))
    lessons = {item.lesson.name: item for item in all_lessons()}
    if name in lessons:
        return Subject(lesson=lessons[name], step=step_index(lessons[name], step))
    if Path(name).suffix or len(Path(name).parts) > 1:
        load_guest(subject, "native")  # says what is wrong with the file
    raise UnknownNameError("guest or lesson", name, (*GUESTS, *lessons))


def step_index(lesson: LoadedLesson, step: str) -> int | None:
    """The index of a step that is named by its number from 1 or by its id; None for no name.

    Raises:
        ScenarioError: there is no such step.
    """
    if not step:
        return None
    ids = [item.id for item in lesson.lesson.steps]
    if step in ids:
        return ids.index(step)
    if step.isdecimal() and 1 <= int(step) <= len(ids):
        return int(step) - 1
    raise ScenarioError(
        Message(
            N_("{lesson} has the steps 1 to {last}, not {step}"),
            {"lesson": lesson.lesson.name, "last": len(ids), "step": step},
        )
    )


def _lesson_folder(path: str) -> Path | None:
    folder = Path(path)
    if folder.name == _LESSON:
        folder = folder.parent
    return folder if path and (folder / _LESSON).is_file() else None
