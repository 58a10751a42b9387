"""A choice among long names that shows a short one where it stands: the list has them whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QComboBox, QStyle, QStyleOptionComboBox, QStylePainter

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtGui import QPaintEvent
    from PySide6.QtWidgets import QWidget


class ShortBox(QComboBox):
    """A combo box as wide as what it shows; ``shorten`` makes the short name of a long one.

    Attributes:
        short: whether it shows the short name.
    """

    def __init__(self, shorten: Callable[[str], str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shorten = shorten
        self.short = False
        self.currentTextChanged.connect(lambda _text: self.updateGeometry())

    @property
    def shown(self) -> str:
        """The words that stand in it."""
        return self._shorten(self.currentText()) if self.short else self.currentText()

    def set_short(self, short: bool) -> None:
        """Show the short name, or the whole one."""
        self.short = short
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        """Room for the words that it shows."""
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        words = QSize(self.fontMetrics().horizontalAdvance(self.shown + " "), self.fontMetrics().height())
        kind = QStyle.ContentsType.CT_ComboBox
        width = self.style().sizeFromContents(kind, option, words, self).width()
        return QSize(width, super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        """No less: what is cut says nothing."""
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent) -> None:
        """As any combo box, with those words."""
        painter = QStylePainter(self)
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        option.currentText = self.shown
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
