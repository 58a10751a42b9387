"""Time through a door: a monitor programs the machine's timer for its next deadline.

Channel 0 of the 8254 counts down once (mode 0) and raises IRQ 0; the 8259 pair is moved to vectors of the
monitor's own, with every other line masked. A deadline further away than the counter can hold takes several
rounds. Nothing is programmed while there is nothing to wait for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.machine.devices.pit import CONTROL_PORT, PIT_HERTZ, PIT_PORTS
from vizapp.vmm.ring0 import outb

if TYPE_CHECKING:
    from vizapp.machine.pc import Pc

MASTER_VECTOR: Final = 0xF0
SLAVE_VECTOR: Final = 0xF8
TIMER_VECTOR: Final = MASTER_VECTOR
VECTORS: Final = range(MASTER_VECTOR, SLAVE_VECTOR + 8)
LINES: Final = (0, 2)  # the timer, and the slave controller behind its masked inputs

_MASTER, _SLAVE = 0x20, 0xA0
_INITIALIZATION: Final = (
    (_MASTER, 0x11), (_MASTER + 1, MASTER_VECTOR), (_MASTER + 1, 1 << 2), (_MASTER + 1, 0x01),
    (_SLAVE, 0x11), (_SLAVE + 1, SLAVE_VECTOR), (_SLAVE + 1, 2), (_SLAVE + 1, 0x01),
)  # fmt: skip
_ONE_SHOT: Final = 0x30  # channel 0, both bytes, mode 0
_END_OF_INTERRUPT: Final = 0x20
_LONGEST: Final = 0xFFFF


class PhysicalTimer:
    """The machine's interrupt controllers and channel 0, as a deadline in cycles.

    ``lines`` are the other interrupt lines that are to pass.

    Attributes:
        armed: the deadline that was asked for last and has not passed; None: nothing is counting.
    """

    def __init__(self, pc: Pc, lines: tuple[int, ...] = ()) -> None:
        self._pc = pc
        through = {*lines, *LINES[1:]} if any(line >= 8 for line in lines) else {*lines}
        self._mask = 0xFFFE & ~sum(1 << line for line in through)
        self.armed: int | None = None

    def initialize(self) -> None:
        """Program the controllers and the mode, before the clock runs."""
        for port, value in _INITIALIZATION:
            self._pc.board.write(port, 1, value)
        self._pc.board.write(_MASTER + 1, 1, self._mask & 0xFF)
        self._pc.board.write(_SLAVE + 1, 1, self._mask >> 8)
        self._pc.board.write(CONTROL_PORT, 1, _ONE_SHOT)

    def arm(self, deadline: int | None) -> None:
        """Ask for an interrupt at the cycle ``deadline``; None: for nothing beyond what was asked."""
        if deadline is None or deadline == self.armed:
            return
        clock = self._pc.board.clock
        now = clock.ticks(self._pc.meter.cycles, PIT_HERTZ)
        # The counter loads at the next pulse after the last OUT.
        count = max(1, min(_LONGEST, clock.ticks(deadline, PIT_HERTZ) - now - 1))
        outb(self._pc, PIT_PORTS.start, count & 0xFF)
        outb(self._pc, PIT_PORTS.start, count >> 8)
        self.armed = deadline

    def acknowledge(self) -> None:
        """End the timer's interrupt at the controller; the timer waits to be armed again."""
        self.end_interrupt()
        self.armed = None

    def end_interrupt(self) -> None:
        """End the interrupt in service at the first controller."""
        outb(self._pc, _MASTER, _END_OF_INTERRUPT)

    def end_slave_interrupt(self) -> None:
        """End the interrupt in service at the second controller, which is one at the first as well."""
        outb(self._pc, _SLAVE, _END_OF_INTERRUPT)
        self.end_interrupt()

    def save(self) -> int | None:
        """The state outside the devices."""
        return self.armed

    def load(self, saved: int | None) -> None:
        """Take up a saved state."""
        self.armed = saved
