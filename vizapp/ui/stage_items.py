"""What the stage is drawn with: ring systems, the transition's path, its callout, the bead, the flows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import QPointF, QRectF, QSizeF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPainterPath, QPen, QPolygonF
from PySide6.QtWidgets import QGraphicsItem

from vizapp.ui.numbers import grouped

if TYPE_CHECKING:
    from PySide6.QtWidgets import QStyleOptionGraphicsItem, QWidget

    from vizapp.ui.look import Look
    from vizapp.ui.stage_arrangement import Arrangement, Pill
    from vizapp.ui.stage_layout import RingSystem, StageLayout

_CENTERED = Qt.AlignmentFlag.AlignCenter
_FILL = {0: 0.17, 1: 0.13, 2: 0.10, 3: 0.10}


class Callout(NamedTuple):
    """Words beside a transition; ``color`` is a role."""

    headline: str
    detail: str
    color: str


class StillItem(QGraphicsItem):
    """All that stands still in an arrangement: what each form of the stage draws, and its words."""

    def __init__(self, look: Look, arrangement: Arrangement) -> None:
        super().__init__()
        self._look = look
        self._arrangement = arrangement
        self._current: Pill | None = None
        self.setCacheMode(QGraphicsItem.CacheMode.DeviceCoordinateCache)

    def set_current(self, pill: Pill | None) -> None:
        """Fill the shape of the component that runs."""
        if pill != self._current:
            self._current = pill
            self.update()

    def boundingRect(self) -> QRectF:
        """The whole stage."""
        return self._arrangement.area

    def _paint_texts(self, painter: QPainter) -> None:
        for text in self._arrangement.texts:
            painter.setFont(self._look.font(text.font))
            painter.setPen(self._look.color(text.color))
            painter.drawText(text.rect.adjusted(-2, 0, 2, 0), _CENTERED, text.text)


class RingsItem(StillItem):
    """The rings of every world, their labels and the pills of their components."""

    def __init__(self, look: Look, layout: StageLayout) -> None:
        super().__init__(look, layout)
        self._layout = layout

    def paint(
        self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None
    ) -> None:
        """Rings from outside in, then words, then pills."""
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for system in self._layout.systems:
            self._paint_rings(painter, system)
        self._paint_texts(painter)
        for pill in self._layout.pills:
            self._paint_pill(painter, pill)

    def _paint_rings(self, painter: QPainter, system: RingSystem) -> None:
        for ring in (3, 2, 1, 0):
            radius = system.outer(ring)
            color = self._look.ring(ring)
            painter.setPen(QPen(color, (1.8 if ring in system.used else 1.1) * self._look.scale))
            color.setAlphaF(_FILL[ring])
            painter.setBrush(color)
            painter.drawEllipse(system.center, radius, radius)

    def _paint_pill(self, painter: QPainter, pill: Pill) -> None:
        current = pill == self._current
        line = self._look.ring(pill.component.ring)
        painter.setPen(QPen(line, 1.5 * self._look.scale))
        painter.setBrush(line if current else self._look.color("pill"))
        half = pill.rect.height() / 2
        painter.drawRoundedRect(pill.rect, half, half)
        painter.setFont(self._look.font("label"))
        painter.setPen(self._look.color("pill") if current else self._look.ring_text(pill.component.ring))
        painter.drawText(pill.rect, _CENTERED, pill.text)


class PathItem(QGraphicsItem):
    """The way of the processor from one place to another, drawn as far as ``progress`` goes.

    The arrow ends ``clear`` pixels before the end of the path, where the bead stands.
    """

    def __init__(self, look: Look, path: QPainterPath, color: str, *, dashed: bool, clear: float) -> None:
        super().__init__()
        self._look = look
        self._path = path
        self._color = look.color(color)
        self._dashed = dashed
        self._clear = clear
        self._progress = 1.0
        self.setZValue(2)

    def set_progress(self, progress: float) -> None:
        """From 0, nothing, to 1, the whole path with its arrow."""
        self._progress = progress
        self.update()

    def boundingRect(self) -> QRectF:
        """The path with room for its pen and arrow."""
        return self._path.boundingRect().adjusted(-14, -14, 14, 14)

    def paint(
        self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None
    ) -> None:
        """A dot where it began, the line up to the bead, and the arrow once it has arrived."""
        length = self._path.length()
        arrow = 14 * self._look.scale
        if length <= self._clear + arrow:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._color)
        dot = 4.5 * self._look.scale
        painter.drawEllipse(self._path.pointAtPercent(0), dot, dot)
        tip = 1 - self._clear / length
        end = min(self._progress, tip - 0.7 * arrow / length)
        steps = max(2, int(40 * end))
        line = QPolygonF([self._path.pointAtPercent(end * step / steps) for step in range(steps + 1)])
        pen = QPen(self._color, 3.4 * self._look.scale)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        if self._dashed:
            pen.setCapStyle(Qt.PenCapStyle.FlatCap)
            pen.setDashPattern([2.6, 1.7])
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPolyline(line)
        if self._progress >= 1:
            _arrow(painter, self._path, self._color, arrow, tip)


class BeadItem(QGraphicsItem):
    """The processor: one bead, standing in the ring that it executes in."""

    def __init__(self, look: Look, radius: float) -> None:
        super().__init__()
        self._look = look
        self._radius = radius
        self._ring = 0
        self.setZValue(4)

    def set_ring(self, ring: int) -> None:
        """Take the colour of a ring."""
        if ring != self._ring:
            self._ring = ring
            self.update()

    def boundingRect(self) -> QRectF:
        """The bead with its halo."""
        size = self._radius * 1.6
        return QRectF(-size, -size, 2 * size, 2 * size)

    def paint(
        self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None
    ) -> None:
        """A filled disc in a light rim."""
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._look.color("pill"))
        painter.drawEllipse(QPointF(0, 0), self._radius * 1.4, self._radius * 1.4)
        painter.setBrush(self._look.ring(self._ring))
        painter.drawEllipse(QPointF(0, 0), self._radius, self._radius)


class CalloutItem(QGraphicsItem):
    """Cause and cost of what just happened, in a small box."""

    def __init__(self, look: Look, callout: Callout) -> None:
        super().__init__()
        self._look = look
        self._callout = callout
        self._size = self.size_of(look, callout)
        self.setZValue(3)

    @staticmethod
    def size_of(look: Look, callout: Callout) -> QSizeF:
        """How much room the words need."""
        head, small = QFontMetricsF(look.font("label")), QFontMetricsF(look.font("small"))
        width = max(head.horizontalAdvance(callout.headline), small.horizontalAdvance(callout.detail))
        height = head.height() + (small.height() + look.px(2) if callout.detail else 0)
        return QSizeF(width + look.px(20), height + look.px(10))

    def boundingRect(self) -> QRectF:
        """The box with its line."""
        return QRectF(QPointF(0, 0), self._size).adjusted(-1, -1, 1, 1)

    def paint(
        self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None
    ) -> None:
        """Headline in colour, cost muted."""
        look = self._look
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(look.pen(self._callout.color, 1.2))
        painter.setBrush(look.color("pill"))
        painter.drawRoundedRect(QRectF(QPointF(0, 0), self._size), look.px(6), look.px(6))
        inner = QRectF(QPointF(0, 0), self._size).adjusted(look.px(10), look.px(5), -look.px(10), -look.px(5))
        painter.setFont(look.font("label"))
        painter.setPen(look.color(f"{self._callout.color}_text"))
        painter.drawText(
            inner, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop, self._callout.headline
        )
        if self._callout.detail:
            painter.setFont(look.font("small"))
            painter.setPen(look.color("text_muted"))
            painter.drawText(
                inner, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom, self._callout.detail
            )


class FlowItem(QGraphicsItem):
    """Many passages over one path: as wide as they are frequent, with a counter of all there were."""

    def __init__(self, look: Look, path: QPainterPath, color: str, area: QRectF) -> None:
        super().__init__()
        self._look = look
        self._path = path
        self._color = color
        self._area = area
        self._width = 1.0
        self._count = 0
        self.label = QRectF()
        self.setZValue(2)

    def label_size(self) -> QSizeF:
        """Room for a counter of six digits."""
        metrics = QFontMetricsF(self._look.font("label"))
        return QSizeF(
            metrics.horizontalAdvance("888 888") + self._look.px(8), metrics.height() + self._look.px(4)
        )

    def set_flow(self, count: int, rate: float) -> None:
        """``count`` passages so far, ``rate`` of them a second: the width grows with the logarithm."""
        self._count = count
        self._width = min(11.0, 1.2 + 1.5 * math.log10(1 + rate))
        self.update()

    def boundingRect(self) -> QRectF:
        """Path, arrow and counter."""
        return self._path.boundingRect().adjusted(-16, -16, 16, 16).united(self.label).intersected(self._area)

    def paint(
        self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None
    ) -> None:
        """The line, its arrow, its counter."""
        if self._path.length() <= 0:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        color = self._look.color(self._color)
        faint = QColor(color)
        faint.setAlphaF(0.75)
        pen = QPen(faint, self._width * self._look.scale)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(pen)
        painter.drawPath(self._path)
        _arrow(painter, self._path, color, (9 + self._width) * self._look.scale)
        if not self.label.isEmpty():
            painter.setFont(self._look.font("label"))
            spare = self.label.width() - painter.fontMetrics().horizontalAdvance(grouped(self._count))
            ground = self.label.adjusted(spare / 2 - 5, 0, 5 - spare / 2, 0)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self._look.color("pill", 0.86))
            painter.drawRoundedRect(ground, self._look.px(4), self._look.px(4))
            painter.setPen(self._look.color(f"{self._color}_text"))
            painter.drawText(self.label, _CENTERED, grouped(self._count))


def _arrow(painter: QPainter, path: QPainterPath, color: QColor, size: float, at: float = 1.0) -> None:
    """A filled head whose tip is at a share of a path."""
    tip = path.pointAtPercent(at)
    before = path.pointAtPercent(max(0.0, at - size / max(path.length(), size)))
    angle = math.atan2(tip.y() - before.y(), tip.x() - before.x())
    sides = [
        tip - QPointF(math.cos(angle + turn) * size, math.sin(angle + turn) * size) for turn in (0.45, -0.45)
    ]
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(color)
    painter.drawPolygon(QPolygonF([tip, *sides]))
