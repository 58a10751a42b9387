"""What the guest shows to the outside: its serial console and its text screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtGui import QFontMetrics, QTextCursor
from PySide6.QtWidgets import QPlainTextEdit, QVBoxLayout, QWidget

from vizapp.messages import N_
from vizapp.ui.panel import Panel
from vizapp.ui.widgets import named

if TYPE_CHECKING:
    from vizapp.messages import Translator
    from vizapp.session.frames import Frame
    from vizapp.ui.look import Look


class TextPanel(Panel):
    """A read-only text in a fixed-width font."""

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(look, translator, parent)
        self.text = named(QPlainTextEdit(), self.name)
        self.text.setReadOnly(True)
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setUndoRedoEnabled(False)
        column = QVBoxLayout(self)
        column.setContentsMargins(2, 0, 2, 0)
        column.addWidget(self.text)
        self.restyle()
        self.retranslate()

    def clear(self) -> None:
        """Nothing was written yet."""
        self.text.clear()

    def restyle(self) -> None:
        """The fixed-width font at the zoom."""
        self.text.setFont(self.look.font("mono"))

    def retranslate(self) -> None:
        """Names for screen readers and what stands in an empty panel."""
        self.text.setAccessibleName(self.say(self.title))
        super().retranslate()


class SerialPanel(TextPanel):
    """Serial console: all that the guest wrote to COM1 up to the cursor."""

    name = "serial"
    title = N_("Serial console")

    def show_frame(self, frame: Frame) -> None:
        """Append what is new; rewinding takes it away again."""
        former = self.text.toPlainText()
        if frame.serial == former:
            return
        if frame.serial.startswith(former):
            self.text.moveCursor(QTextCursor.MoveOperation.End)
            self.text.insertPlainText(frame.serial[len(former) :])
        else:
            self.text.setPlainText(frame.serial)
        self.text.moveCursor(QTextCursor.MoveOperation.End)
        self.text.ensureCursorVisible()

    def retranslate(self) -> None:
        """The hint of an empty console."""
        super().retranslate()
        self.text.setPlaceholderText(self.say(N_("The guest has written nothing to COM1 yet.")))
        self.set_note("COM1 · 16550")


class ScreenPanel(TextPanel):
    """Screen: the text screen of the guest, 80 by 25 characters at 0xB8000."""

    name = "screen"
    title = N_("Screen")

    def show_frame(self, frame: Frame) -> None:
        """The rows as they are in the guest's memory; an untouched screen shows the hint."""
        rows = "\n".join(frame.screen) if any(row.strip() for row in frame.screen) else ""
        if rows != self.text.toPlainText():
            self.text.setPlainText(rows)

    def restyle(self) -> None:
        """Room for 80 columns where there is any."""
        super().restyle()
        metrics = QFontMetrics(self.look.font("mono"))
        self.text.setMinimumWidth(min(metrics.horizontalAdvance("0" * 40), self.look.px(320)))

    def retranslate(self) -> None:
        """The hint of an empty screen."""
        super().retranslate()
        self.text.setPlaceholderText(self.say(N_("The guest has put nothing on its text screen yet.")))
        self.set_note("80 × 25 · 0xB8000")
