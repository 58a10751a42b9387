"""The VMkernel's driver of the machine's disk: programmed I/O with 28-bit addresses (ATA/ATAPI-4).

start ──▶ (READ: the drive interrupts) ──▶ serve: a sector comes ──▶ ... ──▶ done
      ──▶ (WRITE: the first sector goes) ──▶ serve: the next one goes ──▶ ... ──▶ done
"""

from __future__ import annotations

from struct import pack, unpack
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vizapp.machine.devices.ata_drive import (
    BSY,
    COUNT,
    DRQ,
    ERR,
    HIGH,
    LOW,
    SECTOR,
    SELECT,
    SELECT_FIXED,
    SELECT_LBA,
)
from vizapp.machine.devices.disk import SECTOR_BYTES
from vizapp.machine.devices.ide import COMMAND, DATA, IDE_PORTS
from vizapp.machine.meter import Purpose
from vizapp.vmm import ring0

if TYPE_CHECKING:
    from vizapp.machine.pc import Pc
    from vizapp.vmm.bill import Bill

_READ, _WRITE = 0x20, 0x30
_WORDS: Final = SECTOR_BYTES // 2
_MOST_LOOKS: Final = 1000


class Transfer(NamedTuple):
    """What the drive is at: ``sectors`` from ``first`` on, of which ``done`` have been moved.

    ``data`` is what has been read, or all that is to be written.
    """

    write: bool
    first: int
    sectors: int
    done: int
    data: bytes


class DiskDriver:
    """The driver, of one transfer at a time.

    Attributes:
        transfer: the one under way; None: the drive is free.
    """

    def __init__(self, pc: Pc, bill: Bill) -> None:
        self._pc = pc
        self._bill = bill
        self.transfer: Transfer | None = None

    def start(self, write: bool, first: int, sectors: int, data: bytes = b"") -> None:
        """Give the drive a command, and the first sector if it is to write."""
        self.transfer = Transfer(write, first, sectors, 0, data)
        for register, value in (
            (SELECT, SELECT_FIXED | SELECT_LBA | first >> 24),
            (COUNT, sectors & 0xFF),
            (SECTOR, first & 0xFF),
            (LOW, first >> 8 & 0xFF),
            (HIGH, first >> 16 & 0xFF),
            (COMMAND, _WRITE if write else _READ),
        ):
            ring0.outb(self._pc, IDE_PORTS.start + register, value, Purpose.IO)
        if write:
            for _ in range(_MOST_LOOKS):
                status = self._status()
                if not status & BSY and status & (DRQ | ERR):
                    break
            if status & DRQ:
                self._put()

    def serve(self) -> tuple[Transfer, bool] | None:
        """The drive has interrupted: move a sector.

        When the transfer is over: it, and whether all of it was done.
        """
        status = self._status()  # which ends the interrupt
        transfer = self.transfer
        if transfer is None or status & BSY:
            return None  # what nobody waits for
        if status & ERR:
            self.transfer = None
            return transfer, False
        if not transfer.write:
            if not status & DRQ:
                return None
            self._get()
        elif transfer.done < transfer.sectors:
            if status & DRQ:
                self._put()
            return None
        transfer = self.transfer
        assert transfer is not None
        if transfer.done < transfer.sectors:
            return None
        self.transfer = None
        return transfer, True

    def save(self) -> Any:
        """The state outside the drive, as plain data."""
        return self.transfer

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        self.transfer = saved

    def _status(self) -> int:
        return ring0.inb(self._pc, IDE_PORTS.start + COMMAND, Purpose.IO)

    def _get(self) -> None:
        """REP INSW of a sector."""
        transfer, port = self.transfer, IDE_PORTS.start + DATA
        assert transfer is not None
        words = [ring0.inw(self._pc, port, Purpose.IO) for _ in range(_WORDS)]
        self._bill.charge("mon_memory_reference", _WORDS)
        data = transfer.data + pack(f"<{_WORDS}H", *words)
        self.transfer = transfer._replace(done=transfer.done + 1, data=data)

    def _put(self) -> None:
        """REP OUTSW of a sector."""
        transfer, port = self.transfer, IDE_PORTS.start + DATA
        assert transfer is not None
        for word in unpack_sector(transfer.data, transfer.done):
            ring0.outw(self._pc, port, word, Purpose.IO)
        self._bill.charge("mon_memory_reference", _WORDS)
        self.transfer = transfer._replace(done=transfer.done + 1)


def unpack_sector(data: bytes, number: int) -> tuple[int, ...]:
    """The words of a sector of ``data``."""
    start = number * SECTOR_BYTES
    return unpack(f"<{_WORDS}H", data[start : start + SECTOR_BYTES])
