"""Guest memory that knows which of its pages are traced, and notes when the monitor writes to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vizapp.isa.addresses import PAGE_SHIFT
from vizapp.isa.paging import PTE_A, PTE_D
from vizapp.vmm.guest_memory import GuestMemory

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.machine.memory import PhysicalMemory

_MARKS: Final = PTE_A | PTE_D


class TracedMemory(GuestMemory):
    """As ``GuestMemory``.

    The guest's own writes to a traced page trap, because its shadow is read-only; all others, of emulated
    instructions and of virtual devices, come through here.

    Attributes:
        traced: guest frames that translations were made from.
        described: guest frames with descriptor tables of which the monitor has shadows.
        is_table: whether a guest frame is a page table that the shadow was made from.
        touched: (guest-physical address, count) of what was written there and not looked after.
        trapped: how many accesses there were to traced pages and to devices, those that change nothing too.
    """

    def __init__(self, memory: PhysicalMemory, p2m: tuple[int, ...]) -> None:
        super().__init__(memory, p2m)
        self.traced: frozenset[int] = frozenset()
        self.described: frozenset[int] = frozenset()
        self.is_table: Callable[[int], bool] = frozenset[int]().__contains__
        self.touched: tuple[tuple[int, int], ...] = ()
        self.trapped = 0

    def covers(self, frame: int) -> bool:
        """Whether a guest frame is traced."""
        return frame in self.traced or frame in self.described or self.is_table(frame)

    def read(self, address: int, size: int) -> int:
        """See ``GuestMemory``."""
        if address >> PAGE_SHIFT in self.mmio.frames:
            self.trapped += 1
        return super().read(address, size)

    def write(self, address: int, size: int, value: int) -> None:
        """See ``GuestMemory``."""
        frame = address >> PAGE_SHIFT
        if frame in self.mmio.frames:
            self.trapped += 1
        elif self.is_table(frame) and size >= 4 and not {frame} & (self.traced | self.described):
            # A and D of an entry, set by whoever walks the tables, make nothing untrue; cleared they do.
            if (super().read(address, size) ^ value) & (1 << 8 * size) - 1 & ~(_MARKS & value):
                self.note(address, size)
        else:
            self.note(address, size)
        super().write(address, size, value)

    def load(self, address: int, data: bytes) -> None:
        """See ``GuestMemory``."""
        self.note(address, len(data))
        super().load(address, data)

    def save(self) -> Any:
        """As ``GuestMemory``, and the traces."""
        return super().save(), self.traced, self.described, self.touched

    def load_state(self, saved: Any) -> None:
        """Take up a saved state."""
        state, self.traced, self.described, self.touched = saved
        super().load_state(state)

    def note(self, address: int, count: int) -> None:
        """Not the guest's own code writes ``count`` bytes from a guest-physical address on."""
        last = address + count - 1 >> PAGE_SHIFT
        if any(self.covers(frame) for frame in range(address >> PAGE_SHIFT, last + 1)):
            self.trapped += 1
            entry = (address, count)
            if entry not in self.touched:
                self.touched = (*self.touched, entry)
