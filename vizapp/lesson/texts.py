"""The prose of a lesson: one Markdown file a language, one section a step.

# The lesson's title
Introduction.

## Title of a step {#id-of-the-step}
Prose.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from vizapp.errors import DataError, SourceProblem
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from pathlib import Path

_STEP = re.compile(r"##\s+(?P<title>.+?)\s*\{#(?P<id>[a-z0-9-]+)\}\s*")
_TITLE = re.compile(r"#\s+(?P<title>.+?)\s*")


class Section(NamedTuple):
    """A step's prose as Markdown, and the line that its heading stands on.

    What stands after a line ``---`` is read once the step has run, so that it cannot spoil the prediction.
    """

    title: str
    body: str
    line: int

    @property
    def before(self) -> str:
        """What is read before the step runs."""
        return self._parts()[0]

    @property
    def after(self) -> str:
        """What is read once it has run; often nothing."""
        return self._parts()[1]

    def _parts(self) -> tuple[str, str]:
        before, _, after = f"{self.body}\n".partition("\n---\n")
        return before.strip(), after.strip()


class Text(NamedTuple):
    """A lesson in one language."""

    title: str
    introduction: str
    sections: dict[str, Section]


def parse(source: str, file: str) -> Text:
    """Split a lesson's Markdown.

    Raises:
        DataError: a heading has no step id, or two have the same.
    """
    title = ""
    introduction: list[str] = []
    sections: dict[str, Section] = {}
    problems: list[SourceProblem] = []
    body = introduction
    heading: tuple[str, str, int] | None = None

    def close() -> None:
        if heading is not None:
            sections[heading[0]] = Section(heading[1], "\n".join(body).strip(), heading[2])

    fenced = False
    for number, line in enumerate(source.splitlines(), 1):
        fenced ^= line.startswith("```")
        step = None if fenced else _STEP.fullmatch(line)
        if step:
            close()
            if step["id"] in sections:
                problems.append(_problem(file, number, N_("the step {id} has two sections"), id=step["id"]))
            heading, body = (step["id"], step["title"], number), []
        elif line.startswith("## ") and not fenced:
            problems.append(
                _problem(
                    file,
                    number,
                    N_("a step's heading ends with its id, as in {example}"),
                    example="{#example-step}",
                )
            )
        elif not title and (first := _TITLE.fullmatch(line)):
            title = first["title"]
        else:
            body.append(line)
    close()
    if problems:
        raise DataError(tuple(problems))
    return Text(title, "\n".join(introduction).strip(), sections)


def read(path: Path) -> Text:
    """The text in a file; see ``parse``."""
    return parse(path.read_text(encoding="utf-8"), str(path))


def _problem(file: str, line: int, text: str, **parameters: str) -> SourceProblem:
    return SourceProblem(file, line, 1, Message(text, parameters))
