"""Machine memory under Xen: whose each frame is and what it may be used for, as a map and a table."""

from __future__ import annotations

from itertools import accumulate
from math import log2
from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QBrush, QPainter, QPen
from PySide6.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from vizapp.isa.addresses import PAGE_SHIFT
from vizapp.messages import N_, Message
from vizapp.session.details import PAGE_TYPES
from vizapp.ui.numbers import grouped
from vizapp.ui.panel import Panel
from vizapp.ui.rows_view import RowsView
from vizapp.ui.table_model import Column, RowsModel
from vizapp.ui.widgets import Tipped, label

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtCore import QPointF
    from PySide6.QtGui import QMouseEvent, QPaintEvent

    from vizapp.messages import Parameter, Translator
    from vizapp.session.details.page_types import FrameRun, PageUse
    from vizapp.session.frames import Frame
    from vizapp.ui.look import Look

_WIDTHS = (164, 70, 150, 150, 70, 70, 130)
_ROW = 20
_LINES = 6
_LEAST = 1e-9  # of a line: what rounding leaves
_HUES = ("ring1", "ring3", "ring2", "mark_sensitive")
TYPES = {
    "none": ("", N_("no type now"), Qt.BrushStyle.NoBrush),
    "writable": ("W", N_("writable"), Qt.BrushStyle.SolidPattern),
    "page-table": ("1", N_("page table"), Qt.BrushStyle.BDiagPattern),
    "page-directory": ("2", N_("page directory"), Qt.BrushStyle.DiagCrossPattern),
    "page-directory-with-xen": ("2x", N_("page directory with Xen's entries"), Qt.BrushStyle.CrossPattern),
    "page-directory-pointers": ("3", N_("page-directory pointers"), Qt.BrushStyle.Dense4Pattern),
    "descriptors": ("D", N_("descriptor table"), Qt.BrushStyle.VerPattern),
}
_PLAIN = ("", "", Qt.BrushStyle.NoBrush)


class FrameMap(Tipped):
    """Machine memory in lines from left to right; a colour a domain, a pattern and a letter a type.

    The width of a run grows with the logarithm of its frames: one page table among thousands of pages is what
    there is to see.

    Signals:
        chosen: the number of a run.
    """

    chosen = Signal(int)

    def __init__(self, look: Look, render: Callable[[Message], str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._look = look
        self._render = render
        self._use: PageUse | None = None
        self._edges: list[float] = [0.0]  # where runs begin and end, in lines
        self.selected = -1
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def set_look(self, look: Look, render: Callable[[Message], str]) -> None:
        """Another theme, zoom or language."""
        self._look, self._render = look, render
        self.updateGeometry()
        self.update()

    def set_use(self, use: PageUse | None) -> None:
        """Show other frames."""
        self._use = use
        units = [1 + log2(run.frames) for run in use.runs] if use is not None else []
        whole = sum(units) or 1.0
        self._edges = [0.0, *(edge / whole * _LINES for edge in accumulate(units))]
        self.selected = -1
        self.update()

    def select(self, number: int) -> None:
        """Mark a run."""
        self.selected = number
        self.update()

    def sizeHint(self) -> QSize:
        """A few lines."""
        return QSize(self._look.px(360), self._look.px(_ROW * _LINES))

    def rects(self, number: int) -> list[QRectF]:
        """Where a run is drawn, by its number."""
        at, end = self._edges[number], self._edges[number + 1]
        height, found = self.height() / _LINES, []
        while end - at > _LEAST:
            line = int(at + _LEAST)
            stop = min(end, line + 1)
            left = max(0.0, at - line) * self.width()
            found.append(QRectF(left, line * height, (stop - at) * self.width(), height))
            at = stop
        return found

    def run_at(self, position: QPointF) -> int:
        """The number of the run under the mouse, -1 for none."""
        runs = () if self._use is None else self._use.runs
        for number in range(len(runs)):
            if any(rect.contains(position) for rect in self.rects(number)):
                return number
        return -1

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose what is under the mouse."""
        number = self.run_at(event.position())
        if number >= 0:
            self.select(number)
            self.chosen.emit(number)

    def tip_at(self, position: QPointF) -> str:
        """Whose the frames are, and what for."""
        number = self.run_at(position)
        return "" if self._use is None or number < 0 else self.describe(self._use.runs[number])

    def describe(self, run: FrameRun) -> str:
        """A run in words."""
        parameters: dict[str, Parameter] = {
            "owner": Message(*owner_words(run.owner)),
            "type": Message(TYPES.get(run.type, _PLAIN)[1]),
            "count": run.frames,
            "first": f"{run.first << PAGE_SHIFT:08X}",
        }
        return self._render(Message(N_("{owner}: {count} frames from {first}, {type}"), parameters))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Every run, then the chosen one's outline."""
        painter = QPainter(self)
        look = self._look
        painter.fillRect(self.rect(), look.color("sunken"))
        if self._use is None:
            return
        painter.setFont(look.font("small"))
        for number, run in enumerate(self._use.runs):
            self._paint_run(painter, number, run)
        if 0 <= self.selected < len(self._use.runs):
            painter.setPen(QPen(look.color("focus"), 2.0 * look.scale))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            for rect in self.rects(self.selected):
                painter.drawRect(rect.adjusted(1, 1, -1, -1))

    def _paint_run(self, painter: QPainter, number: int, run: FrameRun) -> None:
        if run.owner == -1:
            return
        look = self._look
        role = "ring0" if run.owner < 0 else _HUES[run.owner % len(_HUES)]
        sign, _, pattern = TYPES.get(run.type, _PLAIN)
        for rect in self.rects(number):
            painter.setPen(Qt.PenStyle.NoPen)
            painter.fillRect(rect, look.color(role, 0.22))
            if pattern not in (Qt.BrushStyle.NoBrush, Qt.BrushStyle.SolidPattern):
                painter.fillRect(rect, QBrush(look.color(role, 0.9), pattern))
            painter.setPen(look.pen("line"))
            painter.drawRect(rect)
            words = ("D0" if run.owner == 0 else f"U{run.owner}" if run.owner > 0 else "Xen") + f" {sign}"
            width = painter.fontMetrics().horizontalAdvance(words.strip()) + look.px(6)
            if width < rect.width():
                ground = QRectF(0, 0, width, painter.fontMetrics().height())
                ground.moveCenter(rect.center())
                painter.fillRect(ground, look.color("surface", 0.8))
                painter.setPen(look.color("text"))
                painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, words.strip())


class PageTypesPanel(Panel):
    """The map above, its runs below; choosing one in either chooses it in both."""

    name = "page-types"
    title = N_("Page types")
    details = frozenset((PAGE_TYPES,))

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(look, translator, parent)
        self.map = FrameMap(look, translator.render)
        self.map.chosen.connect(self._show_run)
        self.model: RowsModel[FrameRun] = RowsModel(self._columns())
        self.table = RowsView(self.model, _WIDTHS)
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._take_selection())
        self.legend = label("muted", wrap=True)
        self.empty = label("muted", wrap=True, align=Qt.AlignmentFlag.AlignCenter)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for widget, stretch in ((self.map, 0), (self.legend, 0), (self.table, 1), (self.empty, 1)):
            column.addWidget(widget, stretch)
        self.restyle()
        self.retranslate()
        self.clear()

    def clear(self) -> None:
        """No frames."""
        self.model.set_rows([])
        self.map.set_use(None)
        self.set_note("")
        self._show_empty()

    def show_frame(self, frame: Frame) -> None:
        """The frames at the cursor."""
        found: PageUse | None = frame.details.get(PAGE_TYPES)
        if found is None:
            return
        self.map.set_use(found)
        self.model.set_rows(found.runs)
        tables = sum(run.frames for run in found.runs if run.owner >= 0 and run.type.startswith("page-"))
        self.set_note(
            self.say(N_("{count} frames are page tables, which no guest can write"), count=grouped(tables))
        )
        self._show_empty()

    def restyle(self) -> None:
        """Fonts and drawing."""
        self.map.set_look(self.look, self.translator.render)
        self.table.setFont(self.look.font("mono"))
        self.table.restyle(self.look)

    def retranslate(self) -> None:
        """Words."""
        self.map.set_look(self.look, self.translator.render)
        self.map.setAccessibleName(self.say(N_("Map of machine memory by owner and type")))
        self.model.set_columns(self._columns())
        self.table.setAccessibleName(self.say(self.title))
        self.legend.setText(
            " · ".join(f"{sign} {self.say(words)}" for sign, words, _ in TYPES.values() if sign)
        )
        self.empty.setText(self.say(N_("Only Xen gives machine frames types: choose Paravirtual.")))
        super().retranslate()

    def _show_empty(self) -> None:
        nothing = not self.model.rows
        for shown in (self.map, self.legend, self.table):
            shown.setVisible(not nothing)
        self.empty.setVisible(nothing)

    def _show_run(self, number: int) -> None:
        self.table.selectRow(number)

    def _take_selection(self) -> None:
        rows = self.table.selectionModel().selectedRows()
        if rows:
            self.map.select(rows[0].row())

    def _columns(self) -> list[Column[FrameRun]]:
        say = self.say
        return [
            Column(say(N_("machine address")), _span),
            Column(say(N_("frames")), lambda run: grouped(run.frames), right=True),
            Column(say(N_("owner")), lambda run: self.translator.render(Message(*owner_words(run.owner)))),
            Column(say(N_("type")), lambda run: say(TYPES.get(run.type, _PLAIN)[1])),
            Column(say(N_("pinned")), lambda run: "●" if run.pinned else ""),
            Column(say(N_("uses")), lambda run: grouped(run.uses), right=True),
            Column(say(N_("mapped by others")), lambda run: str(run.visitors or ""), right=True),
        ]


def owner_words(owner: int) -> tuple[str, dict[str, int | str]]:
    """Whose frames are: a sentence and its parameters."""
    if owner >= 0:
        return N_("domain {number}"), {"number": owner}
    return (N_("free"), {}) if owner == -1 else (N_("Xen and the platform"), {})


def _span(run: FrameRun) -> str:
    return f"{run.first << PAGE_SHIFT:08X}–{(run.first + run.frames << PAGE_SHIFT) - 1:08X}"
