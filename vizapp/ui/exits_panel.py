"""VM exits by reason, with the columns of ``perf kvm stat``; times are cycles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QSortFilterProxyModel, Qt
from PySide6.QtWidgets import (
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from vizapp.machine.events import VM_EXITED
from vizapp.messages import N_
from vizapp.session.details import EXITS
from vizapp.session.protocol import NextEvent
from vizapp.ui.numbers import grouped, percent
from vizapp.ui.panel import Panel
from vizapp.ui.rows_view import RowsView
from vizapp.ui.table_model import ROW_ROLE, SORT_ROLE, Column, RowsModel
from vizapp.ui.widgets import label, toggle

if TYPE_CHECKING:
    from vizapp.messages import Translator
    from vizapp.session.details.exits import ExitRow
    from vizapp.session.frames import Frame
    from vizapp.ui.look import Look

_WIDTHS = (150, 80, 84, 76, 96, 96, 96)


class ExitsPanel(Panel):
    """Every reason for which the guest was left up to the cursor; a double click goes to the next such exit.

    Running stops at the reasons that are caught.
    """

    name = "exits"
    title = N_("VM exits")
    details = frozenset((EXITS,))

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(look, translator, parent)
        self._caught: frozenset[str] = frozenset()
        self.model: RowsModel[ExitRow] = RowsModel(self._columns())
        self.sorter = QSortFilterProxyModel(self)
        self.sorter.setSortRole(SORT_ROLE)
        self.sorter.setSourceModel(self.model)
        self.table = RowsView(self.sorter, _WIDTHS)
        self.table.setSortingEnabled(True)
        self.table.sortByColumn(3, Qt.SortOrder.DescendingOrder)
        self.table.doubleClicked.connect(lambda index: self._go_to(index.data(ROW_ROLE).reason))
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._show_buttons())
        self.go = QPushButton()
        self.go.clicked.connect(lambda: self._go_to(self._chosen()))
        self.stop = toggle()
        self.stop.clicked.connect(self._toggle)
        self.empty = label("muted", wrap=True, align=Qt.AlignmentFlag.AlignCenter)
        self.bar = QWidget()
        line = QHBoxLayout(self.bar)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.go)
        line.addWidget(self.stop)
        line.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.table, 1)
        column.addWidget(self.bar)
        column.addWidget(self.empty, 1)
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
        chosen = self._chosen()
        self.model.set_rows(rows)
        self._choose(chosen)
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
        self.table.restyle(self.look)

    def retranslate(self) -> None:
        """Headings and names."""
        self.model.set_columns(self._columns())
        self.table.setAccessibleName(self.say(self.title))
        self.empty.setText(
            self.say(N_("No VM exit yet. Under VT-x and AMD-V every passage to the monitor is counted here."))
        )
        self.go.setText(self.say(N_("Next exit")))
        self.go.setToolTip(self.say(N_("To the next exit of the selected reason; of any if none is")))
        self.stop.setText(self.say(N_("Stop there")))
        self.stop.setToolTip(self.say(N_("Stop running at exits of the selected reason (■)")))
        super().retranslate()

    def _show_empty(self) -> None:
        nothing = not self.model.rows
        self.table.setVisible(not nothing)
        self.bar.setVisible(not nothing)
        self.empty.setVisible(nothing)
        self._show_buttons()

    def _choose(self, reason: str) -> None:
        """Select the row of a reason again, wherever it stands now."""
        for row in range(self.sorter.rowCount() if reason else 0):
            if self.sorter.index(row, 0).data(ROW_ROLE).reason == reason:
                self.table.selectRow(row)
                return

    def _chosen(self) -> str:
        """The reason of the selected row; empty where none is selected."""
        rows = self.table.selectionModel().selectedRows()
        return rows[0].data(ROW_ROLE).reason if rows else ""

    def _show_buttons(self) -> None:
        reason = self._chosen()
        self.stop.setEnabled(bool(reason))
        self.stop.setChecked(bool(reason) and _catchpoint(reason) in self._caught)

    def _go_to(self, reason: str) -> None:
        kind = _catchpoint(reason) if reason else VM_EXITED
        self.command_requested.emit(NextEvent(frozenset((kind,))))

    def _toggle(self) -> None:
        reason = self._chosen()
        self._caught = self._caught ^ {_catchpoint(reason)}
        self.model.set_columns(self._columns())
        self._choose(reason)
        self._show_buttons()
        self.catchpoints_changed.emit(self._caught)

    def _columns(self) -> list[Column[ExitRow]]:
        language = self.translator.language
        # perf's own headings: an administrator finds them there again.
        return [
            Column(
                "VM-EXIT", lambda row: ("■ " if _catchpoint(row.reason) in self._caught else "") + row.reason
            ),
            Column("Samples", lambda row: grouped(row.samples), lambda row: row.samples, right=True),
            Column("Samples%", lambda row: percent(row.share, language), lambda row: row.share, right=True),
            Column(
                "Time%", lambda row: percent(row.time_share, language), lambda row: row.time_share, right=True
            ),
            Column("Min Time", lambda row: grouped(row.shortest), lambda row: row.shortest, right=True),
            Column("Max Time", lambda row: grouped(row.longest), lambda row: row.longest, right=True),
            Column("Avg time", lambda row: grouped(round(row.mean)), lambda row: row.mean, right=True),
        ]


def _catchpoint(reason: str) -> str:
    return f"{VM_EXITED}:{reason}"
