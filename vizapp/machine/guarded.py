"""Stores of blocks to pages that hold code too: done where they miss every decoded instruction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.addresses import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vizapp.machine.memory import PhysicalMemory
    from vizapp.machine.mmu import Mmu


class GuardedMemory:
    """Memory as the present ring may write it without asking the address space.

    ``covered`` tells of each frame with decoded code which of its bytes belong to an instruction. What may
    not be accessed so is a KeyError.
    """

    def __init__(self, mmu: Mmu, memory: PhysicalMemory, covered: Mapping[int, bytearray]) -> None:
        self._mmu = mmu
        self._memory = memory
        self._covered = covered

    def modify(self, address: int, size: int) -> int:
        """``size`` bytes that will be written, little-endian."""
        page, offset = self._page(address, size)
        return int.from_bytes(page[offset : offset + size], "little")

    def store(self, address: int, size: int, value: int) -> None:
        """Store ``size`` bytes."""
        page, offset = self._page(address, size)
        page[offset : offset + size] = value.to_bytes(size, "little")

    def stretch(self, address: int) -> tuple[bytearray | None, int]:
        """The page of an address, and how many bytes from there on are not of decoded code; None: no page."""
        frame = self._mmu.guarded[self._mmu.ring].get(address >> PAGE_SHIFT)
        if frame is None:
            return None, 0
        offset = address & PAGE_MASK
        code = self._covered[frame].find(1, offset)
        return self._memory.writable_page(frame), (PAGE_SIZE if code < 0 else code) - offset

    def _page(self, address: int, size: int) -> tuple[bytearray, int]:
        mmu = self._mmu
        number, offset = address >> PAGE_SHIFT, address & PAGE_MASK
        if offset + size > PAGE_SIZE:
            raise KeyError(address)
        page = mmu.writable[mmu.ring].get(number)
        if page is None:
            frame = mmu.guarded[mmu.ring][number]
            if self._covered[frame].find(1, offset, offset + size) >= 0:
                raise KeyError(address)
            page = self._memory.writable_page(frame)
        return page, offset
