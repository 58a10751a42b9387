"""Time through the host: the timer is the host's, and the VMM asks VMDriver for what it needs of it.

VMDriver lets the VMM have the processor for no longer than the host's own tick, so that a deadline behind
that needs nothing. The timer is programmed by VMDriver, after a world switch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.machine.devices.pit import PIT_HERTZ
from vizapp.vmm.physical_timer import PhysicalTimer

if TYPE_CHECKING:
    from vizapp.machine.pc import Pc

TICK_SECONDS: Final = 1e-3
TICK_COUNTS: Final = 1193
_LONGEST: Final = 0xFFFF


class HostTimer(PhysicalTimer):
    """The host's timer, of which a VMM knows when it was told to go off for it: ``armed``."""

    def __init__(self, pc: Pc) -> None:
        super().__init__(pc)
        self._tick = int(pc.hertz * TICK_SECONDS)

    def initialize(self) -> None:
        """The controllers and the timer are the host's to program."""

    def arm(self, deadline: int | None) -> None:
        """Nothing: what has to be asked for was asked on the way out of the VMM's world."""

    def acknowledge(self) -> None:
        """The timer has gone off; its interrupt was the host's."""
        self.armed = None

    def end_interrupt(self) -> None:
        """The host has done that."""

    def misses(self, deadline: int | None) -> bool:
        """Whether the host would come too late for a deadline unless told."""
        if deadline is None or deadline - self._pc.meter.cycles > self._tick:
            return False
        return self.armed is None or deadline < self.armed

    def count(self, deadline: int) -> int:
        """Pulses of the timer from now to a deadline: at least one, at most what the counter holds."""
        clock = self._pc.board.clock
        now = clock.ticks(self._pc.meter.cycles, PIT_HERTZ)
        return max(1, min(_LONGEST, clock.ticks(deadline, PIT_HERTZ) - now - 1))
