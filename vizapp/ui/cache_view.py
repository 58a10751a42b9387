"""Draws the translation cache: units as blocks, as dark as they are hot, and the jumps that chain them."""

from __future__ import annotations

from math import log1p
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QBrush, QPainter, QPainterPath, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from vizapp.messages import N_, Message
from vizapp.ui.cache_layout import Block, Grid, all_blocks, block_with, blocks_of, grid_of
from vizapp.ui.numbers import grouped
from vizapp.ui.widgets import Tipped, along

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
    "dropped": N_("given up: the guest changed what was translated here, or it was translated anew"),
    "landing": N_("where lookups land: checks the target, then jumps to its unit"),
    "door": N_("the call of the monitor"),
    "continuation": N_("stubs that call the monitor: what jumps lead to until their target is translated"),
}
_FAINTEST, _DARKEST = 0.10, 0.72


class CacheView(Tipped):
    """The map of one cache.

    Attributes:
        place: the offset of the chosen unit, or of what lies between units; -1: nothing is chosen.
        fresh: the numbers of units that were not there in the frame before.
        patched: pairs (from, to) of units that were not chained in the frame before.

    Signals:
        chosen: the offset of what was chosen; -1: nothing any more.
        opened: it is to be seen byte by byte.
    """

    chosen = Signal(int)
    opened = Signal()

    def __init__(self, look: Look, render: Callable[[Message], str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._look = look
        self._render = render
        self._map: CacheMap | None = None
        self._units: dict[int, CachedUnit] = {}
        self.place = -1
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
        if self.block is None:
            self.place = -1
        self.update()

    @property
    def block(self) -> Block | None:
        """What is chosen."""
        return None if self._map is None or self.place < 0 else block_with(self._map, self.place)

    @property
    def selected(self) -> int:
        """The number of the chosen unit, -1 without one."""
        return -1 if self.block is None else self.block.number

    def select(self, number: int) -> None:
        """Choose a unit."""
        if number in self._units:
            self.choose(self._units[number].offset)

    def choose(self, offset: int) -> None:
        """Choose what lies at an offset; -1: nothing."""
        block = None if self._map is None or offset < 0 else block_with(self._map, offset)
        place = -1 if block is None else block.offset
        if place != self.place:
            self.place = place
            self.update()
            self.chosen.emit(place)

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
        """What is under the mouse; the bar above has the place of every byte."""
        if self._map is None:
            return None
        if position.y() < self._look.px(_OVERVIEW):
            offset = int((position.x() - 0.5) / max(1, self.width() - 1) * self._map.size)
            return block_with(self._map, offset)
        return next(
            (
                block
                for block in blocks_of(self._map)
                if any(rect.contains(position) for rect in self.rects(block.offset, block.size))
            ),
            None,
        )

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose what is under the mouse; free bytes: choose nothing."""
        block = self.block_at(event.position())
        self.choose(-1 if block is None else block.offset)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """See what is under the mouse byte by byte."""
        if self.block_at(event.position()) is not None:
            self.opened.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Left and right go from one to the next, Home and End to the first and last; Enter opens."""
        places = [] if self._map is None else [block.offset for block in all_blocks(self._map)]
        at = places.index(self.place) if self.place in places else -1
        to = along(event.key(), at, len(places) - 1)
        if to is not None and places:
            self.choose(places[max(0, min(to, len(places) - 1))])
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.place >= 0:
            self.opened.emit()
        elif event.key() == Qt.Key.Key_Escape and self.place >= 0:
            self.choose(-1)
        else:
            super().keyPressEvent(event)

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
        for drawn in blocks_of(self._map):
            self._paint_block(painter, drawn, hottest)
        running = self._units.get(self._map.current)
        if running is not None:
            self._paint_outline(painter, running.offset, running.size, chosen=False)
        if (block := self.block) is not None and block.kind != "continuation":
            self._paint_outline(painter, block.offset, block.size, chosen=True)
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
        if (block := self.block) is not None:
            left = whole.left() + block.offset / found.size * whole.width()
            width = max(3.0, block.size / found.size * whole.width())
            painter.setBrush(look.color("focus"))
            painter.drawRect(QRectF(min(left, whole.right() - width), whole.top(), width, whole.height()))
        painter.setPen(look.color("text"))
        painter.setFont(look.font("small"))
        text = Message(
            N_("{free} of {size} bytes are free"), {"free": grouped(found.free), "size": grouped(found.size)}
        )
        painter.drawText(whole, Qt.AlignmentFlag.AlignCenter, self._render(text))

    @staticmethod
    def _used(found: CacheMap) -> list[tuple[int, int]]:
        return [(block.offset, block.size) for block in all_blocks(found)]

    def _paint_block(self, painter: QPainter, block: Block, hottest: int) -> None:
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

    def _paint_outline(self, painter: QPainter, offset: int, size: int, *, chosen: bool) -> None:
        style = Qt.PenStyle.SolidLine if chosen else Qt.PenStyle.DotLine
        painter.setPen(QPen(self._look.color("focus" if chosen else "cursor"), 2.4 * self._look.scale, style))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for rect in self.rects(offset, size):
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
