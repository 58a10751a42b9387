"""A virtual machine's own devices: the board of a PC that no hardware drives.

Nothing here acts by itself. A virtual timer that is due does so when ``advance`` is called, which a monitor
does when one of the processor's doors has brought it in; ``next_event`` is what it programs the physical
timer for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vizapp.machine.board import Board
from vizapp.vmm.base import Devices

if TYPE_CHECKING:
    from vizapp.machine.devices.pit import ReadTime
    from vizapp.machine.places import Place
    from vizapp.vmm.guest_memory import GuestMemory


class VirtualDevices(Board):
    """Interrupt controllers, timer, serial port and text screen of one virtual machine.

    Its time is the cycle counter ``now``, the one that the guest reads with RDTSC. ``on_port`` is told of the
    guest's accesses, at ``place``.
    """

    def __init__(
        self,
        memory: GuestMemory,
        hertz: int,
        now: Callable[[], int],
        place: Callable[[], Place],
        read_time: ReadTime,
    ) -> None:
        super().__init__(memory.dump, hertz, now, place, read_time)
        self.devices = Devices(self.pic, self.pit, self.uart, self.screen, self)

    def next_event(self) -> int | None:
        """The cycle at which a device will next raise its interrupt line by itself, None if none ever will.

        What is due must have happened. A timer's falling edge interrupts nobody, so nobody is woken for it:
        the line is seen to have fallen when it rises.
        """
        due = self.clock.deadline()
        if due is None or not self.pit.output:
            return due
        return self.pit.next_event(due)

    @property
    def interrupt_pending(self) -> bool:
        """Whether the virtual interrupt controller asks for the virtual CPU."""
        return self.pic.intr

    def acknowledge(self) -> int:
        """The virtual CPU takes the interrupt: its vector."""
        return self.pic.acknowledge()

    def save(self) -> dict[str, Any]:
        """All devices, and when the next of them acts, as plain data."""
        return {**super().save(), "due": self.clock.due}

    def load(self, saved: Any) -> None:
        """Take up where ``save`` left off, whatever the counter shows yet."""
        super().load(saved)
        self.clock.due = saved["due"]
