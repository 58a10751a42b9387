"""Hypercalls: which, with what arguments by name, and what the hypervisor answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt

from vizapp.messages import N_
from vizapp.session.details import HYPERCALLS
from vizapp.session.protocol import Seek
from vizapp.ui.numbers import grouped
from vizapp.ui.table_model import ROW_ROLE, Column
from vizapp.ui.table_panel import TablePanel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PySide6.QtCore import QModelIndex
    from PySide6.QtWidgets import QWidget

    from vizapp.messages import Translator
    from vizapp.session.details.hypercalls import HypercallRow
    from vizapp.ui.look import Look


class HypercallsPanel(TablePanel["HypercallRow"]):
    """The last calls, newest first; a double click goes to where one was made."""

    name = "hypercalls"
    title = N_("Hypercalls")
    details = frozenset((HYPERCALLS,))
    detail = HYPERCALLS
    nothing = N_(
        "No hypercall yet: a ported kernel makes them where it would have used a privileged instruction."
    )
    widths = (100, 64, 230, 330, 130)

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(look, translator, parent)
        self.table.sortByColumn(0, Qt.SortOrder.DescendingOrder)
        self.table.doubleClicked.connect(self._go_to)

    def columns(self) -> list[Column[HypercallRow]]:
        """When, whose, what, with what, and the answer."""
        say = self.say
        return [
            Column(say(N_("cycle")), lambda row: grouped(row.cycle), lambda row: row.position, right=True),
            Column(say(N_("domain")), lambda row: str(row.vm), lambda row: row.vm, right=True),
            Column(
                say(N_("hypercall")),
                lambda row: f"{row.name}: {row.operation}" if row.operation else row.name,
            ),
            Column(
                say(N_("arguments")),
                lambda row: ", ".join(f"{name}={value:#x}" for name, value in row.arguments),
            ),
            Column(say(N_("answer")), _answer),
        ]

    def rows_of(self, found: Sequence[HypercallRow]) -> Sequence[HypercallRow]:
        """All of them."""
        return found

    def _go_to(self, index: QModelIndex) -> None:
        row: HypercallRow = index.data(ROW_ROLE)
        self.command_requested.emit(Seek(row.position))


def _answer(row: HypercallRow) -> str:
    words = f"−{row.error}" if row.error else f"{row.result:#x}"
    return f"{words}: {row.refusal}" if row.refusal else words
