"""Lanes of the scheduler, with what their marks mean: the processor over time, machine by machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtWidgets import QWidget

from vizapp.messages import N_
from vizapp.session.details import SCHEDULE
from vizapp.ui.drawn_panel import DrawnPanel
from vizapp.ui.schedule_view import STATES, ScheduleView

if TYPE_CHECKING:
    from vizapp.messages import Translator
    from vizapp.session.details.schedule import Schedule
    from vizapp.session.frames import Frame
    from vizapp.ui.look import Look


class SchedulePanel(DrawnPanel):
    """The lanes, and what their marks mean."""

    name = "schedule"
    title = N_("Scheduler")
    details = frozenset((SCHEDULE,))

    nothing = N_("One machine has the processor to itself: nobody has to share it out.")

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        self.view = ScheduleView(look, translator.render)
        self.view.followed.connect(lambda position: self.seek_requested.emit(position + 1))
        super().__init__(look, translator, self.view, parent)

    def clear(self) -> None:
        """No lanes."""
        self.view.set_schedule(None)
        self.set_note("")
        self.show_drawing(self.view.schedule is not None)

    def show_frame(self, frame: Frame) -> None:
        """The lanes around the cursor."""
        found: Schedule | None = frame.details.get(SCHEDULE)
        self.view.set_schedule(found)
        self.set_note("" if found is None else self.say(N_("one processor · click goes to that change")))
        self.show_drawing(self.view.schedule is not None)

    def restyle(self) -> None:
        """Drawing."""
        self.view.set_look(self.look, self.translator.render)

    def retranslate(self) -> None:
        """Words."""
        self.view.language = self.translator.language
        self.view.set_look(self.look, self.translator.render)
        self.view.setAccessibleName(self.say(self.title))
        self.legend.setText(" · ".join(f"{sign} {self.say(words)}" for sign, words in STATES.values()))
        super().retranslate()
