"""The page that guest and hypervisor share: pending and masked events, upcall mask, time, CR2.

Source: Xen's public header xen.h, struct shared_info, and event_channel.c of Xen 3.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.addresses import PAGE_SHIFT
from vizapp.vmm.xen import abi

if TYPE_CHECKING:
    from vizapp.machine.memory import PhysicalMemory


class SharedInfo:
    """shared_info in a machine frame; everything is read from memory, for the guest writes it too."""

    def __init__(self, memory: PhysicalMemory, frame: int) -> None:
        self._memory = memory
        self._base = frame << PAGE_SHIFT

    def read(self, offset: int, size: int) -> int:
        """A field."""
        return self._memory.read(self._base + offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """Set a field."""
        self._memory.write(self._base + offset, size, value)

    @property
    def masked(self) -> bool:
        """Whether the guest holds events back: its virtual interrupt flag, inverted."""
        return bool(self.read(abi.VCPU_UPCALL_MASK, 1))

    @masked.setter
    def masked(self, value: bool) -> None:
        self.write(abi.VCPU_UPCALL_MASK, 1, int(value))

    @property
    def pending(self) -> bool:
        """Whether an event waits to be taken."""
        return bool(self.read(abi.VCPU_UPCALL_PENDING, 1))

    def bit(self, base: int, port: int) -> bool:
        """A port's bit in the pending or mask array."""
        return bool(self.read(base + (port >> 5) * 4, 4) >> (port & 31) & 1)

    def set_bit(self, base: int, port: int, value: bool) -> None:
        """Set or clear a port's bit in the pending or mask array."""
        offset = base + (port >> 5) * 4
        word = self.read(offset, 4)
        mask = 1 << (port & 31)
        self.write(offset, 4, word | mask if value else word & ~mask)

    def raise_port(self, port: int) -> None:
        """Make a port pending.

        Pending bit, then selector bit, then the pending byte, each only if the step before found it clear
        and the port unmasked: the guest clears them in the opposite order.
        """
        if self.bit(abi.SHARED_PENDING, port):
            return
        self.set_bit(abi.SHARED_PENDING, port, True)
        if not self.bit(abi.SHARED_MASK, port):
            self._select(port)

    def unmask_port(self, port: int) -> None:
        """Clear a port's mask; if it is pending it counts from now on."""
        if not self.bit(abi.SHARED_MASK, port):
            return
        self.set_bit(abi.SHARED_MASK, port, False)
        if self.bit(abi.SHARED_PENDING, port):
            self._select(port)

    def can_ring(self, port: int) -> bool:
        """Whether raising the port would be noticed."""
        return not self.bit(abi.SHARED_PENDING, port) and not self.bit(abi.SHARED_MASK, port)

    def _select(self, port: int) -> None:
        """Note an unmasked pending port in selector and pending byte."""
        selector = self.read(abi.VCPU_PENDING_SELECTOR, 4)
        mask = 1 << (port >> 5)
        if not selector & mask:
            self.write(abi.VCPU_PENDING_SELECTOR, 4, selector | mask)
            self.write(abi.VCPU_UPCALL_PENDING, 1, 1)
