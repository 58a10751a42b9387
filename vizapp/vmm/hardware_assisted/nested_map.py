"""The monitor's side of nested paging: tables in host memory that say which host frame a guest frame is.

They are filled as the guest comes: an access that they do not grant yet leads to the monitor. What EPT and
NPT share is here, the taking of tables and the entries of the last level; a vendor's class has the format.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vizapp.isa.addresses import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, HostPhysical

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.isa.addresses import GuestPhysical
    from vizapp.machine.memory import PhysicalMemory
    from vizapp.machine.nested_paging import NestedTables
    from vizapp.vmm.frame_allocator import FrameAllocator


class NestedMap:
    """One guest's nested tables, for ``size`` bytes of memory.

    Attributes:
        upper: how many pages the levels above the last take.
        entry_bytes, present, frame_mask: of an entry, of the last level or of one that leads to such a table.
        table_rights: what an entry that leads to a table grants.
        first: the first frame of them all, the upper levels' own.
    """

    upper: ClassVar[int]
    entry_bytes: ClassVar[int]
    present: ClassVar[int]
    frame_mask: ClassVar[int]
    table_rights: ClassVar[int]

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
        pages = self.pages_needed(size)
        self.first = frames.allocate(owner, pages)
        self._pool = tuple(range(self.first + self.upper, self.first + pages))
        self._used = 0
        self._mapped = 0

    @classmethod
    def pages_needed(cls, memory: int) -> int:
        """How many pages the tables of a guest with so much memory can take, in either format.

        2 MB a table of EPT; the top of 4 GB, the APICs below it and an identity map need some of their own.
        """
        return cls.upper + -(-memory // (PAGE_SIZE << 9)) + 4

    @property
    def pointer(self) -> int:
        """What names them to the processor: EPTP or nCR3."""
        raise NotImplementedError

    def leaf(self, *, writable: bool) -> int:
        """What an entry of the last level holds besides the frame."""
        raise NotImplementedError

    def directory_slot(self, guest_frame: int) -> int:
        """Where the entry lies that leads to the table of a guest frame."""
        raise NotImplementedError

    def directories(self) -> tuple[int, ...]:
        """The frames of the tables that lead to the last level."""
        raise NotImplementedError

    def as_walked(self) -> NestedTables:
        """The tables as the processor reads them."""
        raise NotImplementedError

    def has_room(self, guest_frame: int) -> bool:
        """Whether ``map`` has a table for a frame; if not, ``clear`` must come first."""
        return self._used < len(self._pool) or self._table(guest_frame) is not None

    def unmap(self, guest_frame: int) -> bool:
        """Take a frame from the guest; whether it had it."""
        if not self.entry(guest_frame):
            return False
        table = self._table(guest_frame)
        assert table is not None
        self._memory.write(self._slot(table, guest_frame), self.entry_bytes, 0)
        self._charge("mon_pte_write", 1)
        self._mapped -= 1
        return True

    def map(self, guest_frame: int, host_frame: int, *, writable: bool) -> int:
        """Let the guest have a frame; the entry that says so."""
        table = self._table(guest_frame)
        if table is None:
            table = self._take_table(guest_frame)
        entry = host_frame << PAGE_SHIFT | self.leaf(writable=writable)
        at = self._slot(table, guest_frame)
        self._mapped += not self._memory.read(at, self.entry_bytes)
        self._memory.write(at, self.entry_bytes, entry)
        self._charge("mon_pte_write", 1)
        return entry

    def entry(self, guest_frame: int) -> int:
        """The entry of a guest frame; 0 where there is none."""
        table = self._table(guest_frame)
        return 0 if table is None else self._memory.read(self._slot(table, guest_frame), self.entry_bytes)

    def translate(self, address: GuestPhysical) -> HostPhysical | None:
        """Where the tables put a guest-physical address; None where they have nothing."""
        entry = self.entry(address >> PAGE_SHIFT)
        return HostPhysical(entry & self.frame_mask | address & PAGE_MASK) if entry & self.present else None

    def clear(self) -> int:
        """Forget everything; how many pages were mapped."""
        for table in (*self.directories(), *self._pool[: self._used]):
            self._memory.load(HostPhysical(table << PAGE_SHIFT), bytes(PAGE_SIZE))
        mapped, self._mapped, self._used = self._mapped, 0, 0
        self._charge("mon_pte_write", mapped)
        return mapped

    def save(self) -> Any:
        """The state outside machine memory, as plain data."""
        return self._used, self._mapped

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        self._used, self._mapped = saved

    def _slot(self, table: int, guest_frame: int) -> int:
        entries = PAGE_SIZE // self.entry_bytes
        return (table << PAGE_SHIFT) + self.entry_bytes * (guest_frame & entries - 1)

    def _table(self, guest_frame: int) -> int | None:
        entry = self._memory.read(self.directory_slot(guest_frame), self.entry_bytes)
        return entry >> PAGE_SHIFT if entry & self.present else None

    def _take_table(self, guest_frame: int) -> int:
        table = self._pool[self._used]
        self._used += 1
        entry = table << PAGE_SHIFT | self.table_rights
        self._memory.write(self.directory_slot(guest_frame), self.entry_bytes, entry)
        self._charge("mon_pte_write", 1)
        return table
