"""A panel that is one sorted table of rows out of a detail, and a sentence where there is nothing."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from PySide6.QtCore import QSortFilterProxyModel, Qt
from PySide6.QtWidgets import QVBoxLayout, QWidget

from vizapp.ui.panel import Panel
from vizapp.ui.rows_view import RowsView
from vizapp.ui.table_model import SORT_ROLE, RowsModel
from vizapp.ui.widgets import label

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from vizapp.messages import Translator
    from vizapp.session.frames import Frame
    from vizapp.ui.look import Look
    from vizapp.ui.table_model import Column

R = TypeVar("R")


class TablePanel(Panel, Generic[R]):
    """Rows of one detail.

    Attributes:
        widths: the columns' first ones at 100 %.
        nothing: what stands there without rows, in English.
        detail: the name of the detail that the rows come out of.
    """

    widths: ClassVar[tuple[int, ...]] = ()
    nothing: ClassVar[str] = ""
    detail: ClassVar[str] = ""

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(look, translator, parent)
        self.model: RowsModel[R] = RowsModel(self.columns())
        self.sorter = QSortFilterProxyModel(self)
        self.sorter.setSortRole(SORT_ROLE)
        self.sorter.setSourceModel(self.model)
        self.table = RowsView(self.sorter, self.widths)
        self.table.setSortingEnabled(True)
        self.table.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.empty = label("muted", wrap=True, align=Qt.AlignmentFlag.AlignCenter)
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(0, 0, 0, 0)
        self.body.addWidget(self.table, 1)
        self.body.addWidget(self.empty, 1)
        self.restyle()
        self.retranslate()
        self.clear()

    @abstractmethod
    def columns(self) -> list[Column[R]]:
        """The columns in the language of now."""

    @abstractmethod
    def rows_of(self, found: Any) -> Sequence[R]:
        """The rows of the detail."""

    def describe(self, found: Any) -> str:
        """The note at the right of the heading."""
        return ""

    def clear(self) -> None:
        """No rows."""
        self.model.set_rows([])
        self.set_note("")
        self.show_rows()

    def show_frame(self, frame: Frame) -> None:
        """The rows at the cursor."""
        found = frame.details.get(self.detail)
        if found is None:
            return
        self.model.set_rows(self.rows_of(found))
        self.set_note(self.describe(found))
        self.show_rows()

    def restyle(self) -> None:
        """Row heights and first widths."""
        self.table.restyle(self.look)

    def retranslate(self) -> None:
        """Headings and words."""
        self.model.set_columns(self.columns())
        self.table.setAccessibleName(self.say(self.title))
        self.empty.setText(self.say(self.nothing))
        super().retranslate()

    def show_rows(self) -> None:
        """The table, or the sentence that stands where there is none."""
        nothing = not self.model.rows
        self.table.setVisible(not nothing)
        self.empty.setVisible(nothing)
