"""Stacked bars of cycles by purpose, a row a technique, painted with colour and pattern."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QFontMetricsF, QPainter, QPen
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from vizapp.ui.look import PURPOSES
from vizapp.ui.numbers import grouped, percent, times

if TYPE_CHECKING:
    from PySide6.QtGui import QMouseEvent, QPaintEvent

    from vizapp.ui.look import Look
    from vizapp.ui.overhead_model import Bar

_LOG_DECADES = 3.0  # how much of a logarithmic axis lies left of the longest bar


class OverheadView(QWidget):
    """The picture of a list of bars."""

    def __init__(self, look: Look, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.look = look
        self.bars: list[Bar] = []
        self.titles: dict[str, str] = {}
        self.purpose_titles: dict[str, str] = {}
        self.reasons: dict[str, str] = {}
        self.no_figure = ""
        self.language = "en"
        self.active = ""
        self.logarithmic = False
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        """A row a technique and the legend."""
        return QSize(self.look.px(360), self.look.px(34) * max(3, len(self.bars)) + self.look.px(44))

    def minimumSizeHint(self) -> QSize:
        """Rows as high as their words."""
        return QSize(self.look.px(280), self.look.px(22) * max(3, len(self.bars)) + self.look.px(28))

    def used_purposes(self) -> list[str]:
        """Purposes that any bar has, in their fixed order."""
        return [purpose for purpose in PURPOSES if any(bar.purposes.get(purpose, 0) > 0 for bar in self.bars)]

    def paintEvent(self, event: QPaintEvent) -> None:
        """Rows, then the legend."""
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            longest = max((bar.cycles for bar in self.bars), default=0.0)
            for number, bar in enumerate(self.bars):
                self._paint_row(painter, self._band(number), bar, longest)
            self._paint_legend(painter)

    def _band(self, number: int) -> QRectF:
        """The row of a bar."""
        area = self._area()
        room = self._legend()[0] - area.top()
        height = min(room / max(1, len(self.bars)), self.look.px(46))
        return QRectF(area.left(), area.top() + height * number, area.width(), height)

    def _area(self) -> QRectF:
        return QRectF(self.rect()).adjusted(
            self.look.px(8), self.look.px(2), -self.look.px(8), -self.look.px(2)
        )

    def _label_width(self) -> float:
        metrics = QFontMetricsF(self.look.font("label"))
        names = [
            metrics.horizontalAdvance(self.titles.get(bar.technique, bar.technique)) for bar in self.bars
        ]
        return max(names, default=0.0) + self.look.px(10)

    def _paint_row(self, painter: QPainter, band: QRectF, bar: Bar, longest: float) -> None:
        look = self.look
        label = QRectF(band.left(), band.top(), self._label_width(), band.height())
        painter.setFont(look.font("label" if bar.technique == self.active else "small"))
        painter.setPen(look.color("text"))
        title = self.titles.get(bar.technique, bar.technique)
        painter.drawText(
            label.adjusted(0, 0, -look.px(10), 0),
            Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter,
            title,
        )
        left = label.right()
        room = band.right() - left - look.px(66)
        tall = min(float(look.px(20)), band.height() * 0.64)
        top = band.top() + (band.height() - tall) / 2
        reason = self.reasons.get(bar.technique, "")
        if reason:
            self._paint_words(painter, QRectF(left, band.top(), band.right() - left, band.height()), reason)
            return
        x = left
        for start, end, purpose in self._segments(bar, longest, room):
            part = QRectF(left + start, top, max(0.8, end - start), tall)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(look.purpose_brush(purpose))
            painter.drawRect(part)
            painter.setBrush(look.purpose_pattern(purpose))
            painter.drawRect(part)
            x = part.right()
        if x > left:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            style = Qt.PenStyle.SolidLine if bar.valid else Qt.PenStyle.DashLine
            painter.setPen(QPen(look.color("text_muted" if not bar.valid else "surface"), 1, style))
            painter.drawRoundedRect(QRectF(left, top, x - left, tall), 2, 2)
        painter.setFont(look.font("strong"))
        painter.setPen(look.color("text"))
        words = (
            times(bar.ratio, self.language)
            if bar.ratio is not None
            else ("" if bar.valid else self.no_figure)
        )
        if not bar.valid:
            painter.setFont(look.font("small"))
            painter.setPen(look.color("bad_text"))
        area = QRectF(x + look.px(8), band.top(), band.right() - x - look.px(8), band.height())
        painter.drawText(area, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, words)

    def _paint_words(self, painter: QPainter, area: QRectF, words: str) -> None:
        painter.setFont(self.look.font("small"))
        painter.setPen(self.look.color("text_muted"))
        words = painter.fontMetrics().elidedText(words, Qt.TextElideMode.ElideRight, int(area.width()))
        painter.drawText(area, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, words)

    def _segments(self, bar: Bar, longest: float, room: float) -> list[tuple[float, float, str]]:
        """Left and right end of each purpose's part, in pixels."""
        made, before = [], 0.0
        for purpose in PURPOSES:
            value = bar.purposes.get(purpose, 0.0)
            if value > 0 and longest > 0:
                after = before + value
                made.append(
                    (self._scaled(before, longest) * room, self._scaled(after, longest) * room, purpose)
                )
                before = after
        return made

    def _scaled(self, cycles: float, longest: float) -> float:
        """Share of the room that so many cycles take."""
        if not self.logarithmic:
            return cycles / longest
        if cycles <= 0:
            return 0.0
        return max(0.0, 1 + math.log10(cycles / longest) / _LOG_DECADES)

    def _legend(self) -> tuple[float, list[tuple[QPointF, str]]]:
        """Top of the legend, and where the swatch of each purpose that occurs stands."""
        look, area = self.look, self._area()
        metrics = QFontMetricsF(look.font("small"))
        x, line = area.left(), 0
        places: list[tuple[float, int, str]] = []
        for purpose in self.used_purposes():
            width = look.px(35) + metrics.horizontalAdvance(self.purpose_titles.get(purpose, purpose))
            if x + width - look.px(16) > area.right() and x > area.left():
                x, line = area.left(), line + 1
            places.append((x, line, purpose))
            x += width
        height = look.px(20)
        top = area.bottom() - (line + 1) * height
        return top - look.px(4), [
            (QPointF(left, top + number * height), name) for left, number, name in places
        ]

    def _paint_legend(self, painter: QPainter) -> None:
        look = self.look
        painter.setFont(look.font("small"))
        for place, purpose in self._legend()[1]:
            swatch = QRectF(place.x(), place.y() + look.px(4), look.px(13), look.px(13))
            painter.setPen(Qt.PenStyle.NoPen)
            for brush in (look.purpose_brush(purpose), look.purpose_pattern(purpose)):
                painter.setBrush(brush)
                painter.drawRoundedRect(swatch, 2, 2)
            painter.setPen(look.color("text_muted"))
            words = self.purpose_titles.get(purpose, purpose)
            painter.drawText(place + QPointF(look.px(19), look.px(15)), words)

    def bar_at(self, y: float) -> Bar | None:
        """The bar under a pixel."""
        for number, bar in enumerate(self.bars):
            if self._band(number).top() <= y < self._band(number).bottom():
                return bar
        return None

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """The numbers behind a bar."""
        bar = self.bar_at(event.position().y())
        QToolTip.showText(event.globalPosition().toPoint(), self.describe(bar) if bar else "", self)

    def describe(self, bar: Bar) -> str:
        """A bar in words, for the tooltip and for screen readers."""
        title = self.titles.get(bar.technique, bar.technique)
        if reason := self.reasons.get(bar.technique, ""):
            return f"<b>{title}</b><br>{reason}"
        total = bar.cycles or 1.0
        lines = [
            f"{self.purpose_titles.get(purpose, purpose)}: {grouped(round(value))} "
            f"({percent(value / total, self.language)})"
            for purpose, value in bar.purposes.items()
            if value > 0
        ]
        head = f"<b>{title}</b> {times(bar.ratio, self.language) if bar.ratio is not None else ''}"
        return "<br>".join([head, *lines])
