"""The classes of an instruction as shapes: circle, diamond, triangle; a square for the monitor's own."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPolygonF

from vizapp.ui.look import Look

MARKS = ("innocuous", "sensitive", "privileged")


def paint_mark(painter: QPainter, look: Look, mark: str, center: QPointF, size: float) -> None:
    """Draw the shape of a mark around ``center``, ``size`` pixels across."""
    half = size / 2
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(look.color(f"mark_{mark}"))
    x, y = center.x(), center.y()
    match mark:
        case "sensitive":
            points = [(x, y - half * 1.1), (x + half * 1.1, y), (x, y + half * 1.1), (x - half * 1.1, y)]
            painter.drawPolygon(QPolygonF([QPointF(*point) for point in points]))
        case "privileged":
            points = [(x, y - half), (x + half * 1.1, y + half * 0.9), (x - half * 1.1, y + half * 0.9)]
            painter.drawPolygon(QPolygonF([QPointF(*point) for point in points]))
        case "monitor":
            painter.drawRect(QRectF(x - half * 0.9, y - half * 0.9, size * 0.9, size * 0.9))
        case _:
            painter.drawEllipse(center, half * 0.85, half * 0.85)
