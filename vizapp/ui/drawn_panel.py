"""A panel that is one drawing out of a detail with its legend, and a sentence where there is nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QVBoxLayout, QWidget

from vizapp.ui.panel import Panel
from vizapp.ui.widgets import label

if TYPE_CHECKING:
    from vizapp.messages import Translator
    from vizapp.ui.look import Look


class DrawnPanel(Panel):
    """The room for ``body``, the drawing or what it scrolls in.

    Attributes:
        nothing: what stands there without a drawing, in English.
        legend: what the signs of the drawing mean.
        empty: the sentence.
    """

    nothing: ClassVar[str] = ""

    def __init__(
        self, look: Look, translator: Translator, body: QWidget, parent: QWidget | None = None
    ) -> None:
        super().__init__(look, translator, parent)
        self._body = body
        self.legend = label("muted", wrap=True)
        self.empty = label("muted", wrap=True, align=Qt.AlignmentFlag.AlignCenter)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(body, 1)
        column.addWidget(self.empty, 1)
        column.addWidget(self.legend)
        self.restyle()
        self.retranslate()
        self.clear()

    def retranslate(self) -> None:
        """Words."""
        self.empty.setText(self.say(self.nothing))
        super().retranslate()

    def show_drawing(self, shown: bool) -> None:
        """The drawing and its legend, or the sentence."""
        self._body.setVisible(shown)
        self.legend.setVisible(shown)
        self.empty.setVisible(not shown)
