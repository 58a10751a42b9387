"""What keys send: scan code set 2 of an AT keyboard, and its translation into set 1 by the 8042.

Set 2 sends a key's code when it goes down, F0h and the code when it comes up, with E0h in front for the keys
that the enhanced keyboard added. IBM Personal System/2 Hardware Interface Technical Reference, "Keyboards".
"""

from __future__ import annotations

from typing import Final

BREAK: Final = 0xF0
EXTENDED: Final = 0xE0
# Two keys send more than a code: (down, up).
_ODD: Final = {
    "pause": (bytes.fromhex("E11477E1F014F077"), b""),
    "print-screen": (bytes.fromhex("E012E07C"), bytes.fromhex("E0F07CE0F012")),
}

# Set 1 by set 2; beyond these, 83h and 84h, a code is translated into itself.
_TRANSLATED: Final = bytes.fromhex(
    "FF43413F3D3B3C58 644442403E0F2959 65382A701D10025A 66712C1F1E11035B"
    "672E2D201205045C 68392F211413065D 69313023221507 5E 6A7232241608095F"
    "6B332517180B0A60 6C34352627190C61 6D7328741A0D626E 3A361C1B752B6376"
    "55567778797A0E7B 7C4F7D4B477E7F6F 5253504C4D480145 574E514A37494654"
)
TRANSLATION: Final = (*_TRANSLATED, *range(0x80, 0x83), 0x41, 0x54, *range(0x85, 0x100))

# Keys by the name of what is printed on a US keyboard.
_ROWS: Final = {
    0x01: "escape 1 2 3 4 5 6 7 8 9 0 - = backspace tab q w e r t y u i o p [ ] enter control",
    0x1E: "a s d f g h j k l",
    0x27: "; ' ` shift \\ z x c v b n m , . / right-shift keypad-* alt space caps-lock",
    0x3B: "f1 f2 f3 f4 f5 f6 f7 f8 f9 f10 num-lock scroll-lock",
    0x47: "keypad-7 keypad-8 keypad-9 keypad-- keypad-4 keypad-5 keypad-6 keypad-+",
    0x4F: "keypad-1 keypad-2 keypad-3 keypad-0 keypad-.",
    0x57: "f11 f12",
}
_ADDED: Final = {
    "keypad-enter": 0x1C, "right-control": 0x1D, "keypad-/": 0x35, "right-alt": 0x38, "home": 0x47,
    "up": 0x48, "page-up": 0x49, "left": 0x4B, "right": 0x4D, "end": 0x4F, "down": 0x50, "page-down": 0x51,
    "insert": 0x52, "delete": 0x53, "left-windows": 0x5B, "right-windows": 0x5C, "menu": 0x5D,
}  # fmt: skip
# Set 1 code by name; the keys that have E0h in front stand in _ADDED.
_PLAIN: Final = {
    name: first + place for first, names in _ROWS.items() for place, name in enumerate(names.split())
}
_SET_2: Final = {TRANSLATION[code]: code for code in range(0x85)}
KEYS: Final = (*_PLAIN, *_ADDED, *_ODD)

_SHIFTED: Final = dict(zip('~!@#$%^&*()_+{}|:"<>?', "`1234567890-=[]\\;',./", strict=True))
_NAMED: Final = {" ": "space", "\n": "enter", "\t": "tab", "\b": "backspace", "\x1b": "escape"}


def key_codes(key: str, down: bool) -> bytes:
    """The bytes of set 2 that a key sends when it goes down or comes up.

    Raises:
        KeyError: no key has that name.
    """
    if key in _ODD:
        return _ODD[key][not down]
    extended = key in _ADDED
    code = _SET_2[_ADDED[key] if extended else _PLAIN[key]]
    return bytes([EXTENDED] * extended + [BREAK] * (not down) + [code])


def keys_of(character: str) -> tuple[str, ...]:
    """The keys that type a character of a US keyboard, held down together in this order; empty: none do."""
    if character in _SHIFTED:
        return ("shift", _SHIFTED[character])
    if character.isascii() and character.isupper():
        return ("shift", character.lower())
    key = _NAMED.get(character, character)
    return (key,) if key in _PLAIN else ()
