"""The banner: a sentence across the window when something went wrong, with the way to go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QPlainTextEdit, QPushButton, QWidget

from vizapp.errors import LocatedError
from vizapp.messages import N_, Message
from vizapp.ui.widgets import label, named

if TYPE_CHECKING:
    from vizapp.errors import SourceProblem, VizappError
    from vizapp.messages import Translator
    from vizapp.ui.look import Look

_LINES = 6  # of problems that are seen without scrolling


class Banner(QFrame):
    """Hidden until there is something to say.

    Attributes:
        words: the sentence.
        problems: places in a file with what is wrong there, a line each; hidden without any.

    Signals:
        restart_wished: begin the session anew.
    """

    restart_wished = Signal()

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("banner")
        self._message: Message | None = None
        self._problems: tuple[SourceProblem, ...] = ()
        self._look = look
        self._translator = translator
        self.words = label("sentence", wrap=True)
        self.restart = QPushButton()
        self.restart.clicked.connect(self._restart)
        self.dismiss = QPushButton()
        self.dismiss.clicked.connect(self.clear)
        self.problems = named(QPlainTextEdit(), "problems")
        self.problems.setReadOnly(True)
        self.problems.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self._grid = QGridLayout(self)
        self._grid.setColumnStretch(0, 1)
        for column, widget in enumerate((self.words, self.restart, self.dismiss)):
            self._grid.addWidget(widget, 0, column)
        self._grid.addWidget(self.problems, 1, 0, 1, 3)
        self.restyle(look)
        self.retranslate(translator)
        self.hide()

    def say(self, message: Message, *, restart: bool) -> None:
        """Show a sentence, with a button to begin anew where the session is lost."""
        self._message = message
        self._problems = ()
        self._show(restart=restart)

    def say_error(self, error: VizappError) -> None:
        """Show what was wrong with something that was asked for: all of it."""
        self._message = error.message
        self._problems = error.problems if isinstance(error, LocatedError) else ()
        if len(self._problems) > 1:
            sentence = N_("{file} has {count} problems")
            self._message = Message(sentence, {"file": self._problems[0].file, "count": len(self._problems)})
        self._show(restart=False)

    def _show(self, *, restart: bool) -> None:
        self.restart.setVisible(restart)
        self.dismiss.setVisible(not restart)
        self.retranslate(self._translator)
        self.show()

    def clear(self) -> None:
        """Nothing is wrong any more."""
        self._message = None
        self._problems = ()
        self.hide()

    def restyle(self, look: Look) -> None:
        """Spaces at the zoom."""
        self._look = look
        self.problems.setFont(look.font("mono"))
        self._grid.setHorizontalSpacing(look.px(8))
        self._grid.setContentsMargins(look.px(14), look.px(8), look.px(10), look.px(8))

    def retranslate(self, translator: Translator) -> None:
        """All words."""
        self._translator = translator
        self.restart.setText(translator.text(N_("Start again")))
        self.dismiss.setText(translator.text(N_("Close")))
        words = translator.render(self._message) if self._message is not None else ""
        self.words.setText(words)
        self.setAccessibleName(words)
        self.problems.setVisible(len(self._problems) > 1)
        self.problems.setAccessibleName(translator.text(N_("Problems")))
        self.problems.setPlainText("\n".join(self._line(problem) for problem in self._problems))
        lines = min(_LINES, len(self._problems))
        height = self.problems.fontMetrics().lineSpacing() * lines
        self.problems.setFixedHeight(height + self._look.px(18))

    def _line(self, problem: SourceProblem) -> str:
        text = self._translator.render(problem.message)
        return f"{problem.file}:{problem.line}:{problem.column}: {text}"

    def _restart(self) -> None:
        self.clear()
        self.restart_wished.emit()
