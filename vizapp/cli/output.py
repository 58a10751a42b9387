"""How answers reach people and programs: tables for the one, one JSON document for the other."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.table import Table

from vizapp.errors import LocatedError, ScenarioError, VizappError
from vizapp.messages import N_, Message, Translator
from vizapp.resources import assets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vizapp.messages import Message


class Output:
    """Standard output and standard error in one language.

    Args:
        language: of sentences and headings.
        as_json: standard output carries one JSON document and nothing else.
        summary_to_stderr: standard output belongs to the guest (``--serial -``).
    """

    def __init__(self, language: str, *, as_json: bool = False, summary_to_stderr: bool = False) -> None:
        self.language = language
        self.as_json = as_json
        self._translator = Translator(language, assets() / "locale")
        self._stream: TextIO = sys.stderr if summary_to_stderr else sys.stdout
        # rich obeys NO_COLOR, the terminal's width, and colours only a terminal.
        self._console = Console(file=self._stream, highlight=False, soft_wrap=False)

    def text(self, text: str) -> str:
        """A fixed text, translated."""
        return self._translator.text(text)

    def render(self, message: Message) -> str:
        """A sentence."""
        return self._translator.render(message)

    def json(self, document: Any) -> None:
        """Print one JSON document."""
        print(json.dumps(document, ensure_ascii=False, indent=2))

    def line(self, text: str = "") -> None:
        """Print a line as it is."""
        print(text, file=self._stream)

    def say(self, message: Message) -> None:
        """Print a sentence."""
        self.line(self.render(message))

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()
    ) -> None:
        """Print a table; ``columns`` are catalogue keys, ``right`` the columns of numbers."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for index, column in enumerate(columns):
            if index in right:
                widest = max((len(row[index]) for row in rows), default=0)
                table.add_column(self.text(column), justify="right", min_width=widest)
            else:
                table.add_column(self.text(column), overflow="fold")
        for row in rows:
            table.add_row(*(cell.replace("[", "\\[") for cell in row))
        self._console.print(table)

    def problem(self, error: VizappError) -> None:
        """Print what was wrong, each problem once, on standard error."""
        if isinstance(error, LocatedError):
            for problem in error.problems:
                where = f"{problem.file}:{problem.line}:{problem.column}"
                print(f"{where}: {self.render(problem.message)}", file=sys.stderr)
        else:
            print(f"vizapp: {self.render(error.message)}", file=sys.stderr)

    @contextmanager
    def progress(self, text: str) -> Iterator[None]:
        """Show that something takes its time, on standard error and only on a terminal."""
        if not sys.stderr.isatty():
            yield
            return
        with Console(file=sys.stderr).status(text):
            yield


def number(value: int) -> str:
    """A count with its thousands set apart by thin spaces."""
    return f"{value:,}".replace(",", "\u202f")


def times(overhead: float | None) -> str:
    """Overhead as a factor, a dash where there is none."""
    return "–" if overhead is None else f"{overhead:.2f}×"


def check_suffix(file: str, known: Sequence[str]) -> None:
    """Refuse a file whose ending is none of ``known``."""
    if not file.lower().endswith(tuple(known)):
        raise ScenarioError(
            Message(N_("{file} ends with none of {known}"), {"file": file, "known": ", ".join(known)})
        )
