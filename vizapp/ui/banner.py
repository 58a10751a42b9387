"""The banner: a sentence across the window when something went wrong, with the way to go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QWidget

from vizapp.messages import N_, Message
from vizapp.ui.widgets import label

if TYPE_CHECKING:
    from vizapp.messages import Translator
    from vizapp.ui.look import Look


class Banner(QFrame):
    """Hidden until there is something to say.

    Signals:
        restart_wished: begin the session anew.
    """

    restart_wished = Signal()

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("banner")
        self._message: Message | None = None
        self._translator = translator
        self.words = label("sentence", wrap=True)
        self.restart = QPushButton()
        self.restart.clicked.connect(self._restart)
        self.dismiss = QPushButton()
        self.dismiss.clicked.connect(self.clear)
        self._row = QHBoxLayout(self)
        self._row.addWidget(self.words, 1)
        self._row.addWidget(self.restart)
        self._row.addWidget(self.dismiss)
        self.restyle(look)
        self.retranslate(translator)
        self.hide()

    def say(self, message: Message, *, restart: bool) -> None:
        """Show a sentence, with a button to begin anew where the session is lost."""
        self._message = message
        self.restart.setVisible(restart)
        self.dismiss.setVisible(not restart)
        self.retranslate(self._translator)
        self.show()

    def clear(self) -> None:
        """Nothing is wrong any more."""
        self._message = None
        self.hide()

    def restyle(self, look: Look) -> None:
        """Spaces at the zoom."""
        self._row.setContentsMargins(look.px(14), look.px(8), look.px(10), look.px(8))

    def retranslate(self, translator: Translator) -> None:
        """All words."""
        self._translator = translator
        self.restart.setText(translator.text(N_("Start again")))
        self.dismiss.setText(translator.text(N_("Close")))
        words = translator.render(self._message) if self._message is not None else ""
        self.words.setText(words)
        self.setAccessibleName(words)

    def _restart(self) -> None:
        self.clear()
        self.restart_wished.emit()
