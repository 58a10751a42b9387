"""Lanes over cycles: blocks where they can be told apart, densities where not; pan, zoom, hover, click."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QImage, QPainter
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from vizapp.ui.lanes_model import LanesModel
from vizapp.ui.numbers import compact, ticks

if TYPE_CHECKING:
    from PySide6.QtGui import QKeyEvent, QMouseEvent, QPaintEvent, QWheelEvent

    from vizapp.ui.look import Look

_BLOCKS_A_PIXEL = 0.35  # more stays than this: they cannot be told apart
_ROUNDED = 200  # more blocks than this: narrow ones are painted without corners, which is fast
_NARROWEST = 40.0  # cycles across the whole view


class LanesView(QWidget):
    """The picture of a LanesModel.

    Signals:
        cycle_clicked: a point in time.
        cycle_hovered: a point in time, with how many cycles a pixel is wide.
        range_changed: the stretch of cycles in view.
    """

    cycle_clicked = Signal(float, float)
    cycle_hovered = Signal(float, float)
    range_changed = Signal()

    def __init__(self, look: Look, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.look = look
        self.model = LanesModel()
        self.labels: list[str] = []
        self.unit = ""
        self.language = "en"
        self.compact = False
        self._cursor = 0.0
        self._last = 0.0
        self._range: tuple[float, float] | None = None  # None: all of it
        self._pressed: QPointF | None = None
        self._panned = False
        self._cache: tuple[object, QImage] | None = None
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    # What is shown.

    def set_model(self, model: LanesModel) -> None:
        """Another recording."""
        self.model = model
        self._range = None
        self._cursor = self._last = 0.0
        self.refresh()

    def set_times(self, cursor: float, last: float) -> None:
        """Where the cursor is, and where the recording ends, in cycles."""
        if (cursor, last) != (self._cursor, self._last):
            self._cursor, self._last = cursor, last
            self.update()

    def refresh(self) -> None:
        """Draw everything anew."""
        self._cache = None
        self.update()

    @property
    def visible_range(self) -> tuple[float, float]:
        """The stretch of cycles in view."""
        return self._range or (0.0, max(self._last, _NARROWEST))

    def show_all(self) -> None:
        """Zoom out to the whole recording, and follow it as it grows."""
        self._range = None
        self._moved()

    def zoom(self, factor: float, around: float) -> None:
        """Show ``1 / factor`` of what is seen, keeping the cycle ``around`` where it is."""
        low, high = self.visible_range
        span = max(_NARROWEST, (high - low) / factor)
        if span >= self._last:
            self.show_all()
            return
        share = (around - low) / (high - low)
        start = min(max(0.0, around - share * span), self._last - span)
        self._range = (start, start + span)
        self._moved()

    def pan(self, cycles: float) -> None:
        """Move along by so many cycles."""
        if self._range is not None:
            low, high = self._range
            shift = min(max(cycles, -low), max(0.0, self._last - high))
            self._range = (low + shift, high + shift)
            self._moved()

    def _moved(self) -> None:
        self.refresh()
        self.range_changed.emit()

    # Geometry.

    def sizeHint(self) -> QSize:
        """Room for the lanes and the axis."""
        if self.compact:
            return self.minimumSizeHint()
        return QSize(self.look.px(480), self.look.px(180))

    def minimumSizeHint(self) -> QSize:
        """Lanes of one line of words each."""
        rows = max(2, len(self.model.lanes))
        if self.compact:
            return QSize(self.look.px(100), self.look.px(14) * rows)
        return QSize(self.look.px(220), self.look.px(20) * rows + self.look.px(24))

    def _plot(self) -> QRectF:
        if self.compact:
            return QRectF(0, 0, self.width(), self.height())
        left = self.look.px(16)
        if self.labels:
            metrics = self.fontMetrics()
            left += max(metrics.horizontalAdvance(label) for label in self.labels) + self.look.px(10)
        return QRectF(
            left, self.look.px(2), self.width() - left - self.look.px(14), self.height() - self.look.px(24)
        )

    def cycle_at(self, x: float) -> float:
        """The cycle under a pixel."""
        plot = self._plot()
        low, high = self.visible_range
        return low + (x - plot.left()) / max(1.0, plot.width()) * (high - low)

    def x_of(self, cycle: float) -> float:
        """The pixel of a cycle."""
        plot = self._plot()
        low, high = self.visible_range
        return plot.left() + (cycle - low) / max(high - low, 1e-9) * plot.width()

    # Painting.

    def paintEvent(self, event: QPaintEvent) -> None:
        """Lanes from the cache, then the cursor over them."""
        plot = self._plot()
        with QPainter(self) as painter:
            self._paint_frame(painter, plot)
            if self._last > 0 and plot.width() > 4:
                key = (self.size(), self.visible_range, self._last, len(self.model.events), self.look)
                if self._cache is None or self._cache[0] != key:
                    self._cache = (key, self._lanes_image(plot))
                painter.drawImage(QPointF(0, 0), self._cache[1])
                self._paint_cursor(painter, plot)
            if self.hasFocus() and not self.compact:
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.setPen(self.look.pen("focus", 2))
                painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 4, 4)

    def _rows(self, plot: QRectF) -> tuple[float, float]:
        """Height of a lane, and of a block in it."""
        row = plot.height() / max(1, len(self.model.lanes))
        block = min(row * 0.66, self.look.px(12 if self.compact else 34))
        return row, block

    def _paint_frame(self, painter: QPainter, plot: QRectF) -> None:
        look = self.look
        row, _ = self._rows(plot)
        for number, lane in enumerate(self.model.lanes):
            y = plot.top() + row * (number + 1)
            painter.setPen(look.pen("grid", 1))
            if not self.compact:
                painter.drawLine(QPointF(plot.left(), y - 0.5), QPointF(plot.right(), y - 0.5))
            if number < len(self.labels) and not self.compact:
                painter.setFont(look.font("label"))
                painter.setPen(look.ring_text(lane.ring))
                area = QRectF(look.px(10), y - row, plot.left() - look.px(14), row)
                painter.drawText(
                    area, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, self.labels[number]
                )
        if self.compact or self._last <= 0:
            return
        painter.setFont(look.font("small"))
        painter.setPen(look.color("text_muted"))
        low, high = self.visible_range
        marks = ticks(low, high, max(2, int(plot.width() // look.px(110))))
        end = 0.0
        for index, mark in enumerate(marks):
            words = compact(mark, self.language)
            if index == len(marks) - 1:
                words = f"{words} {self.unit}"
            width = painter.fontMetrics().horizontalAdvance(words)
            x = min(
                max(self.x_of(mark) - width / 2, plot.left() - look.px(6)), self.width() - width - look.px(4)
            )
            if x >= end:
                area = QRectF(x, plot.bottom() + look.px(3), width + 2, look.px(20))
                painter.drawText(area, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, words)
                end = x + width + look.px(10)

    def _lanes_image(self, plot: QRectF) -> QImage:
        ratio = self.devicePixelRatioF()
        image = QImage(self.size() * ratio, QImage.Format.Format_ARGB32_Premultiplied)
        image.setDevicePixelRatio(ratio)
        image.fill(Qt.GlobalColor.transparent)
        low, high = self.visible_range
        with QPainter(image) as painter:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setClipRect(plot.adjusted(0, -1, 1, 1))
            if self.model.count(low, high) <= plot.width() * _BLOCKS_A_PIXEL:
                self._paint_blocks(painter, plot)
            else:
                self._paint_densities(painter, plot)
        return image

    def _paint_blocks(self, painter: QPainter, plot: QRectF) -> None:
        low, high = self.visible_range
        row, tall = self._rows(plot)
        brushes = [self.look.color(f"ring{lane.ring}", 0.86) for lane in self.model.lanes]
        scale, corner = plot.width() / (high - low), self.look.px(3)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        blocks = self.model.blocks(low, high, self._last)
        for block in blocks:
            x = plot.left() + (block.start - low) * scale
            wide = max(1.4, (block.end - block.start) * scale)
            area = QRectF(x, plot.top() + row * block.lane + (row - tall) / 2, wide, tall)
            if len(blocks) > _ROUNDED and wide < 2 * corner:
                painter.fillRect(area, brushes[block.lane])
            else:
                painter.setBrush(brushes[block.lane])
                painter.drawRoundedRect(area, min(corner, wide / 2), min(corner, wide / 2))

    def _paint_densities(self, painter: QPainter, plot: QRectF) -> None:
        """A column a pixel: a faint ground says "some", the height of the full colour says "how much"."""
        low, high = self.visible_range
        row, tall = self._rows(plot)
        columns, height = int(plot.width()), max(1, int(tall))
        levels = (np.arange(height, 0, -1) - 0.5)[:, None] / height
        for number, shares in enumerate(self.model.coverage(low, high, self._last, columns)):
            role = f"ring{self.model.lanes[number].ring}"
            full, faint = self.look.color(role, 0.86).rgba(), self.look.color(role, 0.25).rgba()
            pixels = np.where(shares[None, :] >= levels, full, np.where(shares[None, :] > 0, faint, 0))
            data = np.ascontiguousarray(pixels, dtype=np.uint32)
            picture = QImage(data.data, columns, height, columns * 4, QImage.Format.Format_ARGB32)
            painter.drawImage(QPointF(plot.left(), plot.top() + row * number + (row - tall) / 2), picture)

    def _paint_cursor(self, painter: QPainter, plot: QRectF) -> None:
        x = self.x_of(self._cursor)
        if plot.left() - 1 <= x <= plot.right() + 1 and not self.compact:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
            painter.setPen(self.look.pen("cursor", 1.5))
            painter.drawLine(
                QPointF(x, plot.top() - 2), QPointF(x, plot.bottom() + (0 if self.compact else 4))
            )

    # Mouse and keys.

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom around the mouse; sideways (or with Shift) pan."""
        turn = event.angleDelta()
        low, high = self.visible_range
        if abs(turn.x()) > abs(turn.y()) or event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.pan(-(turn.x() or turn.y()) / 120 * (high - low) * 0.1)
        else:
            self.zoom(1.25 ** (turn.y() / 120), self.cycle_at(event.position().x()))
        event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Remember where a drag or a click began."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._pressed = event.position()
            self._panned = False

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag to pan; else say what is under the mouse."""
        if self._pressed is not None:
            shift = event.position().x() - self._pressed.x()
            if self._panned or abs(shift) > 4:
                self._panned = True
                low, high = self.visible_range
                self.pan(-shift * (high - low) / max(1.0, self._plot().width()))
                self._pressed = event.position()
            return
        low, high = self.visible_range
        self.cycle_hovered.emit(
            self.cycle_at(event.position().x()), (high - low) / max(1.0, self._plot().width())
        )

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """A press that was no drag is a click."""
        if self._pressed is not None and not self._panned:
            low, high = self.visible_range
            self.cycle_clicked.emit(
                self.cycle_at(event.position().x()), (high - low) / max(1.0, self._plot().width())
            )
        self._pressed = None

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """All of it again."""
        self.show_all()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Plus, minus and 0 zoom around the cursor."""
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            super().keyPressEvent(event)
            return
        match event.key():
            case Qt.Key.Key_Plus | Qt.Key.Key_Equal:
                self.zoom(1.5, self._cursor)
            case Qt.Key.Key_Minus:
                self.zoom(1 / 1.5, self._cursor)
            case Qt.Key.Key_0:
                self.show_all()
            case _:
                super().keyPressEvent(event)

    def show_tip(self, words: str) -> None:
        """A tooltip at the mouse; none for no words."""
        QToolTip.showText(self.cursor().pos(), words, self)
