"""Ledger: where the cycles went, by place, purpose and input; the rows add up to the cycle counter."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import QSortFilterProxyModel, Qt
from PySide6.QtWidgets import QVBoxLayout, QWidget

from vizapp.machine.places import Place
from vizapp.messages import N_
from vizapp.ui.numbers import grouped, percent
from vizapp.ui.panel import Panel
from vizapp.ui.rows_view import RowsView
from vizapp.ui.table_model import SORT_ROLE, Column, RowsModel
from vizapp.ui.words import COMPONENT_TITLES, PURPOSE_TITLES

if TYPE_CHECKING:
    from vizapp.messages import Translator
    from vizapp.session.frames import Frame
    from vizapp.ui.look import Look


class Charge(NamedTuple):
    """One row of the ledger."""

    place: Place
    purpose: str
    input: str
    times: int
    cycles: int
    share: float


_WIDTHS = (80, 64, 130, 150, 130)


class LedgerPanel(Panel):
    """The whole ledger up to the cursor, largest first."""

    name = "ledger"
    title = N_("Ledger")

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(look, translator, parent)
        self.model: RowsModel[Charge] = RowsModel(self._columns())
        self.sorter = QSortFilterProxyModel(self)
        self.sorter.setSortRole(SORT_ROLE)
        self.sorter.setSourceModel(self.model)
        self.table = RowsView(self.sorter, _WIDTHS)
        self.table.setSortingEnabled(True)
        self.table.sortByColumn(0, Qt.SortOrder.DescendingOrder)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.table)
        self.restyle()
        self.retranslate()

    def clear(self) -> None:
        """Nothing was charged."""
        self.model.set_rows([])
        self.set_note("")

    def show_frame(self, frame: Frame) -> None:
        """What was charged up to the cursor."""
        total = sum(cycles for *_, cycles in frame.charges) or 1
        self.model.set_rows([Charge(*row, row[4] / total) for row in frame.charges])
        self.set_note(self.say(N_("{cycles} cycles"), cycles=grouped(frame.cycle)))

    def restyle(self) -> None:
        """Row heights and first widths."""
        self.table.restyle(self.look)

    def retranslate(self) -> None:
        """Headings and names."""
        self.model.set_columns(self._columns())
        self.table.setAccessibleName(self.say(self.title))
        super().retranslate()

    def _columns(self) -> list[Column[Charge]]:
        say, language = self.say, self.translator.language
        return [
            Column(say(N_("cycles")), lambda row: grouped(row.cycles), lambda row: row.cycles, right=True),
            Column(
                say(N_("share")), lambda row: percent(row.share, language), lambda row: row.share, right=True
            ),
            Column(say(N_("purpose")), lambda row: say(PURPOSE_TITLES.get(row.purpose, row.purpose))),
            Column(say(N_("place")), self._place),
            Column(say(N_("input")), lambda row: row.input.replace("_", " ")),
            Column(say(N_("count")), lambda row: grouped(row.times), lambda row: row.times, right=True),
        ]

    def _place(self, charge: Charge) -> str:
        place = charge.place
        component = self.say(COMPONENT_TITLES.get(place.component, place.component))
        return self.say(N_("{component}, ring {ring}"), component=component, ring=place.ring)
