"""The menu behind the header's button: guests, views, lessons, running, theme, language, zoom."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtGui import QActionGroup
from PySide6.QtWidgets import QMenu

from vizapp.messages import LANGUAGES, N_
from vizapp.ui.theme import SYSTEM, THEME_TITLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PySide6.QtGui import QAction
    from PySide6.QtWidgets import QWidget

    from vizapp.messages import Translator
    from vizapp.ui.actions import Actions

LANGUAGE_TITLES = {"en": "English", "pt_BR": "Português (Brasil)"}  # each in its own words
_MOVES = (
    "toggle_run", "step", "back", "over", "next_trap", "previous_trap", "next_event", "previous_event",
    "to_start", "to_end", "slower", "faster",
)  # fmt: skip


class MainMenu(QMenu):
    """Built anew whenever the language or a choice in it changes.

    Signals:
        theme_chosen, language_chosen, processor_chosen: a name.
    """

    theme_chosen = Signal(str)
    processor_chosen = Signal(str)
    language_chosen = Signal(str)

    def __init__(self, actions: Actions, guests: QMenu, lessons: QMenu, parent: QWidget) -> None:
        super().__init__(parent)
        self._wishes = actions
        self._guests = guests
        self._lessons = lessons
        self._themes, self._languages, self._processors = (QActionGroup(self) for _ in range(3))

    def show_processor(self, name: str) -> None:
        """Which one is looked at."""
        for action in self._processors.actions():
            action.setChecked(action.data() == name)

    def build(
        self,
        translator: Translator,
        *,
        theme: str,
        motion: bool,
        language: str,
        processors: Sequence[tuple[str, str]],
        shown: Sequence[QAction],
    ) -> None:
        """All entries; ``processors`` are names and titles, ``shown`` show and hide panels."""
        say, wishes = translator.text, self._wishes
        self.clear()
        self.addAction(wishes["open"])
        self.addMenu(self._guests)
        choice = self.addMenu(say(N_("Processor")))
        for name, title in processors:
            action = choice.addAction(title, partial(self.processor_chosen.emit, name))
            action.setData(name)
            _choose(self._processors, action, chosen=False)
        self.addSeparator()
        view = self.addMenu(say(N_("View")))
        view.addActions(shown)
        view.addSeparator()
        view.addActions([wishes[wish] for wish in ("reset_layout", "present", "compare")])
        self.addMenu(self._lessons)
        run = self.addMenu(say(N_("Run")))
        run.addActions([wishes[wish] for wish in _MOVES])
        run.addSeparator()
        run.addActions([wishes[wish] for wish in ("score", "race", "restart")])
        themes = self.addMenu(say(N_("Theme")))
        for name, title in {SYSTEM: N_("As the system"), **THEME_TITLES}.items():
            action = themes.addAction(say(title), partial(self.theme_chosen.emit, name))
            _choose(self._themes, action, chosen=name == theme)
        still = wishes["reduced_motion"]
        still.setCheckable(True)
        still.setChecked(not motion)
        themes.addSeparator()
        themes.addAction(still)
        languages = self.addMenu(say(N_("Language")))
        for name in LANGUAGES:
            action = languages.addAction(LANGUAGE_TITLES[name], partial(self.language_chosen.emit, name))
            _choose(self._languages, action, chosen=name == language)
        zoom = self.addMenu(say(N_("Zoom")))
        zoom.addActions([wishes[wish] for wish in ("zoom_in", "zoom_out", "zoom_reset")])
        self.addSeparator()
        self.addActions([wishes[wish] for wish in ("picture", "shortcuts", "quit")])


def _choose(group: QActionGroup, action: QAction, *, chosen: bool) -> None:
    action.setCheckable(True)
    action.setChecked(chosen)
    group.addAction(action)
