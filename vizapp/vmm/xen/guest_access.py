"""The guest's memory as the hypervisor reaches it: through the guest's own, real page tables.

A pointer in a hypercall is a linear address of the caller. The hypervisor follows the tables that the
processor uses, and refuses what the guest itself could not touch, above all its own hole at the top.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa import vectors
from vizapp.isa.addresses import M32, PAGE_MASK, PAGE_SIZE, HostPhysical
from vizapp.isa.paging import PF_P, PF_U, PF_W, PTE_A, PTE_D, PTE_P, PTE_U, PTE_W
from vizapp.machine.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.machine.memory import PhysicalMemory
    from vizapp.vmm.xen.paging_format import Format


class GuestMemoryError(Exception):
    """A pointer of the guest leads nowhere; becomes -EFAULT at the hypercall."""


class DirectSpace:
    """The address space of a paravirtual guest, as a virtual CPU of the hypervisor sees it.

    Args:
        memory: the machine's.
        form: the format of page tables.
        directory: gives the machine frame of the top-level table in use.
        charge: called with the number of page-table entries that were read.
    """

    def __init__(
        self,
        memory: PhysicalMemory,
        form: Format,
        directory: Callable[[], int],
        charge: Callable[[int], None],
    ) -> None:
        self._memory = memory
        self._form = form
        self._directory = directory
        self._charge = charge

    def translate(self, linear: int, *, write: bool, user: bool) -> HostPhysical:
        """The machine address; sets accessed and dirty bits as the processor would.

        Raises:
            Fault: #PF, with the error code that the processor would give.
        """
        form, memory = self._form, self._memory
        code = (PF_W if write else 0) | (PF_U if user else 0)
        needed = PTE_P | (PTE_W if write else 0) | (PTE_U if user else 0)
        if linear >= form.hole and (write or linear >= form.m2p_end):
            raise Fault(vectors.PF, code | PF_P, linear)
        self._charge(form.levels)
        entry = 0
        for level, (where, entry) in enumerate(form.walk(memory, self._directory(), linear)):
            pointers = level == 0 and form.levels > 2
            wanted = PTE_P if pointers else needed
            if entry & wanted != wanted:
                raise Fault(vectors.PF, code | (PF_P if entry & PTE_P else 0), linear)
            used = PTE_A | (PTE_D if write and level == form.levels - 1 else 0)
            if not pointers and entry & used != used:
                memory.write(where, form.entry_bytes, entry | used)
        return HostPhysical(entry & form.frame_bits | linear & PAGE_MASK)

    def read(self, linear: int, size: int, user: bool) -> int:
        """``size`` bytes, little-endian."""
        return int.from_bytes(self.fetch(linear, size, user), "little")

    def write(self, linear: int, size: int, value: int, user: bool) -> None:
        """Store ``size`` bytes; nothing is stored when any of them faults."""
        data = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
        for address, part in self._pieces(linear, size, write=True, user=user):
            self._memory.load(address, data[part])

    def modify(self, linear: int, size: int, user: bool) -> int:
        """As ``read``, but faults as the write would that follows."""
        pieces = self._pieces(linear, size, write=True, user=user)
        data = b"".join(self._memory.dump(address, part.stop - part.start) for address, part in pieces)
        return int.from_bytes(data, "little")

    def fetch(self, linear: int, count: int, user: bool) -> bytes:
        """``count`` bytes."""
        pieces = self._pieces(linear, count, write=False, user=user)
        return b"".join(self._memory.dump(address, part.stop - part.start) for address, part in pieces)

    def flush(self) -> None:
        """Nothing is kept between accesses."""

    def invalidate(self, linear: int) -> None:
        """Nothing is kept between accesses."""

    def copy_from(self, linear: int, count: int) -> bytes:
        """Bytes that the guest points at.

        Raises:
            GuestMemoryError: any of them is not the guest's to read.
        """
        try:
            return self.fetch(linear, count, False)
        except Fault as fault:
            raise GuestMemoryError from fault

    def copy_to(self, linear: int, data: bytes) -> None:
        """Store bytes where the guest points.

        Raises:
            GuestMemoryError: any of them is not the guest's to write; nothing was stored.
        """
        try:
            pieces = self._pieces(linear, len(data), write=True, user=False)
        except Fault as fault:
            raise GuestMemoryError from fault
        for address, part in pieces:
            self._memory.load(address, data[part])

    def _pieces(
        self, linear: int, count: int, *, write: bool, user: bool
    ) -> list[tuple[HostPhysical, slice]]:
        """The machine addresses of ``count`` bytes, page by page, all translated before any is used."""
        pieces = []
        done = 0
        while done < count:
            address = linear + done & M32
            length = min(PAGE_SIZE - (address & PAGE_MASK), count - done)
            pieces.append((self.translate(address, write=write, user=user), slice(done, done + length)))
            done += length
        return pieces
