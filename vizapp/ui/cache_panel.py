"""The translation cache: a map of its units and chains, a table of them, and each byte of what is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QSortFilterProxyModel, Qt
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from vizapp.isa.addresses import PAGE_SHIFT
from vizapp.messages import N_
from vizapp.session.details import CACHE_BYTES, TRANSLATION_CACHE
from vizapp.ui.cache_listing import CacheListing
from vizapp.ui.cache_view import CacheView
from vizapp.ui.numbers import grouped
from vizapp.ui.panel import Panel
from vizapp.ui.rows_view import RowsView
from vizapp.ui.table_model import ROW_ROLE, SORT_ROLE, Column, RowsModel
from vizapp.ui.translation_words import KINDS
from vizapp.ui.widgets import label, toggle

if TYPE_CHECKING:
    from vizapp.messages import Translator
    from vizapp.session.details.translation_cache import CachedUnit, CacheMap
    from vizapp.session.frames import Frame
    from vizapp.ui.look import Look

_WIDTHS = (64, 128, 74, 58, 150, 98, 70, 90)


class CachePanel(Panel):
    """All that is in the cache at the cursor; the chosen unit's chains are drawn, and its bytes are told."""

    name = "translation-cache"
    title = N_("Translation cache")
    details = frozenset((TRANSLATION_CACHE, CACHE_BYTES))

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(look, translator, parent)
        self._map: CacheMap | None = None
        self.view = CacheView(look, translator.render)
        self.view.chosen.connect(self._take_place)
        self.model: RowsModel[CachedUnit] = RowsModel(self._columns())
        self.sorter = QSortFilterProxyModel(self)
        self.sorter.setSortRole(SORT_ROLE)
        self.sorter.setSourceModel(self.model)
        self.table = RowsView(self.sorter, _WIDTHS)
        self.table.setSortingEnabled(True)
        self.table.sortByColumn(5, Qt.SortOrder.DescendingOrder)
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._take_selection())
        self.listing = CacheListing(look, translator)
        self.pages = QStackedWidget()
        self.pages.addWidget(self.table)
        self.pages.addWidget(self.listing)
        self.show_units, self.show_bytes = toggle(), toggle()
        self._buttons = QButtonGroup(self)
        self._buttons.idClicked.connect(self.pages.setCurrentIndex)
        self.counts = label("muted", wrap=True)
        below = QHBoxLayout()
        for number, button in enumerate((self.show_units, self.show_bytes)):
            self._buttons.addButton(button, number)
            below.addWidget(button)
        below.addWidget(self.counts, 1)
        self.show_units.setChecked(True)
        self.view.opened.connect(self.show_bytes.click)
        self.split = QSplitter(Qt.Orientation.Vertical)
        self.split.addWidget(self.view)
        self.split.addWidget(self.pages)
        self.split.setStretchFactor(0, 1)
        self.split.setStretchFactor(1, 1)
        self.split.setChildrenCollapsible(False)
        self.empty = label("muted", wrap=True, align=Qt.AlignmentFlag.AlignCenter)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.split, 1)
        column.addWidget(self.empty, 1)
        column.addLayout(below)
        self.restyle()
        self.retranslate()
        self.clear()

    def clear(self) -> None:
        """No cache."""
        self._map = None
        self.view.set_map(None)
        self.watched_address = None
        self.model.set_rows([])
        self.listing.set_bytes(None)
        self.counts.clear()
        self.set_note("")
        self._show_empty()

    def show_frame(self, frame: Frame) -> None:
        """The cache at the cursor."""
        found: CacheMap | None = frame.details.get(TRANSLATION_CACHE)
        if found is None:
            return
        self._map = found
        self.view.set_map(found)
        self.model.set_rows(found.units)
        self.listing.set_bytes(frame.details.get(CACHE_BYTES))
        self._mark_row()
        if self.view.place < 0 and self.watched_address is not None:
            self._take_place(-1)  # what was chosen is free bytes now
        self.set_note(
            self.say(
                N_("{units} units, {used} of {size} bytes"),
                units=grouped(len(found.units)),
                used=grouped(found.used),
                size=grouped(found.size),
            )
        )
        text = N_(
            "units made {made} · jumps patched {chained} · units dropped {dropped} · flushes {flushed} · "
            "traced pages: {traced}"
        )
        shown = " ".join(f"{frame_number << PAGE_SHIFT:08X}" for frame_number in found.traced[:6])
        if len(found.traced) > 6:
            shown += f" … ({len(found.traced)})"
        self.counts.setText(
            self.say(
                text,
                made=grouped(found.made),
                chained=grouped(found.chained),
                dropped=grouped(found.dropped),
                flushed=grouped(found.flushed),
                traced=shown or "–",
            )
        )
        self._show_empty()

    def restyle(self) -> None:
        """Fonts and drawing."""
        self.view.set_look(self.look, self.translator.render)
        self.table.setFont(self.look.font("mono"))
        self.table.restyle(self.look)
        self.listing.set_look(self.look)

    def retranslate(self) -> None:
        """Words."""
        self.view.set_look(self.look, self.translator.render)
        self.view.setAccessibleName(self.say(N_("Map of the translation cache")))
        self.model.set_columns(self._columns())
        self.table.setAccessibleName(self.say(self.title))
        self.listing.set_translator(self.translator)
        self.show_units.setText(self.say(N_("Units")))
        self.show_units.setToolTip(self.say(N_("Every unit that is in use, in a row each")))
        self.show_bytes.setText(self.say(N_("Bytes")))
        self.show_bytes.setToolTip(
            self.say(N_("Every byte of what is chosen in the map; of what runs next if nothing is"))
        )
        self.empty.setText(self.say(N_("No translation cache: only binary translation has one.")))
        super().retranslate()

    def _show_empty(self) -> None:
        nothing = self._map is None
        self.split.setVisible(not nothing)
        for widget in (self.counts, self.show_units, self.show_bytes):
            widget.setVisible(not nothing)
        self.empty.setVisible(nothing)

    def _take_place(self, offset: int) -> None:
        """Something else is chosen: select its row, if it is a unit, and ask for its bytes."""
        self._mark_row()
        base = 0 if self._map is None else self._map.base
        self.watched_address = None if offset < 0 else base + offset
        self.watch_changed.emit()

    def _mark_row(self) -> None:
        """Select the row of the chosen unit."""
        number = self.view.selected
        row = next((row for row, unit in enumerate(self.model.rows) if unit.number == number), -1)
        if row < 0:
            self.table.clearSelection()
            return
        shown = self.sorter.mapFromSource(self.model.index(row, 0)).row()
        if [index.row() for index in self.table.selectionModel().selectedRows()] != [shown]:
            self.table.selectRow(shown)

    def _take_selection(self) -> None:
        rows = self.table.selectionModel().selectedRows()
        if rows:
            unit: CachedUnit = rows[0].data(ROW_ROLE)
            self.view.select(unit.number)

    def _columns(self) -> list[Column[CachedUnit]]:
        say = self.say
        return [
            Column(say(N_("unit")), lambda u: str(u.number), lambda u: u.number, right=True),
            Column(say(N_("guest code")), lambda u: f"{u.address:08X}", lambda u: u.address),
            Column(say(N_("cache")), lambda u: f"+{u.offset:05X}", lambda u: u.offset),
            Column(say(N_("bytes")), lambda u: str(u.size), lambda u: u.size, right=True),
            Column(say(N_("instructions")), _kinds, lambda u: u.instructions),
            Column(say(N_("reached")), lambda u: grouped(u.hits), lambda u: u.hits, right=True),
            Column(say(N_("from")), lambda u: _numbers(u.chained_in), lambda u: len(u.chained_in)),
            Column(
                say(N_("leads to")),
                lambda u: _numbers(u.chained_out) + (" ?" * u.open),
                lambda u: len(u.chained_out),
            ),
        ]


def _kinds(unit: CachedUnit) -> str:
    """How many instructions of each kind, by sign."""
    pairs = zip(unit.kinds, KINDS.values(), strict=True)
    return f"{unit.instructions}: " + " ".join(f"{kind.sign}{count}" for count, kind in pairs if count)


def _numbers(units: tuple[int, ...]) -> str:
    shown = " ".join(str(number) for number in units[:4])
    return f"{shown} …" if len(units) > 4 else shown
