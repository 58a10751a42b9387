"""Direct memory access: what a device that masters the bus reads from memory and writes to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from vizapp.isa.addresses import PAGE_SHIFT, HostPhysical


class DmaMemory(Protocol):
    """Physical memory as a device sees it."""

    def dump(self, address: HostPhysical, count: int) -> bytes:
        """``count`` bytes."""
        ...

    def load(self, address: HostPhysical, data: bytes) -> None:
        """Store ``data``."""
        ...


class BusMaster:
    """A device's way to memory.

    Attributes:
        on_access: told (frame, write) for each frame of each transfer before it happens; it answers whether
            the transfer may. One that may not reads ones and writes nothing.
    """

    def __init__(self, memory: DmaMemory) -> None:
        self.on_access: Callable[[int, bool], bool] | None = None
        self._memory = memory

    def read(self, address: int, count: int) -> bytes:
        """``count`` bytes from a physical address on."""
        if not self._allowed(address, count, write=False):
            return b"\xff" * count
        return self._memory.dump(HostPhysical(address), count)

    def write(self, address: int, data: bytes) -> None:
        """Store ``data`` from a physical address on."""
        if self._allowed(address, len(data), write=True):
            self._memory.load(HostPhysical(address), data)

    def _allowed(self, address: int, count: int, *, write: bool) -> bool:
        if self.on_access is None or not count:
            return True
        frames = range(address >> PAGE_SHIFT, (address + count - 1 >> PAGE_SHIFT) + 1)
        return all(self.on_access(frame, write) for frame in frames)
