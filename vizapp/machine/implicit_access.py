"""Linear memory for the processor's own accesses: descriptor tables, TSS, stacks of inner rings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.addresses import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE
from vizapp.machine.fast_maps import NO_RING

if TYPE_CHECKING:
    from vizapp.machine.mmu import Mmu


class ImplicitAccess:
    """The address space of the MMU for accesses that belong to no ring; see ``NO_RING`` of ``fast_maps``."""

    def __init__(self, mmu: Mmu) -> None:
        self._mmu = mmu
        self.follow()

    def follow(self) -> None:
        """The processor is in another address space, whose maps are others."""
        self._readable = self._mmu.readable[NO_RING]
        self._writable = self._mmu.writable[NO_RING]

    def read(self, linear: int, size: int, user: bool) -> int:
        """As ``Mmu.read``."""
        offset = linear & PAGE_MASK
        page = self._readable.get(linear >> PAGE_SHIFT)
        if page is not None and not user and offset + size <= PAGE_SIZE:
            return int.from_bytes(page[offset : offset + size], "little")
        return self._mmu.read_as(linear, size, user, NO_RING)

    def write(self, linear: int, size: int, value: int, user: bool) -> None:
        """As ``Mmu.write``."""
        offset = linear & PAGE_MASK
        page = self._writable.get(linear >> PAGE_SHIFT)
        if page is not None and not user and offset + size <= PAGE_SIZE:
            page[offset : offset + size] = value.to_bytes(size, "little")
        else:
            self._mmu.write_as(linear, size, value, user, NO_RING)
