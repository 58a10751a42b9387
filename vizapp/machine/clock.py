"""Time for devices: the processor's cycle counter, and the next cycle at which one of them will act.

Devices do not tick. Each works out from the cycle counter what it would have become by now, and says when
its output will next change; the processor runs undisturbed until then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

NEVER = 1 << 62


class TimedDevice(Protocol):
    """A device that acts by time."""

    def next_event(self, cycles: int) -> int | None:
        """The first cycle after ``cycles`` at which the device acts by itself, None if it will not."""
        ...

    def advance(self, cycles: int) -> None:
        """Act out everything that was due up to ``cycles``."""
        ...


class Clock:
    """The devices' view of a processor of ``hertz`` cycles a second whose counter ``now`` reads.

    Attributes:
        due: the next cycle at which a device acts, ``NEVER`` if none does. The processor calls ``advance``
            once its counter has reached it.
    """

    def __init__(self, hertz: int, now: Callable[[], int]) -> None:
        self.hertz = hertz
        self.now = now
        self.due = NEVER
        self._devices: list[TimedDevice] = []

    def register(self, device: TimedDevice) -> None:
        """Let ``device`` act by this clock; it calls ``refresh`` whenever it was programmed anew."""
        self._devices.append(device)
        self.refresh()

    def refresh(self) -> None:
        """Ask every device again when it will act."""
        cycles = self.now()
        events = [event for device in self._devices if (event := device.next_event(cycles)) is not None]
        self.due = min(events, default=NEVER)

    def advance(self) -> None:
        """Let every device act that is due now."""
        cycles = self.now()
        if cycles >= self.due:
            for device in self._devices:
                device.advance(cycles)
            self.refresh()

    def deadline(self) -> int | None:
        """The next cycle at which a device acts, None if none ever will."""
        return None if self.due == NEVER else self.due

    def ticks(self, cycles: int, frequency: int) -> int:
        """Whole periods of ``frequency`` hertz in ``cycles``; exact, so nothing drifts."""
        return cycles * frequency // self.hertz

    def cycle_of(self, tick: int, frequency: int) -> int:
        """The first cycle at which ``ticks`` gives ``tick``."""
        return -(-tick * self.hertz // frequency)
