"""What an attribute byte of a text screen means.

| 7 blink, or bright background | 6 5 4 background | 3 2 1 0 foreground |
"""

from __future__ import annotations

from typing import NamedTuple

from vizapp.machine.devices.vga import COLOR_NAMES

BLINK = 1 << 7


class TextAttribute(NamedTuple):
    """Colours 0 to 15 (of ``COLOR_NAMES``), and whether the character blinks."""

    foreground: int
    background: int
    blinks: bool

    @property
    def names(self) -> tuple[str, str]:
        """The colours' names, foreground first."""
        return COLOR_NAMES[self.foreground], COLOR_NAMES[self.background]


def text_attribute(value: int, blinks: bool = True) -> TextAttribute:
    """The meaning of an attribute byte; ``blinks`` is what bit 7 is for."""
    if blinks:
        return TextAttribute(value & 0x0F, value >> 4 & 7, bool(value & BLINK))
    return TextAttribute(value & 0x0F, value >> 4, False)
