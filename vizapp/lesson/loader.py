"""Finds and loads lessons: a folder with lesson.yaml and one Markdown file a language."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vizapp.errors import DataError, SourceProblem, UnknownNameError
from vizapp.lesson import texts
from vizapp.lesson.schema import Lesson
from vizapp.messages import LANGUAGES, N_, Message
from vizapp.resources import lessons as lessons_directory
from vizapp.schema import read

if TYPE_CHECKING:
    from pathlib import Path

    from vizapp.lesson.texts import Text

FILE = "lesson.yaml"


@dataclass(frozen=True, slots=True)
class LoadedLesson:
    """A lesson with its prose in every language."""

    lesson: Lesson
    texts: dict[str, Text]
    folder: Path

    def text(self, language: str) -> Text:
        """The prose in a language, English for one that is not there."""
        return self.texts.get(language, self.texts["en"])


def load_lesson(folder: Path) -> LoadedLesson:
    """The lesson in a folder.

    Raises:
        DataError: every problem of the three files, each with its line.
    """
    document = read(folder / FILE, Lesson)
    lesson = document.value
    loaded: dict[str, Text] = {}
    problems: list[SourceProblem] = []
    for language in LANGUAGES:
        path = folder / f"{language}.md"
        if not path.is_file():
            problems.append(SourceProblem(str(path), 1, 1, Message(N_("this file is missing"))))
            continue
        loaded[language] = text = texts.read(path)
        steps = {step.id for step in lesson.steps}
        for index, step in enumerate(lesson.steps):
            if step.id not in text.sections:
                message = Message(N_("{file} has no section for the step {id}"),
                                  {"file": path.name, "id": step.id})  # fmt: skip
                problems.append(document.problem(("steps", index, "id"), message))
        for name, section in text.sections.items():
            if name not in steps:
                message = Message(N_("there is no step {id} in lesson.yaml"), {"id": name})
                problems.append(SourceProblem(str(path), section.line, 1, message))
    if problems:
        raise DataError(tuple(problems))
    return LoadedLesson(lesson, loaded, folder)


def all_lessons(directory: Path | None = None) -> list[LoadedLesson]:
    """Every shipped lesson, by number."""
    folders = sorted((directory or lessons_directory()).glob(f"*/{FILE}"))
    return sorted((load_lesson(file.parent) for file in folders), key=lambda item: item.lesson.number)


def find_lesson(name: str, directory: Path | None = None) -> LoadedLesson:
    """The lesson of a name.

    Raises:
        UnknownNameError: there is none.
    """
    known = {item.lesson.name: item for item in all_lessons(directory)}
    if name not in known:
        raise UnknownNameError("lesson", name, known)
    return known[name]
