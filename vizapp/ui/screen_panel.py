"""The screen panel: the guest's text screen, and its keyboard while the panel captures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtWidgets import QVBoxLayout, QWidget

from vizapp.machine.input_log import KEYBOARD
from vizapp.messages import N_
from vizapp.session.protocol import Feed
from vizapp.ui.panel import Panel
from vizapp.ui.text_screen import TextScreen
from vizapp.ui.widgets import ElidedLabel

if TYPE_CHECKING:
    from vizapp.messages import Translator
    from vizapp.session.frames import Frame
    from vizapp.ui.look import Look


class ScreenPanel(Panel):
    """Screen: the text screen of the guest, 80 by 25 characters at 0xB8000.

    Attributes:
        view: the screen.
        hint: what can be done with the keyboard, or what is being done.
    """

    name = "screen"
    title = N_("Screen")

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(look, translator, parent)
        self._vm = 0  # whose screen it is
        self.view = TextScreen(look)
        self.view.key.connect(
            lambda name, down: self.feed_requested.emit(Feed(KEYBOARD, (name, down), self._vm))
        )
        self.view.capturing_changed.connect(self._tell)
        self.hint = ElidedLabel("muted")
        self._column = QVBoxLayout(self)
        self._column.addWidget(self.view, 1)
        self._column.addWidget(self.hint)
        self.restyle()
        self.retranslate()

    def clear(self) -> None:
        """A dark screen."""
        self.view.set_takes_keys(False)
        self.view.show_screen((), None)
        self._tell()

    def show_frame(self, frame: Frame) -> None:
        """The characters and their colours as they are in the guest's memory."""
        self._vm = frame.vm
        self.view.set_takes_keys(KEYBOARD in frame.inputs)
        self.view.show_screen(frame.screen, frame.cells)
        self.view.setAccessibleDescription("\n".join(row.rstrip() for row in frame.screen).rstrip())
        self._tell()

    def restyle(self) -> None:
        """The frame's colours, and the room around."""
        self.view.look = self.look
        self.view.update()
        self._column.setContentsMargins(self.look.px(2), 0, self.look.px(2), 0)
        self._column.setSpacing(self.look.px(3))
        self.hint.setContentsMargins(self.look.px(8), 0, self.look.px(8), self.look.px(2))

    def retranslate(self) -> None:
        """Names and the hint."""
        self.view.setAccessibleName(self.say(self.title))
        self.set_note("80 × 25 · 0xB8000")
        super().retranslate()
        self._tell()

    def _tell(self, *_: object) -> None:
        if self.view.capturing:
            words = self.say(N_("● Keys go to the guest. Ctrl+Alt gives them back."))
        elif self.view.takes_keys:
            words = self.say(N_("Click the screen, or press Enter on it, to type to the guest."))
        elif self.frame is not None and KEYBOARD in self.frame.devices:
            words = self.say(N_("Only the bare machine takes keys while it runs: choose Native to type."))
        elif self.frame is not None and not any(row.strip() for row in self.frame.screen):
            words = self.say(N_("The guest has put nothing on its text screen yet."))
        else:
            words = ""
        self.hint.setVisible(bool(words))
        self.hint.set_words(words)
