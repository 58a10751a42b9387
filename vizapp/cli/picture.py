"""`vizapp picture`: draws a view into a file. The only command, besides the window, that needs Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.errors import ScenarioError, VizappError
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    pass

SUFFIXES = (".png", ".svg", ".gif")
SMALLEST, LARGEST = 320, 8000


def without_qt(error: ImportError) -> VizappError:
    """What to say where Qt is not installed."""
    return VizappError(
        Message(
            N_("this needs PySide6 and its system libraries, and Python cannot load them: {reason}"),
            {"reason": str(error)},
        )
    )


def size_from(text: str) -> tuple[int, int]:
    """Width and height in pixels out of ``1440x900``.

    Raises:
        ScenarioError: it is not of that form, or too small or too large.
    """
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        width = height = 0
    if not (SMALLEST <= width <= LARGEST and SMALLEST <= height <= LARGEST):
        raise ScenarioError(
            Message(
                N_("{text} is no size; expected WIDTHxHEIGHT between {smallest} and {largest} pixels"),
                {"text": text, "smallest": SMALLEST, "largest": LARGEST},
            )
        )
    return width, height


def run(options: argparse.Namespace, out: Output) -> int:
    """Run the guest to the event or its end and draw the view."""
    raise NotImplementedError
