"""Overhead as curves: cycles over guest progress, a line a technique, told apart by colour and by dashes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from vizapp.ui.numbers import compact, ticks

if TYPE_CHECKING:
    from PySide6.QtGui import QPaintEvent

    from vizapp.ui.look import Look

# Colour role and dashes of each technique's line.
_STYLES: dict[str, tuple[str, str, list[float]]] = {
    "native": ("mark_innocuous", "text_muted", []),
    "trap-and-emulate": ("ring0", "ring0_text", [5, 2.5]),
    "binary-translation": ("mark_monitor", "text", [7, 2, 1.5, 2]),
    "paravirtual": ("ring1", "ring1_text", [2, 2]),
    "vt-x": ("ring3", "ring3_text", [9, 3]),
    "amd-v": ("ring2", "ring2_text", [4, 2, 1, 2]),
}


class Curve(NamedTuple):
    """One technique's line; ``title`` stands at its end."""

    technique: str
    title: str
    progress: list[float]
    cycles: list[float]


class OverheadGraph(QWidget):
    """The picture of some curves."""

    def __init__(self, look: Look, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.look = look
        self.curves: list[Curve] = []
        self.unit = ""
        self.language = "en"
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        """Wider than high."""
        return QSize(self.look.px(560), self.look.px(260))

    def minimumSizeHint(self) -> QSize:
        """Room for three lines of labels."""
        return QSize(self.look.px(280), self.look.px(120))

    def _plot(self) -> QRectF:
        metrics = self.fontMetrics()
        right = max(
            (metrics.horizontalAdvance(curve.title) for curve in self.curves), default=0
        ) + self.look.px(22)
        left = self.look.px(50)
        return QRectF(left, self.look.px(8), self.width() - left - right, self.height() - self.look.px(34))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Grid, lines, names at their ends."""
        self.setFont(self.look.font("label"))
        plot = self._plot()
        most = max((curve.cycles[-1] for curve in self.curves if curve.cycles), default=0.0)
        far = max((curve.progress[-1] for curve in self.curves if curve.progress), default=0.0)
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            if most <= 0 or far <= 0 or plot.width() < 10:
                return
            self._paint_grid(painter, plot, most, far)
            for curve in self.curves:
                if not curve.progress:
                    continue
                points = [
                    QPointF(plot.left() + p / far * plot.width(), plot.bottom() - c / most * plot.height())
                    for p, c in zip(curve.progress, curve.cycles, strict=True)
                ]
                role, _, dashes = _STYLES.get(curve.technique, ("accent", "text", []))
                pen = QPen(self.look.color(role), 2.4 * self.look.scale)
                pen.setCapStyle(Qt.PenCapStyle.FlatCap)
                if dashes:
                    pen.setDashPattern(dashes)
                painter.setPen(pen)
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawPolyline(QPolygonF(points))
            self._paint_names(painter, plot, most)

    def _paint_grid(self, painter: QPainter, plot: QRectF, most: float, far: float) -> None:
        look = self.look
        painter.setFont(look.font("small"))
        metrics = painter.fontMetrics()
        for value in ticks(0, most, max(2, int(plot.height() // look.px(44)))):
            y = plot.bottom() - value / most * plot.height()
            painter.setPen(look.pen("grid"))
            painter.drawLine(QPointF(plot.left(), y), QPointF(plot.right(), y))
            painter.setPen(look.color("text_muted"))
            area = QRectF(0, y - look.px(9), plot.left() - look.px(8), look.px(18))
            words = compact(value, self.language)
            painter.drawText(area, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, words)
        marks = ticks(0, far, max(2, int(plot.width() // look.px(110))))
        for mark in marks:
            words = compact(mark, self.language) + (f" {self.unit}" if mark == marks[-1] else "")
            wide = metrics.horizontalAdvance(words)
            x = plot.left() + mark / far * plot.width()
            left = min(x - wide / 2, self.width() - wide - 2.0)
            area = QRectF(left, plot.bottom() + look.px(5), wide + 2, look.px(18))
            painter.drawText(area, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, words)

    def _paint_names(self, painter: QPainter, plot: QRectF, most: float) -> None:
        """Names pushed apart, so that lines that end together do not write over each other."""
        height = painter.fontMetrics().height()
        painter.setFont(self.look.font("label"))
        curves = sorted((curve for curve in self.curves if curve.cycles), key=lambda curve: -curve.cycles[-1])
        places = [plot.bottom() - curve.cycles[-1] / most * plot.height() for curve in curves]
        for index in range(1, len(places)):
            places[index] = max(places[index], places[index - 1] + height)
        floor = plot.bottom()
        for index in range(len(places) - 1, -1, -1):
            places[index] = min(places[index], floor)
            floor = places[index] - height
        for y, curve in zip(places, curves, strict=True):
            _, text, _ = _STYLES.get(curve.technique, ("accent", "text", []))
            painter.setPen(self.look.color(text))
            area = QRectF(plot.right() + self.look.px(8), y - height / 2, self.width() - plot.right(), height)
            painter.drawText(area, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, curve.title)
