"""Virtual disks as extents of the machine's one disk: each guest's disk is so many sectors on end.

    sector 0   a table: "VMKERNEL", how many, then of each | vm | drive | first | sectors |, 32 bits each
    from then on the extents, each from a multiple of 8 sectors on

An extent in one piece takes one addition to find and one comparison to hold, which is why a file system for
virtual disks (VMFS) has few and large pieces.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.errors import ScenarioError
from vizapp.machine.devices.disk import SECTOR_BYTES
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from collections.abc import Sequence

SIGNATURE: Final = b"VMKERNEL"
MOST_LBA: Final = 1 << 28
"""Sectors that an address of 28 bits reaches."""
_COUNT: Final = Struct("<I")
_ENTRY: Final = Struct("<4I")
_MOST: Final = (SECTOR_BYTES - len(SIGNATURE) - _COUNT.size) // _ENTRY.size
_BOUNDARY: Final = 8


class Extent(NamedTuple):
    """The sectors of disk ``drive`` of virtual machine ``vm``: ``sectors`` from ``first`` on."""

    vm: int
    drive: int
    first: int
    sectors: int

    def physical(self, block: int, count: int) -> int | None:
        """Where ``count`` sectors from ``block`` on are; None if not all of them are the extent's."""
        return self.first + block if block >= 0 and count > 0 and block + count <= self.sectors else None


def lay_out(disks: Sequence[Sequence[bytes]]) -> bytes:
    """What the machine's disk holds; ``disks`` are the contents of each machine's, by number.

    Raises:
        ScenarioError: there are more of them, or they are larger, than one disk takes.
    """
    entries: list[Extent] = []
    contents: list[bytes] = []
    at = _BOUNDARY
    for vm, own in enumerate(disks):
        for drive, data in enumerate(own):
            sectors = max(1, -(-len(data) // SECTOR_BYTES))
            room = -(-sectors // _BOUNDARY) * _BOUNDARY
            entries.append(Extent(vm, drive, at, sectors))
            contents.append(data.ljust(room * SECTOR_BYTES, b"\0"))
            at += room
    if len(entries) > _MOST or at > MOST_LBA:
        sentence = N_("the guests' {count} disks are more than the machine's own disk takes")
        raise ScenarioError(Message(sentence, {"count": len(entries)}))
    table = SIGNATURE + _COUNT.pack(len(entries)) + b"".join(_ENTRY.pack(*entry) for entry in entries)
    return b"".join((table.ljust(_BOUNDARY * SECTOR_BYTES, b"\0"), *contents))


def read_table(sector: bytes) -> tuple[Extent, ...]:
    """The extents that sector 0 tells of; none if it is no such table."""
    if not sector.startswith(SIGNATURE):
        return ()
    (count,) = _COUNT.unpack_from(sector, len(SIGNATURE))
    start = len(SIGNATURE) + _COUNT.size
    return tuple(
        Extent(*_ENTRY.unpack_from(sector, start + _ENTRY.size * index)) for index in range(min(count, _MOST))
    )
