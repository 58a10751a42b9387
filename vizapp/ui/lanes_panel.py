"""Privilege over time: a lane a ring and world, blocks as wide as the cycles spent there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtWidgets import QVBoxLayout, QWidget

from vizapp.messages import N_
from vizapp.ui.lanes_model import LanesModel
from vizapp.ui.lanes_view import LanesView
from vizapp.ui.numbers import grouped
from vizapp.ui.panel import Panel
from vizapp.ui.widgets import ElidedLabel
from vizapp.ui.words import EVENT_TITLES, WORLD_TITLES

if TYPE_CHECKING:
    from vizapp.machine.events import Event
    from vizapp.messages import Translator
    from vizapp.session.frames import EventBatch, Frame
    from vizapp.session.protocol import Opened
    from vizapp.ui.look import Look

_REACH = 6  # pixels within which an event counts as pointed at


class LanesPanel(Panel):
    """The lanes with a line of counts beneath."""

    name = "lanes"
    title = N_("Privilege over time")

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(look, translator, parent)
        self._vms: dict[int, str] = {}
        self.view = LanesView(look)
        self.view.cycle_clicked.connect(self._click)
        self.view.cycle_hovered.connect(self._hover)
        self.counts = ElidedLabel("muted")
        self._column = QVBoxLayout(self)
        self._column.addWidget(self.view, 1)
        self._column.addWidget(self.counts)
        self.restyle()
        self.retranslate()

    def clear(self) -> None:
        """No recording."""
        self.view.set_model(LanesModel())
        self.counts.set_words("")

    def show_opened(self, opened: Opened) -> None:
        """The lanes of the technique."""
        self.view.set_model(LanesModel(opened.stage))
        self._vms = opened.stage.vm_names
        self._name_lanes()

    def show_events(self, batch: EventBatch) -> None:
        """Stays end and begin."""
        before = len(self.view.model.lanes)
        self.view.model.add(batch.events)
        if len(self.view.model.lanes) != before:
            self._name_lanes()
        self.view.refresh()

    def show_frame(self, frame: Frame) -> None:
        """The cursor's line, and how often what happened up to it."""
        self.view.model.see(frame.place)
        self.view.set_times(frame.cycle, frame.last_cycle)
        words = [
            f"{self._event_title(kind)} {grouped(count)}"
            for kind, count in frame.event_counts.items()
            if count
        ]
        self.counts.set_words(" · ".join(words))

    def restyle(self) -> None:
        """Colours and fonts."""
        self.view.look = self.look
        self.view.setFont(self.look.font("label"))
        self.view.updateGeometry()
        self.view.refresh()
        self._column.setContentsMargins(self.look.px(2), 0, self.look.px(2), 0)
        self._column.setSpacing(self.look.px(2))
        self.counts.setContentsMargins(self.look.px(10), 0, self.look.px(10), self.look.px(2))

    def retranslate(self) -> None:
        """Words of lanes, axis and counts."""
        self.view.unit = self.say(N_("cycles"))
        self.view.language = self.translator.language
        self.view.setAccessibleName(self.say(self.title))
        self.set_note(self.say(N_("each block is one stay in a ring; width = cycles")))
        self._name_lanes()
        super().retranslate()

    def _name_lanes(self) -> None:
        lanes = self.view.model.lanes
        several = len({lane.world for lane in lanes}) > 1
        labels = []
        for lane in lanes:
            label = self.say(N_("ring {ring}"), ring=lane.ring)
            if lane.vm >= 0:
                label = f"{self._vms.get(lane.vm, lane.vm)} · {label}"
            elif several:
                label = f"{self.say(WORLD_TITLES.get(lane.world, lane.world))} · {label}"
            labels.append(label)
        self.view.labels = labels
        self.view.refresh()

    def _event_title(self, kind: str) -> str:
        return self.say(EVENT_TITLES.get(kind, kind))

    def _click(self, cycle: float, width: float) -> None:
        event = self.view.model.nearest(cycle, _REACH * width) or self.view.model.event_at(cycle)
        # The frame after an event's step is the one that shows it.
        self.seek_requested.emit(event.position + 1 if event is not None else 0)

    def _hover(self, cycle: float, width: float) -> None:
        event = self.view.model.nearest(cycle, _REACH * width)
        self.view.show_tip(self._describe(event) if event is not None else "")

    def _describe(self, event: Event) -> str:
        way = self.say(
            N_("ring {source} → ring {target}"), source=event.source.ring, target=event.target.ring
        )
        cycle = self.say(N_("at cycle {cycle}"), cycle=grouped(event.cycle))
        title = self._event_title(event.kind)
        return f"<b>{title}</b> {event.cause}<br>{way}<br>{cycle}"
