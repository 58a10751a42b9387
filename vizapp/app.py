"""The composition root of the window: makes everything that it is built from, and runs it.

settings, themes, catalogue --> Window <-- frames, events -- Player -- commands --> Bridge --> SessionProcess
"""

from __future__ import annotations

import locale
import os
import sys
import traceback
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QLibraryInfo, QSettings, QTranslator
from PySide6.QtWidgets import QApplication, QStyle

from vizapp.errors import ScenarioError
from vizapp.experiment.scenario_file import is_scenario_file, load_scenario_file
from vizapp.experiment.scenarios import HVM
from vizapp.experiment.scenarios import make_scenario as scenario_of_names
from vizapp.guest.catalogue import GUESTS
from vizapp.guest.loader import load_guest
from vizapp.messages import LANGUAGES, N_, Message, Translator
from vizapp.resources import assets
from vizapp.session.process import SessionProcess
from vizapp.session.scenario import Scenario
from vizapp.ui.bridge import Bridge
from vizapp.ui.guest_facts import guest_facts, other_monitor
from vizapp.ui.player import Player
from vizapp.ui.selection import OPENING, PORTED, Selection
from vizapp.ui.subject import Subject, resolve

if TYPE_CHECKING:
    from types import TracebackType

    from vizapp.machine.image import Image
    from vizapp.ui.window import Window


def main(subject: str | None = None, language: str | None = None) -> int:
    """Open the window, on a guest or a lesson if one is named; the process's exit status.

    Raises:
        VizappError: there is nothing of that name.
    """
    wanted = resolve(subject) if subject is not None else Subject()
    application = make_application()
    settings = QSettings("vizapp", "vizapp")
    if language is not None:
        settings.setValue("language", language)
    elif not settings.contains("language"):
        settings.setValue("language", system_language())
    player = Player(make_scenario, make_bridge)
    if wanted.lesson is None:
        # The session's process starts while the window is being made.
        guest = wanted.guest or Selection().guest
        facts = guest_facts(guest, _image)
        selection = facts.suited(Selection(guest=guest))
        player.replace(selection, OPENING if selection == Selection() else facts.opening)
    window = make_window(application, settings, player)
    _report_defects(window)
    window.show()
    if wanted.lesson is None:
        window.show_devices(facts)
        if guest not in GUESTS:
            window.guests.remember(str(Path(guest).absolute()))
    else:
        window.lessons.open(wanted.lesson, wanted.step)
    status = application.exec()
    player.join()
    return status


def make_application() -> QApplication:
    """The application, named, so that settings and windows are found under its name."""
    QCoreApplication.setApplicationName("vizapp")
    QCoreApplication.setOrganizationName("vizapp")
    existing = QApplication.instance()
    return existing if isinstance(existing, QApplication) else QApplication(sys.argv[:1])


def make_window(application: QApplication, settings: QSettings, player: Player) -> Window:
    """The window that a player feeds; what its session says arrives once the event loop runs."""
    # Here, because the session's process starts before, and comes up while these are read.
    from vizapp.ui.choices import choices
    from vizapp.ui.look import Appearance
    from vizapp.ui.window import Window

    appearance = Appearance(application, assets())
    animated = application.style().styleHint(QStyle.StyleHint.SH_Widget_Animation_Duration) > 0
    appearance.change(motion=animated)
    qt_words = QtWords(application)

    def make_translator(language: str) -> Translator:
        qt_words.speak(language)
        return Translator(language, assets() / "locale")

    return Window(
        player, appearance, make_translator, choices(), settings, lambda guest: guest_facts(guest, _image)
    )


def make_scenario(selection: Selection) -> Scenario:
    """The scenario that a selection stands for; bad names and sources are VizappErrors."""
    if is_scenario_file(selection.guest):
        several = load_scenario_file(selection.guest, scenario_of_names)
        if several.technique != selection.technique:
            raise ScenarioError(other_monitor(several.technique))
        return several
    facts = guest_facts(selection.guest, _image)
    obstacle = facts.obstacles.get(selection.technique)
    if obstacle is not None:
        raise ScenarioError(obstacle)
    selection = facts.suited(selection)
    scenario = scenario_of_names(
        selection.guest,
        technique_name=selection.technique,
        processor=selection.processor,
        paging=selection.paging,
        build=selection.build,
        intercepts=dict(selection.intercepts),
        virtualizable=selection.virtualizable and selection.technique == "trap-and-emulate",
        io=selection.io if selection.io in ("hosted", "split") else None,
        guests=selection.io if selection.io == HVM else None,
    )
    if selection.technique in PORTED and selection.guest not in GUESTS and not scenario.others:
        return replace(scenario, yardstick=_image(selection.guest, "native"))
    return scenario


def make_bridge(scenario: Scenario, checked: bool) -> Bridge:
    """A session process with its bridge; ``checked`` compares with the bare machine while it runs."""
    return Bridge(SessionProcess(scenario, lockstep=checked))


def system_language() -> str:
    """The language of the system if it is one of ours, else English."""
    variables = (os.environ.get(name) for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"))
    named = next(filter(None, variables), None) or locale.getlocale()[0] or "en"
    return next((language for language in LANGUAGES if named.startswith(language[:2])), "en")


class QtWords:
    """Qt's own words (buttons of dialogs) in the language of the window."""

    def __init__(self, application: QApplication) -> None:
        self._application = application
        self._translator: QTranslator | None = None

    def speak(self, language: str) -> None:
        """Install Qt's catalogue of a language; English needs none."""
        if self._translator is not None:
            self._application.removeTranslator(self._translator)
            self._translator = None
        if language != "en":
            translator = QTranslator(self._application)
            directory = QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)
            if translator.load(f"qtbase_{language}", directory):
                self._application.installTranslator(translator)
                self._translator = translator


def _image(guest: str, build: str) -> Image:
    """The image of a guest, loaded anew when its file has changed."""
    stamp = (0, 0)
    if guest not in GUESTS and Path(guest).is_file():
        status = Path(guest).stat()
        stamp = (status.st_mtime_ns, status.st_size)
    return _loaded(guest, build, stamp)


@lru_cache(maxsize=32)
def _loaded(guest: str, build: str, stamp: tuple[int, int]) -> Image:
    return load_guest(guest, build)


def _report_defects(window: Window) -> None:
    """An exception that nobody caught is a defect: say so in the window, and print it for the report."""

    def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        traceback.print_exception(kind, error, trace)
        text = N_("Something in vizapp itself went wrong ({error}); what you see may be out of date.")
        window.banner.say(Message(text, {"error": f"{kind.__name__}: {error}"}), restart=True)

    sys.excepthook = report
