"""Address line 20 and the reset line of a PC/AT, which two devices drive: the keyboard controller's output
port, and system control port A at 92h.

    92h  | 7 6 activity lights | ... | 1 A20 | 0 fast reset: a rising edge |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

SYSTEM_PORT = 0x92
SYSTEM_PORTS = range(SYSTEM_PORT, SYSTEM_PORT + 1)
SYSTEM_A20 = 1 << 1
SYSTEM_RESET = 1 << 0
SYSTEM_WRITABLE = 0xC3


class A20Gate:
    """The gate, which is open while either device says so, and the port device at 92h.

    ``set_line`` is called with the state of the line at each change, ``reset`` when software asks for a reset
    of the processor. ``open_at_start`` is whether the firmware has opened it, by the keyboard controller.
    """

    def __init__(
        self, set_line: Callable[[bool], None], reset: Callable[[], None], open_at_start: bool = True
    ) -> None:
        self._set_line = set_line
        self._reset = reset
        self._system = 0
        self._keyboard = open_at_start
        self._line = True
        self._drive()

    @property
    def line(self) -> bool:
        """Whether line 20 reaches memory."""
        return self._line

    def drive_keyboard(self, high: bool) -> None:
        """The keyboard controller's output."""
        self._keyboard = high
        self._drive()

    def request_reset(self) -> None:
        """Reset the processor: the keyboard controller's other output."""
        self._reset()

    def read_port(self, port: int) -> int:
        """IN from 92h."""
        return self._system

    def write_port(self, port: int, value: int) -> None:
        """OUT to 92h."""
        rising = value & ~self._system & SYSTEM_RESET
        self._system = value & SYSTEM_WRITABLE
        self._drive()
        if rising:
            self._reset()

    def save(self) -> dict[str, int | bool]:
        """What both devices drive, as plain data."""
        return {"system": self._system, "keyboard": self._keyboard}

    def load(self, saved: Mapping[str, int | bool]) -> None:
        """Take up where ``save`` left off; the line is driven accordingly."""
        self._system, self._keyboard = int(saved["system"]), bool(saved["keyboard"])
        self._drive()

    def _drive(self) -> None:
        line = self._keyboard or bool(self._system & SYSTEM_A20)
        if line != self._line:
            self._line = line
            self._set_line(line)
