"""VM exits by reason, with the columns of ``perf kvm stat``; times are cycles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QSortFilterProxyModel, Qt
from PySide6.QtWidgets import QAbstractItemView, QFrame, QTableView, QVBoxLayout, QWidget

from vizapp.machine.events import VM_EXITED
from vizapp.messages import N_
from vizapp.session.details import EXITS
from vizapp.session.protocol import NextEvent
from vizapp.ui.numbers import grouped, percent
from vizapp.ui.panel import Panel
from vizapp.ui.table_model import SORT_ROLE, Column, RowsModel
from vizapp.ui.widgets import label

if TYPE_CHECKING:
    from vizapp.messages import Translator
    from vizapp.session.details.exits import ExitRow
    from vizapp.session.frames import Frame
    from vizapp.ui.look import Look

_WIDTHS = (150, 80, 84, 76, 96, 96, 96)


class ExitsPanel(Panel):
    """Every reason for which the guest was left up to the cursor; a double click goes to the next exit."""

    name = "exits"
    title = N_("VM exits")
    details = frozenset((EXITS,))

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(look, translator, parent)
        self.model: RowsModel[ExitRow] = RowsModel(self._columns())
        self.sorter = QSortFilterProxyModel(self)
        self.sorter.setSortRole(SORT_ROLE)
        self.sorter.setSourceModel(self.model)
        self.table = QTableView()
        self.table.setModel(self.sorter)
        self.table.setSortingEnabled(True)
        self.table.sortByColumn(3, Qt.SortOrder.DescendingOrder)
        self.table.setShowGrid(False)
        self.table.setWordWrap(False)
        self.table.setFrameShape(QFrame.Shape.NoFrame)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.verticalHeader().hide()
        self.table.horizontalHeader().setStretchLastSection(True)
        self.table.doubleClicked.connect(lambda _index: self._go_on())
        self.empty = label("muted", wrap=True, align=Qt.AlignmentFlag.AlignCenter)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.table)
        column.addWidget(self.empty)
        self.restyle()
        self.retranslate()
        self.clear()

    def clear(self) -> None:
        """No exits."""
        self.model.set_rows([])
        self.set_note("")
        self._show_empty()

    def show_frame(self, frame: Frame) -> None:
        """The exits up to the cursor."""
        rows: tuple[ExitRow, ...] = frame.details.get(EXITS) or ()
        self.model.set_rows(rows)
        self._show_empty()
        if not rows:
            self.set_note("")
            return
        samples, cycles = sum(row.samples for row in rows), sum(row.time for row in rows)
        self.set_note(
            self.say(N_("{exits} exits, {cycles} cycles"), exits=grouped(samples), cycles=grouped(cycles))
        )

    def restyle(self) -> None:
        """Row heights and first widths."""
        self.table.verticalHeader().setDefaultSectionSize(self.look.px(23))
        for column, width in enumerate(_WIDTHS):
            self.table.setColumnWidth(column, self.look.px(width))

    def retranslate(self) -> None:
        """Headings and names."""
        self.model.set_columns(self._columns())
        self.table.setAccessibleName(self.say(self.title))
        self.empty.setText(
            self.say(N_("No VM exit yet. Under VT-x and AMD-V every passage to the monitor is counted here."))
        )
        super().retranslate()

    def _show_empty(self) -> None:
        nothing = not self.model.rows
        self.table.setVisible(not nothing)
        self.empty.setVisible(nothing)

    def _go_on(self) -> None:
        self.command_requested.emit(NextEvent(frozenset((VM_EXITED,))))

    def _columns(self) -> list[Column[ExitRow]]:
        language = self.translator.language
        # perf's own headings: an administrator finds them there again.
        return [
            Column("VM-EXIT", lambda row: row.reason),
            Column("Samples", lambda row: grouped(row.samples), lambda row: row.samples, right=True),
            Column("Samples%", lambda row: percent(row.share, language), lambda row: row.share, right=True),
            Column(
                "Time%", lambda row: percent(row.time_share, language), lambda row: row.time_share, right=True
            ),
            Column("Min Time", lambda row: grouped(row.shortest), lambda row: row.shortest, right=True),
            Column("Max Time", lambda row: grouped(row.longest), lambda row: row.longest, right=True),
            Column("Avg time", lambda row: grouped(round(row.mean)), lambda row: row.mean, right=True),
        ]
