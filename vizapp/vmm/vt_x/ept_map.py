"""Extended page tables as the monitor fills them: PML4, PDPT, four directories, page tables as needed.

guest-physical ──PML4E──PDPTE──PDE──PTE──▶ host-physical        8-byte entries, write-back memory
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vizapp.isa.addresses import PAGE_SHIFT
from vizapp.machine.ept import EPT_ALL, EPT_WRITE, MEMORY_TYPE_SHIFT, WRITE_BACK, EptTables, pointer
from vizapp.vmm.hardware_assisted.nested_map import NestedMap

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.machine.memory import PhysicalMemory
    from vizapp.vmm.frame_allocator import FrameAllocator

_LEAF: Final = WRITE_BACK << MEMORY_TYPE_SHIFT


class EptMap(NestedMap):
    """One guest's extended page tables."""

    upper: ClassVar[int] = 6  # PML4, PDPT, and a directory for each gigabyte
    entry_bytes: ClassVar[int] = 8
    present: ClassVar[int] = EPT_ALL
    frame_mask: ClassVar[int] = 0xF_FFFF_F000
    table_rights: ClassVar[int] = EPT_ALL

    def __init__(
        self,
        memory: PhysicalMemory,
        frames: FrameAllocator,
        charge: Callable[[str, int], None],
        size: int,
        owner: str,
    ) -> None:
        super().__init__(memory, frames, charge, size, owner)
        memory.write(self.first << PAGE_SHIFT, 8, self.first + 1 << PAGE_SHIFT | EPT_ALL)
        for index, directory in enumerate(self.directories()):
            memory.write((self.first + 1 << PAGE_SHIFT) + 8 * index, 8, directory << PAGE_SHIFT | EPT_ALL)

    @property
    def pointer(self) -> int:
        """The EPTP."""
        return pointer(self.first)

    def leaf(self, *, writable: bool) -> int:
        """Write-back; read and executed always."""
        return _LEAF | (EPT_ALL if writable else EPT_ALL & ~EPT_WRITE)

    def directories(self) -> tuple[int, ...]:
        """One for each gigabyte."""
        return tuple(range(self.first + 2, self.first + self.upper))

    def directory_slot(self, guest_frame: int) -> int:
        """The entry of the directory of its gigabyte."""
        return (self.first + 2 + (guest_frame >> 18) << PAGE_SHIFT) + 8 * (guest_frame >> 9 & 0x1FF)

    def as_walked(self) -> EptTables:
        """The tables as the processor reads them."""
        return EptTables(self._memory, self.pointer)
