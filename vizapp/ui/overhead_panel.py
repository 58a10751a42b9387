"""Overhead, live: the same guest under every technique that is built, racing from the start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from vizapp.messages import N_, Message
from vizapp.ui.numbers import grouped
from vizapp.ui.overhead_model import OverheadModel
from vizapp.ui.overhead_view import OverheadView
from vizapp.ui.panel import Panel
from vizapp.ui.widgets import label, toggle
from vizapp.ui.words import PURPOSE_TITLES, TECHNIQUE_TITLES, racer_titles

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vizapp.messages import Translator
    from vizapp.session.frames import Frame, Progress
    from vizapp.session.protocol import Opened
    from vizapp.ui.look import Look


class OverheadPanel(Panel):
    """The bars, a switch between linear and logarithmic, and a button to race again.

    Signals:
        race_wished: run all techniques again.
    """

    name = "overhead"
    title = N_("Overhead, live")
    race_wished = Signal()

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(look, translator, parent)
        self.model = OverheadModel()
        self._titles: Mapping[str, str] = TECHNIQUE_TITLES
        self.view = OverheadView(look)
        self.status = label("muted", align=Qt.AlignmentFlag.AlignVCenter)
        self.status.setMinimumWidth(1)
        self.scale_button = toggle()
        self.scale_button.toggled.connect(self._set_logarithmic)
        self.race_button = QPushButton()
        self.race_button.clicked.connect(self.race_wished)
        self._row = QHBoxLayout()
        self._row.addWidget(self.status, 1)
        self._row.addWidget(self.scale_button)
        self._row.addWidget(self.race_button)
        self._column = QVBoxLayout(self)
        self._column.addWidget(self.view, 1)
        self._column.addLayout(self._row)
        self.restyle()
        self.retranslate()

    def name_racers(self, surroundings: Mapping[str, str]) -> None:
        """By technique, who has the devices of the guest in the race."""
        self._titles = racer_titles(surroundings)
        self._write_titles()

    def start_race(self, techniques: tuple[str, ...]) -> None:
        """All techniques begin anew."""
        self.model = OverheadModel(techniques)
        self._show_bars()

    def take_opened(self, opened: Opened) -> None:
        """The race goes on by itself, whatever the session at the cursor does."""

    def show_progress(self, progress: Progress) -> None:
        """One technique came further: the bars grow."""
        self.model.add(progress)
        self._show_bars()

    def show_failure(self, technique: str, reason: Message) -> None:
        """A technique cannot run this guest; its row says why."""
        self.model.fail(technique, reason)
        self._show_bars()

    def show_frame(self, frame: Frame) -> None:
        """Name the active technique in bold."""
        if self.view.active != frame.technique:
            self.view.active = frame.technique
            self.view.update()

    def clear(self) -> None:
        """Keep the bars: they are of the race, which a new session of the same guest leaves as it is."""

    def restyle(self) -> None:
        """Sizes at the zoom."""
        self.view.look = self.look
        self.view.updateGeometry()
        self.view.update()
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(self.look.px(2))
        self._row.setContentsMargins(self.look.px(8), 0, self.look.px(6), self.look.px(2))
        self.race_button.setIcon(self.look.icon("run"))
        self.race_button.setIconSize(QSize(self.look.px(14), self.look.px(14)))

    def retranslate(self) -> None:
        """All words."""
        self._write_titles()
        self.view.purpose_titles = {name: self.say(title) for name, title in PURPOSE_TITLES.items()}
        self.view.no_figure = self.say(N_("diverged: no figure"))
        self.view.language = self.translator.language
        self.race_button.setText(self.say(N_("Race again")))
        self.race_button.setToolTip(self.say(N_("Run the guest again under every technique, from the start")))
        self.scale_button.setText(self.say(N_("log")))
        self.scale_button.setToolTip(self.say(N_("Logarithmic bars: small overheads beside large ones")))
        self.scale_button.setAccessibleName(self.say(N_("Logarithmic scale")))
        self.set_note(self.say(N_("same guest · cycles by purpose · × native")))
        self._show_bars()

    def _write_titles(self) -> None:
        self.view.titles = {name: self.say(title) for name, title in self._titles.items()}
        self.view.update()

    def _set_logarithmic(self, logarithmic: bool) -> None:
        self.view.logarithmic = logarithmic
        self.view.update()

    def _show_bars(self) -> None:
        self.view.bars = self.model.bars()
        self.view.reasons = {
            bar.technique: self.translator.render(bar.reason)
            for bar in self.view.bars
            if bar.reason is not None
        }
        self.view.setAccessibleDescription("; ".join(self.view.describe(bar) for bar in self.view.bars))
        self.view.update()
        progress = grouped(int(self.model.progress))
        if not self.view.bars:
            words = self.say(N_("the race begins in a moment"))
        elif self.model.in_marks:
            words = self.say(N_("at progress mark {progress}"), progress=progress)
        else:
            words = self.say(N_("at guest instruction {progress}"), progress=progress)
        if self.view.bars and self.model.finished:
            words = self.say(N_("finished"))
        self.status.setText(words)
