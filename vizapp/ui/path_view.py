"""Draws one packet's or block's path: who takes part, the ring, and a numbered arrow for every stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QLineF, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QBrush, QFontMetricsF, QPainter, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from vizapp.messages import Message
from vizapp.session.details.rings import FORMATS
from vizapp.session.journeys.route import RING
from vizapp.ui.path_layout import DONE, NOW, TO_COME, UNSEEN, lay_out, ring_facts, ring_slots
from vizapp.ui.path_words import STATES
from vizapp.ui.rings_panel import KINDS, ROLES
from vizapp.ui.widgets import Tipped, along

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPaintEvent, QResizeEvent

    from vizapp.session.journeys.route import Route
    from vizapp.ui.look import Look
    from vizapp.ui.path_layout import Area, Arrow, Drawing, StageRow

_CENTERED: Final = Qt.AlignmentFlag.AlignCenter
_LEFT: Final = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop
_GAP, _RADIUS, _SLOT, _LINE = 9, 9, 19, 14
_LINES: Final = {
    DONE: Qt.PenStyle.SolidLine,
    NOW: Qt.PenStyle.SolidLine,
    TO_COME: Qt.PenStyle.SolidLine,
    UNSEEN: Qt.PenStyle.DotLine,
}


class PathView(Tipped):
    """The drawing of a route with the stages of one journey.

    Signals:
        chosen: a stage, by its place in the route's order.
        followed: the same: its moment is wanted.
    """

    chosen = Signal(int)
    followed = Signal(int)

    def __init__(self, look: Look, render: Callable[[Message], str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._look = look
        self._render = render
        self._route: Route | None = None
        self._vm = ""
        self.rows: tuple[StageRow, ...] = ()
        self.drawing: Drawing | None = None
        self.selected = -1
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def set_look(self, look: Look, render: Callable[[Message], str]) -> None:
        """Another theme, zoom or language."""
        self._look, self._render = look, render
        self._lay_out()

    def set_journey(self, route: Route | None, rows: Sequence[StageRow], vm: str) -> None:
        """Show a journey of the machine named ``vm``."""
        again = route is not self._route
        self._route, self.rows, self._vm = route, tuple(rows), vm
        if again:
            self.selected = -1
            self._lay_out()
        self.update()

    def select(self, index: int) -> None:
        """Choose a stage."""
        if self.rows:
            self.selected = max(0, min(index, len(self.rows) - 1))
            self.chosen.emit(self.selected)
            self.update()

    def sizeHint(self) -> QSize:
        """As wide as the stage's first place."""
        return QSize(self._look.px(560), self._look.px(260))

    def minimumSizeHint(self) -> QSize:
        """What still can be read."""
        return QSize(self._look.px(380), self._look.px(190))

    def stage_at(self, position: QPointF) -> int:
        """The stage whose number is at a position, -1 if none is."""
        reach = self._look.px(_RADIUS + 3)
        arrows = () if self.drawing is None else self.drawing.arrows
        near = [
            (QLineF(QPointF(*arrow.badge), position).length(), index) for index, arrow in enumerate(arrows)
        ]
        distance, index = min(near, default=(reach + 1, -1))
        return index if distance <= reach else -1

    def tip_at(self, position: QPointF) -> str:
        """What happens at a stage, and whether it has."""
        index = self.stage_at(position)
        if index < 0 or index >= len(self.rows):
            return ""
        row = self.rows[index]
        title = f"{row.number} {self._render(Message(row.title))}: {self._render(Message(STATES[row.state]))}"
        return f"{title}\n{self._render(Message(row.about))}"

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Lay out anew."""
        super().resizeEvent(event)
        self._lay_out()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A click on a number goes to its moment."""
        index = self.stage_at(event.position())
        if index < 0:
            super().mousePressEvent(event)
            return
        self.select(index)
        self.followed.emit(index)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """A hand over what can be clicked."""
        found = self.stage_at(event.position()) >= 0
        self.setCursor(Qt.CursorShape.PointingHandCursor if found else Qt.CursorShape.ArrowCursor)
        super().mouseMoveEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Left and right go along the stages, Home and End to the ends, Enter to the moment."""
        index = along(event.key(), self.selected, len(self.rows) - 1)
        if index is not None:
            self.select(index)
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.selected >= 0:
            self.followed.emit(self.selected)
        else:
            super().keyPressEvent(event)
            return
        event.accept()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Bands and frames, boxes, arrows, numbers."""
        if self.drawing is None or len(self.rows) != len(self.drawing.arrows):
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_ground(painter, self.drawing)
        for node, area in self.drawing.nodes:
            row = self.drawing.rows[node.row][0]
            words = self._render(Message(node.title))
            if node.key == RING:
                self._paint_ring(painter, _rect(area), words)
            else:
                self._paint_box(painter, _rect(area), words, row.ring, tall=node.rows > 1)
        order = {UNSEEN: 0, TO_COME: 1, DONE: 2, NOW: 3}
        pairs = zip(self.rows, self.drawing.arrows, strict=True)
        ways = sorted(pairs, key=lambda way: order[way[0].state])
        for stage, arrow in ways:
            self._paint_arrow(painter, stage, arrow)
        for stage, arrow in ways:
            self._paint_badge(painter, stage, arrow)

    def _paint_ground(self, painter: QPainter, drawing: Drawing) -> None:
        look, px = self._look, self._look.px
        for row, area in drawing.rows:
            fill = self._color(row.ring)
            fill.setAlphaF(0.12)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(fill)
            painter.drawRoundedRect(_rect(area), px(6), px(6))
            painter.setPen(look.ring_text(row.ring) if row.ring >= 0 else look.color("text_muted"))
            painter.setFont(look.font("label"))
            words = _rect(area).adjusted(px(6), px(5), 0, 0)
            painter.drawText(words, _LEFT, self._render(Message(row.title)))
        for group, area in drawing.groups:
            painter.setPen(QPen(look.color("line"), 1.2 * look.scale))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(_rect(area), px(8), px(8))
            painter.setPen(look.color("text_muted"))
            painter.setFont(look.font("small"))
            words = _rect(area).adjusted(px(8), px(2), -px(4), 0)
            title = self._render(Message(group.title, {"vm": self._vm}))
            title = painter.fontMetrics().elidedText(title, Qt.TextElideMode.ElideRight, int(words.width()))
            painter.drawText(words, _LEFT, title)

    def _paint_box(self, painter: QPainter, box: QRectF, title: str, level: int, *, tall: bool) -> None:
        look, px = self._look, self._look.px
        painter.setPen(QPen(self._color(level), 1.5 * look.scale))
        painter.setBrush(look.color("pill"))
        painter.drawRoundedRect(box, px(7), px(7))
        painter.setFont(look.font("label"))
        painter.setPen(look.ring_text(level) if level >= 0 else look.color("text_muted"))
        # Arrows cross the middle of a box that is over several rows.
        where = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop if tall else _CENTERED
        inside = box.adjusted(2, px(4) if tall else 0, -2, 0)
        flags = where | Qt.TextFlag.TextWordWrap
        if painter.boundingRect(inside, flags, title).height() > inside.height():
            flags = where
            title = painter.fontMetrics().elidedText(title, Qt.TextElideMode.ElideRight, int(inside.width()))
        painter.drawText(inside, flags, title)

    def _paint_ring(self, painter: QPainter, box: QRectF, title: str) -> None:
        """Title, the slots around the journey's own, and the four indices as they were then."""
        look, px = self._look, self._look.px
        painter.setPen(QPen(look.color("mark_sensitive"), 1.5 * look.scale))
        painter.setBrush(look.color("pill"))
        painter.drawRoundedRect(box, px(7), px(7))
        painter.setFont(look.font("label"))
        painter.setPen(look.color("text"))
        facts, line = ring_facts(self.rows), px(16)
        if facts and box.height() < line + px(_SLOT + 2 * _LINE + 5):
            line = 0  # the indices are worth more than the title
        else:
            painter.drawText(QRectF(box.left(), box.top() + px(3), box.width(), line), _CENTERED, title)
        if not facts or self._route is None:
            return
        count = max(1, int((box.width() - px(8)) // px(_SLOT)))
        slots = ring_slots(facts, FORMATS[self._route.ring].slots, count)
        left = box.center().x() - len(slots) * px(_SLOT) / 2
        top = box.top() + px(3) + line
        painter.setFont(look.font("small"))
        for place, (_, kind, own) in enumerate(slots):
            cell = QRectF(left + place * px(_SLOT), top, px(_SLOT), px(_SLOT)).adjusted(1, 1, -1, -1)
            painter.setPen(
                QPen(look.color("accent" if own else ROLES[kind]), (2.6 if own else 1.0) * look.scale)
            )
            fill = look.color(ROLES[kind], 0.0 if kind == "free" else 0.24)
            painter.setBrush(QBrush(fill))
            painter.drawRoundedRect(cell, px(3), px(3))
            painter.setPen(look.color("text"))
            painter.drawText(cell, _CENTERED, KINDS[kind][0])
        names = (("req_prod", "rsp_prod"), ("req_event", "rsp_event"))
        top += px(_SLOT) + 1
        for number, pair in enumerate(names):
            if top + (number + 1) * px(_LINE) > box.bottom():
                break
            for side, name in enumerate(pair):
                half = QRectF(
                    box.left() + side * box.width() / 2, top + number * px(_LINE), box.width() / 2, px(_LINE)
                )
                words = painter.fontMetrics().elidedText(
                    f"{name} {facts[name]}", Qt.TextElideMode.ElideMiddle, int(half.width() - 4)
                )
                painter.drawText(half, _CENTERED, words)

    def _paint_arrow(self, painter: QPainter, row: StageRow, arrow: Arrow) -> None:
        look = self._look
        color = self._stage_color(row.state)
        width = {NOW: 3.0, DONE: 2.0}.get(row.state, 1.3)
        painter.setPen(QPen(color, width * look.scale, _LINES[row.state]))
        start, end = QPointF(*arrow.start), QPointF(*arrow.end)
        painter.drawLine(start, end)
        way = QLineF(start, end)
        size = look.px(6)
        along = way.unitVector()
        step = QPointF(along.dx() * size, along.dy() * size)
        side = QPointF(-step.y() * 0.6, step.x() * 0.6)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color)
        painter.drawPolygon(QPolygonF([end, end - step + side, end - step - side]))

    def _paint_badge(self, painter: QPainter, row: StageRow, arrow: Arrow) -> None:
        """A disc for what has happened, a circle for what will, a broken one for what was not seen."""
        look, radius = self._look, self._look.px(_RADIUS)
        color, center = self._stage_color(row.state), QPointF(*arrow.badge)
        happened = row.state in (DONE, NOW)
        painter.setPen(QPen(color, 1.6 * look.scale, _LINES[row.state]))
        painter.setBrush(color if happened else look.color("pill"))
        painter.drawEllipse(center, radius, radius)
        if row.number - 1 == self.selected:
            painter.setPen(QPen(look.color("focus"), 2.0 * look.scale))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            ring = radius + look.px(3)
            painter.drawEllipse(center, ring, ring)
        unseen = "text_muted" if row.state == UNSEEN else "text"
        painter.setPen(look.color("pill" if happened else unseen))
        painter.setFont(look.font("label"))
        around = QRectF(center.x() - radius, center.y() - radius, 2 * radius, 2 * radius)
        painter.drawText(around, _CENTERED, str(row.number))

    def _stage_color(self, state: str) -> QColor:
        return self._look.color({NOW: "ring0", DONE: "accent"}.get(state, "text_muted"))

    def _color(self, ring: int) -> QColor:
        return self._look.ring(ring) if ring >= 0 else self._look.color("text_muted")

    def _lay_out(self) -> None:
        px = self._look.px
        self.drawing = None
        if self._route is not None and self.width() > px(60):
            metrics = QFontMetricsF(self._look.font("label"))
            titles = (self._render(Message(row.title)) for row in self._route.rows)
            labels = max(metrics.horizontalAdvance(title) for title in titles) + px(14)
            self.drawing = lay_out(
                self._route,
                self.width(),
                self.height(),
                labels=labels,
                gap=px(_GAP),
                apart=px(2 * _RADIUS + 5),
            )
        self.updateGeometry()
        self.update()


def _rect(area: Area) -> QRectF:
    return QRectF(QPointF(area.left, area.top), QPointF(area.right, area.bottom))
