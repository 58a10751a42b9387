"""The pages that VMDriver, VMApp and the VMM share, as the VMM reads and writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.addresses import HostPhysical
from vizapp.vmm.hosted import layout

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.machine.memory import PhysicalMemory


class SharedPages:
    """Two pages at host-physical ``address``; each reference is charged. All state is in machine memory."""

    def __init__(
        self, memory: PhysicalMemory, address: HostPhysical, charge: Callable[[str, int], None]
    ) -> None:
        self.address = address
        self._memory = memory
        self._charge = charge

    def read(self, offset: int, size: int = 4) -> int:
        """A slot."""
        self._charge("mon_memory_reference", 1)
        return self._memory.read(self.address + offset, size)

    def write(self, offset: int, value: int, size: int = 4) -> None:
        """Change a slot."""
        self._charge("mon_memory_reference", 1)
        self._memory.write(self.address + offset, size, value)

    def take(self, offset: int) -> int:
        """A slot, which is 0 from now on."""
        value = self.read(offset)
        if value:
            self.write(offset, 0)
        return value

    def peek(self, offset: int) -> int:
        """A slot for somebody who looks on: nothing is charged."""
        return self._memory.read(self.address + offset, 4)

    def set_up(self, offset: int, data: bytes) -> None:
        """Store ``data`` before the clock runs."""
        self._memory.load(HostPhysical(self.address + offset), data)

    def add_text(self, byte: int) -> bool:
        """The virtual serial port has sent a byte; whether it is time for VMApp to have the text."""
        count = self.read(layout.SERIAL_COUNT)
        self.write(layout.TEXT + count, byte, 1)
        self.write(layout.SERIAL_COUNT, count + 1)
        return byte == 0x0A or count + 1 >= layout.TEXT_BYTES

    def take_stores(self) -> tuple[tuple[int, int], ...] | None:
        """(guest-physical address, count) of what VMApp has stored in guest memory; None: too many."""
        count = self.take(layout.STORES)
        if count > layout.MOST_STORES:
            return None
        at = layout.STORE_LIST
        return tuple((self.read(at + 8 * index), self.read(at + 8 * index + 4)) for index in range(count))
