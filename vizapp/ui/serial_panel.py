"""The serial console: what the guest wrote to COM1, and a line to write back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtGui import QTextCursor
from PySide6.QtWidgets import QLineEdit, QPlainTextEdit, QVBoxLayout, QWidget

from vizapp.machine.input_log import SERIAL
from vizapp.messages import N_
from vizapp.session.protocol import Feed
from vizapp.ui.panel import Panel
from vizapp.ui.widgets import named

if TYPE_CHECKING:
    from vizapp.messages import Translator
    from vizapp.session.frames import Frame
    from vizapp.ui.look import Look


ENCODING = "cp437"
ENTER = b"\r"  # what the Enter key of a terminal sends


class SerialPanel(Panel):
    """Serial console: all that the guest wrote to COM1 up to the cursor; what is typed below it is sent.

    Attributes:
        text: what was written; it can be selected and copied.
        line: hidden where nothing can be sent.
    """

    name = "serial"
    title = N_("Serial console")

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(look, translator, parent)
        self.text = named(QPlainTextEdit(), self.name)
        self.text.setReadOnly(True)
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setUndoRedoEnabled(False)
        self.line = QLineEdit()
        self.line.returnPressed.connect(self._send)
        self.line.hide()
        self._vm = 0
        self._column = QVBoxLayout(self)
        self._column.addWidget(self.text)
        self._column.addWidget(self.line)
        self.restyle()
        self.retranslate()

    def clear(self) -> None:
        """Nothing was written yet."""
        self.text.clear()

    def show_frame(self, frame: Frame) -> None:
        """Append what is new; rewinding takes it away again."""
        self._vm = frame.vm
        self.line.setVisible(SERIAL in frame.inputs)
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

    def restyle(self) -> None:
        """The fixed-width font at the zoom."""
        self.text.setFont(self.look.font("mono"))
        self.line.setFont(self.look.font("mono"))
        self._column.setContentsMargins(2, 0, 2, 0)
        self._column.setSpacing(self.look.px(4))

    def retranslate(self) -> None:
        """Names for screen readers and what stands in an empty console."""
        self.text.setAccessibleName(self.say(self.title))
        self.text.setPlaceholderText(self.say(N_("The guest has written nothing to COM1 yet.")))
        self.line.setAccessibleName(self.say(N_("A line for the guest")))
        self.line.setPlaceholderText(self.say(N_("A line for COM1; Enter sends it")))
        self.set_note("COM1 · 16550")
        super().retranslate()

    def _send(self) -> None:
        """To the virtual machine that is shown; what its code page lacks is sent as a question mark."""
        line = self.line.text().encode(ENCODING, "replace") + ENTER
        self.feed_requested.emit(Feed(SERIAL, (line,), self._vm))
        self.line.clear()
