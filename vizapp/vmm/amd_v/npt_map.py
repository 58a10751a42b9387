"""Nested page tables as the monitor fills them: a page directory, and page tables as needed.

    guest-physical ──nPDE──nPTE──▶ host-physical        4-byte entries, as of the host's own paging

Every access of a guest counts as one of user mode there.
"""

from __future__ import annotations

from typing import ClassVar

from vizapp.isa.addresses import PAGE_SHIFT
from vizapp.isa.paging import PTE_A, PTE_D, PTE_FRAME, PTE_P, PTE_U, PTE_W
from vizapp.machine.npt import NestedPageTables
from vizapp.vmm.hardware_assisted.nested_map import NestedMap


class NptMap(NestedMap):
    """One guest's nested page tables."""

    upper: ClassVar[int] = 1
    entry_bytes: ClassVar[int] = 4
    present: ClassVar[int] = PTE_P
    frame_mask: ClassVar[int] = PTE_FRAME
    table_rights: ClassVar[int] = PTE_P | PTE_W | PTE_U | PTE_A

    @property
    def pointer(self) -> int:
        """The nCR3 that names the page directory."""
        return self.first << PAGE_SHIFT

    def leaf(self, *, writable: bool) -> int:
        """Accessed, and dirty where it may be written: the processor has nothing to set."""
        return PTE_P | PTE_U | PTE_A | (PTE_W | PTE_D if writable else 0)

    def directories(self) -> tuple[int, ...]:
        """The one page directory."""
        return (self.first,)

    def directory_slot(self, guest_frame: int) -> int:
        """Its entry in the directory."""
        return self.pointer + 4 * (guest_frame >> 10)

    def as_walked(self) -> NestedPageTables:
        """The tables as the processor reads them: two levels of 4 KB pages, as the host's own."""
        return NestedPageTables(self._memory, self.pointer, 0)
