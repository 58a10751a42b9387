"""The 80x25 colour text screen of a VGA: characters in memory, start and cursor in the CRT controller.

B8000h + 2 * (80 * row + column)    character, code page 437
                               + 1  attribute  7 | 6 5 4    | 3 2 1 0
                                               blink| background| foreground
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from vizapp.isa.addresses import HostPhysical

COLUMNS = 80
ROWS = 25
SCREEN_BASE = HostPhysical(0xB8000)
SCREEN_BYTES = 0x8000  # the window of video memory; what is shown wraps at its end
CRTC_PORTS = range(0x3D4, 0x3D6)
CRTC_REGISTERS = 25

CURSOR_START = 0x0A
START_HIGH, START_LOW = 0x0C, 0x0D
CURSOR_HIGH, CURSOR_LOW = 0x0E, 0x0F
CURSOR_OFF = 1 << 5  # in CURSOR_START

# The controls of ASCII are pictures on the screen.
_CONTROLS = " ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼"
CODE_PAGE_437 = (
    _CONTROLS + bytes(range(0x20, 0x7F)).decode("ascii") + "⌂" + bytes(range(0x80, 0x100)).decode("cp437")
)


class TextScreen:
    """Shows what ``read`` (as ``PhysicalMemory.dump``) finds from ``base`` on.

    It is the port device of ``CRTC_PORTS``.
    """

    def __init__(self, read: Callable[[HostPhysical, int], bytes], base: HostPhysical = SCREEN_BASE) -> None:
        self._read = read
        self._base = base
        self._index = 0
        self._registers = bytearray(CRTC_REGISTERS)

    def rows(self) -> tuple[str, ...]:
        """25 strings of 80 characters."""
        characters = "".join(CODE_PAGE_437[code] for code in self._cells()[0::2])
        return tuple(characters[row * COLUMNS : (row + 1) * COLUMNS] for row in range(ROWS))

    def attributes(self) -> tuple[bytes, ...]:
        """25 rows of 80 attribute bytes."""
        attributes = self._cells()[1::2]
        return tuple(attributes[row * COLUMNS : (row + 1) * COLUMNS] for row in range(ROWS))

    def cursor(self) -> tuple[int, int] | None:
        """Row and column of the cursor; None while it is switched off or outside the 25 rows."""
        position = self._word(CURSOR_HIGH) - self._word(START_HIGH)
        if self._registers[CURSOR_START] & CURSOR_OFF or not 0 <= position < ROWS * COLUMNS:
            return None
        return divmod(position, COLUMNS)

    def read_port(self, port: int) -> int:
        """IN from the index or the data register; a register that is not there reads as 0."""
        if not port & 1:
            return self._index
        return self._registers[self._index] if self._index < CRTC_REGISTERS else 0

    def write_port(self, port: int, value: int) -> None:
        """OUT to the index or the data register."""
        if not port & 1:
            self._index = value
        elif self._index < CRTC_REGISTERS:
            self._registers[self._index] = value

    def save(self) -> dict[str, int | bytes]:
        """The controller's registers as plain data; the characters are in memory."""
        return {"index": self._index, "registers": bytes(self._registers)}

    def load(self, saved: Mapping[str, int | bytes]) -> None:
        """Take up where ``save`` left off."""
        index, registers = saved["index"], saved["registers"]
        assert isinstance(index, int)
        assert isinstance(registers, bytes)
        self._index = index
        self._registers = bytearray(registers)

    def _word(self, high: int) -> int:
        return self._registers[high] << 8 | self._registers[high + 1]

    def _cells(self) -> bytes:
        size = 2 * ROWS * COLUMNS
        start = 2 * self._word(START_HIGH) % SCREEN_BYTES
        first = min(size, SCREEN_BYTES - start)
        cells = self._read(HostPhysical(self._base + start), first)
        return cells if first == size else cells + self._read(self._base, size - first)
