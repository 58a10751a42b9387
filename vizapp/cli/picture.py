"""`vizapp picture`: draws a view into a file. The only command, besides the window, that needs Qt."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vizapp.cli.output import check_suffix
from vizapp.cli.qt import without_qt
from vizapp.cli.run import bounds_from, machine_choices, scenario_from, until_from
from vizapp.errors import ScenarioError
from vizapp.experiment.compare import race
from vizapp.experiment.execution import find
from vizapp.experiment.scenarios import make_scenario
from vizapp.messages import N_, Message
from vizapp.session.protocol import Seek

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from vizapp.cli.output import Output
    from vizapp.session.protocol import Command
    from vizapp.session.scenario import Scenario

SUFFIXES = (".png", ".svg", ".pdf", ".gif")
SMALLEST, LARGEST = 320, 8000


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
    """Run the guest and draw the view, at the event of ``--until`` or where the window would open."""
    size = size_from(options.size)
    check_suffix(options.output, SUFFIXES)
    scenario = scenario_from(options)
    until = until_from(options, scenario)
    opening = None
    if until is not None:
        opening = (Seek(find(scenario, until, bounds_from(options))),)
    _draw(options, options.view, scenario, out, size, options.theme, opening)
    return 0


def draw_comparison(options: argparse.Namespace, technique: str, out: Output) -> None:
    """Draw the compare view of ``vizapp compare -o``; ``technique`` has the paging that is asked for."""
    scenario = make_scenario(
        options.guest,
        technique_name=technique,
        virtualizable=options.virtualizable,
        **machine_choices(options),
    )
    _draw(options, "compare", scenario, out, (1440, 900), "light", None)


def _draw(
    options: argparse.Namespace,
    view: str,
    scenario: Scenario,
    out: Output,
    size: tuple[int, int],
    theme: str,
    opening: Sequence[Command] | None,
) -> None:
    try:
        from vizapp.ui.picture import render
        from vizapp.ui.selection import opening_of
    except ImportError as error:
        raise without_qt(error) from None
    with out.progress(options.output):
        render(
            view,
            scenario,
            race(options.guest, scenario),
            Path(options.output),
            size=size,
            theme=theme,
            language=out.language,
            opening=opening_of(options.guest) if opening is None else opening,
        )
