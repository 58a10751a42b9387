"""Guest memory that knows which of its pages are translated, and notes when the monitor writes to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizapp.isa.addresses import PAGE_SHIFT
from vizapp.vmm.guest_memory import GuestMemory

if TYPE_CHECKING:
    from vizapp.machine.memory import PhysicalMemory


class TracedMemory(GuestMemory):
    """As ``GuestMemory``.

    The guest's own writes to a traced page trap, because its shadow is read-only; all others, of emulated
    instructions and of virtual devices, come through here.

    Attributes:
        traced: guest frames that translations were made from.
        touched: (guest-physical address, count) of what was written there and not looked after.
    """

    def __init__(self, memory: PhysicalMemory, p2m: tuple[int, ...]) -> None:
        super().__init__(memory, p2m)
        self.traced: frozenset[int] = frozenset()
        self.touched: tuple[tuple[int, int], ...] = ()

    def write(self, address: int, size: int, value: int) -> None:
        """See ``GuestMemory``."""
        self._note(address, size)
        super().write(address, size, value)

    def load(self, address: int, data: bytes) -> None:
        """See ``GuestMemory``."""
        self._note(address, len(data))
        super().load(address, data)

    def save(self) -> Any:
        """As ``GuestMemory``, and the traces."""
        return super().save(), self.traced, self.touched

    def load_state(self, saved: Any) -> None:
        """Take up a saved state."""
        state, self.traced, self.touched = saved
        super().load_state(state)

    def _note(self, address: int, count: int) -> None:
        last = address + count - 1 >> PAGE_SHIFT
        if any(frame in self.traced for frame in range(address >> PAGE_SHIFT, last + 1)):
            entry = (address, count)
            if entry not in self.touched:
                self.touched = (*self.touched, entry)
