"""The timer of a local APIC (SDM Vol. 3, "APIC Timer").

It counts down the processor's cycles, divided, and does not tick: the count is worked out from the cycle at
which it began.

    divide configuration   | 3 | 0 | 1 0 |   000 by 2, 001 by 4, ... 110 by 128, 111 by 1
"""

from __future__ import annotations

from collections.abc import Callable

from vizapp.machine.clock import Clock
from vizapp.machine.devices.pit import ReadTime

PERIODIC = 1 << 17  # in the LVT entry


def _divisor(divide: int) -> int:
    code = divide >> 1 & 4 | divide & 3
    return 1 << (code + 1 & 7)


class ApicTimer:
    """A timed device; registers itself with ``clock``. ``expired`` is called each time the count reaches 0.

    The count goes through ``read_time`` (source ``apic-timer``).

    Attributes:
        initial: the count that it was started with, 0 while it stands still.
        divide: the divide configuration register.
    """

    def __init__(self, clock: Clock, read_time: ReadTime | None = None) -> None:
        self.expired: Callable[[], None] | None = None
        self.initial = 0
        self.divide = 0
        self._clock = clock
        self._read_time = read_time
        self._periodic = False
        self._start = 0  # the cycle at which the present count began
        self._runs = False
        clock.register(self)

    def start(self, count: int) -> None:
        """Count down from ``count``; 0 stops the timer."""
        self.initial = count
        self._start = self._clock.now()
        self._runs = count > 0
        self._clock.refresh()

    def set_divide(self, value: int) -> None:
        """Divide otherwise; a count that runs goes on from where it is."""
        left = self._left()
        self.divide = value & 0x0B
        self._start = self._clock.now() - (self.initial - left) * _divisor(self.divide)
        self._clock.refresh()

    def set_mode(self, entry: int) -> None:
        """The LVT entry was written: one-shot or periodic."""
        self._periodic = bool(entry & PERIODIC)
        self._clock.refresh()

    def count(self) -> int:
        """The current count."""
        left = self._left()
        return left if self._read_time is None else self._read_time("apic-timer", left)

    def next_event(self, cycles: int) -> int | None:
        """The cycle at which the count reaches 0, None while it stands still."""
        return self._start + self.initial * _divisor(self.divide) if self._runs else None

    def advance(self, cycles: int) -> None:
        """Expire if it is time; several periods merge into one."""
        due = self.next_event(cycles)
        if due is None or cycles < due:
            return
        if self._periodic:
            period = self.initial * _divisor(self.divide)
            self._start += (cycles - self._start) // period * period
        else:
            self._runs = False
        if self.expired is not None:
            self.expired()

    def save(self) -> tuple[int, int, bool, int, bool]:
        """The registers and when it began, as plain data."""
        return self.initial, self.divide, self._periodic, self._start, self._runs

    def load(self, saved: tuple[int, int, bool, int, bool]) -> None:
        """Take up where ``save`` left off."""
        self.initial, self.divide, self._periodic, self._start, self._runs = saved
        self._clock.refresh()

    def _left(self) -> int:
        if not self._runs:
            return 0
        return max(0, self.initial - (self._clock.now() - self._start) // _divisor(self.divide))
