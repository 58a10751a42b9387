"""Rings of split devices: requests and answers in their slots, and the four indices that both ends see."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QBrush, QPainter, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from vizapp.isa.addresses import M32
from vizapp.messages import N_, Message
from vizapp.session.details import RINGS
from vizapp.session.details.rings import ANSWER, REQUEST, TAKEN
from vizapp.ui.drawn_panel import DrawnPanel
from vizapp.ui.numbers import grouped
from vizapp.ui.rings_layout import FREE, cells_of, marks_of
from vizapp.ui.widgets import Tipped, scrolling

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtGui import QPaintEvent

    from vizapp.messages import Parameter, Translator
    from vizapp.session.details.rings import Ring
    from vizapp.session.frames import Frame
    from vizapp.ui.look import Look
    from vizapp.ui.rings_layout import Cell

_HEIGHT = 96  # of a ring, at 100 %
_CELL = 40
_TITLE, _ABOVE, _BELOW = 22, 18, 18
_CENTERED = Qt.AlignmentFlag.AlignCenter
NAMES = {
    "disk": N_("domain {domain}: disk requests"),
    "send": N_("domain {domain}: frames to send"),
    "receive": N_("domain {domain}: pages for frames that come"),
}
KINDS = {
    REQUEST: ("●", N_("request: the front end has put it there")),
    TAKEN: ("◐", N_("taken: the back end is at work on it")),
    ANSWER: ("✓", N_("answer: the back end has put it there")),
    FREE: ("", N_("free")),
}
ROLES = {REQUEST: "ring1", TAKEN: "mark_sensitive", ANSWER: "good", FREE: "line"}


class RingsView(Tipped):
    """The rings, one below the other; each begins a little before its oldest slot in use."""

    def __init__(self, look: Look, render: Callable[[Message], str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._look = look
        self._render = render
        self.rings: tuple[Ring, ...] = ()
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.MinimumExpanding)

    def set_look(self, look: Look, render: Callable[[Message], str]) -> None:
        """Another theme, zoom or language."""
        self._look, self._render = look, render
        self.setMinimumHeight(self.sizeHint().height())
        self.update()

    def set_rings(self, rings: tuple[Ring, ...]) -> None:
        """Show other rings."""
        self.rings = rings
        self.setMinimumHeight(self.sizeHint().height())
        self.setAccessibleDescription(". ".join(self.describe(ring) for ring in rings))
        self.update()

    def sizeHint(self) -> QSize:
        """Room for every ring."""
        return QSize(self._look.px(420), self._look.px(_HEIGHT) * max(1, len(self.rings)))

    def cells(self, ring: Ring) -> tuple[Cell, ...]:
        """The slots that there is room for."""
        return cells_of(ring, int((self.width() - self._look.px(8)) // self._look.px(_CELL)))

    def cell_rect(self, row: int, column: int) -> QRectF:
        """Where a slot is drawn: in the strip of ring number ``row``."""
        px = self._look.px
        top = row * px(_HEIGHT) + px(_TITLE + _ABOVE)
        height = px(_HEIGHT - _TITLE - _ABOVE - _BELOW)
        return QRectF(px(4) + column * px(_CELL), top, px(_CELL), height)

    def describe(self, ring: Ring) -> str:
        """A ring in words: whose it is, its back end's state, and its indices."""
        name = Message(NAMES.get(ring.name, ring.name), {"domain": ring.domain})
        parameters: dict[str, Parameter] = {
            "name": name,
            "state": ring.state,
            "requests": grouped(ring.req_prod),
            "answers": grouped(ring.rsp_prod),
            "slots": ring.slots,
        }
        text = N_("{name} · {state} · requests {requests}, answers {answers}, {slots} slots")
        return self._render(Message(text, parameters))

    def describe_cell(self, cell: Cell) -> str:
        """A slot in words, with the fields of what is in it."""
        parameters: dict[str, Parameter] = {
            "number": cell.number,
            "index": cell.place,
            "kind": Message(KINDS[cell.kind][1]),
        }
        words = self._render(Message(N_("slot {number}, index {index}: {kind}"), parameters))
        fields = {} if cell.slot is None else cell.slot.fields
        return "\n".join([words, *(f"{name} = {value:#x}" for name, value in fields.items())])

    def tip_at(self, position: QPointF) -> str:
        """What is in the slot under the mouse."""
        for row, ring in enumerate(self.rings):
            if 0 <= position.y() - row * self._look.px(_HEIGHT) < self._look.px(_TITLE):
                return self.describe(ring)
            for column, cell in enumerate(self.cells(ring)):
                if self.cell_rect(row, column).contains(position):
                    return self.describe_cell(cell)
        return ""

    def paintEvent(self, event: QPaintEvent) -> None:
        """Titles, slots, indices."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for row, ring in enumerate(self.rings):
            cells = self.cells(ring)
            top = self.cell_rect(row, 0).top() - self._look.px(_TITLE + _ABOVE)
            self._paint_title(painter, top, self.describe(ring))
            for column, cell in enumerate(cells):
                self._paint_cell(painter, self.cell_rect(row, column), cell)
            self._paint_marks(painter, row, ring, cells)

    def _paint_title(self, painter: QPainter, top: float, words: str) -> None:
        """In bold where there is room, else in smaller letters, and cut at last."""
        room = self.width() - self._look.px(8)
        painter.setFont(self._look.font("label"))
        if painter.fontMetrics().horizontalAdvance(words) > room:
            painter.setFont(self._look.font("small"))
            words = painter.fontMetrics().elidedText(words, Qt.TextElideMode.ElideRight, room)
        painter.setPen(self._look.color("text"))
        area = QRectF(self._look.px(4), top, room, self._look.px(_TITLE))
        painter.drawText(area, Qt.AlignmentFlag.AlignVCenter, words)

    def _paint_cell(self, painter: QPainter, area: QRectF, cell: Cell) -> None:
        look = self._look
        color = look.color(ROLES[cell.kind])
        fill = look.color(ROLES[cell.kind], 0.0 if cell.kind == FREE else 0.24)
        painter.setPen(QPen(color, 1.3 * look.scale))
        pattern = Qt.BrushStyle.BDiagPattern if cell.kind == TAKEN else Qt.BrushStyle.SolidPattern
        painter.setBrush(QBrush(fill, pattern))
        painter.drawRoundedRect(area.adjusted(2, 2, -2, -2), look.px(4), look.px(4))
        painter.setPen(look.color("text" if cell.kind != FREE else "text_muted"))
        painter.setFont(look.font("small"))
        painter.drawText(area, _CENTERED, f"{cell.number} {KINDS[cell.kind][0]}".strip())

    def _paint_marks(self, painter: QPainter, row: int, ring: Ring, cells: tuple[Cell, ...]) -> None:
        """Where requests and answers end below the strip; where each end wants to be told, above it."""
        look, size = self._look, self._look.px(4)
        painter.setFont(look.font("small"))
        ends: dict[bool, float] = {}
        for mark in sorted(marks_of(ring, cells), key=lambda mark: mark.cell):
            below = mark.name.endswith("prod")
            area = self.cell_rect(row, mark.cell)
            y = area.bottom() if below else area.top()
            tip, away = QPointF(area.left(), y), size * 1.6 * (1 if below else -1)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(look.color("accent"))
            painter.drawPolygon(QPolygonF([tip, tip + QPointF(-size, away), tip + QPointF(size, away)]))
            width = painter.fontMetrics().horizontalAdvance(mark.name)
            left = max(area.left() + look.px(6), ends.get(below, 0.0))
            left = min(left, self.width() - width)
            ends[below] = left + width + look.px(8)
            words = QRectF(left, y if below else y - look.px(_ABOVE), width + 2, look.px(_BELOW))
            painter.setPen(look.color("text"))
            painter.drawText(words, _CENTERED, mark.name)


class RingsPanel(DrawnPanel):
    """Every ring that a back end of domain 0 is connected to."""

    name = "rings"
    title = N_("Split devices")
    details = frozenset((RINGS,))

    nothing = N_("No ring is shared: domains with front ends share theirs with domain 0's back ends.")

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        self.view = RingsView(look, translator.render)
        self.scroller = scrolling(self.view)
        super().__init__(look, translator, self.scroller, parent)

    def clear(self) -> None:
        """No rings."""
        self.view.set_rings(())
        self.set_note("")
        self.show_drawing(bool(self.view.rings))

    def show_frame(self, frame: Frame) -> None:
        """The rings at the cursor."""
        found: tuple[Ring, ...] = frame.details.get(RINGS) or ()
        self.view.set_rings(found)
        waiting = sum(ring.req_prod - ring.rsp_prod & M32 for ring in found if ring.name != "receive")
        self.set_note(self.say(N_("{count} requests under way"), count=grouped(waiting)) if found else "")
        self.show_drawing(bool(self.view.rings))

    def restyle(self) -> None:
        """Drawing."""
        self.view.set_look(self.look, self.translator.render)

    def retranslate(self) -> None:
        """Words."""
        self.view.set_look(self.look, self.translator.render)
        self.view.setAccessibleName(self.say(self.title))
        self.legend.setText(" · ".join(f"{sign} {self.say(words)}" for sign, words in KINDS.values() if sign))
        super().retranslate()
