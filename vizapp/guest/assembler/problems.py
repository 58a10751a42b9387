"""Where a source line came from, and the error that one line can have."""

from __future__ import annotations

from dataclasses import dataclass, field

from vizapp.errors import SourceProblem
from vizapp.messages import N_, Message


@dataclass(frozen=True, slots=True)
class Origin:
    """The line of a file that a person wrote, through which all that came of it is found again.

    Attributes:
        file: its name, as given to the assembler.
        number: from 1.
        text: the line itself.
        macro: name, file and line of the innermost macro's line, if a macro made this.
    """

    file: str
    number: int
    text: str
    macro: tuple[str, str, int] | None = None


class LineError(Exception):
    """A problem in one line: what is wrong, and at which column."""

    def __init__(self, message: Message, column: int = 1) -> None:
        super().__init__(message.in_english())
        self.message = message
        self.column = column


@dataclass(slots=True)
class Problems:
    """All that is wrong with a source, nothing twice."""

    found: list[SourceProblem] = field(default_factory=list)

    def add(self, origin: Origin, error: LineError) -> None:
        """Note a problem at the line that a person wrote; one inside a macro says so."""
        message = error.message
        if origin.macro is not None:
            name, file, line = origin.macro
            message = Message(
                N_("{problem} (in macro {macro}, {file}:{line})"),
                {"problem": message, "macro": name, "file": file, "line": line},
            )
        problem = SourceProblem(origin.file, origin.number, error.column, message)
        if problem not in self.found:
            self.found.append(problem)

    def in_order(self) -> tuple[SourceProblem, ...]:
        """By place: files in the order of their first problem, then line and column."""
        files = list(dict.fromkeys(problem.file for problem in self.found))
        return tuple(
            sorted(self.found, key=lambda problem: (files.index(problem.file), problem.line, problem.column))
        )
