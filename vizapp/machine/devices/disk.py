"""A disk: contents that nobody changes, with the sectors written since in a private overlay.

The overlay is all that a checkpoint holds of a disk, and checkpoints share it until the next write.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

SECTOR_BYTES = 512
_MOST_CYLINDERS = 16383


class Geometry(NamedTuple):
    """Cylinders, heads and sectors a track; sectors are counted from 1."""

    cylinders: int
    heads: int
    sectors: int

    @property
    def total(self) -> int:
        """Sectors that can be addressed so."""
        return self.cylinders * self.heads * self.sectors

    def block(self, cylinder: int, head: int, sector: int) -> int | None:
        """The logical block at an address; None: there is none."""
        if not (cylinder < self.cylinders and head < self.heads and 1 <= sector <= self.sectors):
            return None
        return (cylinder * self.heads + head) * self.sectors + sector - 1


def default_geometry(sectors: int) -> Geometry:
    """What a drive of that many sectors says of itself (ATA/ATAPI-4, annex B)."""
    return Geometry(min(max(sectors // (16 * 63), 1), _MOST_CYLINDERS), 16, 63)


class Disk:
    """``contents``, filled up to whole sectors with zeros.

    Attributes:
        sectors: how many there are.
    """

    def __init__(self, contents: bytes) -> None:
        self.sectors = max(1, -(-len(contents) // SECTOR_BYTES))
        self._contents = contents
        self._written: Mapping[int, bytes] = {}
        self._shared = True  # with a checkpoint

    def read(self, block: int) -> bytes:
        """One sector; ``block`` is below ``sectors``."""
        written = self._written.get(block)
        if written is not None:
            return written
        start = block * SECTOR_BYTES
        return self._contents[start : start + SECTOR_BYTES].ljust(SECTOR_BYTES, b"\0")

    def write(self, block: int, data: bytes) -> None:
        """Replace one sector, in the overlay."""
        if self._shared:
            self._written = dict(self._written)
            self._shared = False
        assert isinstance(self._written, dict)
        self._written[block] = data

    def save(self) -> Mapping[int, bytes]:
        """The sectors written so far; never changed afterwards."""
        self._shared = True
        return self._written

    def load(self, saved: Mapping[int, bytes]) -> None:
        """Take up where ``save`` left off."""
        self._written = saved
        self._shared = True
