"""The table that panels show lists in: whole rows, no grid, not to be edited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtWidgets import QAbstractItemView, QFrame, QTableView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PySide6.QtCore import QAbstractItemModel

    from vizapp.ui.look import Look

_ROW_HEIGHT = 23


class RowsView(QTableView):
    """Shows a model; ``widths`` are the columns' first ones at 100 %, the last takes what is left."""

    def __init__(self, model: QAbstractItemModel, widths: Sequence[int]) -> None:
        super().__init__()
        self._widths = tuple(widths)
        self.setModel(model)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.verticalHeader().hide()
        self.horizontalHeader().setStretchLastSection(True)

    def restyle(self, look: Look) -> None:
        """Row heights and first widths at another zoom."""
        self.verticalHeader().setDefaultSectionSize(look.px(_ROW_HEIGHT))
        for column, width in enumerate(self._widths):
            self.setColumnWidth(column, look.px(width))
