"""An IDE channel: two ATA drives on one set of ports and one interrupt line (ATA/ATAPI-4).

           1F0 data       1F2 count   1F4 cylinder low or LBA 15-8    1F6 | 1 LBA 1 DEV | head or LBA 27-24 |
    read   1F1 error      1F3 sector  1F5 cylinder high or LBA 23-16  1F7 status
    write  1F1 features       or LBA 7-0                              1F7 command
    3F6 read alternate status, write device control | 0 0 0 0 | 1 SRST nIEN 0 |

Both drives hear every write; the selected one answers and interrupts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from vizapp.machine.clock import Clock
from vizapp.machine.devices.ata_drive import BSY, DRQ, SELECT, SELECT_DEVICE, Drive, Timing
from vizapp.machine.devices.disk import Disk
from vizapp.machine.devices.pit import ReadTime

IDE_PORTS = range(0x1F0, 0x1F8)
IDE_CONTROL_PORTS = range(0x3F6, 0x3F7)
IDE_IRQ = 14
DATA, COMMAND = 0, 7
CONTROL_SRST = 1 << 2
CONTROL_NIEN = 1 << 1
DIAGNOSE = 0x90


class IdeChannel:
    """The primary channel with one or two disks. A port device that takes wide accesses, and a timed device.

    ``irq`` is called with the level of IRQ14. The status register, which depends on time, is read through
    ``read_time`` (source ``ide-status``): when a replayer says that BSY is over, it is.
    """

    def __init__(
        self,
        clock: Clock,
        irq: Callable[[bool], None],
        disks: Sequence[Disk],
        read_time: ReadTime | None = None,
        timing: Timing | None = None,
        kind: type[Drive] = Drive,
    ) -> None:
        if not 1 <= len(disks) <= 2:
            raise ValueError(f"a channel has one or two disks, not {len(disks)}")
        timing = timing or Timing()
        self.drives = tuple(
            kind(disk, clock, f"VIZAPP{number:04}", timing) for number, disk in enumerate(disks, 1)
        )
        self._clock = clock
        self._irq = irq
        self._read_time = read_time
        self._selected = 0
        self._control = 0
        self._line = False
        clock.register(self)

    def read_port(self, port: int) -> int:
        """IN of a byte from 1F0h-1F7h or 3F6h."""
        self.advance(self._clock.now())
        if port in IDE_CONTROL_PORTS:
            return self._status()
        index = port - IDE_PORTS.start
        if index == DATA:
            return self.read_wide(port, 2) & 0xFF
        if index != COMMAND:
            return (self._drive or self.drives[0]).register(index)
        status = self._status()
        if self._drive is not None:
            self._drive.interrupt = False
        self._update()
        return status

    def write_port(self, port: int, value: int) -> None:
        """OUT of a byte to 1F0h-1F7h or 3F6h."""
        self.advance(self._clock.now())
        index = port - IDE_PORTS.start
        if port in IDE_CONTROL_PORTS:
            self._set_control(value)
        elif index == DATA:
            self.write_wide(port, 2, value)
        elif index == COMMAND:
            self._command(value)
        else:
            if index == SELECT:
                self._selected = int(bool(value & SELECT_DEVICE))
            for drive in self.drives:
                drive.set_register(index, value)
        self._update()

    def read_wide(self, port: int, size: int) -> int:
        """IN of 2 or 4 bytes from the data register."""
        self.advance(self._clock.now())
        drive = self._drive
        if drive is None:
            return (1 << 8 * size) - 1
        value = drive.read_data(size)
        self._moved(drive)
        return value

    def write_wide(self, port: int, size: int, value: int) -> None:
        """OUT of 2 or 4 bytes to the data register."""
        self.advance(self._clock.now())
        if self._drive is not None:
            self._drive.write_data(size, value)
            self._moved(self._drive)

    def next_event(self, cycles: int) -> int | None:
        """The first cycle at which a drive ceases to be busy."""
        return min((drive.due for drive in self.drives if drive.due is not None), default=None)

    def advance(self, cycles: int) -> None:
        """Let the drives do what is due."""
        for drive in self.drives:
            drive.advance(cycles)
        self._drive_line()

    def save(self) -> dict[str, object]:
        """The channel and its drives, as plain data."""
        state = (self._selected, self._control, self._line)
        return {"state": state, "drives": tuple(drive.save() for drive in self.drives)}

    def load(self, saved: Mapping[str, object]) -> None:
        """Take up where ``save`` left off, without driving the interrupt line."""
        state, drives = saved["state"], saved["drives"]
        assert isinstance(state, tuple)
        assert isinstance(drives, tuple)
        self._selected, self._control, self._line = state
        for drive, saved_drive in zip(self.drives, drives, strict=True):
            drive.load(saved_drive)
        self._clock.refresh()

    @property
    def _drive(self) -> Drive | None:
        return self.drives[self._selected] if self._selected < len(self.drives) else None

    def _status(self) -> int:
        drive = self._drive
        if drive is None:
            return 0  # drive 0 answers for a drive 1 that is not there
        value = drive.status
        if self._read_time is not None:
            value = self._read_time("ide-status", value)
            if drive.status & BSY and not value & BSY:
                drive.finish()
                self._update()
        return value

    def _command(self, value: int) -> None:
        if value == DIAGNOSE:
            self._selected = 0
            for drive in self.drives:
                drive.command(value)
        elif self._drive is not None:
            self._drive.command(value)

    def _set_control(self, value: int) -> None:
        for drive in self.drives:
            if value & CONTROL_SRST:
                drive.halt()
            elif self._control & CONTROL_SRST:
                drive.reset()
        if value & CONTROL_SRST:
            self._selected = 0
        self._control = value

    def _update(self) -> None:
        self._drive_line()
        self._clock.refresh()

    def _moved(self, drive: Drive) -> None:
        """Data has gone through the register; but at the end of a block that makes no difference to time."""
        if drive.status & DRQ:
            self._drive_line()
        else:
            self._update()

    def _drive_line(self) -> None:
        drive = self._drive
        line = drive is not None and drive.interrupt and not self._control & CONTROL_NIEN
        if line != self._line:
            self._line = line
            self._irq(line)
