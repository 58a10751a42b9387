"""Event list: everything that happened, filtered by what is typed; a row is the way to its moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QSortFilterProxyModel
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from vizapp.machine.events import Event
from vizapp.messages import N_
from vizapp.ui.numbers import grouped
from vizapp.ui.panel import Panel
from vizapp.ui.rows_view import RowsView
from vizapp.ui.table_model import ROW_ROLE, Column, RowsModel
from vizapp.ui.words import EVENT_TITLES

if TYPE_CHECKING:
    from PySide6.QtCore import QObject

    from vizapp.messages import Translator
    from vizapp.session.frames import EventBatch, Frame
    from vizapp.session.protocol import Opened
    from vizapp.ui.look import Look


class EventFilter(QSortFilterProxyModel):
    """Keeps events whose shown words or payload hold every word that was typed."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._words: list[str] = []

    def set_filter(self, text: str) -> None:
        """Words in any order, in any case."""
        self.beginFilterChange()
        self._words = text.casefold().split()
        self.endFilterChange()

    def filterAcceptsRow(self, row: int, parent: QModelIndex | QPersistentModelIndex) -> bool:
        """Whether every word occurs somewhere in the row."""
        if not self._words:
            return True
        model = self.sourceModel()
        shown = [str(model.index(row, column, parent).data()) for column in range(model.columnCount())]
        event: Event = model.index(row, 0, parent).data(ROW_ROLE)
        text = " ".join([*shown, event.kind, *map(str, event.payload.values())]).casefold()
        return all(word in text for word in self._words)


_WIDTHS = (90, 100, 190, 150)


class EventsPanel(Panel):
    """The list with its filter."""

    name = "events"
    title = N_("Events")

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(look, translator, parent)
        self.model: RowsModel[Event] = RowsModel(self._columns())
        self.filter = EventFilter(self)
        self.filter.setSourceModel(self.model)
        self.field = QLineEdit()
        self.field.setClearButtonEnabled(True)
        self.field.textChanged.connect(self._filter)
        self.table = RowsView(self.filter, _WIDTHS)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        self.table.activated.connect(self._go)
        self.table.clicked.connect(self._go)
        self._column = QVBoxLayout(self)
        self._column.addWidget(self.field)
        self._column.addWidget(self.table, 1)
        self.restyle()
        self.retranslate()

    def show_opened(self, opened: Opened) -> None:
        """A new recording."""
        self.clear()

    def clear(self) -> None:
        """No events."""
        self.model.set_rows([])
        self._count()

    def show_events(self, batch: EventBatch) -> None:
        """More of them."""
        self.model.append(batch.events)
        self._count()

    def show_frame(self, frame: Frame) -> None:
        """Select the event at the cursor."""
        if frame.event is None or self.run_state.flows:
            return
        for number in range(self.model.rowCount() - 1, -1, -1):
            position = self.model.rows[number].position
            if position <= frame.event.position:
                index = self.filter.mapFromSource(self.model.index(number, 0))
                if position == frame.event.position and index.isValid():
                    self.table.selectRow(index.row())
                    self.table.scrollTo(index)
                return

    def restyle(self) -> None:
        """Row heights."""
        self.table.restyle(self.look)
        self._column.setContentsMargins(self.look.px(4), 0, self.look.px(4), 0)
        self._column.setSpacing(self.look.px(4))

    def retranslate(self) -> None:
        """Headings and the filter's hint."""
        self.model.set_columns(self._columns())
        self.field.setPlaceholderText(self.say(N_("Filter: kind, cause, ring …")))
        self.field.setAccessibleName(self.say(N_("Filter of events")))
        self.table.setAccessibleName(self.say(self.title))
        self._count()

    def _columns(self) -> list[Column[Event]]:
        return [
            Column(self.say(N_("position")), lambda event: grouped(event.position), right=True),
            Column(self.say(N_("cycle")), lambda event: grouped(event.cycle), right=True),
            Column(self.say(N_("event")), lambda event: self.say(EVENT_TITLES.get(event.kind, event.kind))),
            Column(self.say(N_("cause")), lambda event: event.cause),
            Column(self.say(N_("rings")), lambda event: f"{event.source.ring} → {event.target.ring}"),
        ]

    def _filter(self, text: str) -> None:
        self.filter.set_filter(text)
        self._count()

    def _count(self) -> None:
        shown, total = self.filter.rowCount(), self.model.rowCount()
        self.set_note(grouped(total) if shown == total else f"{grouped(shown)} / {grouped(total)}")

    def _go(self, index: QModelIndex) -> None:
        event: Event = index.data(ROW_ROLE)
        # The frame after an event's step is the one that shows it.
        self.seek_requested.emit(event.position + 1)
