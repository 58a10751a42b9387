"""A read-only table of rows that are tuples, for panels that show lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from PySide6.QtCore import QObject
    from PySide6.QtGui import QColor

    Index = QModelIndex | QPersistentModelIndex

T = TypeVar("T")
ROW_ROLE = Qt.ItemDataRole.UserRole
SORT_ROLE = Qt.ItemDataRole.UserRole + 1


class Column(Generic[T]):
    """One column: its heading, what it shows of a row, and by what it sorts."""

    def __init__(
        self,
        heading: str,
        show: Callable[[T], str],
        sort: Callable[[T], Any] | None = None,
        *,
        right: bool = False,
    ) -> None:
        self.heading = heading
        self.show = show
        self.sort = sort or show
        self.right = right


class RowsModel(QAbstractTableModel, Generic[T]):
    """Rows under columns; rows are replaced as a whole or appended.

    Attributes:
        tint: what colour lies under a row, if any; never the only sign of what it means.
    """

    def __init__(self, columns: Sequence[Column[T]], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._columns = list(columns)
        self._rows: list[T] = []
        self.tint: Callable[[T], QColor | None] = _untinted

    @property
    def rows(self) -> list[T]:
        """What is shown; not to be changed."""
        return self._rows

    def set_columns(self, columns: Sequence[Column[T]]) -> None:
        """The same columns in another language."""
        self.beginResetModel()
        self._columns = list(columns)
        self.endResetModel()

    def set_rows(self, rows: Sequence[T]) -> None:
        """Show other rows; as many as before are taken as the same rows with other values."""
        if len(rows) == len(self._rows):
            self._rows = list(rows)
            if rows:
                self.dataChanged.emit(self.index(0, 0), self.index(len(rows) - 1, len(self._columns) - 1))
            return
        self.beginResetModel()
        self._rows = list(rows)
        self.endResetModel()

    def append(self, rows: Sequence[T]) -> None:
        """Add rows at the end."""
        if rows:
            self.beginInsertRows(QModelIndex(), len(self._rows), len(self._rows) + len(rows) - 1)
            self._rows.extend(rows)
            self.endInsertRows()

    def rowCount(self, parent: Index | None = None) -> int:
        """Count of rows."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index | None = None) -> int:
        """Count of columns."""
        return 0 if parent is not None and parent.isValid() else len(self._columns)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Text, alignment, the row, or the value to sort by."""
        if not index.isValid() or index.row() >= len(self._rows):
            return None
        column = self._columns[index.column()]
        row = self._rows[index.row()]
        match role:
            case Qt.ItemDataRole.DisplayRole | Qt.ItemDataRole.ToolTipRole:  # a cell may be too narrow
                return column.show(row)
            case Qt.ItemDataRole.TextAlignmentRole:
                side = Qt.AlignmentFlag.AlignRight if column.right else Qt.AlignmentFlag.AlignLeft
                return side | Qt.AlignmentFlag.AlignVCenter
            case Qt.ItemDataRole.BackgroundRole:
                return self.tint(row)
            case Qt.ItemDataRole.UserRole:
                return row
        return column.sort(row) if role == SORT_ROLE else None

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Headings."""
        if orientation != Qt.Orientation.Horizontal or section >= len(self._columns):
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if self._columns[section].right else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        return self._columns[section].heading if role == Qt.ItemDataRole.DisplayRole else None


def _untinted(_row: object) -> None:
    return None
