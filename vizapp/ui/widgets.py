"""Small widgets and makers of widgets that the style sheet knows by their names."""

from __future__ import annotations

from typing import TypeVar

from PySide6.QtCore import QEvent, QPointF, QSize, Qt
from PySide6.QtGui import QFont, QFontMetrics, QHelpEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QLabel, QPushButton, QScrollArea, QToolTip, QVBoxLayout, QWidget

W = TypeVar("W", bound=QWidget)


def named(widget: W, name: str) -> W:
    """The widget, under the name that the style sheet selects it by."""
    widget.setObjectName(name)
    return widget


def label(name: str, text: str = "", *, align: Qt.AlignmentFlag | None = None, wrap: bool = False) -> QLabel:
    """A label of one of the style sheet's kinds."""
    made = named(QLabel(text), name)
    made.setWordWrap(wrap)
    if align is not None:
        made.setAlignment(align)
    return made


class Toggle(QPushButton):
    """A button that stays down, and has bold words then: there is room for them always."""

    def __init__(self) -> None:
        super().__init__()
        self.setCheckable(True)

    def sizeHint(self) -> QSize:
        """As wide as with bold words, so that its neighbours stay where they are."""
        hint, bold = super().sizeHint(), QFont(self.font())
        bold.setBold(True)
        words = self.text().replace("&&", "&")
        more = QFontMetrics(bold).horizontalAdvance(words) - self.fontMetrics().horizontalAdvance(words)
        return QSize(hint.width() + max(0, more), hint.height())

    def minimumSizeHint(self) -> QSize:
        """No less."""
        return self.sizeHint()


def toggle() -> QPushButton:
    """A button that stays down."""
    return Toggle()


def tight_column() -> QVBoxLayout:
    """A column without gaps."""
    made = QVBoxLayout()
    made.setContentsMargins(0, 0, 0, 0)
    made.setSpacing(0)
    return made


def along(key: int, at: int, last: int) -> int | None:
    """Where the arrow keys, Home and End lead in a row of things; None for any other key."""
    match key:
        case Qt.Key.Key_Right | Qt.Key.Key_Down:
            return at + 1
        case Qt.Key.Key_Left | Qt.Key.Key_Up:
            return at - 1
        case Qt.Key.Key_Home:
            return 0
        case Qt.Key.Key_End:
            return last
    return None


def scrolling(view: QWidget) -> QScrollArea:
    """A frameless area that scrolls over a view as wide as it is."""
    made = QScrollArea()
    made.setWidgetResizable(True)
    made.setFrameShape(QFrame.Shape.NoFrame)
    made.setWidget(view)
    for part in (view, made.viewport()):
        part.setAutoFillBackground(False)  # what is below shows: the panel's own ground
    return made


class Tipped(QWidget):
    """A drawing whose parts have tooltips of their own."""

    def tip_at(self, position: QPointF) -> str:
        """The words for what is at a position; empty where there is nothing to say."""
        raise NotImplementedError

    def event(self, event: QEvent) -> bool:
        """Show the tooltip of what is under the mouse."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            QToolTip.showText(event.globalPos(), self.tip_at(QPointF(event.pos())), self)
            return True
        return super().event(event)


class ElidedLabel(QLabel):
    """A line of words that ends in … where it is too long; its tooltip has all of them."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setObjectName(name)
        self.setMinimumWidth(1)
        self._words = ""

    @property
    def words(self) -> str:
        """All of them."""
        return self._words

    def set_words(self, words: str) -> None:
        """Show other words."""
        self._words = words
        self.setToolTip(words)
        self._elide()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """More words, or fewer."""
        super().resizeEvent(event)
        self._elide()

    def _elide(self) -> None:
        room = self.contentsRect().width() - 2 * self.margin()
        self.setText(self.fontMetrics().elidedText(self._words, Qt.TextElideMode.ElideRight, room))
