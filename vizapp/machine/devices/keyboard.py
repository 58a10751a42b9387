"""An AT keyboard: its commands, its buffer, and the codes that its keys send.

IBM Personal System/2 Hardware Interface Technical Reference, "Keyboards". The line to the controller is
infinitely fast: an answer is there as soon as the controller can take it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from vizapp.machine.devices.scan_codes import BREAK, EXTENDED, TRANSLATION, key_codes

BUFFER_BYTES = 16

ACK = 0xFA
RESEND = 0xFE
ECHO = 0xEE
PASSED = 0xAA
IDENTITY = b"\xab\x83"
OVERRUN = {1: 0xFF, 2: 0x00, 3: 0x00}  # what takes the place of the key that did not fit, by code set

SET_LEDS, ECHO_COMMAND, SCAN_CODE_SET, IDENTIFY = 0xED, 0xEE, 0xF0, 0xF2
SET_RATE, ENABLE, DISABLE, DEFAULTS, RESEND_COMMAND, RESET = 0xF3, 0xF4, 0xF5, 0xF6, 0xFE, 0xFF
WITH_PARAMETER = (SET_LEDS, SCAN_CODE_SET, SET_RATE)
DEFAULT_RATE = 0x2B  # 10.9 characters a second after half a second


class Keyboard:
    """The keyboard; the controller takes what it sends with ``take``.

    Attributes:
        leds: bit 0 scroll lock, 1 num lock, 2 caps lock.
        rate: typematic delay and rate as last set; keys do not repeat by themselves.
    """

    def __init__(self) -> None:
        self.leds = 0
        self.rate = DEFAULT_RATE
        self._set = 2
        self._scanning = True
        self._awaited = 0  # the command whose parameter comes next
        self._last = PASSED
        self._answers: deque[int] = deque()
        self._keys: deque[int] = deque()

    @property
    def waiting(self) -> bool:
        """Whether there is something to take."""
        return bool(self._answers or self._keys)

    def take(self) -> int:
        """The next byte that it sends; answers go before keys."""
        self._last = self._answers.popleft() if self._answers else self._keys.popleft()
        return self._last

    def key(self, name: str, down: bool) -> None:
        """A key goes down or comes up.

        A key that does not fit into the buffer is lost, and the buffer's last byte says so.

        Raises:
            KeyError: no key has that name.
        """
        codes = key_codes(name, down)
        if self._set == 1:
            codes = _in_set_1(codes)
        if not self._scanning or not codes:
            return
        if len(self._keys) + len(codes) < BUFFER_BYTES:
            self._keys.extend(codes)
        elif len(self._keys) < BUFFER_BYTES:
            self._keys.append(OVERRUN[self._set])

    def command(self, value: int) -> None:
        """A byte from the controller: a command, or its parameter."""
        awaited, self._awaited = self._awaited, 0
        if awaited and value < ECHO_COMMAND - 1:
            self._parameter(awaited, value)
            return
        match value:
            case 0xEE:
                self._answer(ECHO)
            case 0xED | 0xF0 | 0xF3:
                self._awaited = value
                self._answer(ACK)
            case 0xF2:
                self._answer(ACK, *IDENTITY)
            case 0xF4:
                self._scanning = True
                self._keys.clear()
                self._answer(ACK)
            case 0xF5 | 0xF6:
                self._set_defaults()
                self._scanning = value == DEFAULTS
                self._answer(ACK)
            case 0xFE:
                self._answers.appendleft(self._last)
            case 0xFF:
                self._set_defaults()
                self._scanning = True
                self.leds = 0
                self._answer(ACK, PASSED)
            case _:
                self._answer(RESEND)

    def save(self) -> dict[str, object]:
        """Settings and buffers, as plain data."""
        settings = (self.leds, self.rate, self._set, self._scanning, self._awaited, self._last)
        return {"settings": settings, "answers": bytes(self._answers), "keys": bytes(self._keys)}

    def load(self, saved: Mapping[str, object]) -> None:
        """Take up where ``save`` left off."""
        settings, answers, keys = saved["settings"], saved["answers"], saved["keys"]
        assert isinstance(settings, tuple)
        assert isinstance(answers, bytes)
        assert isinstance(keys, bytes)
        self.leds, self.rate, self._set, self._scanning, self._awaited, self._last = settings
        self._answers, self._keys = deque(answers), deque(keys)

    def _answer(self, *values: int) -> None:
        self._answers.extend(values)

    def _set_defaults(self) -> None:
        self.rate, self._set = DEFAULT_RATE, 2
        self._keys.clear()

    def _parameter(self, command: int, value: int) -> None:
        if command == SET_LEDS:
            self.leds = value & 7
        elif command == SET_RATE:
            self.rate = value & 0x7F
        elif value == 0:
            self._answer(ACK, self._set)
            return
        elif value in (1, 2):
            self._set = value
        else:
            self._answer(RESEND)  # set 3 is not there
            return
        self._answer(ACK)


def _in_set_1(codes: bytes) -> bytes:
    """A key's bytes of set 2 in set 1."""
    result, up = bytearray(), 0
    for code in codes:
        if code == BREAK:
            up = 0x80
        elif code in (EXTENDED, EXTENDED + 1):
            result.append(code)
        else:
            result.append(TRANSLATION[code] | up)
            up = 0
    return bytes(result)
