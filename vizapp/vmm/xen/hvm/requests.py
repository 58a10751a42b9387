"""Accesses that a device model answers: an instruction is carried out as far as they have been answered.

An instruction that touches a port or an address of the device model's is tried, and given up at its first
access without an answer. The access becomes a request, the virtual CPU waits, and with the answer the
instruction is tried again from its beginning: nothing that the guest sees has changed, for all that an
instruction changes it changes after its accesses.

Source: Xen 3.1, arch/x86/hvm/io.c and platform.c (send_pio_req, send_mmio_req, hvm_io_assist).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from vizapp.vmm.xen.hvm import abi


class Access(NamedTuple):
    """One access, or a string of them.

    Attributes:
        type: port or memory.
        address: port, or guest-physical address.
        size: bytes of an element.
        read: what the guest gets of it, or not.
        data: what is written; with ``pointer`` the guest-physical address of the first element.
        elements: how many.
        down: they follow each other downwards in memory.
    """

    type: int
    address: int
    size: int
    read: bool
    data: int = 0
    elements: int = 1
    pointer: bool = False
    down: bool = False

    def packed(self, state: int) -> bytes:
        """Its 34 bytes in the shared page."""
        flags = state | (abi.IO_POINTER if self.pointer else 0)
        flags |= (abi.IO_READ if self.read else 0) | (abi.IO_DOWN if self.down else 0)
        return abi.IO_HEAD.pack(self.address, self.size, self.elements, self.data, flags, self.type)


class UnansweredError(Exception):
    """The instruction that is being carried out needs an answer first."""

    def __init__(self, access: Access) -> None:
        super().__init__()
        self.access = access


class Answers:
    """What has been answered to the instruction that is being carried out, in the order of its accesses."""

    def __init__(self) -> None:
        self._values: tuple[int, ...] = ()
        self._used = 0

    def restart(self) -> None:
        """The instruction is tried from its beginning."""
        self._used = 0

    def clear(self) -> None:
        """It is through, or will not be."""
        self._values, self._used = (), 0

    def add(self, value: int) -> None:
        """One more access has been answered."""
        self._values = (*self._values, value)

    def take(self, access: Access) -> int:
        """The answer to an access; UnansweredError where there is none yet."""
        if self._used == len(self._values):
            raise UnansweredError(access)
        value = self._values[self._used]
        self._used += 1
        return value & (1 << 8 * access.size) - 1

    def save(self) -> Any:
        """As plain data; between two phases no instruction is under way."""
        return self._values

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        self._values, self._used = saved, 0
