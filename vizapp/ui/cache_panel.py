"""The translation cache: a map of its units and chains, and a table of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QSortFilterProxyModel, Qt
from PySide6.QtWidgets import QSplitter, QVBoxLayout, QWidget

from vizapp.isa.addresses import PAGE_SHIFT
from vizapp.messages import N_
from vizapp.session.details import TRANSLATION_CACHE
from vizapp.ui.cache_view import CacheView
from vizapp.ui.numbers import grouped
from vizapp.ui.panel import Panel
from vizapp.ui.rows_view import RowsView
from vizapp.ui.table_model import ROW_ROLE, SORT_ROLE, Column, RowsModel
from vizapp.ui.translation_words import KINDS
from vizapp.ui.widgets import label

if TYPE_CHECKING:
    from vizapp.messages import Translator
    from vizapp.session.details.translation_cache import CachedUnit, CacheMap
    from vizapp.session.frames import Frame
    from vizapp.ui.look import Look

_WIDTHS = (52, 84, 74, 58, 150, 84, 70, 90)


class CachePanel(Panel):
    """All that is in the cache at the cursor; the chosen unit's chains are drawn."""

    name = "translation-cache"
    title = N_("Translation cache")
    details = frozenset((TRANSLATION_CACHE,))

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(look, translator, parent)
        self._map: CacheMap | None = None
        self.view = CacheView(look, translator.render)
        self.view.chosen.connect(self._choose)
        self.model: RowsModel[CachedUnit] = RowsModel(self._columns())
        self.sorter = QSortFilterProxyModel(self)
        self.sorter.setSortRole(SORT_ROLE)
        self.sorter.setSourceModel(self.model)
        self.table = RowsView(self.sorter, _WIDTHS)
        self.table.setSortingEnabled(True)
        self.table.sortByColumn(5, Qt.SortOrder.DescendingOrder)
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._take_selection())
        self.split = QSplitter(Qt.Orientation.Vertical)
        self.split.addWidget(self.view)
        self.split.addWidget(self.table)
        self.split.setStretchFactor(0, 3)
        self.split.setStretchFactor(1, 2)
        self.split.setChildrenCollapsible(False)
        self.counts = label("muted", wrap=True)
        self.empty = label("muted", wrap=True, align=Qt.AlignmentFlag.AlignCenter)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.split, 1)
        column.addWidget(self.empty, 1)
        column.addWidget(self.counts)
        self.restyle()
        self.retranslate()
        self.clear()

    def clear(self) -> None:
        """No cache."""
        self._map = None
        self.view.set_map(None)
        self.model.set_rows([])
        self.counts.clear()
        self.set_note("")
        self._show_empty()

    def show_frame(self, frame: Frame) -> None:
        """The cache at the cursor."""
        found: CacheMap | None = frame.details.get(TRANSLATION_CACHE)
        if found is None:
            return
        self._map = found
        chosen = self.view.selected
        self.view.set_map(found)
        self.model.set_rows(found.units)
        if chosen >= 0:
            self._choose(chosen)
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

    def retranslate(self) -> None:
        """Words."""
        self.view.set_look(self.look, self.translator.render)
        self.view.setAccessibleName(self.say(N_("Map of the translation cache")))
        self.model.set_columns(self._columns())
        self.table.setAccessibleName(self.say(self.title))
        self.empty.setText(self.say(N_("No translation cache: only binary translation has one.")))
        super().retranslate()

    def _show_empty(self) -> None:
        nothing = self._map is None
        self.split.setVisible(not nothing)
        self.counts.setVisible(not nothing)
        self.empty.setVisible(nothing)

    def _choose(self, number: int) -> None:
        """Select the row of a unit."""
        for row in range(self.sorter.rowCount()):
            if self.sorter.index(row, 0).data(ROW_ROLE).number == number:
                self.table.selectRow(row)
                return

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
