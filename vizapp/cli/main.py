"""`vizapp`: understands the words, calls the command, and turns every error into one message and a status.

Exit status: 0 done; 1 the thing asked about is not so; 2 bad input.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from vizapp.cli.arguments import default_language, parse
from vizapp.cli.output import Output
from vizapp.cli.qt import need_display, without_qt
from vizapp.errors import VizappError
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

BAD_INPUT = 2
INTERRUPTED = 130  # as a shell reports SIGINT

# Command to module and function; a module is loaded when its command is called, for each loads the machine
# and the window does not need it.
COMMANDS = {
    "list": ("listings", "run_list"),
    "classify": ("classify", "run_classify"),
    "disasm": ("listings", "run_disasm"),
    "run": ("run", "run"),
    "compare": ("compare", "run"),
    "lesson": ("lessons", "run"),
    "picture": ("picture", "run"),
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
        return _command(options.command)(options, out)
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


def _command(name: str) -> Callable[[argparse.Namespace, Output], int]:
    module, function = COMMANDS[name]
    found: Callable[[argparse.Namespace, Output], int] = getattr(
        import_module(f"vizapp.cli.{module}"), function
    )
    return found


def _window(options: argparse.Namespace) -> int:
    """Open the window; only here, and for pictures, is Qt needed."""
    need_display()
    try:
        from vizapp import app
    except ImportError as error:
        raise without_qt(error) from None
    return app.main(options.subject, options.lang)
