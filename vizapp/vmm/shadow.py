"""Shadow page tables kept as a virtual TLB: what the processor walks instead of the guest's tables.

    guest:      linear ──guest tables──▶ guest-physical ──p2m──▶ host-physical
    processor:  linear ───────────shadow tables────────────────▶ host-physical

The shadow starts empty. A fault on a page that the guest's tables do grant is hidden from the guest: the page
is filled in and the instruction runs again. A guest's flush empties the shadow, as it would empty a TLB. Two
rights are held back on purpose: a page is read-only until the guest's own D bit is set, so that the first
write comes here; and while the guest's CR0.WP is clear, a page that its tables write-protect is either
readable by ring 3 or writable by the kernel, whichever was asked for last.

With several ``roots`` a guest's load of CR3 need not empty anything. Each of its address spaces then has a
directory here, found again by the guest's CR3; the tables below share one pool. That is only true as long as
somebody drops what a change of the guest's tables makes untrue: see ``hardware_assisted.traces``.

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
    """The shadow address spaces of one guest in host memory, of which one is the present one."""

    def __init__(
        self,
        memory: PhysicalMemory,
        frames: FrameAllocator,
        charge: Callable[[str, int], None],
        *,
        monitor_base: Linear | None = None,
        monitor_entry: int = 0,
        owner: str = "vmm",
        roots: int = 1,
    ) -> None:
        self._memory = memory
        self._charge = charge
        self._directories = tuple(frames.allocate(owner) for _ in range(roots))
        self._roots: tuple[int | None, ...] = (None,) * roots  # the guest's CR3 of each
        self._order = tuple(range(roots))  # used longest ago first
        pool = frames.allocate(owner, POOL_PAGES)
        self._free: tuple[int, ...] = tuple(range(pool, pool + POOL_PAGES))
        # Of each, page numbers in the order in which they were filled.
        self._fills: tuple[tuple[int, ...], ...] = ((),) * roots
        self._linked: tuple[tuple[int, ...], ...] = ((),) * roots  # directory entries that have a table
        self._monitor_base = monitor_base
        if monitor_base is not None:
            for directory in self._directories:
                memory.write((directory << PAGE_SHIFT) + (monitor_base >> 22) * 4, 4, monitor_entry)

    @property
    def directory(self) -> int:
        """The frame of the present page directory, for CR3."""
        return self._directories[self._current]

    @property
    def directories(self) -> tuple[int, ...]:
        """The frames of all its page directories."""
        return self._directories

    @property
    def filled(self) -> int:
        """How many pages are mapped for the guest in the present address space."""
        return len(self._fills[self._current])

    @property
    def roots(self) -> int:
        """How many address spaces there can be."""
        return len(self._roots)

    def select(self, root: int) -> bool:
        """Make the address space of the guest's CR3 ``root`` the present one; whether it was known.

        The one that was used longest ago is emptied for a new one. The caller loads CR3.
        """
        known = root in self._roots
        if known:
            index = self._roots.index(root)
        else:
            index = self._order[0]
            self._empty(index)
            self._roots = (*self._roots[:index], root, *self._roots[index + 1 :])
        self._order = (*(item for item in self._order if item != index), index)
        self._charge("mon_lookup", 1)
        return known

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
            self._set_fills(self._current, (*self._fills[self._current], linear >> PAGE_SHIFT))
        self._memory.write(slot, 4, entry)
        self._charge("mon_pte_write", 1)
        return entry

    def drop(self, linear: int) -> bool:
        """Forget one page of the guest's, in every address space; whether it was anywhere."""
        page, found = linear >> PAGE_SHIFT, False
        for index, fills in enumerate(self._fills):
            if page not in fills or self._is_monitor(linear):
                continue
            table = self._table(linear, index)
            assert table is not None
            self._memory.write(_slot(table, linear), 4, 0)
            self._set_fills(index, tuple(item for item in fills if item != page))
            self._charge("mon_pte_write", 1)
            found = True
        return found

    def drop_frame(self, frame: int) -> tuple[Linear, ...]:
        """Forget every page that is mapped to a host frame; their linear addresses."""
        lost = self._mapped(frame, 0)
        for linear in lost:
            self.drop(linear)
        return lost

    def protect(self, frame: int) -> tuple[int, ...]:
        """Take the right to write from every page that is mapped to a host frame; their linear addresses."""
        lost: list[int] = []
        for index, fills in enumerate(self._fills):
            for page in fills:
                linear = page << PAGE_SHIFT
                table = self._table(linear, index)
                assert table is not None
                entry = self._memory.read(_slot(table, linear), 4)
                if entry >> PAGE_SHIFT == frame and entry & PTE_W:
                    self._memory.write(_slot(table, linear), 4, entry & ~(PTE_W | PTE_D))
                    self._charge("mon_pte_write", 1)
                    lost.append(linear)
        return tuple(lost)

    def filled_between(self, low: int, high: int) -> tuple[int, ...]:
        """The linear addresses of pages that are mapped anywhere, from ``low`` to before ``high``."""
        first, end = low >> PAGE_SHIFT, high >> PAGE_SHIFT
        found = dict.fromkeys(page for fills in self._fills for page in fills if first <= page < end)
        return tuple(page << PAGE_SHIFT for page in found)

    def flush(self) -> int:
        """Forget everything; how many pages were mapped. The caller reloads CR3."""
        return sum(self._empty(index) for index in range(len(self._fills)))

    def mappings(self, frame: int) -> tuple[Linear, ...]:
        """The linear addresses of the pages that are mapped to a host frame and may be written."""
        return self._mapped(frame, PTE_W)

    def translate(self, linear: int) -> HostPhysical | None:
        """Where the shadow puts an address now; None where it has nothing."""
        entry = self.entry(linear)
        return HostPhysical(entry & ~PAGE_MASK | linear & PAGE_MASK) if entry & PTE_P else None

    def save(self) -> Any:
        """The state outside machine memory, as plain data."""
        return self._free, self._fills, self._linked, self._roots, self._order

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        self._free, self._fills, self._linked, self._roots, self._order = saved

    def _is_monitor(self, linear: int) -> bool:
        return self._monitor_base is not None and linear >> 22 == self._monitor_base >> 22

    @property
    def _current(self) -> int:
        return self._order[-1]

    def _set_fills(self, index: int, fills: tuple[int, ...]) -> None:
        self._fills = (*self._fills[:index], fills, *self._fills[index + 1 :])

    def _mapped(self, frame: int, right: int) -> tuple[Linear, ...]:
        """The linear addresses of the pages that are mapped to a host frame with a right."""
        found: dict[Linear, None] = {}
        for index, fills in enumerate(self._fills):
            for page in fills:
                linear = Linear(page << PAGE_SHIFT)
                table = self._table(linear, index)
                assert table is not None
                entry = self._memory.read(_slot(table, linear), 4)
                if entry >> PAGE_SHIFT == frame and entry & right == right:
                    found[linear] = None
        return tuple(found)

    def _empty(self, index: int) -> int:
        """Forget one address space."""
        fills, directory = self._fills[index], self._directories[index]
        linked = self._linked[index]
        for page in fills:
            table = self._table(page << PAGE_SHIFT, index)
            assert table is not None
            self._memory.write(_slot(table, page << PAGE_SHIFT), 4, 0)
        for entry in sorted(linked):
            at = (directory << PAGE_SHIFT) + entry * 4
            self._free = (*self._free, self._memory.read(at, 4) >> PAGE_SHIFT)
            self._memory.write(at, 4, 0)
        self._linked = (*self._linked[:index], (), *self._linked[index + 1 :])
        self._set_fills(index, ())
        self._roots = (*self._roots[:index], None, *self._roots[index + 1 :])
        self._charge("mon_pte_write", len(fills) + len(linked))
        return len(fills)

    def _table(self, linear: int, index: int | None = None) -> int | None:
        directory = self._directories[self._current if index is None else index]
        entry = self._memory.read((directory << PAGE_SHIFT) + (linear >> 22) * 4, 4)
        return entry >> PAGE_SHIFT if entry & PTE_P else None

    def _take_table(self, linear: int) -> int:
        table, *rest = self._free
        self._free = tuple(rest)
        # Rights are decided in the page tables alone: the directory grants all.
        entry = table << PAGE_SHIFT | PTE_P | PTE_W | PTE_U | PTE_A
        self._memory.write((self.directory << PAGE_SHIFT) + (linear >> 22) * 4, 4, entry)
        self._charge("mon_pte_write", 1)
        index = self._current
        mine = (*self._linked[index], linear >> 22)
        self._linked = (*self._linked[:index], mine, *self._linked[index + 1 :])
        return table


def _slot(table: int, linear: int) -> int:
    return (table << PAGE_SHIFT) + (linear >> PAGE_SHIFT & 0x3FF) * 4
