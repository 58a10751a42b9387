"""All keys on one page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtWidgets import QDialog, QDialogButtonBox, QGridLayout, QLabel, QVBoxLayout, QWidget

from vizapp.messages import N_
from vizapp.ui.actions import ACTIONS
from vizapp.ui.widgets import label

if TYPE_CHECKING:
    from vizapp.messages import Translator
    from vizapp.ui.look import Look

_MORE = (
    ("F9", N_("Set or clear a breakpoint at the selected line of code")),
    ("PgDown  PgUp", N_("In a lesson: next step, step before (traps: with Shift)")),
    ("1 – 5", N_("In a lesson: choose an answer")),
    ("Enter", N_("In a lesson: run the step, then go on")),
    ("+  −  0", N_("Zoom in the lanes of privilege over time")),
)


class ShortcutsDialog(QDialog):
    """Two columns of keys and what they do."""

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(translator.text(N_("Keyboard shortcuts")))
        column = QVBoxLayout(self)
        grid = QGridLayout()
        grid.setHorizontalSpacing(look.px(18))
        column.addLayout(grid)
        rows = [("  ".join(spec.keys), translator.text(spec.text)) for spec in ACTIONS if spec.keys]
        rows += [(keys, translator.text(text)) for keys, text in _MORE]
        half = (len(rows) + 1) // 2
        for number, (keys, text) in enumerate(rows):
            row, side = number % half, 2 * (number // half)
            grid.addWidget(label("panelName", keys), row, side)
            grid.addWidget(QLabel(text), row, side + 1)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        column.addWidget(buttons)
