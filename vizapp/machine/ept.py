"""Extended page tables, Intel's nested paging (SDM Vol. 3, "The Extended Page Table Mechanism (EPT)").

    EPTP    11..7  reserved   6  accessed and dirty (not offered)   5:3  levels - 1   2:0  memory type
    entry   63..36 reserved   35:12  frame   7  leaf above the last level   6  ignore PAT   5:3  memory type
            2  execute   1  write   0  read

Four levels whatever the guest's own paging is, each entry 8 bytes:

    EPTP ─▶ PML4E[47:39] ─▶ PDPTE[38:30] ─▶ PDE[29:21] ─▶ PTE[20:12]
"""

from __future__ import annotations

from typing import Final, NoReturn

from vizapp.isa.addresses import PAGE_SHIFT
from vizapp.machine.guest_mode import VmExit
from vizapp.machine.nested_paging import Access, HostMemory, NestedEntry, NestedTables, NestedTranslation

EPT_READ: Final = 1 << 0
EPT_WRITE: Final = 1 << 1
EPT_EXECUTE: Final = 1 << 2
EPT_ALL: Final = EPT_READ | EPT_WRITE | EPT_EXECUTE
EPT_LARGE: Final = 1 << 7
WRITE_BACK: Final = 6
MEMORY_TYPE_SHIFT: Final = 3
LEVELS: Final = ("PML4E", "PDPTE", "PDE", "PTE")
REASON_VIOLATION: Final = 48
REASON_MISCONFIGURATION: Final = 49

# Exit qualification of an EPT violation.
Q_READ, Q_WRITE, Q_FETCH = 1 << 0, 1 << 1, 1 << 2
Q_RIGHTS_SHIFT: Final = 3
Q_LINEAR_VALID: Final = 1 << 7
Q_FINAL: Final = 1 << 8  # the access was to the page itself, not to an entry of the guest's tables

_PHYSICAL_BITS: Final = 36
_FRAME: Final = (1 << _PHYSICAL_BITS) - 1 & ~0xFFF
_RESERVED: Final = (1 << 52) - (1 << _PHYSICAL_BITS)
_TABLE_RESERVED: Final = 0xF8  # bits 7-3 of an entry that leads to a table
_TYPES: Final = frozenset((0, 1, 4, 5, 6))
_SHIFTS: Final = (39, 30, 21, 12)
_LARGE_AT: Final = 2  # 2 MB pages; 1 GB pages are not offered


def pointer(frame: int) -> int:
    """The EPTP of a PML4 table in a frame: four levels, write-back."""
    return frame << PAGE_SHIFT | len(LEVELS) - 1 << MEMORY_TYPE_SHIFT | WRITE_BACK


def is_valid_pointer(value: int) -> bool:
    """Whether an EPTP passes the checks on VM entry: memory type 0 or 6, four levels, nothing reserved."""
    reserved = 0xFC0 | ~_FRAME & ~0xFFF
    return value & 7 in (0, WRITE_BACK) and value >> 3 & 7 == len(LEVELS) - 1 and not value & reserved


class EptTables(NestedTables):
    """The tables that an EPTP names."""

    def __init__(self, memory: HostMemory, eptp: int) -> None:
        super().__init__(memory)
        self.pointer = eptp

    def look_up(self, address: int) -> NestedTranslation:
        """Walk for a guest-physical address, without side effects."""
        table = self.pointer & _FRAME
        rights = EPT_ALL
        entries: list[NestedEntry] = []
        for depth, level in enumerate(LEVELS):
            at = table + 8 * (address >> _SHIFTS[depth] & 0x1FF)
            value = self._memory.read(at, 8)
            entries.append(NestedEntry(level, at, value))
            if not value & EPT_ALL:
                return NestedTranslation(tuple(entries), present=False)
            leaf = depth == len(LEVELS) - 1 or bool(value & EPT_LARGE)
            if _malformed(value, depth, leaf):
                return NestedTranslation(tuple(entries), present=True, malformed=True)
            rights &= value
            table = value & _FRAME
            if leaf:
                break
        span = (1 << _SHIFTS[len(entries) - 1] - PAGE_SHIFT) - 1
        frame = table >> PAGE_SHIFT & ~span | address >> PAGE_SHIFT & span
        return NestedTranslation(
            tuple(entries),
            present=True,
            frame=frame,
            writable=bool(rights & EPT_WRITE),
            executable=bool(rights & EPT_EXECUTE),
        )

    def refuse(self, address: int, found: NestedTranslation, access: Access, *, table: bool) -> NoReturn:
        """An EPT misconfiguration, or an EPT violation."""
        place = {"guest_physical": address, "guest_linear": access.linear}
        if found.malformed:
            raise VmExit(REASON_MISCONFIGURATION, 0, **place)
        rights = EPT_ALL
        for entry in found.entries:
            rights &= entry.value
        kind = Q_FETCH if access.fetch else Q_WRITE if access.write else Q_READ
        qualification = kind | rights << Q_RIGHTS_SHIFT | Q_LINEAR_VALID | (0 if table else Q_FINAL)
        raise VmExit(REASON_VIOLATION, qualification, **place)


def _malformed(value: int, depth: int, leaf: bool) -> bool:
    """Writable or executable but not readable, a reserved bit, or a memory type that there is not."""
    if not value & EPT_READ or value & _RESERVED:
        return True
    if not leaf:
        return bool(value & _TABLE_RESERVED)
    if value >> MEMORY_TYPE_SHIFT & 7 not in _TYPES:
        return True
    if depth == len(LEVELS) - 1:
        return False
    return depth < _LARGE_AT or bool(value & (1 << _SHIFTS[depth]) - 1 & ~0xFFF)
