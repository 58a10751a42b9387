"""Draws a page walk: numbered boxes in the order of the references, chosen by mouse or arrow keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPainterPath, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from vizapp.machine.walks import NESTED
from vizapp.messages import N_, Message
from vizapp.ui.walk_layout import Box, place, rows_of
from vizapp.ui.widgets import along

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtGui import QKeyEvent, QMouseEvent, QPaintEvent, QResizeEvent

    from vizapp.session.details.walk import Walk
    from vizapp.ui.look import Look

_CENTERED = Qt.AlignmentFlag.AlignCenter
_TITLE = 22
_ROW = 74
_GAP = 12


class WalkView(QWidget):
    """The rows of one walk.

    Signals:
        chosen: the index of a box.
    """

    chosen = Signal(int)

    def __init__(self, look: Look, render: Callable[[Message], str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._look = look
        self._render = render
        self._walk: Walk | None = None
        self.boxes: list[Box] = []
        self.selected = 0
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def set_look(self, look: Look, render: Callable[[Message], str]) -> None:
        """Another theme, zoom or language."""
        self._look, self._render = look, render
        self._lay_out()

    def set_walk(self, walk: Walk | None) -> None:
        """Show a walk; what was chosen stays chosen where there still is as much."""
        self._walk = walk
        self._lay_out()
        self.selected = min(self.selected, max(0, len(self.boxes) - 1))
        self.update()

    def select(self, index: int) -> None:
        """Choose a box."""
        if self.boxes:
            self.selected = max(0, min(index, len(self.boxes) - 1))
            self.update()
            self.chosen.emit(self.selected)

    def sizeHint(self) -> QSize:
        """Room for every row."""
        rows = len(rows_of(self._walk)) if self._walk is not None else 3
        return QSize(self._look.px(420), self._look.px(_ROW * max(1, rows)))

    def minimumSizeHint(self) -> QSize:
        """Less, with smaller boxes."""
        rows = len(rows_of(self._walk)) if self._walk is not None else 1
        return QSize(self._look.px(240), self._look.px(52 * max(1, rows)))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Lay out anew."""
        super().resizeEvent(event)
        self._lay_out()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose what is under the mouse."""
        for index, box in enumerate(self.boxes):
            if box.rect.contains(event.position()):
                self.select(index)
                return
        super().mousePressEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Left and right follow the order of the references, Home and End go to its ends."""
        index = along(event.key(), self.selected, len(self.boxes) - 1)
        if index is None:
            super().keyPressEvent(event)
            return
        self.select(index)
        event.accept()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Titles, lines between boxes, and the boxes."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self._walk is None:
            return
        rows = rows_of(self._walk)
        painter.setFont(self._look.font("small"))
        painter.setPen(self._look.color("text_muted"))
        height = self.height() / max(1, len(rows))
        for index, row in enumerate(rows):
            area = QRectF(
                self._look.px(4), index * height, self.width() - self._look.px(8), self._look.px(_TITLE)
            )
            painter.drawText(
                area, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, self._render(row.title)
            )
        for before, box in zip(self.boxes, self.boxes[1:], strict=False):
            self._paint_link(painter, before, box)
        for index, box in enumerate(self.boxes):
            self._paint_box(painter, box, chosen=index == self.selected)

    def _paint_link(self, painter: QPainter, before: Box, box: Box) -> None:
        if before.row == box.row:
            painter.setPen(self._look.pen("text_muted", 1.4))
            y = box.rect.center().y()
            painter.drawLine(QPointF(before.rect.right(), y), QPointF(box.rect.left(), y))
            return
        if not before.reference.number and box.reference.number:
            return  # from the guest's own tables nothing leads into the shadow but the monitor
        pen = QPen(self._look.color("ring1"), 1.4 * self._look.scale, Qt.PenStyle.DashLine)
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        start, end = before.rect.center(), box.rect.center()
        start.setY(before.rect.bottom())
        end.setY(box.rect.top())
        middle = (start.y() + end.y()) / 2
        path = QPainterPath(start)
        path.cubicTo(QPointF(start.x(), middle), QPointF(end.x(), middle), end)
        painter.drawPath(path)

    def _paint_box(self, painter: QPainter, box: Box, *, chosen: bool) -> None:
        look, step = self._look, box.reference.step
        ring = 1 if step is None or step.table != NESTED else 0
        missing = (step is not None and not step.present) or box.reference.address is None
        line = look.color("bad") if missing else look.ring(ring)
        pen = QPen(line, (3.0 if chosen else 1.5) * look.scale)
        if missing:
            pen.setStyle(Qt.PenStyle.DashLine)
        fill = look.ring(ring)
        fill.setAlphaF(0.22 if chosen else 0.10)
        painter.setPen(pen)
        painter.setBrush(fill)
        painter.drawRoundedRect(box.rect, look.px(7), look.px(7))
        painter.setPen(look.ring_text(ring))
        painter.setFont(look.font("label"))
        words = self.words(box)
        if painter.fontMetrics().horizontalAdvance(words) > box.rect.width() - look.px(6):
            words = str(box.reference.number) if box.reference.number else words
        painter.drawText(box.rect, _CENTERED, words)
        if chosen and self.hasFocus():
            painter.setPen(QPen(look.color("focus"), 1.2 * look.scale, Qt.PenStyle.DotLine))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            inside = look.px(3)
            painter.drawRoundedRect(
                box.rect.adjusted(inside, inside, -inside, -inside), look.px(5), look.px(5)
            )

    def words(self, box: Box) -> str:
        """What stands in a box."""
        step, number, _ = box.reference
        if step is None:
            return self._render(Message(N_("page")))
        if step.table == NESTED:
            return str(number) if len(self.boxes) > 8 else f"{number} · {step.level}"
        return f"{number} · {step.level}" if number else step.level

    def _lay_out(self) -> None:
        if self._walk is None:
            self.boxes = []
        else:
            px = self._look.px
            area = QRectF(px(4), 0, self.width() - px(8), self.height())
            self.boxes = place(rows_of(self._walk), area, px(_TITLE), px(_GAP))
        self.updateGeometry()
        self.update()
