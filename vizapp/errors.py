"""Every error that a person can cause, one subclass a layer.

    VizappError                 bad input of any kind: exit status 2, one message
    ├── AssemblyError           a source file does not assemble
    ├── ImageError              an image cannot be loaded
    ├── DataError               a YAML file is not as its schema says
    ├── UnknownNameError        no guest, technique, processor, preset or lesson of that name
    ├── ScenarioError           a combination that cannot be (nested paging on a Pentium 4)
    └── SessionError            a session process died or was asked for what it has not

A guest's own faults are never errors of Python: they are values and events (see ``vizapp.machine``).
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from collections.abc import Iterable


class VizappError(Exception):
    """Bad input: carries one message that names what was wrong and what was expected."""

    def __init__(self, message: Message) -> None:
        super().__init__(message.in_english())
        self.message = message


@dataclass(frozen=True, slots=True)
class SourceProblem:
    """One problem in a text file; line and column count from 1."""

    file: str
    line: int
    column: int
    message: Message


class LocatedError(VizappError):
    """Problems with their places in a file, all of them at once."""

    def __init__(self, problems: tuple[SourceProblem, ...]) -> None:
        first = problems[0]
        super().__init__(
            Message(
                N_("{file}:{line}:{column}: {problem}"),
                {"file": first.file, "line": first.line, "column": first.column, "problem": first.message},
            )
        )
        self.problems = problems


class AssemblyError(LocatedError):
    """A source file does not assemble."""


class DataError(LocatedError):
    """A YAML file is not as its schema says."""


class ImageError(VizappError):
    """An image cannot be loaded."""


class ScenarioError(VizappError):
    """A combination that cannot be run, with what would do instead."""


class SessionError(VizappError):
    """A session process died, or was asked for what it has not."""


class UnknownNameError(VizappError):
    """No such guest, technique, processor, preset or lesson."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        beginning = [known for known in names if name and known.startswith(name)]
        close = get_close_matches(name, names, n=1) or beginning
        parameters = {"kind": kind, "name": name, "known": ", ".join(names)}
        if close:
            message = Message(
                N_("there is no {kind} named {name}; did you mean {close}?"),
                {**parameters, "close": close[0]},
            )
        else:
            message = Message(N_("there is no {kind} named {name}; there are: {known}"), parameters)
        super().__init__(message)
