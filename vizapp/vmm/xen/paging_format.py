"""The two formats of page tables that the hypervisor can be built for, and its hole in each.

                levels         entry     hole from      machine-to-physical table
    non-PAE     L2, L1         4 bytes   FC000000       FC000000 to FC400000
    PAE         L3, L2, L1     8 bytes   F5800000       F5800000 to F6800000

All domains of a machine use the same one. Under PAE a top-level table has four entries, and only the last of
its four directories reaches the hypervisor's part.

Source: Xen's public header arch-x86/xen-x86_32.h; SDM Vol. 3, "PAE Paging".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.isa.addresses import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, HostPhysical, Linear
from vizapp.isa.paging import PTE_P
from vizapp.vmm.xen import abi

if TYPE_CHECKING:
    from vizapp.machine.memory import PhysicalMemory


class Format(NamedTuple):
    """How linear addresses are split and what an entry is.

    Attributes:
        entry_bytes: of one entry.
        shifts: of the index into each table, from the top level down.
        hole: where the hypervisor's part of linear memory begins.
        m2p_end: where the part of it ends that guests may read.
        frame_bits: the bits of an entry that name a frame.
        reserved: the bits of an entry that must be clear.
    """

    entry_bytes: int
    shifts: tuple[int, ...]
    hole: Linear
    m2p_end: Linear
    frame_bits: int
    reserved: int = 0

    @property
    def entries(self) -> int:
        """Of a full page of them."""
        return PAGE_SIZE // self.entry_bytes

    @property
    def levels(self) -> int:
        """How many tables a walk goes through."""
        return len(self.shifts)

    @property
    def directory_shift(self) -> int:
        """Of a linear address to the number of the page table that maps it."""
        return self.shifts[-2]

    @property
    def guest_limit(self) -> int:
        """The limit of every segment that a guest can load."""
        return self.m2p_end - 1

    @property
    def first_xen_slot(self) -> int:
        """In the directory that reaches the hypervisor, the first entry that is its own."""
        return (self.hole >> self.directory_shift) % self.entries

    def frame(self, entry: int) -> int:
        """The frame that an entry names."""
        return (entry & self.frame_bits) >> PAGE_SHIFT

    def slot(self, level: int, linear: int) -> int:
        """The index of a linear address in the table ``level`` steps below the top."""
        index = linear >> self.shifts[level]
        return index if level == 0 else index % self.entries

    def walk(self, memory: PhysicalMemory, root: int, linear: int) -> Iterator[tuple[HostPhysical, int]]:
        """(address, entry) of each level from the table in frame ``root`` down, up to one that is absent."""
        table = root << PAGE_SHIFT
        for level in range(self.levels):
            address = HostPhysical(table + self.slot(level, linear) * self.entry_bytes)
            entry = memory.read(address, self.entry_bytes)
            yield address, entry
            if not entry & PTE_P:
                return
            table = entry & self.frame_bits

    def last_entry(self, memory: PhysicalMemory, root: int, linear: int) -> HostPhysical | None:
        """Where the entry lies that maps a page; None where no page table is there for it."""
        found = list(self.walk(memory, root, linear))
        return found[-1][0] if len(found) == self.levels else None

    def translate(self, memory: PhysicalMemory, root: int, linear: int) -> HostPhysical | None:
        """The machine address behind a linear one; None where nothing is present."""
        found = list(self.walk(memory, root, linear))
        if len(found) < self.levels or not found[-1][1] & PTE_P:
            return None
        return HostPhysical(found[-1][1] & self.frame_bits | linear & PAGE_MASK)


PLAIN: Final = Format(4, (22, 12), abi.HYPERVISOR_START, abi.M2P_END, 0xFFFF_F000)
PAE: Final = Format(
    8, (30, 21, 12), abi.PAE_HYPERVISOR_START, abi.PAE_M2P_END, 0xF_FFFF_F000, 0xFFFF_FFF0_0000_0000
)
