"""Qt's keys as keys of the guest's keyboard, which is a US one; see ``machine.devices.scan_codes``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt

from vizapp.machine.devices.scan_codes import keys_of

if TYPE_CHECKING:
    from PySide6.QtGui import QKeyEvent

SHIFT = "shift"
_KEY = Qt.Key
_NAMED = {
    _KEY.Key_Escape: "escape", _KEY.Key_Backspace: "backspace", _KEY.Key_Tab: "tab", _KEY.Key_Backtab: "tab",
    _KEY.Key_Return: "enter", _KEY.Key_Space: "space", _KEY.Key_CapsLock: "caps-lock",
    _KEY.Key_NumLock: "num-lock", _KEY.Key_ScrollLock: "scroll-lock", _KEY.Key_Pause: "pause",
    _KEY.Key_Print: "print-screen", _KEY.Key_Shift: SHIFT, _KEY.Key_Control: "control", _KEY.Key_Alt: "alt",
    _KEY.Key_AltGr: "right-alt", _KEY.Key_Home: "home", _KEY.Key_End: "end", _KEY.Key_PageUp: "page-up",
    _KEY.Key_PageDown: "page-down", _KEY.Key_Up: "up", _KEY.Key_Down: "down", _KEY.Key_Left: "left",
    _KEY.Key_Right: "right", _KEY.Key_Insert: "insert", _KEY.Key_Delete: "delete", _KEY.Key_Menu: "menu",
    _KEY.Key_Enter: "keypad-enter",
    **{Qt.Key(_KEY.Key_F1 + number): f"f{number + 1}" for number in range(12)},
}  # fmt: skip


def key_presses(event: QKeyEvent) -> tuple[str, ...]:
    """The key that an event stands for, with ``shift`` before it if a US keyboard needs that; empty: none.

    A letter is its key whatever Shift and Caps Lock say, for the guest sees those itself.
    """
    key = event.key()
    if key in _NAMED:
        return (_NAMED[Qt.Key(key)],)
    if not 0x20 < key < 0x7F:
        return ()
    return keys_of(chr(key).lower())
