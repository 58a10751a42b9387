"""Pictures of the views, to files, with or without a display.

Sessions run in this process and to their end; what they tell is fed to the same views that the window has.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from PySide6.QtCore import (
    QEvent,
    QMessageLogContext,
    QSettings,
    QSize,
    Qt,
    QTemporaryDir,
    QtMsgType,
    qInstallMessageHandler,
)
from PySide6.QtWidgets import QApplication

from vizapp.errors import VizappError
from vizapp.experiment.scenarios import HVM
from vizapp.experiment.split import SPLIT
from vizapp.messages import N_, Message, Translator
from vizapp.resources import assets
from vizapp.session.protocol import Opened
from vizapp.session.session import Session
from vizapp.ui.choices import choices
from vizapp.ui.look import Appearance
from vizapp.ui.overhead_panel import OverheadPanel
from vizapp.ui.panels import PANELS
from vizapp.ui.picture_files import check_suffix, save_film, save_widget
from vizapp.ui.player import Player
from vizapp.ui.selection import OPENING, PORTED, Selection
from vizapp.ui.window import Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizapp.session.frames import EventBatch, Frame, Progress
    from vizapp.session.protocol import Command
    from vizapp.session.scenario import Scenario

VIEWS = ("step", "stage", "compare")
FILM_EVENTS = 24  # pictures of a GIF: one an event, from the opening on
_STRIDE = 2000  # steps between two points of a curve


class Recording(NamedTuple):
    """One scenario run to its end (or the bound), with its cursor put where it shall be seen."""

    opened: Opened
    events: EventBatch
    frame: Frame
    progress: tuple[Progress, ...]
    film: tuple[Frame, ...] = ()


def record(
    scenario: Scenario,
    opening: Sequence[Command] = (),
    *,
    checked: bool = False,
    film: int = 0,
    details: frozenset[str] = frozenset(),
    seconds: float = 30.0,
) -> Recording:
    """Run a scenario for at most ``seconds``; then ``opening`` moves the cursor, else it stays at the end.

    ``film`` is how many events from there on get a frame each; ``details`` are what frames tell beyond that.
    """
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
    session.watch_details(details)
    frame = session.frame()
    following: list[Frame] = []
    while len(following) < film and not session.timeline.at_end:
        following.append(session.next_event())
    return Recording(opened, session.events(), frame, tuple(points), tuple(following))


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
    """Draw a view of a scenario, with others racing beside it, to a PNG, SVG, PDF or GIF file.

    A GIF is a film: from the opening on, one picture an event.

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
    suffix = check_suffix(Path(file))
    application = offscreen_application()
    appearance = Appearance(application, assets(), theme)
    try:
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
        try:
            _draw(window, view, scenario, race, file, opening, film=suffix == ".gif" and view != "compare")
        finally:
            window.close()
            window.deleteLater()
            application.sendPostedEvents(window, QEvent.Type.DeferredDelete)
    finally:
        appearance.undress()


def _draw(
    window: Window,
    view: str,
    scenario: Scenario,
    race: Sequence[Scenario],
    file: str | Path,
    opening: Sequence[Command],
    *,
    film: bool,
) -> None:
    window.show_selection(_selection_of(scenario))
    QApplication.processEvents()
    recording = None
    if view != "compare":
        details = frozenset(name for entry in PANELS for name in entry.panel.details)
        following = FILM_EVENTS if film else 0
        recording = record(scenario, opening, checked=True, film=following, details=details)
        _feed_steps(window, recording)
    if view != "stage":
        _feed_race(window, race)
    if view == "compare":
        window.header.compare.setChecked(True)
    if view == "stage":
        window.present(True)
    for _ in range(3):  # layouts settle, then what they hide and show
        QApplication.processEvents()
    if recording is not None and film:
        images = [window.grab().toImage()]
        for frame in recording.film:
            window.steps.show_frame(frame)
            QApplication.processEvents()
            images.append(window.grab().toImage())
        save_film(images, file)
    else:
        save_widget(window, file)


def _selection_of(scenario: Scenario) -> Selection:
    """What the header shows; of a single guest beside domain 0, that guest."""
    guest, io = scenario.image.name, scenario.io
    if len(scenario.others) == 1 and scenario.technique in PORTED:
        guest = scenario.others[0].image.name
        io = HVM if scenario.has_unmodified_domains else SPLIT
    return Selection(
        guest, scenario.technique, scenario.processor, scenario.virtualizable, paging=scenario.paging, io=io
    )


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
    qInstallMessageHandler(_say)
    return QApplication(sys.argv[:1])


def _say(kind: QtMsgType, _context: QMessageLogContext, text: str) -> None:
    """Pass on what Qt says, but not that a platform without windows has no window manager to talk to."""
    if kind is not QtMsgType.QtDebugMsg and "propagateSizeHints" not in text:
        print(text, file=sys.stderr)


def _no_session(*_: object) -> NoReturn:
    raise VizappError(Message(N_("a picture has no session of its own")))
