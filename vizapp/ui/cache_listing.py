"""One unit of the translation cache, or what lies between units, instruction by instruction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtWidgets import QVBoxLayout, QWidget

from vizapp.messages import N_, Message
from vizapp.ui.cache_view import REGIONS
from vizapp.ui.numbers import grouped
from vizapp.ui.rows_view import RowsView
from vizapp.ui.table_model import Column, RowsModel
from vizapp.ui.translation_words import DOORS, PARTS
from vizapp.ui.widgets import ElidedLabel

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.messages import Translator
    from vizapp.session.details.cache_bytes import CacheBytes
    from vizapp.session.details.cache_lines import CacheLine
    from vizapp.ui.look import Look

_WIDTHS = (74, 200, 240, 200)


class CacheListing(QWidget):
    """Every byte of one block, as a table with a line of words above it.

    Attributes:
        bytes: what is shown.
    """

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._translator = translator
        self.bytes: CacheBytes | None = None
        self.words = ElidedLabel("muted")
        self.model: RowsModel[CacheLine] = RowsModel(self._columns())
        self.table = RowsView(self.model, _WIDTHS)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.words)
        column.addWidget(self.table, 1)
        self.set_look(look)

    def set_bytes(self, found: CacheBytes | None) -> None:
        """Show a block."""
        same = found is not None and self.bytes is not None and found.offset == self.bytes.offset
        self.bytes = found
        self.model.set_rows(() if found is None else found.lines)
        if not same:
            self.table.scrollToTop()
        self.words.set_words("" if found is None else self.title(found))

    def set_look(self, look: Look) -> None:
        """Another theme or zoom."""
        self.table.setFont(look.font("mono"))
        self.table.restyle(look)

    def set_translator(self, translator: Translator) -> None:
        """Another language."""
        self._translator = translator
        self.model.set_columns(self._columns())
        self.table.setAccessibleName(self._say(N_("Bytes of the translation cache")))
        self.set_bytes(self.bytes)

    def title(self, found: CacheBytes) -> str:
        """What the block is, and where."""
        what = (
            self._say(N_("unit {number}"), number=found.number)
            if found.number >= 0
            else self._say(REGIONS.get(found.kind, found.kind))
        )
        where = self._say(
            N_("+{offset}, {size} bytes"), offset=f"{found.offset:05X}", size=grouped(found.size)
        )
        return f"{where} · {what}"

    def note(self, line: CacheLine) -> str:
        """What an instruction is for, as far as its bytes do not say it."""
        found = self.bytes
        if line.part in PARTS:
            return self._say(PARTS[line.part])
        if found is not None and found.kind == "dropped" and line.offset > found.offset:
            return self._say(N_("not executed any more"))
        notes = [self._say(DOORS[line.door])] if line.door in DOORS else []
        if line.leads_to >= 0:
            address = f"{line.leads_to:08X}"
            notes.append(
                self._say(N_("→ {address}, not translated yet"), address=address)
                if line.unit < 0
                else self._say(N_("→ {address}, unit {unit}"), address=address, unit=line.unit)
            )
        elif line.eip >= 0:
            notes.append(self._say(N_("for guest EIP {address}"), address=f"{line.eip:08X}"))
        return " · ".join(notes)

    def _columns(self) -> list[Column[CacheLine]]:
        say: Callable[[str], str] = self._say
        return [
            Column(say(N_("cache")), lambda line: f"+{line.offset:05X}"),
            Column(say(N_("bytes")), lambda line: line.raw.hex(" ").upper()),
            Column(say(N_("instruction")), lambda line: line.text),
            Column(say(N_("what for")), self.note),
        ]

    def _say(self, text: str, **parameters: str | int) -> str:
        return self._translator.render(Message(text, parameters))
