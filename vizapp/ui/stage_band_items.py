"""What the stage's bands are drawn with: rings, components as boxes, the last movements by number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter, QPainterPath, QPen
from PySide6.QtWidgets import QGraphicsItem

from vizapp.ui.stage_items import StillItem

if TYPE_CHECKING:
    from PySide6.QtGui import QColor
    from PySide6.QtWidgets import QStyleOptionGraphicsItem, QWidget

    from vizapp.ui.look import Look
    from vizapp.ui.stage_arrangement import Pill
    from vizapp.ui.stage_bands import BandLayout

_CENTERED = Qt.AlignmentFlag.AlignCenter


class BandsItem(StillItem):
    """Bands, their labels, and the boxes of components."""

    def __init__(self, look: Look, layout: BandLayout) -> None:
        super().__init__(look, layout)
        self._layout = layout

    def paint(
        self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None
    ) -> None:
        """Bands, boxes, words."""
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        look = self._look
        for band in self._layout.bands:
            fill = self._color(band.ring)
            fill.setAlphaF(0.12)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(fill)
            painter.drawRoundedRect(band.rect, look.px(6), look.px(6))
        for pill in self._layout.pills:
            self._paint_box(painter, pill)
        self._paint_texts(painter)

    def _paint_box(self, painter: QPainter, pill: Pill) -> None:
        look, current = self._look, pill == self._current
        ring = pill.component.ring
        line = self._color(ring)
        painter.setPen(QPen(line, (2.8 if current else 1.5) * look.scale))
        painter.setBrush(look.color("pill"))
        painter.drawRoundedRect(pill.rect, look.px(8), look.px(8))
        if current:
            line.setAlphaF(0.22)
            painter.setBrush(line)
            painter.drawRoundedRect(pill.rect, look.px(8), look.px(8))
        painter.setFont(look.font(pill.font))
        painter.setPen(look.ring_text(ring) if ring >= 0 else look.color("text_muted"))
        painter.drawText(pill.rect, _CENTERED, pill.text)

    def _color(self, ring: int) -> QColor:
        return self._look.ring(ring) if ring >= 0 else self._look.color("text_muted")


class TrailItem(QGraphicsItem):
    """A movement of before: a thin line, and at its middle which one of the last it was."""

    def __init__(self, look: Look, path: QPainterPath, number: int, color: str) -> None:
        super().__init__()
        self._look = look
        self._path = path
        self._number = number
        self._color = color
        self.setZValue(1)

    @property
    def radius(self) -> float:
        """Of the number's disc."""
        return self._look.px(8)

    def boundingRect(self) -> QRectF:
        """The line with its number."""
        size = self.radius + 2
        return self._path.boundingRect().adjusted(-size, -size, size, size)

    def paint(
        self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None
    ) -> None:
        """The line, then the disc."""
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        color = self._look.color(self._color)
        faint = self._look.color(self._color, 0.45)
        painter.setPen(QPen(faint, 2.0 * self._look.scale))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPath(self._path)
        center = self._path.pointAtPercent(0.5)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color)
        painter.drawEllipse(center, self.radius, self.radius)
        painter.setPen(self._look.color("pill"))
        painter.setFont(self._look.font("label"))
        around = QRectF(center.x() - 20, center.y() - 20, 40, 40)
        painter.drawText(around, _CENTERED, str(self._number))
