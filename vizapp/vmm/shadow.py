"""Shadow page tables kept as a virtual TLB: what the processor walks instead of the guest's tables.

    guest:      linear ──guest tables──▶ guest-physical ──p2m──▶ host-physical
    processor:  linear ───────────shadow tables────────────────▶ host-physical

The shadow starts empty. A fault on a page that the guest's tables do grant is hidden from the guest: the page
is filled in and the instruction runs again. A guest's flush empties the shadow, as it would empty a TLB. Two
rights are held back on purpose: a page is read-only until the guest's own D bit is set, so that the first
write comes here; and while the guest's CR0.WP is clear, a page that its tables write-protect is either
readable by ring 3 or writable by the kernel, whichever was asked for last.

A monitor that lives in the guest's linear space (``monitor_base``, with the directory entry of its area) is
in every directory; whatever linear addresses its 4 MB cover can never be filled for the guest. One that has
an address space of its own, in VMX root operation or as an SVM host, has no part in the shadow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from vizapp.isa.addresses import PAGE_MASK, PAGE_SHIFT, HostPhysical, Linear
from vizapp.isa.paging import PTE_A, PTE_D, PTE_P, PTE_U, PTE_W
from vizapp.machine.memory import PhysicalMemory
from vizapp.vmm.frame_allocator import FrameAllocator
from vizapp.vmm.guest_mmu import Translation

POOL_PAGES: Final = 64  # page tables; when all are in use, everything is dropped


class Shadow:
    """One shadow address space in host memory.

    Attributes:
        directory: the frame of the page directory, for CR3.
    """

    def __init__(
        self,
        memory: PhysicalMemory,
        frames: FrameAllocator,
        charge: Callable[[str, int], None],
        *,
        monitor_base: Linear | None = None,
        monitor_entry: int = 0,
        owner: str = "vmm",
    ) -> None:
        self._memory = memory
        self._charge = charge
        self.directory = frames.allocate(owner)
        pool = frames.allocate(owner, POOL_PAGES)
        self._free: tuple[int, ...] = tuple(range(pool, pool + POOL_PAGES))
        self._filled: tuple[int, ...] = ()  # page numbers, in the order in which they were filled
        self._monitor_base = monitor_base
        if monitor_base is not None:
            memory.write((self.directory << PAGE_SHIFT) + (monitor_base >> 22) * 4, 4, monitor_entry)

    @property
    def filled(self) -> int:
        """How many pages are mapped for the guest."""
        return len(self._filled)

    def entry(self, linear: int) -> int:
        """The shadow page-table entry of a linear address, 0 where there is none."""
        table = self._table(linear)
        return 0 if table is None else self._memory.read(_slot(table, linear), 4)

    def has_room(self, linear: int) -> bool:
        """Whether ``fill`` can map the page; if not, ``flush`` must come first."""
        return bool(self._free) or self._table(linear) is not None

    def fill(self, linear: int, guest: Translation, frame: int, *, write: bool) -> int:
        """Map the page of ``linear`` to a host frame with the rights that the guest's tables grant an access.

        Returns the entry. The caller invalidates the processor's TLB if there was an older one. An address in
        the monitor's area is a ValueError.
        """
        if self._is_monitor(linear):
            raise ValueError(f"{linear:#x} belongs to the monitor")
        flags = PTE_P | PTE_A
        if write and not guest.writable:
            flags |= PTE_W | PTE_D  # the guest kernel writes through write protection: CR0.WP is clear
        else:
            if guest.user:
                flags |= PTE_U
            if guest.writable and guest.dirty:
                flags |= PTE_W | PTE_D
        entry = frame << PAGE_SHIFT | flags
        table = self._table(linear)
        if table is None:
            table = self._take_table(linear)
        slot = _slot(table, linear)
        if not self._memory.read(slot, 4):
            self._filled = (*self._filled, linear >> PAGE_SHIFT)
        self._memory.write(slot, 4, entry)
        self._charge("mon_pte_write", 1)
        return entry

    def drop(self, linear: int) -> bool:
        """Forget one page of the guest's; whether it was there."""
        table = None if self._is_monitor(linear) else self._table(linear)
        if table is None or not self._memory.read(_slot(table, linear), 4):
            return False
        self._memory.write(_slot(table, linear), 4, 0)
        self._filled = tuple(page for page in self._filled if page != linear >> PAGE_SHIFT)
        self._charge("mon_pte_write", 1)
        return True

    def drop_frame(self, frame: int) -> tuple[int, ...]:
        """Forget every page that is mapped to a host frame; their linear addresses."""
        found = [page << PAGE_SHIFT for page in self._filled]
        lost = tuple(linear for linear in found if self.entry(linear) >> PAGE_SHIFT == frame)
        for linear in lost:
            self.drop(linear)
        return lost

    def protect(self, frame: int) -> tuple[int, ...]:
        """Take the right to write from every page that is mapped to a host frame; their linear addresses."""
        lost: list[int] = []
        for page in self._filled:
            linear = page << PAGE_SHIFT
            entry = self.entry(linear)
            if entry >> PAGE_SHIFT == frame and entry & PTE_W:
                table = self._table(linear)
                assert table is not None
                self._memory.write(_slot(table, linear), 4, entry & ~(PTE_W | PTE_D))
                self._charge("mon_pte_write", 1)
                lost.append(linear)
        return tuple(lost)

    def filled_between(self, low: int, high: int) -> tuple[int, ...]:
        """The linear addresses of pages that are mapped, from ``low`` to before ``high``."""
        first, end = low >> PAGE_SHIFT, high >> PAGE_SHIFT
        return tuple(page << PAGE_SHIFT for page in self._filled if first <= page < end)

    def flush(self) -> int:
        """Forget everything; how many pages were mapped. The caller reloads CR3."""
        directories = sorted({page >> 10 for page in self._filled})
        for page in self._filled:
            table = self._table(page << PAGE_SHIFT)
            assert table is not None
            self._memory.write(_slot(table, page << PAGE_SHIFT), 4, 0)
        for index in directories:
            table = self._table(index << 22)
            assert table is not None
            self._memory.write((self.directory << PAGE_SHIFT) + index * 4, 4, 0)
            self._free = (*self._free, table)
        count = len(self._filled)
        self._filled = ()
        self._charge("mon_pte_write", count + len(directories))
        return count

    def mappings(self, frame: int) -> tuple[Linear, ...]:
        """The linear addresses of the pages that are mapped to a host frame and may be written."""
        entries = ((page << PAGE_SHIFT, self.entry(page << PAGE_SHIFT)) for page in self._filled)
        return tuple(
            Linear(linear) for linear, entry in entries if entry >> PAGE_SHIFT == frame and entry & PTE_W
        )

    def translate(self, linear: int) -> HostPhysical | None:
        """Where the shadow puts an address now; None where it has nothing."""
        entry = self.entry(linear)
        return HostPhysical(entry & ~PAGE_MASK | linear & PAGE_MASK) if entry & PTE_P else None

    def save(self) -> Any:
        """The state outside machine memory, as plain data."""
        return self._free, self._filled

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        self._free, self._filled = saved

    def _is_monitor(self, linear: int) -> bool:
        return self._monitor_base is not None and linear >> 22 == self._monitor_base >> 22

    def _table(self, linear: int) -> int | None:
        entry = self._memory.read((self.directory << PAGE_SHIFT) + (linear >> 22) * 4, 4)
        return entry >> PAGE_SHIFT if entry & PTE_P else None

    def _take_table(self, linear: int) -> int:
        table, *rest = self._free
        self._free = tuple(rest)
        # Rights are decided in the page tables alone: the directory grants all.
        entry = table << PAGE_SHIFT | PTE_P | PTE_W | PTE_U | PTE_A
        self._memory.write((self.directory << PAGE_SHIFT) + (linear >> 22) * 4, 4, entry)
        self._charge("mon_pte_write", 1)
        return table


def _slot(table: int, linear: int) -> int:
    return (table << PAGE_SHIFT) + (linear >> PAGE_SHIFT & 0x3FF) * 4
