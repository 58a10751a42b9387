"""Where the processor is: the stage, and under it in one or two sentences what just happened and why."""

from __future__ import annotations

import html
import time
from collections import Counter
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from vizapp.machine.events import DIVERGED, MACHINE_STOPPED, VM_STOPPED
from vizapp.messages import N_
from vizapp.ui.numbers import grouped
from vizapp.ui.panel import Panel, RunState
from vizapp.ui.stage_items import Callout
from vizapp.ui.stage_view import StageView
from vizapp.ui.widgets import label, named
from vizapp.ui.words import EVENT_TITLES, STOP_TITLES, WORLD_TITLES

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.machine.events import Event
    from vizapp.machine.places import Place
    from vizapp.messages import Translator
    from vizapp.session.frames import EventBatch, Frame
    from vizapp.session.protocol import Opened
    from vizapp.ui.look import Look

STEP_DURATION, QUICK_DURATION = 480, 260  # ms of a movement: stepped by hand, or one soon after another
ENDS = frozenset({DIVERGED, MACHINE_STOPPED, VM_STOPPED})  # their cause stands in the sentence
_RATE_MEMORY = (
    0.8  # share of the former rate that is kept at each batch, so that widths breathe and do not jump
)


class StagePanel(Panel):
    """The stage with its sentence."""

    name = "stage"
    title = N_("Where the processor is")

    def __init__(
        self,
        look: Look,
        translator: Translator,
        parent: QWidget | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(look, translator, parent)
        self._clock = clock
        self._shown: Frame | None = None
        self._shown_at = 0.0
        self._passages: Counter[tuple[Place, Place]] = Counter()
        self._rates: dict[tuple[Place, Place], float] = {}
        self._counted_at = 0.0
        self.view = StageView(look, translator.render)
        self.strip = named(QFrame(), "strip")
        self.sentence = label("sentence", wrap=True)
        self.sentence.setTextFormat(Qt.TextFormat.RichText)
        self.sentence.setTextInteractionFlags(
            Qt.TextInteractionFlag.LinksAccessibleByMouse | Qt.TextInteractionFlag.LinksAccessibleByKeyboard
        )
        self.sentence.linkActivated.connect(
            lambda link: self.lesson_requested.emit(link.removeprefix("lesson:"))
        )
        self._row = QHBoxLayout(self.strip)
        self._row.addWidget(self.sentence)
        self._column = QVBoxLayout(self)
        self._column.addWidget(self.view, 1)
        self._column.addWidget(self.strip)
        self._presenting = False
        self.restyle()
        self.clear()

    def set_presenting(self, presenting: bool) -> None:
        """Large words for a projector."""
        self._presenting = presenting
        self.sentence.setObjectName("presenterSentence" if presenting else "sentence")
        self.sentence.style().unpolish(self.sentence)
        self.sentence.style().polish(self.sentence)
        self.restyle()

    def restyle(self) -> None:
        """Room for three lines of words, so that the stage seldom moves."""
        self._column.setContentsMargins(self.look.px(6), 0, self.look.px(6), self.look.px(6))
        self._column.setSpacing(self.look.px(6))
        self._row.setContentsMargins(self.look.px(12), self.look.px(8), self.look.px(12), self.look.px(8))
        line = self.look.px(27 if self._presenting else 17)
        self.strip.setMinimumHeight(3 * line + self.look.px(18))
        self.view.set_look(self.look, self.translator.render)
        self._write()

    def clear(self) -> None:
        """Nothing runs yet."""
        self._shown = None
        self._passages.clear()
        self._rates.clear()
        self.sentence.setText(self.say(N_("Starting the machine…")))
        self.set_note("")

    def show_lost(self) -> None:
        """The session is gone; the banner above says why and how to go on."""
        if self._shown is None:
            self.sentence.setText(self.say(N_("No machine is running.")))

    def show_opened(self, opened: Opened) -> None:
        """Draw the places of the technique."""
        self.view.set_stage(opened.stage)

    def show_run_state(self, state: RunState) -> None:
        """Movements become flows, or a bead again."""
        if state.flows:
            self._counted_at = self._clock()
        else:
            self.view.show_flows({}, self._shown.place if self._shown else None)

    def show_events(self, batch: EventBatch) -> None:
        """Count passages; while running fast they are the flows."""
        fresh = Counter(
            (event.source, event.target) for event in batch.events if event.source != event.target
        )
        self._passages.update(fresh)
        now = self._clock()
        passed = max(now - self._counted_at, 1e-3)
        self._counted_at = now
        for passage in self._passages:
            former = self._rates.get(passage, 0.0)
            self._rates[passage] = _RATE_MEMORY * former + (1 - _RATE_MEMORY) * fresh[passage] / passed
        if self.run_state.flows:
            self.view.show_flows(
                {key: (self._passages[key], self._rates[key]) for key in self._passages}, None
            )

    def show_frame(self, frame: Frame) -> None:
        """Move the bead, or keep it where it is, and say what happened."""
        former, self._shown = self._shown, frame
        now = self._clock()
        soon, self._shown_at = now - self._shown_at < 0.6, now
        self._write()
        if self.run_state.flows:
            return
        event = frame.event
        forward = former is not None and frame.position > former.position
        if former is not None and frame.position < former.position:
            self.view.forget_trail()
        if event is None:
            self.set_note(self._where(frame.place))
            self.view.show_place(frame.place)
            return
        duration = (QUICK_DURATION if soon or self.run_state.running else STEP_DURATION) if forward else 0
        self.set_note(self._way(event))
        # An entry that injects an event goes on to its handler within the step.
        self.view.show_movement(event.source, frame.place, self._callout(frame, event), duration)

    def retranslate(self) -> None:
        """Say everything in the language of now, without moving anything."""
        self.view.set_look(self.look, self.translator.render)
        if self._shown is None:
            self.clear()
        else:
            self.show_frame(self._shown)

    def _write(self) -> None:
        frame = self._shown
        if frame is None:
            return
        words = html.escape(self.translator.render(frame.sentence))
        if frame.stopped is not None and frame.position >= frame.last_position:
            reason = self.say(STOP_TITLES.get(frame.stopped.reason, frame.stopped.reason))
            words = f"<b>■ {html.escape(reason)}.</b> {words}"
        if frame.lesson:
            why = html.escape(self.say(N_("Why? · Lesson")))
            color = self.look.color("accent").name()
            words += f' &nbsp; <a style="color:{color}" href="lesson:{html.escape(frame.lesson)}">{why}</a>'
        self.sentence.setText(words)
        self.setAccessibleDescription(self.translator.render(frame.sentence))

    def _callout(self, frame: Frame, event: Event) -> Callout:
        title = self.say(EVENT_TITLES.get(event.kind, event.kind))
        headline = title if not event.cause or event.kind in ENDS else f"{title}: {event.cause}"
        cost = ""
        if frame.event_cycles:
            cost = self.say(N_("{cycles} cycles"), cycles=grouped(frame.event_cycles))
        return Callout(headline, cost, f"ring{event.target.ring}")

    def _world(self, place: Place) -> str:
        return self.say(WORLD_TITLES.get(place.world, place.world))

    def _where(self, place: Place) -> str:
        return self.say(N_("ring {ring}"), ring=place.ring)

    def _way(self, event: Event) -> str:
        if event.source.world != event.target.world:
            return f"{self._world(event.source)} → {self._world(event.target)}"
        if event.source.ring == event.target.ring:
            return self._where(event.target)
        return f"{self._where(event.source)} → {self._where(event.target)}"
