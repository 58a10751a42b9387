"""The keys of a lesson: they work while one is open, and lend theirs to nothing else meanwhile.

Page Up and Page Down, which a presenter's remote sends, lead from trap to trap without a lesson and from
step to step in one; the traps then keep them with Shift.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QEvent, QObject, Qt, Signal
from PySide6.QtGui import QAction, QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QApplication,
    QComboBox,
    QLabel,
    QLineEdit,
    QTextBrowser,
)

from vizapp.ui.lesson_widgets import Answer

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from vizapp.ui.actions import Actions

_LENT = {"next_trap": "Shift+PgDown", "previous_trap": "Shift+PgUp"}
_KEYS = {"next": "PgDown", "previous": "PgUp"}
_DIGITS = 5
_OWN_ENTER = (QLineEdit, QLabel, QComboBox, QAbstractItemView)


class LessonKeys(QObject):
    """Makes the keys of a window.

    Signals:
        wished: next, previous or primary.
        answered: an answer, by index.
    """

    wished = Signal(str)
    answered = Signal(int)

    def __init__(self, window: QWidget, actions: Actions) -> None:
        super().__init__(window)
        self._actions = actions
        self._own: list[QAction] = []
        self._usual = {wish: actions[wish].shortcuts() for wish in _LENT}
        self._enter_action = self._make(window, ("Return", "Enter"))
        self._enter_action.triggered.connect(self._enter)
        for wish, key in _KEYS.items():
            action = self._make(window, (key,))
            action.triggered.connect(lambda _checked=False, wish=wish: self.wished.emit(wish))
        for digit in range(1, _DIGITS + 1):
            action = self._make(window, (str(digit),))
            action.triggered.connect(lambda _checked=False, digit=digit: self.answered.emit(digit - 1))
        self.set_enabled(False)

    def set_enabled(self, enabled: bool) -> None:
        """A lesson is open, or is not."""
        for wish, keys in _LENT.items():
            usual = self._usual[wish]
            self._actions[wish].setShortcuts([QKeySequence(keys)] if enabled else usual)
        for action in self._own:
            action.setEnabled(enabled)

    def _make(self, window: QWidget, keys: tuple[str, ...]) -> QAction:
        action = QAction(window)
        action.setShortcuts([QKeySequence(key) for key in keys])
        action.setShortcutContext(Qt.ShortcutContext.WindowShortcut)
        window.addAction(action)
        self._own.append(action)
        return action

    def _enter(self) -> None:
        """Enter belongs to the lesson, except where a button, a field or a list has the focus."""
        focused = QApplication.focusWidget()
        if isinstance(focused, QAbstractButton) and not isinstance(focused, Answer):
            focused.click()
            return
        own = isinstance(focused, _OWN_ENTER)
        if isinstance(focused, QTextBrowser) and focused.textCursor().hasSelection():
            own = True  # a link that was reached by Tab
        if own and focused is not None:
            self._enter_action.setEnabled(False)  # or the key would come back here
            for kind in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
                pressed = QKeyEvent(kind, Qt.Key.Key_Return, Qt.KeyboardModifier.NoModifier)
                QCoreApplication.sendEvent(focused, pressed)
            self._enter_action.setEnabled(True)
        else:
            self.wished.emit("primary")
