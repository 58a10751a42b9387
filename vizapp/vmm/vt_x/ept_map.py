"""Extended page tables as the monitor fills them: PML4, PDPT, four directories, page tables as needed.

guest-physical ──PML4E──PDPTE──PDE──PTE──▶ host-physical        8-byte entries, write-back memory
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vizapp.isa.addresses import PAGE_MASK, PAGE_SHIFT, GuestPhysical, HostPhysical
from vizapp.machine.ept import EPT_ALL, EPT_WRITE, MEMORY_TYPE_SHIFT, WRITE_BACK, EptTables, pointer
from vizapp.vmm.hardware_assisted.nested_map import tables_needed

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.machine.memory import PhysicalMemory
    from vizapp.vmm.frame_allocator import FrameAllocator

_UPPER: Final = 6  # PML4, PDPT, and a directory for each gigabyte
_FRAME: Final = 0xF_FFFF_F000
_LEAF: Final = WRITE_BACK << MEMORY_TYPE_SHIFT


def pages_needed(memory: int) -> int:
    """How many pages the tables of a guest with so much memory can take."""
    return _UPPER + tables_needed(memory)


class EptMap:
    """One guest's extended page tables; see ``NestedMap``.

    Attributes:
        pointer: the EPTP.
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
        self.pointer = pointer(first)
        self._directories = tuple(range(first + 2, first + _UPPER))
        self._pool = tuple(range(first + _UPPER, first + pages_needed(size)))
        self._used = 0
        self._mapped = 0
        memory.write(first << PAGE_SHIFT, 8, first + 1 << PAGE_SHIFT | EPT_ALL)
        for index, directory in enumerate(self._directories):
            memory.write((first + 1 << PAGE_SHIFT) + 8 * index, 8, directory << PAGE_SHIFT | EPT_ALL)

    def map(self, guest_frame: int, host_frame: int, *, writable: bool) -> int:
        """Let the guest have a frame; the entry that says so."""
        table = self._table(guest_frame)
        if table is None:
            table = self._take_table(guest_frame)
        entry = host_frame << PAGE_SHIFT | _LEAF | (EPT_ALL if writable else EPT_ALL & ~EPT_WRITE)
        at = _slot(table, guest_frame)
        self._mapped += not self._memory.read(at, 8)
        self._memory.write(at, 8, entry)
        self._charge("mon_pte_write", 1)
        return entry

    def entry(self, guest_frame: int) -> int:
        """The last entry on the way to a guest frame; 0 where there is none."""
        table = self._table(guest_frame)
        return 0 if table is None else self._memory.read(_slot(table, guest_frame), 8)

    def translate(self, address: GuestPhysical) -> HostPhysical | None:
        """Where the tables put a guest-physical address; None where they have nothing."""
        entry = self.entry(address >> PAGE_SHIFT)
        return HostPhysical(entry & _FRAME | address & PAGE_MASK) if entry & EPT_ALL else None

    def as_walked(self) -> EptTables:
        """The tables as the processor reads them."""
        return EptTables(self._memory, self.pointer)

    def clear(self) -> int:
        """Forget everything; how many pages were mapped."""
        for directory in self._directories:
            self._memory.load(HostPhysical(directory << PAGE_SHIFT), bytes(PAGE_MASK + 1))
        for table in self._pool[: self._used]:
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

    def _directory_slot(self, guest_frame: int) -> int:
        return (self._directories[guest_frame >> 18] << PAGE_SHIFT) + 8 * (guest_frame >> 9 & 0x1FF)

    def _table(self, guest_frame: int) -> int | None:
        entry = self._memory.read(self._directory_slot(guest_frame), 8)
        return entry >> PAGE_SHIFT if entry else None

    def _take_table(self, guest_frame: int) -> int:
        table = self._pool[self._used]
        self._used += 1
        self._memory.write(self._directory_slot(guest_frame), 8, table << PAGE_SHIFT | EPT_ALL)
        self._charge("mon_pte_write", 1)
        return table


def _slot(table: int, guest_frame: int) -> int:
    return (table << PAGE_SHIFT) + 8 * (guest_frame & 0x1FF)
