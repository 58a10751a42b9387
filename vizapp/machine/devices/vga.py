"""The registers of a VGA beyond the CRT controller, as mode 3 has them (IBM VGA Technical Reference).

    3C0 attribute index and data, in turn   3C2 input status 0, miscellaneous   3C4 3C5 sequencer
    3C1 attribute data, read                3C6-3C9 palette mask and DAC        3CE 3CF graphics
    3CC miscellaneous, read                 3DA input status 1   | 3 vertical retrace | 0 not displaying |

What is drawn is text whatever the registers say; software can set and read them, and wait for the retrace.
"""

from __future__ import annotations

from vizapp.machine.clock import Clock
from vizapp.machine.devices.pit import ReadTime

VGA_PORTS = (range(0x3C0, 0x3D0), range(0x3DA, 0x3DB))
STATUS_PORT = 0x3DA
STATUS_RETRACE = 1 << 3
STATUS_BLANK = 1 << 0
STATUS_SENSE = 1 << 4  # of input status 0: a colour display is there

# 720 x 400 at 70 Hz.
DOT_HERTZ = 28_322_000
DOTS, SHOWN_DOTS = 900, 720
LINES, SHOWN_LINES = 449, 400
RETRACE_LINES = range(412, 414)

# Mode 3, from the BIOS's parameter table; the CRT controller's too.
MODE_3_CRTC = bytes.fromhex("5F4F50825581BF1F004F0D0E0000000000009C8E8F281F96B9A3FF")[:25]
_SEQUENCER = bytes.fromhex("0300030002")
_GRAPHICS = bytes.fromhex("0000000000100E00FF")
_ATTRIBUTE = bytes.fromhex("000102030405140738393A3B3C3D3E3F0C000F0800")
_MISCELLANEOUS = 0x67

# What the 16 attribute colours are called, and what they are: 6-bit red, green and blue of the DAC.
COLOR_NAMES = (
    "black", "blue", "green", "cyan", "red", "magenta", "brown", "light gray",
    "dark gray", "light blue", "light green", "light cyan", "light red", "light magenta", "yellow", "white",
)  # fmt: skip


def _default_palette() -> tuple[tuple[int, int, int], ...]:
    """64 colours of two bits a gun, as an EGA has them; the rest is black."""
    levels = [
        [(index >> bit & 1) * 0x2A + (index >> bit + 3 & 1) * 0x15 for bit in (2, 1, 0)]
        for index in range(64)
    ]
    return (*((red, green, blue) for red, green, blue in levels), *(((0, 0, 0),) * 192))


def default_color(index: int) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255, of an attribute colour of a VGA that nobody has programmed."""
    return tuple(gun << 2 | gun >> 4 for gun in _default_palette()[_ATTRIBUTE[index & 0x0F] & 0x3F])  # type: ignore[return-value]


class Vga:
    """The register files. A port device; input status 1 goes through ``read_time`` (source ``port-3da``)."""

    _STATE = (
        "_attribute_index", "_attribute_data", "_sequencer_index", "_graphics_index", "_miscellaneous",
        "_mask", "_dac_read", "_dac_write", "_dac_gun", "_sequencer", "_graphics", "_attribute", "_palette",
    )  # fmt: skip

    def __init__(self, clock: Clock, read_time: ReadTime | None = None) -> None:
        self._clock = clock
        self._read_time = read_time
        self._attribute_index = 0x20
        self._attribute_data = False  # the next write to 3C0h is data
        self._sequencer_index = self._graphics_index = 0
        self._sequencer, self._graphics, self._attribute = _SEQUENCER, _GRAPHICS, _ATTRIBUTE
        self._miscellaneous = _MISCELLANEOUS
        self._mask = 0xFF
        self._dac_read = self._dac_write = self._dac_gun = 0
        self._palette = _default_palette()

    @property
    def blinks(self) -> bool:
        """Whether bit 7 of an attribute makes the character blink; otherwise the background is bright."""
        return bool(self._attribute[0x10] & 1 << 3)

    def color(self, index: int) -> tuple[int, int, int]:
        """Red, green and blue, 0 to 255, of one of the 16 attribute colours."""
        red, green, blue = self._palette[self._attribute[index & 0x0F] & 0x3F & self._mask]
        return tuple(gun << 2 | gun >> 4 for gun in (red, green, blue))  # type: ignore[return-value]

    def read_port(self, port: int) -> int:
        """IN."""
        match port:
            case 0x3C0:
                return self._attribute_index
            case 0x3C1:
                return _byte(self._attribute, self._attribute_index & 0x1F)
            case 0x3C2:
                return STATUS_SENSE
            case 0x3C4:
                return self._sequencer_index
            case 0x3C5:
                return _byte(self._sequencer, self._sequencer_index)
            case 0x3C6:
                return self._mask
            case 0x3C7:
                return 0
            case 0x3C8:
                return self._dac_write
            case 0x3C9:
                return self._next_gun()
            case 0x3CC:
                return self._miscellaneous
            case 0x3CE:
                return self._graphics_index
            case 0x3CF:
                return _byte(self._graphics, self._graphics_index)
            case 0x3DA:
                self._attribute_data = False
                status = self._status()
                return status if self._read_time is None else self._read_time("port-3da", status)
            case _:
                return 0

    def write_port(self, port: int, value: int) -> None:
        """OUT."""
        match port:
            case 0x3C0 if not self._attribute_data:
                self._attribute_index = value & 0x3F
                self._attribute_data = True
            case 0x3C0:
                self._attribute = _with(self._attribute, self._attribute_index & 0x1F, value)
                self._attribute_data = False
            case 0x3C2:
                self._miscellaneous = value
            case 0x3C4:
                self._sequencer_index = value
            case 0x3C5:
                self._sequencer = _with(self._sequencer, self._sequencer_index, value)
            case 0x3C6:
                self._mask = value
            case 0x3C7:
                self._dac_read, self._dac_gun = value, 0
            case 0x3C8:
                self._dac_write, self._dac_gun = value, 0
            case 0x3C9:
                self._set_gun(value & 0x3F)
            case 0x3CE:
                self._graphics_index = value
            case 0x3CF:
                self._graphics = _with(self._graphics, self._graphics_index, value)
            case _:
                pass

    def save(self) -> tuple[object, ...]:
        """All registers, as plain data."""
        return tuple(getattr(self, name) for name in self._STATE)

    def load(self, saved: tuple[object, ...]) -> None:
        """Take up where ``save`` left off."""
        for name, value in zip(self._STATE, saved, strict=True):
            setattr(self, name, value)

    def _status(self) -> int:
        line, dot = divmod(self._clock.ticks(self._clock.now(), DOT_HERTZ) % (LINES * DOTS), DOTS)
        blank = line >= SHOWN_LINES or dot >= SHOWN_DOTS
        return (STATUS_BLANK if blank else 0) | (STATUS_RETRACE if line in RETRACE_LINES else 0)

    def _next_gun(self) -> int:
        value = self._palette[self._dac_read][self._dac_gun]
        self._dac_gun = (self._dac_gun + 1) % 3
        if not self._dac_gun:
            self._dac_read = self._dac_read + 1 & 0xFF
        return value

    def _set_gun(self, value: int) -> None:
        index, gun = self._dac_write, self._dac_gun
        red, green, blue = (value if place == gun else old for place, old in enumerate(self._palette[index]))
        self._palette = (*self._palette[:index], (red, green, blue), *self._palette[index + 1 :])
        self._dac_gun = (gun + 1) % 3
        if not self._dac_gun:
            self._dac_write = index + 1 & 0xFF


def _byte(registers: bytes, index: int) -> int:
    return registers[index] if index < len(registers) else 0


def _with(registers: bytes, index: int, value: int) -> bytes:
    if index >= len(registers):
        return registers
    return registers[:index] + bytes([value]) + registers[index + 1 :]
