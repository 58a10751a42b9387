"""The guest's code as an item model: a row for each label and each instruction."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, Qt

from vizapp.messages import N_, Message
from vizapp.session.frames import CodeLine
from vizapp.ui.words import MARK_TITLES

if TYPE_CHECKING:
    from typing import Any

    from PySide6.QtCore import QObject

    from vizapp.messages import Translator

    Index = QModelIndex | QPersistentModelIndex

ROW_ROLE = Qt.ItemDataRole.UserRole


class CodeRow(NamedTuple):
    """``kind`` is label or code; ``text`` what stands in the row."""

    kind: str
    text: str
    line: CodeLine


class CodeModel(QAbstractListModel):
    """Rows of ``Frame.code``; ``ROW_ROLE`` gives the CodeRow."""

    def __init__(self, translator: Translator, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._translator = translator
        self._rows: list[CodeRow] = []
        self.hottest = 0

    def set_translator(self, translator: Translator) -> None:
        """Notes and tooltips in another language."""
        self._translator = translator
        self._all_changed()

    def set_lines(self, lines: tuple[CodeLine, ...]) -> None:
        """Show these lines; rows stay where they are when only their state changed."""
        rows = [row for line in lines for row in _rows_of(line)]
        self.hottest = max((line.heat for line in lines), default=0)
        same = [(row.kind, row.line.address) for row in rows] == [
            (row.kind, row.line.address) for row in self._rows
        ]
        if same:
            self._rows = rows
            self._all_changed()
            return
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()

    def row_at(self, index: Index) -> CodeRow | None:
        """The row of an index."""
        return self._rows[index.row()] if index.isValid() and index.row() < len(self._rows) else None

    def current_row(self) -> int:
        """The row of the instruction that is about to execute, -1 if it is not among them."""
        for number, row in enumerate(self._rows):
            if row.kind == "code" and row.line.current:
                return number
        return -1

    def note(self, line: CodeLine) -> str:
        """What becomes of an instruction under the technique."""
        return self._translator.render(line.note) if line.note is not None else ""

    def rowCount(self, parent: Index | None = None) -> int:
        """Count of rows; a list has no children."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Text, tooltip, words for screen readers, or the row itself."""
        row = self.row_at(index)
        if row is None:
            return None
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return row.text
            case Qt.ItemDataRole.ToolTipRole:
                return self._tooltip(row.line) if row.kind == "code" else None
            case Qt.ItemDataRole.AccessibleTextRole:
                return self._spoken(row)
            case Qt.ItemDataRole.UserRole:
                return row
        return None

    def _tooltip(self, line: CodeLine) -> str:
        parts = [f"{line.address:08X}  {line.raw.hex(' ').upper()}", line.text]
        if line.source and line.source.strip() != line.text:
            parts.append(line.source.strip())
        if line.comment:
            parts.append(line.comment)
        parts.append(self._translator.text(MARK_TITLES.get(line.mark, line.mark)))
        if note := self.note(line):
            parts.append(note)
        if line.heat:
            parts.append(self._translator.render(Message(N_("executed {count} times"), {"count": line.heat})))
        return "\n".join(parts)

    def _spoken(self, row: CodeRow) -> str:
        if row.kind != "code":
            return row.text
        words = [
            row.text,
            self._translator.text(MARK_TITLES.get(row.line.mark, row.line.mark)),
            self.note(row.line),
        ]
        if row.line.current:
            words.insert(0, self._translator.text(N_("current instruction")))
        if row.line.breakpoint:
            words.append(self._translator.text(N_("breakpoint")))
        return ", ".join(word for word in words if word)

    def _all_changed(self) -> None:
        if self._rows:
            self.dataChanged.emit(self.index(0), self.index(len(self._rows) - 1))


def _rows_of(line: CodeLine) -> list[CodeRow]:
    # NASM's own names for labels inside macros (..@12.name) say nothing to a reader.
    named = line.label and not line.label.startswith("..@")
    rows = [CodeRow("label", f"{line.label}:", line)] if named else []
    return [*rows, CodeRow("code", shown_text(line), line)]


def shown_text(line: CodeLine) -> str:
    """The source where there is one, else the disassembly; of a macro's call the instruction that it made."""
    return line.text if not line.source or is_macro(line) else " ".join(line.source.split())


def shown_comment(line: CodeLine) -> str:
    """The comment; where there is none, the macro that made the instruction."""
    return line.comment or (" ".join(line.source.split()) if is_macro(line) else "")


def is_macro(line: CodeLine) -> bool:
    """Whether the source is a call of a macro: those of the guests are written in capitals."""
    return line.source.strip().partition(" ")[0].isupper()
