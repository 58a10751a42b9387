"""Page faults by page: hidden ones, true ones, and accesses to what the monitor traces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt

from vizapp.isa.addresses import PAGE_SHIFT
from vizapp.messages import N_
from vizapp.session.details import PAGE_FAULTS
from vizapp.ui.numbers import grouped
from vizapp.ui.table_model import Column
from vizapp.ui.table_panel import TablePanel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PySide6.QtWidgets import QWidget

    from vizapp.messages import Translator
    from vizapp.session.details.page_faults import FaultRow
    from vizapp.ui.look import Look


class FaultsPanel(TablePanel["FaultRow"]):
    """A row a page of the guest's."""

    name = "page-faults"
    title = N_("Page faults, hidden and true")
    details = frozenset((PAGE_FAULTS,))
    detail = PAGE_FAULTS
    nothing = N_("No page fault has come to a monitor yet.")
    widths = (110, 84, 84, 84, 110, 90)

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(look, translator, parent)
        self.table.sortByColumn(4, Qt.SortOrder.DescendingOrder)

    def columns(self) -> list[Column[FaultRow]]:
        """The page, what its faults were, what they cost."""
        say = self.say
        return [
            Column(say(N_("page")), lambda row: f"{row.page << PAGE_SHIFT:08X}", lambda row: row.page),
            Column(say(N_("hidden")), lambda row: grouped(row.hidden), lambda row: row.hidden, right=True),
            Column(say(N_("true")), lambda row: grouped(row.true), lambda row: row.true, right=True),
            Column(say(N_("traced")), lambda row: grouped(row.traced), lambda row: row.traced, right=True),
            Column(say(N_("cycles")), lambda row: grouped(row.cycles), lambda row: row.cycles, right=True),
            Column(
                say(N_("each")),
                lambda row: grouped(round(row.cycles / max(1, row.faults))),
                lambda row: row.cycles / max(1, row.faults),
                right=True,
            ),
        ]

    def rows_of(self, found: tuple[FaultRow, ...]) -> Sequence[FaultRow]:
        """All pages that faulted."""
        return found

    def describe(self, found: tuple[FaultRow, ...]) -> str:
        """All together."""
        if not found:
            return ""
        return self.say(
            N_("{hidden} hidden, {true} true, {traced} traced"),
            hidden=grouped(sum(row.hidden for row in found)),
            true=grouped(sum(row.true for row in found)),
            traced=grouped(sum(row.traced for row in found)),
        )
