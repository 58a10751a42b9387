"""The scrubber: the whole recorded past as one line, with a tick at each event, or their density."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QSizePolicy, QWidget

if TYPE_CHECKING:
    from collections.abc import Iterable

    from PySide6.QtGui import QKeyEvent, QMouseEvent, QPaintEvent

    from vizapp.ui.look import Look

_DENSE = 0.25  # ticks a pixel from which single ticks become a density


class Scrubber(QWidget):
    """A slider over positions.

    Signals:
        moved: a position that was dragged or clicked to.
    """

    moved = Signal(int)

    def __init__(self, look: Look, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.look = look
        self._position = 0
        self._last = 0
        self._ticks = np.zeros(0, dtype=np.int64)
        self._pending: list[int] = []
        self._dragged: int | None = None
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    @property
    def tick_count(self) -> int:
        """How many events are marked."""
        return len(self._ticks) + len(self._pending)

    def set_range(self, position: int, last: int) -> None:
        """Where the cursor is, and where the recording ends."""
        self._position = position
        self._last = last
        self.update()

    def add_ticks(self, positions: Iterable[int]) -> None:
        """Mark events; positions grow."""
        self._pending.extend(positions)
        self.update()

    def clear_ticks(self) -> None:
        """A new recording begins."""
        self._ticks = np.zeros(0, dtype=np.int64)
        self._pending = []
        self.set_range(0, 0)

    def sizeHint(self) -> QSize:
        """Ticks above the line, the handle on it."""
        return QSize(self.look.px(260), self.look.px(26))

    def position_at(self, x: float) -> int:
        """The position under a pixel."""
        left, width = self._groove()
        share = min(1.0, max(0.0, (x - left) / width))
        return round(share * self._last)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Jump to where it was pressed."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._drag(event.position().x())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Follow the mouse."""
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._drag(event.position().x())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """From here on the cursor is where the session says."""
        self._dragged = None
        self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Up and down move by a hundredth of the recording; left and right step, as everywhere."""
        stride = max(1, self._last // 100)
        if event.key() == Qt.Key.Key_Up:
            self.moved.emit(min(self._last, self._position + stride))
        elif event.key() == Qt.Key.Key_Down:
            self.moved.emit(max(0, self._position - stride))
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Line, ticks, handle."""
        look = self.look
        left, width = self._groove()
        middle = self.height() - look.px(10)
        position = self._position if self._dragged is None else self._dragged
        share = position / self._last if self._last else 0.0
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            groove = QRectF(left, middle - look.px(2), width, look.px(5))
            painter.setBrush(look.color("line"))
            painter.drawRoundedRect(groove, 2, 2)
            self._paint_ticks(painter, left, width, middle)
            groove.setWidth(width * share)
            painter.setBrush(look.color("accent"))
            painter.drawRoundedRect(groove, 2, 2)
            handle = QPointF(left + width * share, middle + 0.5)
            painter.setBrush(look.color("surface"))
            painter.drawEllipse(handle, look.px(10), look.px(10))
            painter.setBrush(look.color("accent"))
            painter.drawEllipse(handle, look.px(8), look.px(8))
            if self.hasFocus():
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.setPen(look.pen("focus", 2))
                painter.drawEllipse(handle, look.px(9), look.px(9))

    def _paint_ticks(self, painter: QPainter, left: float, width: float, middle: float) -> None:
        if self._pending:
            self._ticks = np.concatenate([self._ticks, np.asarray(self._pending, dtype=np.int64)])
            self._pending = []
        if not len(self._ticks) or not self._last:
            return
        columns = max(1, int(width))
        counts = np.bincount(
            np.minimum(self._ticks * (columns - 1) // self._last, columns - 1), minlength=columns
        )
        dense = len(self._ticks) > columns * _DENSE
        most = max(1, int(counts.max()))
        height, low = self.look.px(9), middle - self.look.px(5)
        thick = 1.0 if dense else float(self.look.px(2))
        full = self.look.color("ring0", 0.9)
        for column in np.flatnonzero(counts):
            share = float(np.log1p(counts[column]) / np.log1p(most)) if dense else 1.0
            tall = height * (0.35 + 0.65 * share)
            painter.fillRect(QRectF(left + float(column), low - tall, thick, tall), full)

    def _groove(self) -> tuple[float, float]:
        margin = self.look.px(11)
        return float(margin), float(max(1, self.width() - 2 * margin))

    def _drag(self, x: float) -> None:
        self._dragged = self.position_at(x)
        self.moved.emit(self._dragged)
        self.update()
