"""The VMCS or VMCB by field: what it holds, what the last exit changed, what the monitor wrote since."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QRegularExpression, QSortFilterProxyModel, Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from vizapp.messages import N_
from vizapp.session.details import CONTROL_STRUCTURE
from vizapp.ui.panel import Panel
from vizapp.ui.rows_view import RowsView
from vizapp.ui.table_model import ROW_ROLE, Column, RowsModel
from vizapp.ui.widgets import label, named

if TYPE_CHECKING:
    from PySide6.QtCore import QModelIndex, QPersistentModelIndex

    from vizapp.messages import Translator
    from vizapp.session.details.control_structure import ControlField, ControlStructure
    from vizapp.session.frames import Frame
    from vizapp.ui.look import Look

_WIDTHS = (190, 112, 112, 220, 48)


class _Filter(QSortFilterProxyModel):
    """Only fields whose name or group fits, or only those that have changed."""

    changed_only = False

    def filterAcceptsRow(self, row: int, parent: QModelIndex | QPersistentModelIndex) -> bool:
        """Whether a field is shown."""
        model = self.sourceModel()
        field: ControlField = model.index(row, 0, parent).data(ROW_ROLE)
        if self.changed_only and not (field.by_exit or field.by_monitor):
            return False
        pattern = self.filterRegularExpression()
        shown = (model.index(row, column, parent).data() for column in (0, 3, 4, 5))
        return any(pattern.match(str(text)).hasMatch() for text in shown)


class ControlPanel(Panel):
    """Fields in the order of the manual; ● marks what the exit changed, ✎ what the monitor wrote."""

    name = "control-structure"
    title = N_("VMCS / VMCB")
    details = frozenset((CONTROL_STRUCTURE,))

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(look, translator, parent)
        self.model: RowsModel[ControlField] = RowsModel(self._columns())
        self.filter = _Filter(self)
        self.filter.setSourceModel(self.model)
        self.search = QLineEdit()
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._search)
        self.changed_only = QCheckBox()
        self.changed_only.toggled.connect(self._only_changed)
        self.intercepts = named(QToolButton(), "control")
        self.intercepts.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.choices = QMenu(self)
        self.intercepts.setMenu(self.choices)
        self.table = RowsView(self.filter, _WIDTHS)
        self.legend = label("muted", wrap=True)
        self.empty = label("muted", wrap=True, align=Qt.AlignmentFlag.AlignCenter)
        line = QHBoxLayout()
        line.addWidget(self.search, 1)
        line.addWidget(self.changed_only)
        line.addWidget(self.intercepts)
        self.bar = QWidget()
        self.bar.setLayout(line)
        line.setContentsMargins(0, 0, 0, 0)
        column = QVBoxLayout(self)
        column.addWidget(self.bar)
        column.addWidget(self.table, 1)
        column.addWidget(self.legend)
        column.addWidget(self.empty, 1)
        self.restyle()
        self.retranslate()
        self.clear()

    def clear(self) -> None:
        """No structure."""
        self.model.set_rows([])
        self.set_note("")
        self._show_empty()

    def show_frame(self, frame: Frame) -> None:
        """The fields at the cursor."""
        found: ControlStructure | None = frame.details.get(CONTROL_STRUCTURE)
        if found is None:
            self.clear()
            return
        self.model.set_rows(found.fields)
        self._offer(found.intercepts)
        self.filter.invalidate()
        self.set_note(
            self.say(
                N_("{kind} at {address}: {state}"),
                kind=found.kind,
                address=f"{found.address:08X}",
                state=found.state,
            )
        )
        self._show_empty()

    def restyle(self) -> None:
        """Row heights, first widths and the font of values."""
        self.table.setFont(self.look.font("mono"))
        self.table.restyle(self.look)

    def retranslate(self) -> None:
        """Headings and words."""
        self.model.set_columns(self._columns())
        self.search.setPlaceholderText(self.say(N_("Find a field")))
        self.search.setAccessibleName(self.say(N_("Find a field")))
        self.changed_only.setText(self.say(N_("Changed only")))
        self.intercepts.setText(self.say(N_("Exits")))
        self.intercepts.setToolTip(
            self.say(N_("What shall exit, and what not: the guest is run again and its exits come or go"))
        )
        self.table.setAccessibleName(self.say(self.title))
        self.legend.setText(
            self.say(N_("● changed by the last exit · ✎ written by the monitor since that exit"))
        )
        self.empty.setText(
            self.say(N_("Only VT-x and AMD-V keep a guest in a structure that the processor itself reads."))
        )
        super().retranslate()

    def _offer(self, intercepts: tuple[tuple[str, bool], ...]) -> None:
        """What can be made to exit, or not: choosing one runs the guest again."""
        if self.choices.isVisible():
            return
        self.choices.clear()
        for name, made in intercepts:
            action = self.choices.addAction(name)
            action.setCheckable(True)
            action.setChecked(made)
            action.triggered.connect(lambda on, name=name: self.intercept_wished.emit(name, on))

    def _show_empty(self) -> None:
        nothing = not self.model.rows
        for shown in (self.bar, self.table, self.legend):
            shown.setVisible(not nothing)
        self.empty.setVisible(nothing)

    def _search(self, text: str) -> None:
        pattern = QRegularExpression(
            QRegularExpression.escape(text), QRegularExpression.PatternOption.CaseInsensitiveOption
        )
        self.filter.setFilterRegularExpression(pattern)

    def _only_changed(self, on: bool) -> None:
        self.filter.changed_only = on
        self.filter.invalidate()

    def _columns(self) -> list[Column[ControlField]]:
        say = self.say
        return [
            Column(say(N_("field")), lambda field: field.name),
            Column(say(N_("value")), _value, right=True),
            Column(say(N_("before the exit")), _before, right=True),
            Column(say(N_("meaning")), self._meaning),
            Column(say(N_("at")), lambda field: field.where),
            Column(say(N_("group")), lambda field: self.translator.render(field.group)),
        ]

    def _meaning(self, field: ControlField) -> str:
        return self.translator.render(field.gloss if field.text is None else field.text)


def _value(field: ControlField) -> str:
    mark = ("● " if field.by_exit else "") + ("✎ " if field.by_monitor else "")
    return mark + _digits(field.value, field.size)


def _before(field: ControlField) -> str:
    return _digits(field.before_exit, field.size) if field.by_exit else ""


def _digits(value: int, size: int) -> str:
    """Hexadecimal in the field's width; of 64 bits the upper half only if it says something."""
    return f"{value:0{2 * min(size, 4)}X}"
