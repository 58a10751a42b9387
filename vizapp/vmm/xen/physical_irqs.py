"""The machine's interrupt controllers: the hypervisor keeps the timer's line and lends the others.

A line that a domain has bound is masked when it interrupts, and stays so until the domain says that its
driver has looked at the device: else a device whose driver sleeps would hold the processor. The controllers
raise IRQ 8 to 15 through line 2.

Source: Xen 3.1, arch/x86/irq.c (ACKTYPE_UNMASK) and i8259.c; Xen's public header physdev.h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vizapp.vmm import ring0
from vizapp.vmm.physical_timer import MASTER_VECTOR, SLAVE_VECTOR, PhysicalTimer

if TYPE_CHECKING:
    from vizapp.machine.pc import Pc

LINES: Final = 16
TIMER_LINE: Final = 0
CASCADE_LINE: Final = 2
CONSOLE_LINE: Final = 4
OWN: Final = (TIMER_LINE, CASCADE_LINE, CONSOLE_LINE)
"""Lines that no domain gets."""

_MASTER, _SLAVE = 0x20, 0xA0
_END_OF_INTERRUPT: Final = 0x20
_READ_IN_SERVICE: Final = 0x0B
_SPURIOUS: Final = (7, 15)


class PhysicalLines:
    """Lines 0 to 15 of ``pc``.

    Attributes:
        timer: the machine's timer, at line 0.
        bound: the lines that a domain has bound.
        waiting: those of them that are masked until the domain has looked.
    """

    def __init__(self, pc: Pc) -> None:
        self._pc = pc
        self.timer = PhysicalTimer(pc)
        self.bound: frozenset[int] = frozenset()
        self.waiting: frozenset[int] = frozenset()

    def line_of(self, vector: int) -> int:
        """The line that has a vector."""
        return vector - SLAVE_VECTOR + 8 if vector >= SLAVE_VECTOR else vector - MASTER_VECTOR

    def bind(self, line: int) -> None:
        """Let a line interrupt."""
        self.bound |= {line}
        self._program(line)

    def unbind(self, line: int) -> None:
        """Mask it again: nobody drives the device."""
        self.bound -= {line}
        self.waiting -= {line}
        self._program(line)

    def accept(self, line: int) -> bool:
        """A line has interrupted: mask it and end the interrupt; whether it was more than noise."""
        if line in _SPURIOUS and not self._in_service(line):
            if line >= 8:
                ring0.outb(self._pc, _MASTER, _END_OF_INTERRUPT)
            return False
        if line in self.bound:
            self.waiting |= {line}
            self._program(line)
        if line >= 8:
            ring0.outb(self._pc, _SLAVE, _END_OF_INTERRUPT)
        ring0.outb(self._pc, _MASTER, _END_OF_INTERRUPT)
        return True

    def looked_at(self, line: int) -> None:
        """The domain's driver has served the device: the line may interrupt again."""
        if line in self.waiting:
            self.waiting -= {line}
            self._program(line)

    def save(self) -> Any:
        """The state outside the devices."""
        return self.timer.save(), self.bound, self.waiting

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        timer, self.bound, self.waiting = saved
        self.timer.load(timer)

    def _program(self, line: int) -> None:
        """Write the mask of the controller of a line."""
        opened = {TIMER_LINE, CASCADE_LINE, *(self.bound - self.waiting)}
        if any(number >= 8 for number in self.bound):
            opened.add(CASCADE_LINE)
        else:
            opened.discard(CASCADE_LINE)
        mask = 0xFFFF & ~sum(1 << number for number in opened)
        ring0.outb(self._pc, _MASTER + 1, mask & 0xFF)
        if line >= 8:
            ring0.outb(self._pc, _SLAVE + 1, mask >> 8)

    def _in_service(self, line: int) -> bool:
        port = _SLAVE if line >= 8 else _MASTER
        ring0.outb(self._pc, port, _READ_IN_SERVICE)
        return bool(ring0.inb(self._pc, port) >> line % 8 & 1)
