"""Transport: back, step, over, next trap, run; how fast; and where in the recorded past the cursor is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QSlider, QWidget

from vizapp.messages import N_
from vizapp.ui.numbers import compact, decimal, grouped
from vizapp.ui.panel import Panel, RunState
from vizapp.ui.scrubber import Scrubber
from vizapp.ui.widgets import ElidedLabel, label, tight_column
from vizapp.ui.words import STOP_TITLES

if TYPE_CHECKING:
    from vizapp.messages import Translator
    from vizapp.session.frames import EventBatch, Frame
    from vizapp.ui.look import Look

SLOWEST, FASTEST = 0.5, 100_000.0  # steps a second; the slider's last notch has no bound
_NOTCHES = 100


class Control(NamedTuple):
    """A button: what it is called, how it looks, what it wishes for, and its keys."""

    wish: str
    icon: str
    text: str
    tip: str
    keys: str


CONTROLS = (
    Control("to_start", "to-start", "", N_("Back to the first instruction"), "Home"),
    Control(
        "back", "back", N_("Back"), N_("One step back: the state is exactly the former one"), "←  Shift+F11"
    ),
    Control(
        "step",
        "step",
        N_("Step"),
        N_("One step: an instruction, a delivery, or one phase of the monitor"),
        "→  F11",
    ),
    Control("over", "over", N_("Over"), N_("Past this instruction and all that it calls or causes"), "F10"),
    Control("next_trap", "next-trap", N_("Next trap"), N_("Run to the next entry of ring 0"), "PgDn"),
    Control("run", "run", N_("Run"), N_("Run until the end, a breakpoint, or pause"), "Space  F5"),
)


def speed_of(notch: int) -> float | None:
    """The speed of a notch of the slider, in steps a second; None at the last: as fast as it goes."""
    if notch >= _NOTCHES:
        return None
    return SLOWEST * (FASTEST / SLOWEST) ** (notch / (_NOTCHES - 1))


def notch_of(speed: float | None) -> int:
    """The notch nearest to a speed."""
    if speed is None:
        return _NOTCHES
    return round((_NOTCHES - 1) * math.log(max(speed, SLOWEST) / SLOWEST) / math.log(FASTEST / SLOWEST))


class TransportPanel(Panel):
    """Buttons, speed, scrubber, readout.

    Signals:
        wished: the ``wish`` of a control.
        speed_wished: steps a second, or None.
    """

    name = "transport"
    title = N_("Transport")
    wished = Signal(str)
    speed_wished = Signal(object)

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(look, translator, parent)
        self.buttons: dict[str, QPushButton] = {}
        self._row = QHBoxLayout(self)
        for control in CONTROLS:
            button = QPushButton()
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.clicked.connect(lambda _checked=False, wish=control.wish: self.wished.emit(wish))
            self.buttons[control.wish] = button
            self._row.addWidget(button)
        self.buttons["step"].setObjectName("primary")
        self.speed = QSlider(Qt.Orientation.Horizontal)
        self.speed.setRange(0, _NOTCHES)
        self.speed.setValue(notch_of(self.run_state.speed))
        self.speed.valueChanged.connect(self._change_speed)
        self.speed_words = label("muted", align=Qt.AlignmentFlag.AlignCenter)
        speed = tight_column()
        speed.addWidget(self.speed)
        speed.addWidget(self.speed_words)
        self._row.addLayout(speed)
        self.scrubber = Scrubber(look)
        self.scrubber.moved.connect(self.seek_requested)
        self.readout = ElidedLabel("muted")
        self.readout.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.readout.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        past = tight_column()
        past.addWidget(self.scrubber)
        past.addWidget(self.readout)
        self._row.addLayout(past, 1)
        self.restyle()
        self.retranslate()
        self.clear()

    def clear(self) -> None:
        """Nothing is recorded yet."""
        self.scrubber.clear_ticks()
        self.readout.set_words("–")
        self._enable(False)

    def show_events(self, batch: EventBatch) -> None:
        """A tick at each event."""
        self.scrubber.add_ticks(event.position for event in batch.events)

    def show_frame(self, frame: Frame) -> None:
        """Where the cursor is."""
        self.scrubber.set_range(frame.position, frame.last_position)
        self.readout.set_words(self._reading(frame))
        self.scrubber.setAccessibleDescription(self.readout.words)
        self._enable(True)
        at_start = frame.position == 0
        self.buttons["back"].setEnabled(not at_start)
        self.buttons["to_start"].setEnabled(not at_start)
        ended = (frame.stopped or frame.waiting) is not None and frame.position >= frame.last_position
        for wish in ("step", "over", "next_trap", "run"):
            self.buttons[wish].setEnabled(not ended)

    def show_run_state(self, state: RunState) -> None:
        """Run becomes Pause."""
        control = CONTROLS[-1]
        button = self.buttons["run"]
        button.setIcon(self.look.icon("pause" if state.running else control.icon))
        button.setText(self.say(N_("Pause")) if state.running else self.say(control.text))
        if notch_of(state.speed) != self.speed.value():
            self.speed.setValue(notch_of(state.speed))
        self._say_speed()

    def restyle(self) -> None:
        """Icons and spaces."""
        look = self.look
        self._row.setContentsMargins(look.px(6), look.px(3), look.px(8), look.px(0))
        self._row.setSpacing(look.px(7))
        for control in CONTROLS:
            button = self.buttons[control.wish]
            button.setIcon(look.icon(control.icon, "on_accent" if control.wish == "step" else "text"))
            button.setIconSize(QSize(look.px(14), look.px(14)))
        self.speed.setFixedWidth(look.px(112))
        self.speed_words.setMinimumWidth(look.px(112))
        self.scrubber.look = look
        self.scrubber.updateGeometry()
        self.setFixedHeight(look.px(52))
        self.show_run_state(self.run_state)

    def retranslate(self) -> None:
        """Words of buttons, tooltips with their keys."""
        for control in CONTROLS:
            button = self.buttons[control.wish]
            button.setText(self.say(control.text) if control.text else "")
            button.setToolTip(f"{self.say(control.tip)}  ({control.keys})")
            button.setAccessibleName(self.say(control.text or control.tip))
        self.scrubber.setAccessibleName(self.say(N_("Recorded past")))
        self.scrubber.setToolTip(
            self.say(N_("The whole recording: drag to go anywhere in it; each tick is an event"))
        )
        self.speed.setAccessibleName(self.say(N_("Speed of running, in steps a second")))
        self.speed.setToolTip(self.speed.accessibleName())
        self.show_run_state(self.run_state)
        if self.frame is not None:
            self.readout.set_words(self._reading(self.frame))

    def _reading(self, frame: Frame) -> str:
        reading = self.say(
            N_("instruction {instruction} of {last} · {cycles} cycles"),
            instruction=grouped(frame.instruction),
            last=grouped(frame.last_instruction),
            cycles=grouped(frame.cycle),
        )
        if frame.stopped is not None and frame.position >= frame.last_position:
            reading += " · " + self.say(STOP_TITLES.get(frame.stopped.reason, frame.stopped.reason))
        elif frame.waiting is not None:
            reading += " · " + self.say(N_("waiting for an input"))
        return reading

    def _enable(self, enabled: bool) -> None:
        for button in self.buttons.values():
            button.setEnabled(enabled)
        self.scrubber.setEnabled(enabled)

    def _change_speed(self, notch: int) -> None:
        self._say_speed()
        self.speed_wished.emit(speed_of(notch))

    def _say_speed(self) -> None:
        speed = speed_of(self.speed.value())
        language = self.translator.language
        if speed is None:
            words = self.say(N_("full speed"))
        else:
            number = (
                compact(speed, language)
                if speed >= 1000
                else decimal(speed, 0 if speed >= 10 else 1, language)
            )
            words = self.say(N_("{speed} steps/s"), speed=number)
        self.speed_words.setText(words)
