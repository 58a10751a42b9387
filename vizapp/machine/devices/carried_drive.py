"""A virtual machine's disk, whose sectors a monitor's kernel fetches from a disk of the machine.

The drive is busy from the moment at which it needs the medium until the kernel has served its request; what
else a drive does, it does itself and in its own time.

    READ ──▶ BSY, request ──(the kernel: its own disk, its own interrupt)──▶ serve ──▶ DRQ and INTRQ, data ...
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from vizapp.machine.devices.ata_drive import BSY, Drive
from vizapp.machine.devices.disk import SECTOR_BYTES, Disk

MOST_SECTORS: Final = 16
"""Sectors of one request: so long the others wait at most."""


class Extent(Disk):
    """A disk of which only the size is known here."""

    def __init__(self, sectors: int) -> None:
        super().__init__(b"")
        self.sectors = sectors

    @classmethod
    def like(cls, contents: bytes) -> Extent:
        """One as large as a disk with these contents."""
        return cls(Disk(contents).sectors)


class Request(NamedTuple):
    """``sectors`` of a virtual disk from ``block`` on; ``data`` is to be written, or empty.

    ``number`` tells it from the drive's others.
    """

    number: int
    write: bool
    block: int
    sectors: int
    data: bytes = b""


class CarriedDrive(Drive):
    """A drive without a mechanism.

    Attributes:
        request: what the drive is waiting for.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.request: Request | None = None
        self._number = 0
        self._fetched = (0, b"")  # the first sector, and the data from there on

    def serve(self, request: Request, data: bytes = b"") -> None:
        """What was asked for is done; ``data`` is what was read. Nothing if it is not wanted any more."""
        if self.request == request:
            if not request.write:
                self._fetched = (request.block, data)
            self._go_on()

    def refuse(self, request: Request) -> None:
        """What was asked for cannot be done: the command fails."""
        if self.request == request:
            self._next = "_abort"
            self._go_on()

    def save(self) -> dict[str, object]:
        """See ``Drive``; what it waits for too."""
        return {**super().save(), "carried": (self.request, self._number, self._fetched)}

    def load(self, saved: Mapping[str, object]) -> None:
        """Take up where ``save`` left off."""
        super().load(saved)
        carried = saved["carried"]
        assert isinstance(carried, tuple)
        self.request, self._number, self._fetched = carried

    def command(self, value: int) -> None:
        """Begin a command; what an earlier one has read is read again."""
        if not self.status & BSY:
            self._fetched = (0, b"")
        super().command(value)

    def _go_on(self) -> None:
        self.request = None
        self.due = self._clock.now()
        self._clock.refresh()

    def _start(self, step: str, nanoseconds: int) -> None:
        super()._start(step, nanoseconds)
        self.request = None
        if step == "_store":
            self._ask(True, len(self._buffer) // SECTOR_BYTES, bytes(self._buffer))
        elif step == "_give_block" and not self._has(self._block, self._chunk):
            self._ask(False, min(max(self._chunk, MOST_SECTORS), self._left), b"")

    def _ask(self, write: bool, count: int, data: bytes) -> None:
        count = min(count, self.disk.sectors - self._block)
        if count > 0:
            self._number += 1
            self.request = Request(self._number, write, self._block, count, data)
            self.due = None

    def _has(self, block: int, count: int) -> bool:
        first, data = self._fetched
        return first <= block and (block + count - first) * SECTOR_BYTES <= len(data)

    def _fetch(self, block: int) -> bytes:
        first, data = self._fetched
        start = (block - first) * SECTOR_BYTES
        return data[start : start + SECTOR_BYTES]

    def _keep(self, block: int, data: bytes) -> None:
        """The kernel has written it."""
