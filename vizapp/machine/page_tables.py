"""What the page tables say: the walk in each of the processor's formats.

    32-bit   CR3 ─▶ directory[31:22] ─▶ table[21:12]                 4-byte entries, 4 KB
             CR3 ─▶ directory[31:22], PS set and CR4.PSE             4 MB; with PSE-36 anywhere in 64 GB
    PAE      PDPTE[31:30] ─▶ directory[29:21] ─▶ table[20:12]        8-byte entries, 4 KB
             PDPTE[31:30] ─▶ directory[29:21], PS set                2 MB

    entry of 4 MB with PSE-36    31     22 21  17 16      13 12   8 ...
                                 | 31:22  |  0   |  35:32   |PAT|    of the frame's address

The four PDPTEs are registers, loaded with CR3: what memory says of them later does not count.
SDM Vol. 3, "32-Bit Paging" and "PAE Paging".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple, Protocol

from vizapp.isa.addresses import PAGE_SHIFT
from vizapp.isa.paging import PTE_A, PTE_D, PTE_FRAME, PTE_P, PTE_PS, PTE_U, PTE_W

PHYSICAL_BITS: Final = 36
FRAMES: Final = (1 << PHYSICAL_BITS - PAGE_SHIFT) - 1
_FRAME_36: Final = (1 << PHYSICAL_BITS) - 1 & ~0xFFF
# Beyond the address there is nothing, since neither NX nor the protection keys of later processors exist.
_RESERVED_HIGH: Final = (1 << 64) - (1 << PHYSICAL_BITS)
_RESERVED_4M: Final = (0x003F_E000, 0x003E_0000)  # bits 21-13; with PSE-36 21-17
_RESERVED_2M: Final = 0x001F_E000  # bits 20-13
_POINTER_RESERVED: Final = _RESERVED_HIGH | 0x1E6  # bits 8-5, 2 and 1
POINTER_BYTES: Final = 8
POINTERS: Final = 4


class PhysicalReader(Protocol):
    """Memory that page tables are read from: the machine's, or a guest's."""

    def read(self, address: int, size: int) -> int:
        """``size`` bytes, little-endian."""
        ...


class PhysicalMemory(PhysicalReader, Protocol):
    """Memory whose page tables have their A and D bits set."""

    def write(self, address: int, size: int, value: int) -> None:
        """Store ``size`` bytes."""
        ...


class PageWalk(NamedTuple):
    """What the tables say of a linear address: the entries, and where they lie in physical memory."""

    directory_address: int
    directory_entry: int
    table_address: int
    table_entry: int

    @property
    def present(self) -> bool:
        """Whether both levels are."""
        return bool(self.directory_entry & self.table_entry & PTE_P)


def walk(memory: PhysicalReader, directory: int, linear: int) -> PageWalk:
    """Read the two entries of a linear address, without side effects; the second is 0 where there is none."""
    directory_address = directory & PTE_FRAME | linear >> 20 & 0xFFC
    directory_entry = memory.read(directory_address, 4)
    if not directory_entry & PTE_P:
        return PageWalk(directory_address, directory_entry, 0, 0)
    table_address = directory_entry & PTE_FRAME | linear >> 10 & 0xFFC
    return PageWalk(directory_address, directory_entry, table_address, memory.read(table_address, 4))


class Tables(NamedTuple):
    """Where a walk begins: CR3, whether CR4.PSE allows large pages, and with PAE the four PDPTEs.

    ``pse36``: the processor has 36 bits for the frames of 4 MB pages.
    """

    directory: int = 0
    large_pages: bool = False
    pointers: tuple[int, ...] = ()
    pse36: bool = False


class Translation(NamedTuple):
    """The outcome of a walk.

    ``entries`` are (physical address, value), outermost first; ``rights`` is what all of them allow. The
    translation is good for ``pages`` pages around the address: 1, 512 or 1024.
    """

    entries: tuple[tuple[int, int], ...]
    present: bool
    reserved: bool = False
    rights: int = 0
    frame: int = 0
    pages: int = 1

    @property
    def last(self) -> int:
        """The entry that maps the page; without tables, what stands for it."""
        return self.entries[-1][1] if self.entries else self.rights

    def mark_used(self, memory: PhysicalMemory, *, write: bool) -> int:
        """Set A in every entry, and D in the last if ``write``; how many that changed."""
        final = len(self.entries) - 1
        changed = 0
        for level, (address, entry) in enumerate(self.entries):
            used = entry | PTE_A | (PTE_D if write and level == final else 0)
            if used != entry:
                memory.write(address, 4, used & 0xFFFF_FFFF)
                changed += 1
        return changed


def look_up(memory: PhysicalReader, tables: Tables, linear: int) -> Translation:
    """Walk the tables for a linear address, without side effects."""
    if tables.pointers:
        return _look_up_wide(memory, tables.pointers[linear >> 30], linear)
    address = tables.directory & PTE_FRAME | linear >> 20 & 0xFFC
    entry = memory.read(address, 4)
    if not entry & PTE_P:
        return Translation(((address, entry),), present=False)
    if entry & PTE_PS and tables.large_pages:
        frame = large_frame(entry, pse36=tables.pse36) | linear >> PAGE_SHIFT & 0x3FF
        reserved = bool(entry & _RESERVED_4M[tables.pse36])
        return Translation(((address, entry),), True, reserved, entry, frame, 1024)
    second = entry & PTE_FRAME | linear >> 10 & 0xFFC
    page = memory.read(second, 4)
    frame = page >> PAGE_SHIFT
    return Translation(((address, entry), (second, page)), bool(page & PTE_P), False, entry & page, frame)


def large_frame(entry: int, *, pse36: bool) -> int:
    """The first frame of a 4 MB page; ``entry`` is its directory entry."""
    low = (entry & 0xFFC0_0000) >> PAGE_SHIFT
    return low | (entry >> 13 & 0xF) << 32 - PAGE_SHIFT if pse36 else low


def flat(linear: int) -> Translation:
    """What holds with paging off: every address is its own, and nothing is forbidden."""
    return Translation((), True, False, PTE_P | PTE_W | PTE_U | PTE_A | PTE_D, linear >> PAGE_SHIFT)


def _look_up_wide(memory: PhysicalReader, pointer: int, linear: int) -> Translation:
    if not pointer & PTE_P:
        return Translation((), present=False)
    address = pointer & _FRAME_36 | linear >> 18 & 0xFF8
    entry = memory.read(address, 8)
    if not entry & PTE_P:
        return Translation(((address, entry),), present=False)
    reserved = bool(entry & _RESERVED_HIGH)
    if entry & PTE_PS:
        frame = (entry & _FRAME_36) >> PAGE_SHIFT & ~0x1FF | linear >> PAGE_SHIFT & 0x1FF
        reserved = reserved or bool(entry & _RESERVED_2M)
        return Translation(((address, entry),), True, reserved, entry, frame, 512)
    second = entry & _FRAME_36 | linear >> 9 & 0xFF8
    page = 0 if reserved else memory.read(second, 8)
    reserved = reserved or bool(page & PTE_P and page & _RESERVED_HIGH)
    frame = (page & _FRAME_36) >> PAGE_SHIFT
    entries = ((address, entry), (second, page))
    return Translation(entries, reserved or bool(page & PTE_P), reserved, entry & page, frame)


def read_pointers(memory: PhysicalReader, cr3: int) -> tuple[int, ...] | None:
    """The PDPTEs that CR3 points to; None where one that is present has a reserved bit set."""
    base = cr3 & 0xFFFF_FFE0
    pointers = tuple(memory.read(base + POINTER_BYTES * index, POINTER_BYTES) for index in range(POINTERS))
    return pointers if are_valid_pointers(pointers) else None


def are_valid_pointers(pointers: Iterable[int]) -> bool:
    """Whether no PDPTE that is present has a reserved bit set."""
    return not any(pointer & PTE_P and pointer & _POINTER_RESERVED for pointer in pointers)
