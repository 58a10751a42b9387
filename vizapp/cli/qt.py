"""What to say where Qt, or a display for it, cannot be had."""

from __future__ import annotations

import os
import sys

from vizapp.errors import VizappError
from vizapp.messages import N_, Message


def without_qt(error: ImportError) -> VizappError:
    """What to say where Qt is not installed."""
    return VizappError(
        Message(
            N_("this needs PySide6 and its system libraries, and Python cannot load them: {reason}"),
            {"reason": str(error)},
        )
    )


def need_display() -> None:
    """Make sure that a window can open, for Qt would abort the process with a page of advice.

    Raises:
        VizappError: there is no display.
    """
    if not sys.platform.startswith("linux") or os.environ.get("QT_QPA_PLATFORM"):
        return
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise VizappError(
            Message(N_("there is no display to open a window on; run, compare, lesson and picture need none"))
        )
