"""Structures that a hypercall's argument points to: fields read from the caller's memory and written back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.addresses import M32

if TYPE_CHECKING:
    from vizapp.vmm.xen.hypervisor import Hypervisor


class Structure:
    """``size`` bytes at a linear address of the current domain, read at once.

    Raises:
        GuestMemoryError: they are not all there.
    """

    def __init__(self, xen: Hypervisor, address: int, size: int) -> None:
        self._xen = xen
        self._address = address
        self._raw = xen.space.copy_from(address, size)
        xen.pay_references(-(-size // 4))

    def __getitem__(self, field: tuple[int, int]) -> int:
        """The field at (offset, bytes)."""
        offset, size = field
        return int.from_bytes(self._raw[offset : offset + size], "little")

    def bytes(self, offset: int, count: int) -> bytes:
        """Some of its bytes as they are."""
        return self._raw[offset : offset + count]

    def put(self, offset: int, size: int, value: int) -> None:
        """Write a field back, a negative number as its complement."""
        data = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
        self._xen.space.copy_to(self._address + offset & M32, data)
        self._xen.pay_references(-(-size // 4))


def word(xen: Hypervisor, address: int) -> int:
    """A double word of the current domain's memory; GuestMemoryError where it has none."""
    return int.from_bytes(xen.space.copy_from(address & M32, 4), "little")
