"""Physical addresses that a device answers instead of memory.

A frame of such a device never enters the MMU's fast maps, so that every access takes the long way and arrives
here. Code cannot be fetched from it.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from vizapp.isa.addresses import PAGE_MASK, PAGE_SHIFT, HostPhysical


class MmioDevice(Protocol):
    """A device behind memory addresses. ``offset`` is in bytes from where the device begins."""

    def read(self, offset: int, size: int) -> int:
        """The little-endian value of ``size`` bytes. Reading makes no interrupt and changes no deadline."""
        ...

    def write(self, offset: int, size: int, value: int) -> None:
        """Store ``size`` bytes."""
        ...


class _Range(NamedTuple):
    base: int
    device: MmioDevice


class MmioSpace:
    """Which device answers at which frame.

    Attributes:
        frames: for the MMU to ask before it takes a frame for memory.
        touched: a device was written to, which may have changed when something is due or whether there is
            an interrupt; whoever runs the processor looks around and clears it.
    """

    def __init__(self) -> None:
        self.frames: dict[int, _Range] = {}
        self.touched = False

    def register(self, base: HostPhysical, size: int, device: MmioDevice) -> None:
        """Let ``device`` answer at ``size`` bytes from ``base`` on: whole pages.

        Raises:
            ValueError: they are not.
        """
        if (base | size) & PAGE_MASK or size <= 0:
            raise ValueError(f"{size:#x} bytes at {base:#x} are no whole pages")
        for frame in range(base >> PAGE_SHIFT, (base + size) >> PAGE_SHIFT):
            self.frames[frame] = _Range(base, device)

    def remove(self, base: HostPhysical, size: int) -> None:
        """Let nobody answer at ``size`` bytes from ``base`` on any more."""
        for frame in range(base >> PAGE_SHIFT, (base + size) >> PAGE_SHIFT):
            self.frames.pop(frame, None)

    def read(self, address: int, size: int) -> int:
        """``size`` bytes at a physical address in one of the frames."""
        base, device = self.frames[address >> PAGE_SHIFT]
        return device.read(address - base, size)

    def write(self, address: int, size: int, value: int) -> None:
        """Store ``size`` bytes at a physical address in one of the frames."""
        self.touched = True
        base, device = self.frames[address >> PAGE_SHIFT]
        device.write(address - base, size, value)
