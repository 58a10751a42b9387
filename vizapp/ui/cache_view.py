"""Draws the translation cache: units as blocks, as dark as they are hot, and the jumps that chain them."""

from __future__ import annotations

from math import log1p
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QBrush, QPainter, QPainterPath, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from vizapp.messages import N_, Message
from vizapp.ui.cache_layout import Block, Grid, blocks_of, grid_of
from vizapp.ui.numbers import grouped
from vizapp.ui.widgets import Tipped

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtGui import QKeyEvent, QMouseEvent, QPaintEvent

    from vizapp.messages import Parameter
    from vizapp.session.details.translation_cache import CachedUnit, CacheMap
    from vizapp.ui.look import Look

_ROW = 26
_OVERVIEW = 16
_PATTERNS = {
    "dropped": Qt.BrushStyle.BDiagPattern,
    "landing": Qt.BrushStyle.Dense6Pattern,
    "door": Qt.BrushStyle.SolidPattern,
}
REGIONS = {
    "dropped": N_("given up: the guest changed what was translated here"),
    "landing": N_("where lookups land: checks the target, then jumps to its unit"),
    "door": N_("the call of the monitor"),
}
_FAINTEST, _DARKEST = 0.10, 0.72


class CacheView(Tipped):
    """The map of one cache.

    Attributes:
        selected: the number of the chosen unit, -1 without one.
        fresh: the numbers of units that were not there in the frame before.
        patched: pairs (from, to) of units that were not chained in the frame before.

    Signals:
        chosen: the number of a unit.
    """

    chosen = Signal(int)

    def __init__(self, look: Look, render: Callable[[Message], str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._look = look
        self._render = render
        self._map: CacheMap | None = None
        self._units: dict[int, CachedUnit] = {}
        self.selected = -1
        self.fresh: frozenset[int] = frozenset()
        self.patched: frozenset[tuple[int, int]] = frozenset()
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def set_look(self, look: Look, render: Callable[[Message], str]) -> None:
        """Another theme, zoom or language."""
        self._look, self._render = look, render
        self.update()

    def set_map(self, found: CacheMap | None) -> None:
        """Show a cache; what it has that the one before had not is marked."""
        before, links = self._units, _links(self._map)
        known = self._map is not None
        self._map = found
        self._units = {} if found is None else {unit.number: unit for unit in found.units}
        self.fresh = frozenset(set(self._units) - set(before)) if known else frozenset()
        self.patched = _links(found) - links if known else frozenset()
        if self.selected not in self._units:
            self.selected = -1
        self.update()

    def select(self, number: int) -> None:
        """Choose a unit."""
        if number in self._units and number != self.selected:
            self.selected = number
            self.update()
            self.chosen.emit(number)

    def sizeHint(self) -> QSize:
        """A few rows."""
        return QSize(self._look.px(420), self._look.px(_OVERVIEW + 6 * _ROW))

    def minimumSizeHint(self) -> QSize:
        """Two rows."""
        return QSize(self._look.px(240), self._look.px(_OVERVIEW + 2 * _ROW))

    def rects(self, offset: int, size: int) -> list[QRectF]:
        """Where bytes of the cache are drawn."""
        if self._map is None:
            return []
        area, grid = self._area(), self._grid()
        height = area.height() / grid.rows
        return [
            QRectF(
                area.left() + piece.left * area.width(),
                area.top() + piece.row * height,
                max(1.5, (piece.right - piece.left) * area.width()),
                height,
            )
            for piece in grid.pieces(offset, size)
        ]

    def block_at(self, position: QPointF) -> Block | None:
        """What is under the mouse."""
        blocks = () if self._map is None else blocks_of(self._map)
        return next(
            (
                block
                for block in blocks
                if any(rect.contains(position) for rect in self.rects(block.offset, block.size))
            ),
            None,
        )

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose the unit under the mouse."""
        block = self.block_at(event.position())
        if block is not None:
            self.select(block.number)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Left and right go from unit to unit."""
        steps = {Qt.Key.Key_Right: 1, Qt.Key.Key_Left: -1}
        numbers = [unit.number for unit in self._map.units] if self._map is not None else []
        if event.key() not in steps or not numbers:
            super().keyPressEvent(event)
            return
        at = numbers.index(self.selected) + steps[Qt.Key(event.key())] if self.selected in numbers else 0
        self.select(numbers[max(0, min(at, len(numbers) - 1))])

    def tip_at(self, position: QPointF) -> str:
        """What is under the mouse."""
        return self.describe(self.block_at(position))

    def describe(self, block: Block | None) -> str:
        """A block in words; nothing of free bytes."""
        if block is None:
            return ""
        if block.number < 0:
            return self._render(Message(REGIONS.get(block.kind, block.kind)))
        unit = self._units[block.number]
        text = N_("unit {number}: {address}, {instructions} instructions, {size} bytes, reached {hits} times")
        parameters: dict[str, Parameter] = {
            "number": unit.number,
            "address": f"{unit.address:08X}",
            "instructions": unit.instructions,
            "size": unit.size,
            "hits": unit.hits,
        }
        return self._render(Message(text, parameters))

    def paintEvent(self, event: QPaintEvent) -> None:
        """The whole cache as a bar, the used part as blocks, the chains of the chosen unit."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self._map is None:
            return
        self._paint_overview(painter, self._map)
        hottest = max((unit.hits for unit in self._map.units), default=0)
        for block in blocks_of(self._map):
            self._paint_block(painter, block, self._map, hottest)
        for number in (self._map.current, self.selected):
            self._paint_outline(painter, number, chosen=number == self.selected)
        for source, target in sorted(self.patched):
            self._paint_link(painter, source, target, "flash", 3.0)
        chosen = self._units.get(self.selected)
        if chosen is not None:
            for target in chosen.chained_out:
                self._paint_link(painter, chosen.number, target, "ring3", 1.8)
            for source in chosen.chained_in:
                self._paint_link(painter, source, chosen.number, "ring1", 1.8, dashed=True)

    def _area(self) -> QRectF:
        top = self._look.px(_OVERVIEW + 6)
        return QRectF(1, top, self.width() - 2, max(1, self.height() - top - 1))

    def _grid(self) -> Grid:
        assert self._map is not None
        return grid_of(self._map, int(self._area().height() // self._look.px(_ROW)))

    def _paint_overview(self, painter: QPainter, found: CacheMap) -> None:
        look, height = self._look, self._look.px(_OVERVIEW)
        whole = QRectF(0.5, 0.5, self.width() - 1, height - 1)
        painter.setPen(look.pen("line"))
        painter.setBrush(look.color("sunken"))
        painter.drawRect(whole)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(look.color("ring1", 0.45))
        for offset, size in self._used(found):
            left = whole.left() + offset / found.size * whole.width()
            painter.drawRect(
                QRectF(left, whole.top(), max(1.5, size / found.size * whole.width()), whole.height())
            )
        painter.setPen(look.color("text"))
        painter.setFont(look.font("small"))
        text = Message(
            N_("{free} of {size} bytes are free"), {"free": grouped(found.free), "size": grouped(found.size)}
        )
        painter.drawText(whole, Qt.AlignmentFlag.AlignCenter, self._render(text))

    @staticmethod
    def _used(found: CacheMap) -> list[tuple[int, int]]:
        blocks = [(block.offset, block.size) for block in blocks_of(found)]
        behind = [(r.offset, r.size) for r in found.regions if r.kind == "continuation"]
        return blocks + behind

    def _paint_block(self, painter: QPainter, block: Block, found: CacheMap, hottest: int) -> None:
        look = self._look
        unit = self._units.get(block.number)
        if unit is None:
            color, alpha = look.color("ring0" if block.kind == "door" else "text_muted"), 0.5
        else:
            heat = log1p(unit.hits) / log1p(hottest) if hottest else 0.0
            color, alpha = look.color("heat"), _FAINTEST + (_DARKEST - _FAINTEST) * heat
        pattern = _PATTERNS.get(block.kind, Qt.BrushStyle.SolidPattern)
        color.setAlphaF(alpha)
        rects = self.rects(block.offset, block.size)
        for rect in rects:
            painter.setPen(QPen(look.color("line"), look.scale))
            painter.setBrush(QBrush(color, pattern))
            painter.drawRect(rect.adjusted(0.5, 1.5, -0.5, -1.5))
        if unit is None:
            return
        widest = max(rects, key=lambda rect: rect.width())
        words = f"+{unit.number}" if unit.number in self.fresh else str(unit.number)
        painter.setFont(look.font("label" if unit.number in self.fresh else "small"))
        if painter.fontMetrics().horizontalAdvance(words) + look.px(3) < widest.width():
            painter.setPen(look.color("text"))
            painter.drawText(widest, Qt.AlignmentFlag.AlignCenter, words)

    def _paint_outline(self, painter: QPainter, number: int, *, chosen: bool) -> None:
        unit = self._units.get(number)
        if unit is None:
            return
        style = Qt.PenStyle.SolidLine if chosen else Qt.PenStyle.DotLine
        painter.setPen(QPen(self._look.color("focus" if chosen else "cursor"), 2.4 * self._look.scale, style))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for rect in self.rects(unit.offset, unit.size):
            painter.drawRect(rect.adjusted(1, 2, -1, -2))

    def _paint_link(
        self, painter: QPainter, source: int, target: int, role: str, width: float, *, dashed: bool = False
    ) -> None:
        """An arc from the end of a unit to the beginning of another, with an arrowhead there."""
        one, other = self._units.get(source), self._units.get(target)
        if one is None or other is None:
            return
        start = self.rects(one.offset, one.size)[-1]
        end = self.rects(other.offset, other.size)[0]
        begin = QPointF(start.right() - self._look.px(2), start.center().y())
        tip = QPointF(end.left() + self._look.px(2), end.center().y())
        lift = self._look.px(18)
        path = QPainterPath(begin)
        path.cubicTo(begin + QPointF(lift, -lift), tip + QPointF(-lift, -lift), tip)
        style = Qt.PenStyle.DashLine if dashed else Qt.PenStyle.SolidLine
        color = self._look.color(role)
        painter.setPen(QPen(color, width * self._look.scale, style))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPath(path)
        size = self._look.px(4)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color)
        painter.drawPolygon([tip, tip + QPointF(-size, -size * 1.6), tip + QPointF(-size * 1.9, -size * 0.2)])


def _links(found: CacheMap | None) -> frozenset[tuple[int, int]]:
    """Which unit leads to which."""
    units = () if found is None else found.units
    return frozenset((unit.number, target) for unit in units for target in unit.chained_out)
