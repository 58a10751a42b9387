"""Nested page tables as the monitor fills them: a page directory, and page tables as needed.

    guest-physical ──nPDE──nPTE──▶ host-physical        4-byte entries, as of the host's own paging

Every access of a guest counts as one of user mode there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vizapp.isa.addresses import PAGE_MASK, PAGE_SHIFT, GuestPhysical, HostPhysical
from vizapp.isa.paging import PTE_A, PTE_D, PTE_FRAME, PTE_P, PTE_U, PTE_W
from vizapp.machine.npt import NestedPageTables
from vizapp.vmm.hardware_assisted.nested_map import tables_needed

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.machine.memory import PhysicalMemory
    from vizapp.vmm.frame_allocator import FrameAllocator

_TABLE: Final = PTE_P | PTE_W | PTE_U | PTE_A


def pages_needed(memory: int) -> int:
    """How many pages the tables of a guest with so much memory can take."""
    return 1 + tables_needed(memory)


class NptMap:
    """One guest's nested page tables; see ``NestedMap``.

    Attributes:
        pointer: nCR3.
    """

    def __init__(
        self,
        memory: PhysicalMemory,
        frames: FrameAllocator,
        charge: Callable[[str, int], None],
        size: int,
        owner: str,
    ) -> None:
        self._memory = memory
        self._charge = charge
        first = frames.allocate(owner, pages_needed(size))
        self.pointer = first << PAGE_SHIFT
        self._pool = tuple(range(first + 1, first + pages_needed(size)))
        self._used = 0
        self._mapped = 0

    def map(self, guest_frame: int, host_frame: int, *, writable: bool) -> int:
        """Let the guest have a frame; the entry that says so."""
        table = self._table(guest_frame)
        if table is None:
            table = self._take_table(guest_frame)
        entry = host_frame << PAGE_SHIFT | PTE_P | PTE_U | PTE_A | (PTE_W | PTE_D if writable else 0)
        at = _slot(table, guest_frame)
        self._mapped += not self._memory.read(at, 4)
        self._memory.write(at, 4, entry)
        self._charge("mon_pte_write", 1)
        return entry

    def entry(self, guest_frame: int) -> int:
        """The last entry on the way to a guest frame; 0 where there is none."""
        table = self._table(guest_frame)
        return 0 if table is None else self._memory.read(_slot(table, guest_frame), 4)

    def translate(self, address: GuestPhysical) -> HostPhysical | None:
        """Where the tables put a guest-physical address; None where they have nothing."""
        entry = self.entry(address >> PAGE_SHIFT)
        return HostPhysical(entry & PTE_FRAME | address & PAGE_MASK) if entry & PTE_P else None

    def as_walked(self) -> NestedPageTables:
        """The tables as the processor reads them: two levels of 4 KB pages, as the host's own."""
        return NestedPageTables(self._memory, self.pointer, 0)

    def clear(self) -> int:
        """Forget everything; how many pages were mapped."""
        for table in (self.pointer >> PAGE_SHIFT, *self._pool[: self._used]):
            self._memory.load(HostPhysical(table << PAGE_SHIFT), bytes(PAGE_MASK + 1))
        mapped, self._mapped, self._used = self._mapped, 0, 0
        self._charge("mon_pte_write", mapped)
        return mapped

    def save(self) -> Any:
        """The state outside machine memory, as plain data."""
        return self._used, self._mapped

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        self._used, self._mapped = saved

    def _table(self, guest_frame: int) -> int | None:
        entry = self._memory.read(self.pointer + 4 * (guest_frame >> 10), 4)
        return entry >> PAGE_SHIFT if entry & PTE_P else None

    def _take_table(self, guest_frame: int) -> int:
        table = self._pool[self._used]
        self._used += 1
        self._memory.write(self.pointer + 4 * (guest_frame >> 10), 4, table << PAGE_SHIFT | _TABLE)
        self._charge("mon_pte_write", 1)
        return table


def _slot(table: int, guest_frame: int) -> int:
    return (table << PAGE_SHIFT) + 4 * (guest_frame & 0x3FF)
