"""Two truths: what the guest sees beside what the processor holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import (
    QAbstractTableModel,
    QEvent,
    QModelIndex,
    QPersistentModelIndex,
    QRectF,
    Qt,
    QVariantAnimation,
)
from PySide6.QtGui import QColor, QPainter, QPainterPath
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHeaderView,
    QStyledItemDelegate,
    QTableView,
    QVBoxLayout,
)

from vizapp.messages import N_
from vizapp.ui.glossary import explain
from vizapp.ui.panel import Panel

if TYPE_CHECKING:
    from typing import Any

    from PySide6.QtCore import QObject
    from PySide6.QtWidgets import QStyleOptionViewItem, QWidget

    from vizapp.messages import Translator
    from vizapp.session.frames import Frame, Truth
    from vizapp.ui.look import Look

    Index = QModelIndex | QPersistentModelIndex

ROW_ROLE = Qt.ItemDataRole.UserRole
_NAME, _GUEST, _SIGN, _PROCESSOR = range(4)
_FLASH = 900  # ms until a changed row is calm again


class TruthsModel(QAbstractTableModel):
    """Rows of ``Frame.truths``; the third column is ≠ where they differ."""

    def __init__(self, translator: Translator, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._translator = translator
        self._rows: tuple[Truth, ...] = ()

    def set_translator(self, translator: Translator) -> None:
        """Headings and tooltips in another language."""
        self._translator = translator
        self.headerDataChanged.emit(Qt.Orientation.Horizontal, 0, 3)

    def set_truths(self, rows: tuple[Truth, ...]) -> None:
        """Show these rows."""
        if [row.name for row in rows] != [row.name for row in self._rows]:
            self.beginResetModel()
            self._rows = rows
            self.endResetModel()
            return
        self._rows = rows
        if rows:
            self.dataChanged.emit(self.index(0, 0), self.index(len(rows) - 1, 3))

    def rowCount(self, parent: Index | None = None) -> int:
        """Count of truths."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index | None = None) -> int:
        """Name, guest, sign, processor."""
        return 0 if parent is not None and parent.isValid() else 4

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Values, tooltips and words for screen readers."""
        if not index.isValid() or index.row() >= len(self._rows):
            return None
        row = self._rows[index.row()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return (row.name, row.guest, "≠" if row.differs else "", row.processor)[index.column()]
            case Qt.ItemDataRole.ToolTipRole:
                return explain(row.key, self._translator) or None
            case Qt.ItemDataRole.AccessibleTextRole:
                text = N_("{name}: the guest sees {guest}, the processor holds {processor}")
                return self._translator.text(text).format(
                    name=row.name, guest=row.guest, processor=row.processor
                )
            case Qt.ItemDataRole.UserRole:
                return row
        return None

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Headings of the columns."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignLeft if section == _NAME else Qt.AlignmentFlag.AlignRight
            return side | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.DisplayRole:
            return (
                self._translator.text(N_("register")),
                self._translator.text(N_("guest sees")),
                "",
                self._translator.text(N_("processor holds")),
            )[section]
        return None


class TruthsDelegate(QStyledItemDelegate):
    """Paints a cell; the row of a difference is one rounded bar, a row that just changed flashes once."""

    def __init__(self, look: Look, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.look = look
        self.flash = 0.0

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """One cell."""
        row: Truth | None = index.data(ROW_ROLE)
        if row is None:
            return
        look = self.look
        rect = QRectF(option.rect)
        column = index.column()
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        if row.differs:
            self._bar(painter, rect, column, look.color("differs"))
        if row.changed and self.flash > 0:
            self._bar(painter, rect, column, look.color("flash", self.flash))
        pad = look.px(9)
        inner = rect.adjusted(pad if column == _NAME else 0, 0, -pad if column != _SIGN else 0, 0)
        text = str(index.data())
        if column == _NAME:
            painter.setFont(look.font("body"))
            painter.setPen(look.color("text"))
            painter.drawText(inner, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, text)
        else:
            font = look.font("mono")
            font.setBold(row.differs and column != _GUEST)
            painter.setFont(font)
            painter.setPen(look.color("differs_text" if row.differs and column != _GUEST else "text"))
            side = Qt.AlignmentFlag.AlignHCenter if column == _SIGN else Qt.AlignmentFlag.AlignRight
            painter.drawText(inner, side | Qt.AlignmentFlag.AlignVCenter, text)
        painter.restore()

    def _bar(self, painter: QPainter, cell: QRectF, column: int, color: QColor) -> None:
        """One bar over the whole row: each cell paints its part, the outer ones their rounded end."""
        part = cell.adjusted(0, 1, 0, -1)
        if column in (_NAME, _PROCESSOR):
            end = QRectF(part)
            half = part.width() / 2
            end.setWidth(half + self.look.px(4))
            if column == _PROCESSOR:
                end.moveRight(part.right())
            shape = QPainterPath()
            shape.addRoundedRect(end, self.look.px(4), self.look.px(4))
            square = QPainterPath()
            square.addRect(part.adjusted(half, 0, 0, 0) if column == _NAME else part.adjusted(0, 0, -half, 0))
            painter.fillPath(shape.united(square), color)
        else:
            painter.fillRect(part, color)


class TruthsPanel(Panel):
    """The table of both truths."""

    name = "truths"
    title = N_("Two truths")

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(look, translator, parent)
        self.model = TruthsModel(translator)
        self.table = QTableView()
        self.table.setModel(self.model)
        self.delegate = TruthsDelegate(look, self.table)
        self.table.setItemDelegate(self.delegate)
        self.table.setShowGrid(False)
        self.table.setFrameShape(QFrame.Shape.NoFrame)
        self.table.verticalHeader().hide()
        self.table.horizontalHeader().hide()  # the heading of the panel names the two columns
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.table.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(_SIGN, QHeaderView.ResizeMode.Fixed)
        header.setHighlightSections(False)
        header.setSectionsClickable(False)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.table)
        self._fade = QVariantAnimation(self)
        self._fade.setStartValue(1.0)
        self._fade.setEndValue(0.0)
        self._fade.setDuration(_FLASH)
        self._fade.valueChanged.connect(self._set_flash)
        self._position: int | None = None
        self.restyle()
        self.retranslate()

    def clear(self) -> None:
        """Nothing is known yet."""
        self.model.set_truths(())
        self._position = None

    def show_frame(self, frame: Frame) -> None:
        """Show both truths at the cursor; a new position makes what changed flash once."""
        self.model.set_truths(frame.truths)
        if frame.position != self._position and not self.run_state.flows:
            self._position = frame.position
            self._fade.stop()
            if any(row.changed for row in frame.truths):
                if self.look.motion:
                    self._fade.start()
                else:
                    self._set_flash(0.6)  # without motion it stays lit until the next step

    def restyle(self) -> None:
        """Row heights and colours."""
        self.delegate.look = self.look
        self.table.verticalHeader().setDefaultSectionSize(self.look.px(24))
        self.table.verticalHeader().setMinimumSectionSize(self.look.px(16))
        self.table.horizontalHeader().resizeSection(_SIGN, self.look.px(26))
        self.table.viewport().update()

    def retranslate(self) -> None:
        """Headings and tooltips."""
        self.model.set_translator(self.translator)
        self.table.setAccessibleName(self.say(self.title))
        self.set_note(self.say(N_("guest sees · processor holds")))
        super().retranslate()

    def changeEvent(self, event: QEvent) -> None:
        """The style sheet resets section sizes when the font changes."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange:
            self.table.verticalHeader().setDefaultSectionSize(self.look.px(24))

    def _set_flash(self, flash: float) -> None:
        self.delegate.flash = flash
        self.table.viewport().update()
