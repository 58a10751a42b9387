"""The guest's page tables beside what the processor has for them: a shadow, or nested tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.addresses import PAGE_SHIFT
from vizapp.messages import N_
from vizapp.session.details import MAPPINGS
from vizapp.ui.table_model import Column
from vizapp.ui.table_panel import TablePanel
from vizapp.ui.widgets import label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PySide6.QtWidgets import QWidget

    from vizapp.messages import Translator
    from vizapp.session.details.mappings import Mappings, Page, Row
    from vizapp.ui.look import Look

_KINDS = {
    "shared": N_("the processor walks the guest's own tables"),
    "shadow": N_("the processor walks a shadow of the guest's tables"),
    "nested": N_("the processor walks the guest's tables, and nested ones below"),
    "off": N_("paging is off"),
}


class MappingsPanel(TablePanel["Row"]):
    """All that is mapped, in rows of adjacent pages."""

    name = "mappings"
    title = N_("Page tables")
    details = frozenset((MAPPINGS,))
    detail = MAPPINGS
    nothing = N_("Paging is off: every linear address is a physical one.")
    widths = (164, 52, 128, 128, 150)

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        self.legend = label("muted", wrap=True)
        super().__init__(look, translator, parent)
        self.body.addWidget(self.legend)

    def restyle(self) -> None:
        """Row heights, first widths and the font of addresses."""
        self.table.setFont(self.look.font("mono"))
        super().restyle()

    def retranslate(self) -> None:
        """Headings and words."""
        self.legend.setText(
            self.say(N_("W: may be written · U: ring 3 may use it · D: was written · –: not there"))
        )
        super().retranslate()

    def show_rows(self) -> None:
        """The legend with the table."""
        super().show_rows()
        self.legend.setVisible(bool(self.model.rows))

    def rows_of(self, found: Mappings) -> Sequence[Row]:
        """All mappings."""
        return found.rows

    def describe(self, found: Mappings) -> str:
        """What the processor walks."""
        return self.say(_KINDS[found.kind])

    def columns(self) -> list[Column[Row]]:
        """Where, what the guest's tables have, what the processor's, and how they differ."""
        say = self.say
        return [
            Column(say(N_("linear address")), _span),
            Column(say(N_("pages")), lambda row: str(row.pages), lambda row: row.pages, right=True),
            Column(say(N_("the guest's tables")), lambda row: _page(row.guest)),
            Column(say(N_("the processor's")), lambda row: _page(row.processor)),
            Column(say(N_("difference")), self._difference),
        ]

    def _difference(self, row: Row) -> str:
        """What the processor does not have, or not with the rights that the guest gave."""
        guest, held = row.guest, row.processor
        if guest == held:
            return ""
        if held is None:
            return self.say(N_("not filled in yet"))
        if guest is None:
            return self.say(N_("the monitor's alone"))
        words = []
        if guest.writable and not held.writable:
            words.append(self.say(N_("writes come to the monitor")))
        if guest.user and not held.user:
            words.append(self.say(N_("kept from ring 3")))
        return ", ".join(words)


def _span(row: Row) -> str:
    first, last = row.first << PAGE_SHIFT, (row.first + row.pages << PAGE_SHIFT) - 1
    return f"{first:08X}–{last:08X}"


def _page(page: Page | None) -> str:
    if page is None:
        return "–"
    rights = (("W", page.writable), ("U", page.user), ("D", page.dirty))
    flags = "".join(letter if held else "–" for letter, held in rights)
    return f"{page.frame << PAGE_SHIFT:08X} {flags}"
