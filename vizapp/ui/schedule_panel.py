"""Lanes of the scheduler, with what their marks mean: the processor over time, machine by machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QVBoxLayout, QWidget

from vizapp.messages import N_
from vizapp.session.details import SCHEDULE
from vizapp.ui.panel import Panel
from vizapp.ui.schedule_view import STATES, ScheduleView
from vizapp.ui.widgets import label

if TYPE_CHECKING:
    from vizapp.messages import Translator
    from vizapp.session.details.schedule import Schedule
    from vizapp.session.frames import Frame
    from vizapp.ui.look import Look


class SchedulePanel(Panel):
    """The lanes, and what their marks mean."""

    name = "schedule"
    title = N_("Scheduler")
    details = frozenset((SCHEDULE,))

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(look, translator, parent)
        self.view = ScheduleView(look, translator.render)
        self.view.followed.connect(lambda position: self.seek_requested.emit(position + 1))
        self.legend = label("muted", wrap=True)
        self.empty = label("muted", wrap=True, align=Qt.AlignmentFlag.AlignCenter)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.view, 1)
        column.addWidget(self.empty, 1)
        column.addWidget(self.legend)
        self.restyle()
        self.retranslate()
        self.clear()

    def clear(self) -> None:
        """No lanes."""
        self.view.set_schedule(None)
        self.set_note("")
        self._show_empty()

    def show_frame(self, frame: Frame) -> None:
        """The lanes around the cursor."""
        found: Schedule | None = frame.details.get(SCHEDULE)
        self.view.set_schedule(found)
        self.set_note("" if found is None else self.say(N_("one processor · click goes to that change")))
        self._show_empty()

    def restyle(self) -> None:
        """Drawing."""
        self.view.set_look(self.look, self.translator.render)

    def retranslate(self) -> None:
        """Words."""
        self.view.language = self.translator.language
        self.view.set_look(self.look, self.translator.render)
        self.view.setAccessibleName(self.say(self.title))
        self.legend.setText(" · ".join(f"{sign} {self.say(words)}" for sign, words in STATES.values()))
        self.empty.setText(
            self.say(N_("One machine has the processor to itself: nobody has to share it out."))
        )
        super().retranslate()

    def _show_empty(self) -> None:
        nothing = self.view.schedule is None
        self.view.setVisible(not nothing)
        self.legend.setVisible(not nothing)
        self.empty.setVisible(nothing)
