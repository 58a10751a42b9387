"""Guest code: what the guest executes, with the class of each instruction and what becomes of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from PySide6.QtCore import (
    QEvent,
    QModelIndex,
    QPersistentModelIndex,
    QPointF,
    QRect,
    QRectF,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QFontMetrics, QPainter, QPen
from PySide6.QtWidgets import QAbstractItemView, QFrame, QListView, QStyledItemDelegate, QVBoxLayout, QWidget

from vizapp.messages import N_
from vizapp.ui.code_model import ROW_ROLE, CodeModel, CodeRow, shown_comment
from vizapp.ui.marks import MARKS, paint_mark
from vizapp.ui.panel import Panel

if TYPE_CHECKING:
    from PySide6.QtGui import QKeyEvent, QMouseEvent, QPaintEvent
    from PySide6.QtWidgets import QStyleOptionViewItem

    from vizapp.messages import Translator
    from vizapp.session.frames import Frame
    from vizapp.ui.look import Look

_WIDE = 620  # px from which address and disassembly stand beside the source


class CodeDelegate(QStyledItemDelegate):
    """Paints a row: heat, breakpoint, mark, instruction, note."""

    def __init__(self, look: Look, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.look = look

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        """All rows are of one height."""
        return QSize(self.look.px(160), QFontMetrics(self.look.font("mono")).height() + self.look.px(7))

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """One row."""
        row: CodeRow = index.data(ROW_ROLE)
        model = index.model()
        if not isinstance(model, CodeModel) or row is None:
            return
        rect: QRect = option.rect
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if row.kind == "code":
            self._paint_code(painter, rect, row, model)
        else:
            painter.setFont(self.look.font("mono"))
            painter.setPen(self.look.color("accent"))
            self._text(painter, rect.adjusted(self.look.px(40), 0, 0, 0), row.text)
        painter.restore()

    def _paint_code(self, painter: QPainter, rect: QRect, row: CodeRow, model: CodeModel) -> None:
        look, line = self.look, row.line
        px = look.px
        if line.current:
            painter.setPen(QPen(look.color("current_line"), 1.2))
            painter.setBrush(look.color("current"))
            painter.drawRoundedRect(QRectF(rect).adjusted(2, 1, -2, -1), px(4), px(4))
        if line.heat and model.hottest:
            # The logarithm, so that a loop does not make all else look cold.
            share = math.log1p(line.heat) / math.log1p(model.hottest)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(look.color("heat", 0.25 + 0.75 * share))
            painter.drawRoundedRect(QRectF(rect.left() + 4, rect.top() + 4, px(4), rect.height() - 8), 2, 2)
        middle = rect.top() + rect.height() / 2
        if line.breakpoint:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(look.color("breakpoint"))
            side = px(11)
            painter.drawRoundedRect(QRectF(rect.left() + px(10), middle - side / 2, side, side), px(3), px(3))
        paint_mark(painter, look, line.mark, QPointF(rect.left() + px(30), middle), px(11))
        note = model.note(line)
        painter.setFont(look.font("small"))
        note_width = 0
        if note:
            metrics = painter.fontMetrics()
            note_width = min(metrics.horizontalAdvance(note) + px(10), max(rect.width() // 2, px(90)))
            painter.setPen(look.color("text_muted"))
            area = QRect(rect.right() - note_width - px(4), rect.top(), note_width - px(4), rect.height())
            words = metrics.elidedText(note, Qt.TextElideMode.ElideRight, area.width())
            painter.drawText(area, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, words)
        area = rect.adjusted(px(42), 0, -note_width - px(12), 0)
        painter.setFont(look.font("mono"))
        if rect.width() >= px(_WIDE):
            painter.setPen(look.color("text_muted"))
            self._text(painter, area, f"{line.address:08X}")
            area = area.adjusted(px(80), 0, 0, 0)
            painter.setPen(look.color("text"))
            self._text(painter, area.adjusted(0, 0, -area.width() // 2, 0), row.text)
            if line.source.strip():
                painter.setPen(look.color("text_muted"))
                self._text(painter, area.adjusted(area.width() // 2 + px(8), 0, 0, 0), line.text)
            return
        painter.setPen(look.color("accent" if line.changed_by_port else "text"))
        used = self._text(painter, area, row.text)
        rest = area.adjusted(used + px(14), 0, 0, 0)
        comment = shown_comment(line)
        if comment and rest.width() > px(60):
            painter.setFont(look.font("small"))
            painter.setPen(look.color("text_muted"))
            self._text(painter, rest, f"; {comment}")

    @staticmethod
    def _text(painter: QPainter, area: QRect, text: str) -> int:
        """Draw elided; the width that was used."""
        words = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, max(0, area.width()))
        painter.drawText(area, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, words)
        return painter.fontMetrics().horizontalAdvance(words)


class CodeList(QListView):
    """The list; a click in the gutter or F9 is a wish for a breakpoint.

    Signals:
        breakpoint_wanted: an address.
        line_chosen: the address of the row that was clicked, or that the keys have gone to.
    """

    breakpoint_wanted = Signal(int)
    line_chosen = Signal(int)

    def __init__(self, look: Look, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.look = look
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setUniformItemSizes(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """The gutter is as wide as the breakpoint's column and the mark's."""
        super().mousePressEvent(event)
        index = self.indexAt(event.position().toPoint())
        if event.position().x() < self.look.px(42):
            self._want(index)
        else:
            self._choose(index)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """F9 at the selected row."""
        if event.key() == Qt.Key.Key_F9 and self.currentIndex().isValid():
            self._want(self.currentIndex())
            event.accept()
        else:
            before = self.currentIndex()
            super().keyPressEvent(event)
            if self.currentIndex() != before:
                self._choose(self.currentIndex())

    def _choose(self, index: QModelIndex) -> None:
        row: CodeRow | None = index.data(ROW_ROLE)
        if row is not None and row.kind == "code":
            self.line_chosen.emit(row.line.address)

    def _want(self, index: QModelIndex) -> None:
        row: CodeRow | None = index.data(ROW_ROLE)
        if row is not None and row.kind == "code":
            self.breakpoint_wanted.emit(row.line.address)


class MarkLegend(QWidget):
    """The shapes and what they mean, in one line."""

    def __init__(self, look: Look, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.look = look
        self.words: dict[str, str] = {}

    def set_words(self, look: Look, words: dict[str, str]) -> None:
        """Take look and texts."""
        self.look = look
        self.words = words
        self.setMinimumHeight(look.px(22))
        self.setAccessibleName(", ".join(words.values()))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Shape, word, shape, word."""
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setFont(self.look.font("small"))
            x = float(self.look.px(10))
            for mark, word in self.words.items():
                paint_mark(painter, self.look, mark, QPointF(x, self.height() / 2), self.look.px(10))
                painter.setPen(self.look.color("text_muted"))
                x += self.look.px(10)
                width = painter.fontMetrics().horizontalAdvance(word)
                painter.drawText(QRectF(x, 0, width + 4, self.height()), Qt.AlignmentFlag.AlignVCenter, word)
                x += width + self.look.px(18)


class CodePanel(Panel):
    """Guest code with marks, notes, heat, breakpoints and the current line."""

    name = "code"
    title = N_("Guest code")

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(look, translator, parent)
        self.model = CodeModel(translator)
        self.list = CodeList(look)
        self.list.setModel(self.model)
        self.delegate = CodeDelegate(look, self.list)
        self.list.setItemDelegate(self.delegate)
        self.list.breakpoint_wanted.connect(self.breakpoint_toggled)
        self.list.line_chosen.connect(self.line_chosen)
        self.legend = MarkLegend(look)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.list, 1)
        column.addWidget(self.legend)
        self.restyle()
        self.retranslate()

    def clear(self) -> None:
        """No code yet."""
        self.model.set_lines(())
        self.set_note("")

    def show_frame(self, frame: Frame) -> None:
        """Mark the instruction at the cursor and keep it in sight, with lines before and after it."""
        self.model.set_lines(frame.code)
        self.set_note(frame.code_title)
        number = self.model.current_row()
        if number < 0:
            return
        rows = self.model.rowCount()
        for neighbour in (min(rows - 1, number + 3), max(0, number - 3), number):
            self.list.scrollTo(self.model.index(neighbour))

    def restyle(self) -> None:
        """Row heights and colours."""
        self.delegate.look = self.list.look = self.look
        self.list.doItemsLayout()
        self.list.viewport().update()
        self.legend.set_words(self.look, self.legend.words)

    def retranslate(self) -> None:
        """Notes, tooltips and legend."""
        self.model.set_translator(self.translator)
        words = {"innocuous": N_("innocuous"), "sensitive": N_("sensitive"), "privileged": N_("privileged")}
        self.legend.set_words(self.look, {mark: self.say(words[mark]) for mark in MARKS})
        self.list.setAccessibleName(self.say(self.title))
        self.list.setToolTip("")

    def changeEvent(self, event: QEvent) -> None:
        """A new font asks for new row heights."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self.list.doItemsLayout()
