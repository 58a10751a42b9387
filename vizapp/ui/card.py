"""A card: a titled box on the page, for views that are no docks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from vizapp.ui.widgets import label

if TYPE_CHECKING:
    from vizapp.ui.look import Look


class Card(QFrame):
    """Heading at the left, muted note at the right, contents below."""

    def __init__(self, *contents: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("card")
        self.name = label("panelName")
        self.note = label("panelNote", align=Qt.AlignmentFlag.AlignRight)
        self.note.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._head = QHBoxLayout()
        self._head.addWidget(self.name)
        self._head.addWidget(self.note, 1)
        self.column = QVBoxLayout(self)
        self.column.addLayout(self._head)
        for index, widget in enumerate(contents):
            self.column.addWidget(widget, 1 if index == 0 else 0)

    def restyle(self, look: Look) -> None:
        """Spaces at the zoom."""
        self.column.setContentsMargins(look.px(13), look.px(9), look.px(13), look.px(9))
        self.column.setSpacing(look.px(6))
