"""The window's actions: each with its words and its keys, in one table."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QAction, QKeySequence

from vizapp.messages import N_

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from vizapp.messages import Translator


class Spec(NamedTuple):
    """An action: the wish that it stands for, its words, its keys."""

    wish: str
    text: str
    keys: tuple[str, ...]


ACTIONS = (
    Spec("open", N_("Open a guest…"), ("Ctrl+O",)),
    Spec("toggle_run", N_("Run or pause"), ("Space", "F5")),
    Spec("step", N_("Step"), ("Right", "F11")),
    Spec("back", N_("Step back"), ("Left", "Shift+F11")),
    Spec("over", N_("Step over"), ("F10",)),
    Spec("next_trap", N_("Next trap"), ("PgDown",)),
    Spec("previous_trap", N_("Previous trap"), ("PgUp",)),
    Spec("next_event", N_("Next event"), ("Ctrl+Right",)),
    Spec("previous_event", N_("Previous event"), ("Ctrl+Left",)),
    Spec("to_start", N_("To the start"), ("Home",)),
    Spec("to_end", N_("To the end of the recording"), ("End",)),
    Spec("slower", N_("Slower"), ("[",)),
    Spec("faster", N_("Faster"), ("]",)),
    Spec("score", N_("Check equivalence"), ("Ctrl+E",)),
    Spec("race", N_("Race again"), ("Ctrl+R",)),
    Spec("restart", N_("Restart the guest"), ("Ctrl+Shift+R",)),
    Spec("zoom_in", N_("Zoom in"), ("Ctrl++", "Ctrl+=")),
    Spec("zoom_out", N_("Zoom out"), ("Ctrl+-",)),
    Spec("zoom_reset", N_("Zoom to 100 %"), ("Ctrl+0",)),
    Spec("present", N_("Presenter mode"), ("Shift+F5",)),
    Spec("leave", N_("Leave presenter mode"), ("Esc",)),
    Spec("compare", N_("Compare"), ("Ctrl+K",)),
    Spec("lessons", N_("Lessons"), ("Ctrl+L",)),
    Spec("picture", N_("Save a picture…"), ("Ctrl+P",)),
    Spec("reset_layout", N_("Reset layout"), ()),
    Spec("reduced_motion", N_("Reduced motion"), ()),
    Spec("shortcuts", N_("Keyboard shortcuts"), ("F1",)),
    Spec("quit", N_("Quit"), ("Ctrl+Q",)),
)


class Actions(QObject):
    """Makes the actions of a window.

    Signals:
        wished: the ``wish`` of an action.
    """

    wished = Signal(str)

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._actions: dict[str, QAction] = {}
        for spec in ACTIONS:
            action = QAction(window)
            action.setShortcuts([QKeySequence(keys) for keys in spec.keys])
            action.setShortcutContext(Qt.ShortcutContext.WindowShortcut)
            action.triggered.connect(lambda _checked=False, wish=spec.wish: self.wished.emit(wish))
            window.addAction(action)
            self._actions[spec.wish] = action

    def __getitem__(self, wish: str) -> QAction:
        return self._actions[wish]

    def retranslate(self, translator: Translator) -> None:
        """Words in the language of now."""
        for spec in ACTIONS:
            self._actions[spec.wish].setText(translator.text(spec.text))
