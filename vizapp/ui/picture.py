"""Pictures of the views, to PNG or SVG files, with or without a display.

Sessions run in this process and to their end; what they tell is fed to the same views that the window has.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from PySide6.QtCore import QPoint, QRect, QSettings, QSize, Qt, QTemporaryDir
from PySide6.QtGui import QPainter
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import QApplication

from vizapp.errors import VizappError
from vizapp.messages import N_, Message, Translator
from vizapp.resources import assets
from vizapp.session.protocol import Opened
from vizapp.session.session import Session
from vizapp.ui.choices import choices
from vizapp.ui.look import Appearance
from vizapp.ui.overhead_panel import OverheadPanel
from vizapp.ui.player import Player
from vizapp.ui.selection import OPENING, Selection
from vizapp.ui.window import Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PySide6.QtWidgets import QWidget

    from vizapp.session.frames import EventBatch, Frame, Progress
    from vizapp.session.protocol import Command
    from vizapp.session.scenario import Scenario

VIEWS = ("step", "stage", "compare")
SUFFIXES = (".png", ".svg")
_PIXELS_AN_INCH = 96  # as CSS has it, so that the picture is as large as the window
_STRIDE = 2000  # steps between two points of a curve


class Recording(NamedTuple):
    """One scenario run to its end (or the bound), with its cursor put where it shall be seen."""

    opened: Opened
    events: EventBatch
    frame: Frame
    progress: tuple[Progress, ...]


def record(
    scenario: Scenario, opening: Sequence[Command] = (), *, checked: bool = False, seconds: float = 30.0
) -> Recording:
    """Run a scenario for at most ``seconds``; then ``opening`` moves the cursor, else it stays at the end."""
    session = Session(scenario, lockstep=checked)
    points: list[Progress] = []
    deadline = time.monotonic() + seconds
    while not (session.timeline.at_end and session.timeline.stopped) and time.monotonic() < deadline:
        session.advance(max_steps=_STRIDE)
        points.append(session.progress())
    if opening:
        session.seek(0)
    for command in opening:
        motion = session.begin(command)
        while motion is not None and not motion.advance():
            pass
    opened = Opened(scenario.technique, session.title, session.stage)
    return Recording(opened, session.events(), session.frame(), tuple(points))


def render(
    view: str,
    scenario: Scenario,
    race: Sequence[Scenario],
    file: str | Path,
    *,
    size: tuple[int, int] = (1440, 900),
    theme: str = "light",
    language: str = "en",
    opening: Sequence[Command] = OPENING,
) -> None:
    """Draw a view of a scenario, with others racing beside it, to a PNG or SVG file.

    Args:
        view: one of ``VIEWS``; ``compare`` draws the race alone.
        scenario: what the step view and the stage show.
        race: the same guest under each technique of the overhead graph; native among them.
        file: where to; the ending decides the format.
        size: in pixels.
        theme: a theme's name.
        language: of all words.
        opening: where the cursor is put; empty: at the end of the run.

    Raises:
        VizappError: the file's ending, or the file itself.
    """
    _check_suffix(Path(file))
    application = offscreen_application()
    appearance = Appearance(application, assets(), theme)
    appearance.change(motion=False)
    directory = QTemporaryDir()
    settings = QSettings(directory.filePath("picture.ini"), QSettings.Format.IniFormat)
    for key, value in (("theme", theme), ("language", language), ("motion", False)):
        settings.setValue(key, value)
    player = Player(_no_session, _no_session)
    window = Window(
        player, appearance, lambda name: Translator(name, assets() / "locale"), choices(), settings
    )
    window.setAttribute(Qt.WidgetAttribute.WA_DontShowOnScreen)
    window.resize(QSize(*size))
    window.show()
    window.show_selection(
        Selection(scenario.image.name, scenario.technique, scenario.processor, scenario.virtualizable)
    )
    application.processEvents()
    if view != "compare":
        _feed_steps(window, record(scenario, opening, checked=True))
    if view != "stage":
        _feed_race(window, race)
    if view == "compare":
        window.header.compare.setChecked(True)
    if view == "stage":
        window.present(True)
    for _ in range(3):  # layouts settle, then what they hide and show
        application.processEvents()
    save_widget(window, file)
    window.close()


def _feed_steps(window: Window, recording: Recording) -> None:
    window.steps.show_opened(recording.opened)
    window.steps.show_events(recording.events)
    window.steps.show_frame(recording.frame)


def _feed_race(window: Window, race: Sequence[Scenario]) -> None:
    names = tuple(scenario.technique for scenario in race)
    overhead = window.steps.panel(OverheadPanel)
    overhead.start_race(names)
    window.comparison.start_race(names)
    for scenario in race:
        try:
            recording = record(scenario)
        except VizappError as error:
            overhead.show_failure(scenario.technique, error.message)
            window.comparison.show_failure(scenario.technique, error.message)
            continue
        window.comparison.show_opened(scenario.technique, recording.opened)
        window.comparison.show_events(scenario.technique, recording.events)
        for point in recording.progress:
            overhead.show_progress(point)
            window.comparison.show_progress(point)
        window.comparison.show_frame(scenario.technique, recording.frame)


def offscreen_application() -> QApplication:
    """The application that is there, or one that needs no display."""
    existing = QApplication.instance()
    if isinstance(existing, QApplication):
        return existing
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    return QApplication(sys.argv[:1])


def save_widget(widget: QWidget, file: str | Path) -> None:
    """Render a widget to ``file``, PNG or SVG by its ending."""
    path = Path(file)
    if _check_suffix(path) == ".png":
        if not widget.grab().save(str(path)):
            raise VizappError(Message(N_("cannot write {file}"), {"file": str(path)}))
        return
    generator = QSvgGenerator()
    generator.setFileName(str(path))
    generator.setResolution(_PIXELS_AN_INCH)
    generator.setSize(widget.size())
    generator.setViewBox(QRect(QPoint(0, 0), widget.size()))
    generator.setTitle("vizapp")
    with QPainter() as painter:
        if not painter.begin(generator):
            raise VizappError(Message(N_("cannot write {file}"), {"file": str(path)}))
        widget.render(painter, QPoint(0, 0))


def _check_suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise VizappError(
            Message(N_("pictures are .png or .svg, not {ending}"), {"ending": suffix or str(path)})
        )
    return suffix


def _no_session(*_: object) -> NoReturn:
    raise VizappError(Message(N_("a picture has no session of its own")))
