"""Draws a guest unit beside its translation: lines tied together, each kind by sign, name and colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from vizapp.messages import N_, Message
from vizapp.ui.translation_layout import groups_of, row_of
from vizapp.ui.translation_words import COPY, DOORS, PARTS, words_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtGui import QKeyEvent, QMouseEvent, QPaintEvent

    from vizapp.messages import Parameter
    from vizapp.session.details.cache_lines import CacheLine
    from vizapp.session.details.translation import TranslatedUnit
    from vizapp.ui.look import Look
    from vizapp.ui.translation_layout import Group

_ROW = 22
_GAP = 34  # between the two columns, for the ties
_BYTES = 150  # room that the bytes of an instruction take
_BYTES_FROM = 860  # width from which on they are shown
_SHARE = 0.44  # of the width, for the guest's column
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class TranslationView(QWidget):
    """One unit.

    Attributes:
        selected: the index of the chosen guest instruction.

    Signals:
        chosen: the index of a guest instruction.
        followed: the linear address that a jump stands for.
    """

    chosen = Signal(int)
    followed = Signal(int)

    def __init__(self, look: Look, render: Callable[[Message], str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._look = look
        self._render = render
        self._unit: TranslatedUnit | None = None
        self.groups: tuple[Group, ...] = ()
        self.selected = 0
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.MinimumExpanding)

    def set_look(self, look: Look, render: Callable[[Message], str]) -> None:
        """Another theme, zoom or language."""
        self._look, self._render = look, render
        self.updateGeometry()
        self.update()

    def set_unit(self, unit: TranslatedUnit | None) -> None:
        """Show a unit; the instruction that runs is chosen, else the one that was."""
        same = unit is not None and self._unit is not None and unit.number == self._unit.number
        self._unit = unit
        self.groups = () if unit is None else groups_of(unit)
        if unit is not None:
            kept = self.selected if same else 0
            self.selected = max(0, unit.at_guest if unit.at_guest >= 0 else min(kept, len(unit.guest) - 1))
        self.setMinimumHeight(self.sizeHint().height())
        self.updateGeometry()
        self.update()

    def select(self, index: int) -> None:
        """Choose a guest instruction."""
        if self._unit is not None and self._unit.guest:
            self.selected = max(0, min(index, len(self._unit.guest) - 1))
            self.update()
            self.chosen.emit(self.selected)

    def selected_rect(self) -> QRectF:
        """Where the chosen instruction stands."""
        row = row_of(self.groups, self.selected)
        return QRectF(0, max(0, row) * self._row, self.width(), self._row)

    def sizeHint(self) -> QSize:
        """Room for every row."""
        rows = sum(group.rows for group in self.groups)
        return QSize(self._look.px(460), self._look.px(_ROW) * max(1, rows) + self._look.px(4))

    def group_at(self, y: float) -> Group | None:
        """The group under a height."""
        row = int(y // self._row)
        return next((group for group in self.groups if group.top <= row < group.top + group.rows), None)

    def cache_line_at(self, position: QPointF) -> CacheLine | None:
        """The cache's instruction under the mouse."""
        group = self.group_at(position.y())
        if group is None or self._unit is None or position.x() < self._columns()[1].left():
            return None
        row = int(position.y() // self._row) - group.top
        return self._unit.cache[group.cache[row]] if row < len(group.cache) else None

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose the guest instruction under the mouse, or whose code is under it."""
        group = self.group_at(event.position().y())
        if group is not None and group.guest >= 0:
            self.select(group.guest)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Go where a jump leads."""
        line = self.cache_line_at(event.position())
        if line is not None and line.leads_to >= 0:
            self.followed.emit(line.leads_to)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows choose; Enter follows the jump that the chosen instruction has become."""
        steps = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1}
        if event.key() in steps:
            self.select(self.selected + steps[Qt.Key(event.key())])
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._unit is not None:
            targets = [line.leads_to for line in self._unit.cache if line.guest == self.selected]
            target = next((target for target in targets if target >= 0), -1)
            if target >= 0:
                self.followed.emit(target)
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Ties first, then the lines of both sides."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self._unit is None:
            return
        for group in self.groups:
            self._paint_group(painter, self._unit, group)

    @property
    def _row(self) -> int:
        return self._look.px(_ROW)

    def _columns(self) -> tuple[QRectF, QRectF]:
        gap = self._look.px(_GAP)
        width = (self.width() - gap) * _SHARE
        return QRectF(0, 0, width, 1), QRectF(width + gap, 0, self.width() - gap - width - 1, 1)

    def _paint_group(self, painter: QPainter, unit: TranslatedUnit, group: Group) -> None:
        left, right = self._columns()
        px, row = self._look.px, self._row
        inset = px(1.5)
        first = group.guest >= 0 and row_of(self.groups, group.guest) == group.top
        words = words_of(unit.guest[group.guest].kind) if group.guest >= 0 else None
        color = self._look.color(words.role if words else "text_disabled")
        block = QRectF(right.left(), group.top * row + inset, right.width(), group.rows * row - 2 * inset)
        source = QRectF(left.left(), group.top * row + inset, left.width(), row - 2 * inset)
        chosen = group.guest == self.selected
        if first:
            self._paint_tie(painter, source, block, color, chosen=chosen)
            self._paint_box(painter, source, color, chosen=chosen, current=group.guest == unit.at_guest)
            self._paint_guest(painter, source, unit, group.guest)
        elif group.guest >= 0:
            home = QRectF(source)
            home.moveTop(row_of(self.groups, group.guest) * row + inset)
            self._paint_detour(painter, home, block, color)
        self._paint_box(painter, block, color, chosen=chosen, dashed=group.guest < 0 or not group.cache)
        if not group.cache:
            painter.setPen(self._look.color("text_muted"))
            painter.setFont(self._look.font("small"))
            words_of_none = self._render(Message(N_("nothing: the next unit follows here")))
            painter.drawText(block.adjusted(px(8), 0, 0, 0), _LEFT, words_of_none)
        for at, index in enumerate(group.cache):
            area = QRectF(block.left(), (group.top + at) * row, block.width(), row)
            self._paint_cache(painter, area, unit.cache[index], current=index == unit.at_cache)

    def _paint_box(
        self,
        painter: QPainter,
        area: QRectF,
        color: QColor,
        *,
        chosen: bool,
        current: bool = False,
        dashed: bool = False,
    ) -> None:
        fill = self._look.color("current") if current else QColor(color)
        fill.setAlphaF(1.0 if current else 0.20 if chosen else 0.08)
        style = Qt.PenStyle.DashLine if dashed else Qt.PenStyle.SolidLine
        painter.setPen(QPen(color, (2.2 if chosen else 1.0) * self._look.scale, style))
        painter.setBrush(fill)
        radius = self._look.px(5)
        painter.drawRoundedRect(area.adjusted(0.5, 0, -0.5, 0), radius, radius)

    def _paint_tie(
        self, painter: QPainter, source: QRectF, block: QRectF, color: QColor, *, chosen: bool
    ) -> None:
        """A band that widens from the guest's line to all that it has become."""
        middle = (source.right() + block.left()) / 2
        path = QPainterPath(source.topRight())
        path.cubicTo(QPointF(middle, source.top()), QPointF(middle, block.top()), block.topLeft())
        path.lineTo(block.bottomLeft())
        path.cubicTo(QPointF(middle, block.bottom()), QPointF(middle, source.bottom()), source.bottomRight())
        path.closeSubpath()
        band = QColor(color)
        band.setAlphaF(0.34 if chosen else 0.16)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(band)
        painter.drawPath(path)

    def _paint_detour(self, painter: QPainter, source: QRectF, block: QRectF, color: QColor) -> None:
        """A dashed line to code that was made later and lies elsewhere."""
        painter.setPen(QPen(color, 1.4 * self._look.scale, Qt.PenStyle.DashLine))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        start = QPointF(source.right(), source.center().y())
        end = QPointF(block.left(), block.center().y())
        middle = (start.x() + end.x()) / 2
        path = QPainterPath(start)
        path.cubicTo(QPointF(middle, start.y()), QPointF(middle, end.y()), end)
        painter.drawPath(path)

    def _paint_guest(self, painter: QPainter, area: QRectF, unit: TranslatedUnit, index: int) -> None:
        px, line = self._look.px, unit.guest[index]
        words = words_of(line.kind)
        painter.setFont(self._look.font("label"))
        painter.setPen(self._look.color("text"))
        sign = QRectF(area.left() + px(4), area.top(), px(18), area.height())
        painter.drawText(sign, Qt.AlignmentFlag.AlignCenter, words.sign)
        name = self._render(Message(words.title)) if words.title else line.kind
        if line.form != COPY:
            name = f"⟳ {name}"
        painter.setFont(self._look.font("small"))
        painter.setPen(self._look.color("text_muted"))
        width = painter.fontMetrics().horizontalAdvance(name) + px(8)
        painter.drawText(area.adjusted(0, 0, -px(6), 0), _RIGHT, name)
        self._code(painter, area.adjusted(px(24), 0, -width, 0), line.text)

    def _paint_cache(self, painter: QPainter, area: QRectF, line: CacheLine, *, current: bool) -> None:
        px = self._look.px
        inner = area.adjusted(px(6), 0, -px(6), 0)
        if current:
            painter.setPen(self._look.pen("current_line", 1.4))
            painter.setBrush(self._look.color("current"))
            painter.drawRoundedRect(area.adjusted(px(2), px(2), -px(2), -px(2)), px(4), px(4))
        painter.setFont(self._look.font("mono"))
        painter.setPen(self._look.color("text_muted"))
        offset = f"+{line.offset:05X}"
        painter.drawText(inner, _LEFT, offset)
        inner.adjust(painter.fontMetrics().horizontalAdvance(offset) + px(10), 0, 0, 0)
        if self.width() >= px(_BYTES_FROM):
            room = QRectF(inner.left(), inner.top(), px(_BYTES), inner.height())
            raw = line.raw.hex(" ").upper()
            painter.drawText(
                room,
                _LEFT,
                painter.fontMetrics().elidedText(raw, Qt.TextElideMode.ElideRight, px(_BYTES - 8)),
            )
            inner.adjust(px(_BYTES), 0, 0, 0)
        note = self.note(line)
        painter.setFont(self._look.font("small"))
        width = painter.fontMetrics().horizontalAdvance(note) + px(8) if note else 0
        if width > inner.width() * 0.62:
            note = painter.fontMetrics().elidedText(
                note, Qt.TextElideMode.ElideRight, int(inner.width() * 0.62)
            )
            width = painter.fontMetrics().horizontalAdvance(note) + px(8)
        painter.drawText(inner, _RIGHT, note)
        self._code(painter, inner.adjusted(0, 0, -width, 0), line.text)

    def _code(self, painter: QPainter, area: QRectF, text: str) -> None:
        painter.setFont(self._look.font("mono"))
        painter.setPen(self._look.color("text"))
        words = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, int(area.width()))
        painter.drawText(area, _LEFT, words)

    def note(self, line: CacheLine) -> str:
        """Where a jump leads, or why the monitor is called."""
        if line.door:
            return self._render(Message(DOORS.get(line.door, line.door)))
        if line.part in PARTS:
            return self._render(Message(PARTS[line.part]))
        if line.leads_to < 0:
            return ""
        where = f"{line.leads_to:08X}"
        if line.unit < 0:
            return self._render(Message(N_("→ {address}, not translated yet"), {"address": where}))
        parameters: dict[str, Parameter] = {"address": where, "unit": line.unit}
        return self._render(Message(N_("→ {address}, unit {unit}"), parameters))
