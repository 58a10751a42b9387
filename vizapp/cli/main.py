"""`vizapp`: understands the words, calls the command, and turns every error into one message and a status.

Exit status: 0 done; 1 the thing asked about is not so; 2 bad input.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from vizapp.cli import classify, compare, lessons, listings, picture, run
from vizapp.cli.arguments import default_language, parse
from vizapp.cli.output import Output
from vizapp.errors import VizappError
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

BAD_INPUT = 2
INTERRUPTED = 130  # as a shell reports SIGINT

COMMANDS: dict[str, Callable[[argparse.Namespace, Output], int]] = {
    "list": listings.run_list,
    "classify": classify.run_classify,
    "disasm": listings.run_disasm,
    "run": run.run,
    "compare": compare.run,
    "lesson": lessons.run,
    "picture": picture.run,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    out = Output(default_language())
    try:
        options = parse(words)
        out = Output(
            options.lang or default_language(),
            as_json=getattr(options, "json", False),
            summary_to_stderr=getattr(options, "serial", None) == "-",
        )
        if options.command == "window":
            return _window(options)
        return COMMANDS[options.command](options, out)
    except VizappError as error:
        out.problem(error)
        return BAD_INPUT
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            # The reader has seen enough; Python must not try to flush the rest.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        what = error.filename or ""
        out.problem(
            VizappError(
                Message(N_("{file}: {problem}"), {"file": str(what), "problem": error.strerror or str(error)})
            )
        )
        return BAD_INPUT
    except KeyboardInterrupt:
        return INTERRUPTED


def _window(options: argparse.Namespace) -> int:
    """Open the window; only here, and for pictures, is Qt needed."""
    if not _has_display():
        # Qt would abort the process with a page of advice.
        raise VizappError(
            Message(N_("there is no display to open a window on; run, compare, lesson and picture need none"))
        )
    try:
        from vizapp import app
    except ImportError as error:
        raise picture.without_qt(error) from None
    return app.main(options.subject, options.lang)


def _has_display() -> bool:
    if not sys.platform.startswith("linux") or os.environ.get("QT_QPA_PLATFORM"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
