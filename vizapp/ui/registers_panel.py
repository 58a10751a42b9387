"""Registers and flags: all that the guest has in its virtual CPU, and what the processor holds for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import QEvent, QRectF, QSize, Qt
from PySide6.QtGui import QFont, QFontMetricsF, QHelpEvent, QPainter
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHeaderView,
    QTableView,
    QToolTip,
    QVBoxLayout,
    QWidget,
)

from vizapp.messages import N_
from vizapp.ui.glossary import explain
from vizapp.ui.panel import Panel
from vizapp.ui.table_model import Column, RowsModel

if TYPE_CHECKING:
    from typing import Any

    from PySide6.QtCore import QModelIndex, QPersistentModelIndex
    from PySide6.QtGui import QPaintEvent

    from vizapp.messages import Translator
    from vizapp.session.frames import Frame
    from vizapp.ui.look import Look

ORDER = (
    *("eax", "ebx", "ecx", "edx", "esi", "edi", "ebp", "esp", "eip", "eflags"),
    *("cpl", "cs", "ss", "ds", "es", "fs", "gs"),
    *("cr0", "cr2", "cr3", "cr4", "gdtr", "idtr", "ldtr", "tr"),
)
_SELECTORS = frozenset({"cs", "ss", "ds", "es", "fs", "gs", "tr", "ldtr"})
# EFLAGS, from the highest bit that the panel shows to the lowest.
FLAGS = (
    ("NT", 14),
    ("OF", 11),
    ("DF", 10),
    ("IF", 9),
    ("TF", 8),
    ("SF", 7),
    ("ZF", 6),
    ("AF", 4),
    ("PF", 2),
    ("CF", 0),
)
# In front of them where they mean something: in a virtual-8086 task, or with CR4.VME or PVI.
VIRTUAL_FLAGS = (("VIP", 20), ("VIF", 19), ("VM", 17))
_VIRTUAL = sum(1 << bit for _, bit in VIRTUAL_FLAGS)
_ENABLED = 3  # VME and PVI in CR4
_IOPL = 12


class Register(NamedTuple):
    """One row; ``changed`` since the frame before."""

    name: str
    guest: str
    processor: str
    changed: bool


class RegistersModel(RowsModel[Register]):
    """Rows of registers: bold where changed, with a tooltip that teaches."""

    def __init__(self, translator: Translator) -> None:
        super().__init__(())
        self.set_translator(translator)

    def set_translator(self, translator: Translator) -> None:
        """Headings and tooltips in another language."""
        self._translator = translator
        self.set_columns(
            [
                Column(translator.text(N_("register")), lambda row: row.name.upper()),
                Column(translator.text(N_("guest sees")), lambda row: row.guest, right=True),
                Column(translator.text(N_("processor holds")), lambda row: row.processor, right=True),
            ]
        )

    def data(
        self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Fonts and tooltips besides the texts."""
        if index.isValid() and index.row() < len(self.rows):
            row = self.rows[index.row()]
            if role == Qt.ItemDataRole.FontRole and index.column():
                font = QFont("DejaVu Sans Mono")
                font.setBold(row.changed)
                return font
            if role == Qt.ItemDataRole.ToolTipRole:
                name = "eflags" if row.name == "eflags" else row.name
                return explain(name, self._translator) or None
        return super().data(index, role)


class FlagsRow(QWidget):
    """EFLAGS bit by bit: a box a flag, filled and marked 1 where it is set."""

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.look = look
        self.translator = translator
        self._flags = 0
        self._former = 0
        self._names: tuple[tuple[str, int], ...] = FLAGS

    def show_flags(self, flags: int, cr4: int = 0) -> None:
        """Another EFLAGS; what differs from the last one is outlined."""
        self._former, self._flags = self._flags, flags
        virtual = (self._flags | self._former) & _VIRTUAL or cr4 & _ENABLED
        self._names = (*VIRTUAL_FLAGS, *FLAGS) if virtual else FLAGS
        words = [f"{name}={flags >> bit & 1}" for name, bit in self._names]
        self.setAccessibleName(", ".join([*words, f"IOPL={flags >> _IOPL & 3}"]))
        self.update()

    def sizeHint(self) -> QSize:
        """Name over value."""
        return QSize(self.look.px(300), self.look.px(42))

    def minimumSizeHint(self) -> QSize:
        """Boxes of two letters."""
        return QSize(self.look.px(260), self.look.px(42))

    def _cells(self) -> list[tuple[str, str, bool, QRectF]]:
        """(name, value, changed, rectangle) of each flag."""
        shown = [("IOPL", str(self._flags >> _IOPL & 3), (self._flags ^ self._former) >> _IOPL & 3 != 0)]
        shown += [
            (name, str(self._flags >> bit & 1), bool((self._flags ^ self._former) >> bit & 1))
            for name, bit in self._names
        ]
        metrics = QFontMetricsF(self.look.font("small"))
        widths = [metrics.horizontalAdvance(name) + self.look.px(6) for name, _, _ in shown]
        spread = max(0.0, (self.width() - self.look.px(12) - sum(widths)) / len(shown))
        x, cells = float(self.look.px(6)), []
        for (name, value, changed), width in zip(shown, widths, strict=True):
            cells.append((name, value, changed, QRectF(x, 0, width + spread, self.height())))
            x += width + spread
        return cells

    def paintEvent(self, event: QPaintEvent) -> None:
        """Names above, values in boxes below."""
        look = self.look
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            for name, value, changed, cell in self._cells():
                painter.setFont(look.font("small"))
                painter.setPen(look.color("text_muted"))
                painter.drawText(cell.adjusted(0, 0, 0, -look.px(24)), Qt.AlignmentFlag.AlignCenter, name)
                box = QRectF(cell.center().x() - look.px(9), look.px(19), look.px(18), look.px(19))
                painter.setPen(look.pen("current_line" if changed else "line", 2 if changed else 1))
                painter.setBrush(look.color("current" if value != "0" else "surface"))
                painter.drawRoundedRect(box, 3, 3)
                font = look.font("mono")
                font.setBold(value != "0")
                painter.setFont(font)
                painter.setPen(look.color("text"))
                painter.drawText(box, Qt.AlignmentFlag.AlignCenter, value)

    def event(self, event: QEvent) -> bool:
        """Tooltips of single flags."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            for name, _, _, cell in self._cells():
                if cell.contains(event.pos()):
                    key = {"IF": "eflags.if", "IOPL": "eflags.iopl"}.get(name, name.lower())
                    QToolTip.showText(event.globalPos(), explain(key, self.translator), self)
                    return True
        return super().event(event)


class RegistersPanel(Panel):
    """The flags of the guest over the table of registers."""

    name = "registers"
    title = N_("Registers and flags")

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(look, translator, parent)
        self._former: dict[str, int] = {}
        self._position: int | None = None
        self.flags = FlagsRow(look, translator)
        self.model = RegistersModel(translator)
        self.table = QTableView()
        self.table.setModel(self.model)
        self.table.setShowGrid(False)
        self.table.setFrameShape(QFrame.Shape.NoFrame)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.verticalHeader().hide()
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.flags)
        column.addWidget(self.table, 1)
        self.restyle()
        self.retranslate()

    def clear(self) -> None:
        """Nothing is known yet."""
        self._former = {}
        self._position = None
        self.model.set_rows([])

    def show_frame(self, frame: Frame) -> None:
        """Registers at the cursor; bold is what the guest changed since the frame before."""
        guest, processor = frame.guest_registers, frame.registers
        if frame.position != self._position:
            self._position = frame.position
            self.flags.show_flags(guest.get("eflags", 0), guest.get("cr4", 0))
        names = [name for name in ORDER if name in guest or name in processor]
        rows = [
            Register(
                name,
                _shown(name, guest.get(name)),
                _shown(name, processor.get(name)),
                name in self._former and guest.get(name) != self._former[name],
            )
            for name in names
        ]
        self._former = dict(guest)
        self.model.set_rows(rows)
        self.set_note(self.say(N_("flags as the guest sees them")))

    def restyle(self) -> None:
        """Row heights and colours."""
        self.flags.look = self.look
        self.flags.updateGeometry()
        self.flags.update()
        self.table.verticalHeader().setDefaultSectionSize(self.look.px(23))

    def retranslate(self) -> None:
        """Headings and tooltips."""
        self.flags.translator = self.translator
        self.model.set_translator(self.translator)
        self.table.setAccessibleName(self.say(self.title))
        super().retranslate()


def _shown(name: str, value: int | None) -> str:
    """A register's value as the manuals print it; a dash where it is not known."""
    if value is None:
        return "–"
    if name == "cpl":
        return str(value)
    return f"{value:04X}" if name in _SELECTORS else f"{value:08X}"
