"""The ports of the virtual network adapter and disk, whose devices are VMApp's: what the VMM does itself.

Every access to them comes to the VMM. What it cannot do alone it leaves to VMApp, at the price of two world
switches; the answer then lies in the shared page, and the instruction is carried out with it. Of the first
products' three optimizations (Sugerman et al. 2001) two are here:

    ports         accesses that only read or change a register are done on the registers in the shared page
    combining     a frame that the guest gives to the adapter stays in its ring until the next world switch,
                  or until there are ``MOST_QUEUED``

The data port of the disk is the VMM's in any case: a sector goes through it in the shared page, and VMApp is
asked at its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.machine.devices.ata_drive import DRQ, SELECT_DEVICE, SELECT_FIXED
from vizapp.machine.devices.disk import SECTOR_BYTES
from vizapp.machine.devices.ide import (
    COMMAND,
    CONTROL_NIEN,
    DATA,
    IDE_CONTROL_PORTS,
    IDE_IRQ,
    IDE_PORTS,
)
from vizapp.machine.devices.lance import (
    IENA,
    INIT,
    INTR,
    LANCE_BASE,
    LANCE_IRQ,
    LANCE_PORTS,
    RAP,
    RDP,
    RESET,
    STOP,
    STRT,
    TDMD,
    TXON,
)
from vizapp.vmm.hosted import layout

if TYPE_CHECKING:
    from vizapp.machine.board import Board
    from vizapp.machine.devices.pit import ReadTime
    from vizapp.vmm.base import Hosted
    from vizapp.vmm.hosted.shared import SharedPages

MOST_QUEUED: Final = 3
_ERRORS: Final = 0x7800
_CAUSES: Final = 0x5F00
_CLEARED: Final = 0x7F00
_WRITES: Final = (0x30, 0x31)  # commands that take data


class HostedPorts:
    """What answers at those ports on the virtual board: a port device, and one that takes words whole.

    Attributes:
        answer: what VMApp has answered to the access that is being carried out; None: the VMM does it.
        through: the last access was to the end of a sector: VMApp is to be told (True: it was written).
    """

    def __init__(self, shared: SharedPages, hosted: Hosted, board: Board, read_time: ReadTime) -> None:
        self.answer: int | None = None
        self.through: bool | None = None
        self._shared = shared
        self._hosted = hosted
        self._board = board
        self._read_time = read_time
        self._claimed: frozenset[int] = frozenset()

    def attach(self, *, network: bool, disk: bool) -> None:
        """Claim the ports of those devices that there are."""
        ports = self._board.ports
        if network:
            ports.register(LANCE_PORTS, self)
            ports.register_wide(LANCE_PORTS[RDP:], self)
            self._claimed |= frozenset(LANCE_PORTS)
        if disk:
            ports.register(IDE_PORTS, self)
            ports.register(IDE_CONTROL_PORTS, self)
            ports.register_wide(IDE_PORTS[:1], self)
            self._claimed |= frozenset((*IDE_PORTS, *IDE_CONTROL_PORTS))

    def claims(self, port: int) -> bool:
        """Whether a port is one of those."""
        return port in self._claimed

    def needs_vmapp(self, port: int, size: int, write: bool, value: int) -> bool:
        """Whether VMApp has to be asked to carry out an access."""
        if port == IDE_PORTS.start + DATA:
            return False
        if not self._hosted.ports:
            return True
        if port in LANCE_PORTS:
            return self._adapter_needs(port - LANCE_BASE, size, write, value)
        return write and (port == IDE_PORTS.start + COMMAND or port in IDE_CONTROL_PORTS)

    def read_port(self, port: int) -> int:
        """IN of a byte."""
        return self.read_wide(port, 1) & 0xFF

    def write_port(self, port: int, value: int) -> None:
        """OUT of a byte."""
        self.write_wide(port, 1, value)

    def read_wide(self, port: int, size: int) -> int:
        """IN."""
        if port == IDE_PORTS.start + DATA:
            return self._read_data(size)
        if self.answer is not None:
            value = self.answer
        elif port in LANCE_PORTS:
            value = self._read_adapter(port - LANCE_BASE)
        else:
            value = self._read_disk(port)
        status = port == IDE_PORTS.start + COMMAND or port in IDE_CONTROL_PORTS
        if status and not self._second:  # which of a drive that is there depends on time
            value = self._read_time("ide-status", value & 0xFF)
        return value

    def write_wide(self, port: int, size: int, value: int) -> None:
        """OUT; what VMApp has done is not done again."""
        if port == IDE_PORTS.start + DATA:
            self._write_data(size, value)
        elif self.answer is None:
            if port in LANCE_PORTS:
                self._write_adapter(port - LANCE_BASE, size, value)
            else:
                self._write_disk(port - IDE_PORTS.start, value)

    def drive_lines(self) -> None:
        """Let the virtual interrupt controllers see the lines of VMApp's devices."""
        lines = self._shared.read(layout.LINES)
        for line in (LANCE_IRQ, IDE_IRQ):
            self._board.line(line)(bool(lines >> line & 1))

    def _adapter_needs(self, offset: int, size: int, write: bool, value: int) -> bool:
        if offset == RESET:
            return not write
        if offset != RDP or not write or size == 1:
            return False
        if self._shared.read(layout.RAP):
            return True
        status = self._csr(0)
        if value & STOP or value & (INIT | STRT) & ~status:
            return True
        if not value & TDMD or not status & TXON:
            return False
        return not self._hosted.combining or self._shared.read(layout.QUEUED) + 1 >= MOST_QUEUED

    def _csr(self, number: int) -> int:
        return self._shared.read(layout.CSRS + 2 * number, 2)

    def _status(self) -> int:
        """CSR0 with the two bits that follow from others."""
        value = self._csr(0)
        if value & _ERRORS:
            value |= 0x8000
        return value | (INTR if value & _CAUSES & ~self._csr(3) else 0)

    def _read_adapter(self, offset: int) -> int:
        shared = self._shared
        if offset < RDP:
            return shared.read(layout.PROM + offset)
        number = shared.read(layout.RAP)
        if offset == RDP:
            return self._csr(number) if number else self._status()
        if offset == RAP:
            return number
        return shared.read(layout.BCRS + 2 * number, 2) if number < 8 else 0

    def _write_adapter(self, offset: int, size: int, value: int) -> None:
        shared = self._shared
        if size == 1:
            return
        if offset == RAP:
            shared.write(layout.RAP, value & 0x7F)
        elif offset == RDP:
            status = self._csr(0) & ~(value & _CLEARED) & ~IENA | value & IENA
            shared.write(layout.CSRS, status, 2)
            if value & TDMD and status & TXON:
                shared.write(layout.QUEUED, shared.read(layout.QUEUED) + 1)
            asks = self._status()
            self._set_line(LANCE_IRQ, bool(asks & INTR and asks & IENA))
        elif offset != RESET and (number := shared.read(layout.RAP)) < 8:
            shared.write(layout.BCRS + 2 * number, value, 2)

    def _set_line(self, line: int, high: bool) -> None:
        lines = self._shared.read(layout.LINES) & ~(1 << line)
        self._shared.write(layout.LINES, lines | high << line)
        self._board.line(line)(high)

    def _read_disk(self, port: int) -> int:
        shared, index = self._shared, port - IDE_PORTS.start
        if index < COMMAND:
            value = shared.read(layout.DISK_REGISTERS + 4 * index)
            return value | SELECT_FIXED if index == COMMAND - 1 else value
        value = 0 if self._second else shared.read(layout.DISK_STATUS)
        if index == COMMAND:
            shared.write(layout.DISK_IRQ, 0)
            self._show_disk_line()
        return value

    def _write_disk(self, index: int, value: int) -> None:
        shared = self._shared
        if index == COMMAND - 1 or (index > 1 and not shared.read(layout.DISK_STATUS) & DRQ):
            shared.write(layout.DISK_REGISTERS + 4 * index, value & 0xFF)
        self._show_disk_line()

    def _show_disk_line(self) -> None:
        shared = self._shared
        silent = self._second or bool(shared.read(layout.DISK_CONTROL) & CONTROL_NIEN)
        self._set_line(IDE_IRQ, bool(not silent and shared.read(layout.DISK_IRQ)))

    @property
    def _second(self) -> bool:
        """Whether the drive that is selected is the one that is not there."""
        return bool(self._shared.read(layout.DISK_SELECT) & SELECT_DEVICE)

    def _data(self, *, write: bool) -> int | None:
        """Where in the sector the next datum goes; None where none is asked for."""
        shared = self._shared
        if self._second or not shared.read(layout.DISK_STATUS) & DRQ:
            return None
        if (shared.read(layout.DISK_COMMAND) in _WRITES) is not write:
            return None
        return shared.read(layout.DISK_AT)

    def _read_data(self, size: int) -> int:
        at = self._data(write=False)
        if at is None:
            return (1 << 8 * size) - 1
        value = self._shared.read(layout.DISK_DATA + at, size)
        self._pass(at + size, write=False)
        return value

    def _write_data(self, size: int, value: int) -> None:
        at = self._data(write=True)
        if at is not None:
            self._shared.write(layout.DISK_DATA + at, value, size)
            self._pass(at + size, write=True)

    def _pass(self, at: int, *, write: bool) -> None:
        self._shared.write(layout.DISK_AT, at)
        if at >= SECTOR_BYTES:
            self._shared.write(layout.DISK_STATUS, self._shared.read(layout.DISK_STATUS) & ~DRQ)
            self.through = write
