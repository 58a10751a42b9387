"""The porting diff: what was changed in a guest for the hypervisor, counted beside published ports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QSortFilterProxyModel, Qt
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from vizapp.messages import N_
from vizapp.session.details import PORTING
from vizapp.ui.numbers import grouped, percent
from vizapp.ui.panel import Panel
from vizapp.ui.rows_view import RowsView
from vizapp.ui.table_model import Column, RowsModel
from vizapp.ui.widgets import label, toggle

if TYPE_CHECKING:
    from PySide6.QtGui import QColor

    from vizapp.guest.port import DiffLine
    from vizapp.messages import Translator
    from vizapp.session.details.porting import Porting
    from vizapp.session.frames import Frame
    from vizapp.ui.look import Look

_WIDTHS = (26, 170, 400)
_SIGNS = {"both": "", "native": "−", "ported": "+"}
_ROLES = {"native": "bad", "ported": "good"}
_CONTEXT = 2  # unchanged lines that are kept around a change


class PortPanel(Panel):
    """Lines that went and came, in the order of the code."""

    name = "porting"
    title = N_("What the port changed")
    details = frozenset((PORTING,))

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(look, translator, parent)
        self._porting: Porting | None = None
        self.model: RowsModel[DiffLine] = RowsModel(self._columns())
        self.model.tint = self._tint
        self.filter = _NearChanges(self)
        self.filter.setSourceModel(self.model)
        self.table = RowsView(self.filter, _WIDTHS)
        self.whole = toggle()
        self.whole.toggled.connect(self.filter.show_whole)
        self.published = label("muted", wrap=True)
        self.empty = label("muted", wrap=True, align=Qt.AlignmentFlag.AlignCenter)
        self.bar = QWidget()
        line = QHBoxLayout(self.bar)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.published, 1)
        line.addWidget(self.whole)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.table, 1)
        column.addWidget(self.bar)
        column.addWidget(self.empty, 1)
        self.restyle()
        self.retranslate()
        self.clear()

    def clear(self) -> None:
        """No port."""
        self._porting = None
        self.model.set_rows([])
        self.set_note("")
        self._show_empty()

    def show_frame(self, frame: Frame) -> None:
        """The port; it is the same at every cursor."""
        found: Porting | None = frame.details.get(PORTING)
        if found is None:
            return
        if found != self._porting:
            self._porting = found
            self.filter.keep(found.lines)
            self.model.set_rows(found.lines)
        share = percent(found.share, self.translator.language)
        text = N_("{added} lines of {total} modified or added ({share}), {removed} gone")
        self.set_note(
            self.say(
                text,
                added=grouped(found.added),
                total=grouped(found.total),
                share=share,
                removed=grouped(found.removed),
            )
        )
        self.published.setText(
            " · ".join(
                self.say(
                    N_("{name}: {lines} lines, {share}"),
                    name=port.name,
                    lines=grouped(port.total),
                    share=percent(port.share, self.translator.language, 2),
                )
                for port in found.published
            )
        )
        self.published.setToolTip("\n".join(dict.fromkeys(port.source for port in found.published)))
        self._show_empty()

    def restyle(self) -> None:
        """Row heights, first widths and the font of code."""
        self.table.setFont(self.look.font("mono"))
        self.table.restyle(self.look)

    def retranslate(self) -> None:
        """Headings and words."""
        self.model.set_columns(self._columns())
        self.table.setAccessibleName(self.say(self.title))
        self.whole.setText(self.say(N_("Whole source")))
        self.whole.setToolTip(self.say(N_("Also the lines that both builds share")))
        self.empty.setText(
            self.say(N_("This guest runs as it is. Under paravirtual a guest kernel is ported first."))
        )
        super().retranslate()

    def _show_empty(self) -> None:
        nothing = self._porting is None
        self.table.setVisible(not nothing)
        self.bar.setVisible(not nothing)
        self.empty.setVisible(nothing)

    def _tint(self, line: DiffLine) -> QColor | None:
        role = _ROLES.get(line.side)
        return None if role is None else self.look.color(role, 0.16)

    def _columns(self) -> list[Column[DiffLine]]:
        say = self.say
        return [
            Column("±", lambda line: _SIGNS[line.side]),
            Column(say(N_("source")), lambda line: f"{line.file}:{line.number}"),
            Column(say(N_("line")), lambda line: " ".join(line.text.split())),
        ]


class _NearChanges(QSortFilterProxyModel):
    """Only what changed, and a little around it; or everything."""

    def __init__(self, parent: PortPanel) -> None:
        super().__init__(parent)
        self._whole = False
        self._near: frozenset[int] = frozenset()

    def show_whole(self, on: bool) -> None:
        """Show everything, or not."""
        self._whole = on
        self.invalidate()

    def keep(self, lines: tuple[DiffLine, ...]) -> None:
        """Find out which rows are near a change."""
        changed = [row for row, line in enumerate(lines) if line.side != "both"]
        reach = range(-_CONTEXT, _CONTEXT + 1)
        self._near = frozenset(row + step for row in changed for step in reach)

    def filterAcceptsRow(self, row: int, parent: QModelIndex | QPersistentModelIndex) -> bool:
        """Whether a row is shown."""
        return self._whole or row in self._near
