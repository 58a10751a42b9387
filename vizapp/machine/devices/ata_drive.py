"""An ATA drive with programmed I/O: its registers and its commands (ATA/ATAPI-4).

    command ──▶ BSY, while the mechanism works ──▶ DRQ and INTRQ, data ──▶ BSY ──▶ ... ──▶ done

What is to happen when BSY ends is kept as the name of a step, so that a drive can be saved at any moment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from vizapp.machine.clock import Clock
from vizapp.machine.devices.ata_identity import MOST_MULTIPLE, identify
from vizapp.machine.devices.disk import SECTOR_BYTES, Disk, Geometry, default_geometry

BSY, DRDY, DSC, DRQ, ERR = 1 << 7, 1 << 6, 1 << 4, 1 << 3, 1 << 0
IDNF, ABRT = 1 << 4, 1 << 2
SELECT_LBA, SELECT_DEVICE, SELECT_FIXED = 1 << 6, 1 << 4, 0xA0
PASSED = 0x01  # in the error register after a diagnosis
FEATURE, COUNT, SECTOR, LOW, HIGH, SELECT = range(1, 7)
_REGISTERS = 7
_MULTIPLE = (0xC4, 0xC5)
_PIO_MODES = (0x00, 0x01, *range(0x08, 0x0D))
_FEATURES = (0x02, 0x82, 0x55, 0xAA, 0x66, 0xCC)  # caches on and off, defaults


class Timing(NamedTuple):
    """How long the mechanism takes, in nanoseconds; by default as a desktop drive of 2005.

    A drive reads ahead: the ``cache`` sectors behind the last one that it had to seek are soon in its cache.
    """

    command: int = 50_000
    shortest_seek: int = 1_000_000
    longest_seek: int = 15_000_000
    half_turn: int = 4_166_667  # at 7200 a minute
    sector: int = 10_000  # under the head, or from the cache
    cache: int = 16_384


class Drive:
    """One drive. ``serial`` is its number, ``timing`` how fast it is.

    Attributes:
        status: the status register.
        interrupt: whether it asks for INTRQ.
        due: the cycle at which BSY ends, None while it does nothing.
        on_transfer: told (whether to write, first sector, how many) when a transfer has been commanded.
    """

    _STATE = (
        "status", "interrupt", "due", "_error", "_registers", "_next", "_command", "_block", "_left",
        "_position", "_multiple", "_geometry", "_head", "_cached",
    )  # fmt: skip

    def __init__(self, disk: Disk, clock: Clock, serial: str, timing: Timing) -> None:
        self.disk = disk
        self.status = DRDY | DSC
        self.interrupt = False
        self.due: int | None = None
        self.on_transfer: Callable[[bool, int, int], None] | None = None
        self._clock = clock
        self._serial = serial
        self._timing = timing
        self._error = PASSED
        self._registers = (0,) * _REGISTERS
        self._next = ""
        self._command = 0
        self._block = 0  # the next sector to be read or written
        self._left = 0  # sectors of the command still to go, those in the buffer included
        self._buffer = bytearray()
        self._position = 0
        self._multiple = 0
        self._geometry = default_geometry(disk.sectors)
        self._head = 0  # the sector that passes under the head next
        self._cached = (0, 0)  # the sectors from one on and below another
        self.set_signature()

    def set_signature(self) -> None:
        """What the registers hold after a reset or a diagnosis: the mark of a drive that is not ATAPI."""
        self._registers = (0, 0, 1, 1, 0, 0, 0)
        self._error = PASSED

    def reset(self) -> None:
        """Come out of a reset: a diagnosis, without an interrupt."""
        self.interrupt = False
        self._start("_end_reset", self._timing.command)

    def halt(self) -> None:
        """Go into a reset and stay there."""
        self._start("_end_reset", 0)
        self.due = None

    def register(self, index: int) -> int:
        """The error register (1) or another one."""
        if index == FEATURE:
            return self._error
        return self._registers[index] | (SELECT_FIXED if index == SELECT else 0)

    def set_register(self, index: int, value: int) -> None:
        """Write one of the registers before the command register; a drive that is busy ignores it."""
        if not self.status & (BSY | DRQ) or index == SELECT:
            self._registers = (*self._registers[:index], value, *self._registers[index + 1 :])

    def advance(self, cycles: int) -> None:
        """End BSY if its time is over."""
        if self.due is not None and cycles >= self.due:
            self.finish()

    def finish(self) -> None:
        """End BSY now."""
        if self.due is None:
            return
        self.due = None
        self.status &= ~BSY
        getattr(self, self._next)()

    def command(self, value: int) -> None:
        """Begin a command."""
        if self.status & BSY:
            return
        self.interrupt = False
        self.status = DRDY | DSC
        self._error = 0
        self._command = value
        time = self._timing.command
        match value:
            case 0x20 | 0x21 | 0xC4 | 0x30 | 0x31 | 0xC5 | 0x40 | 0x41:
                self._begin_transfer(value)
            case 0xEC:
                self._start("_give_identity", time)
            case 0xC6:
                self._start("_set_multiple", time)
            case 0x91:
                self._start("_set_geometry", time)
            case 0xEF:
                self._start("_set_features", time)
            case 0x90:
                self._start("_diagnose", time)
            case 0xE5:
                self._start("_tell_power", time)
            case _ if value & 0xF0 == 0x10:
                self._start("_complete", self._seek(0))
                self._head = 0
            case _ if value & 0xF0 == 0x70:
                self._begin_seek()
            case 0xE0 | 0xE1 | 0xE2 | 0xE3 | 0xE7:  # standby, idle, flush: nothing is held back
                self._start("_complete", time)
            case _:
                self._start("_abort", time)

    def read_data(self, size: int) -> int:
        """``size`` bytes from the data register."""
        if not self.status & DRQ or not self._reads:
            return (1 << 8 * size) - 1
        value = int.from_bytes(self._buffer[self._position : self._position + size], "little")
        self._position += size
        if self._position >= len(self._buffer):
            self.status &= ~DRQ
            self._end_of_block()
        return value

    def write_data(self, size: int, value: int) -> None:
        """``size`` bytes into the data register."""
        if not self.status & DRQ or self._reads:
            return
        self._buffer[self._position : self._position + size] = value.to_bytes(size, "little")
        self._position += size
        if self._position >= len(self._buffer):
            self.status &= ~DRQ
            count = len(self._buffer) // SECTOR_BYTES
            self._start("_store", count * self._timing.sector)

    def save(self) -> dict[str, object]:
        """Registers, buffer and what was written to the disk, as plain data."""
        state = tuple(getattr(self, name) for name in self._STATE)
        return {"state": state, "buffer": bytes(self._buffer), "disk": self.disk.save()}

    def load(self, saved: Mapping[str, object]) -> None:
        """Take up where ``save`` left off."""
        state, buffer, disk = saved["state"], saved["buffer"], saved["disk"]
        assert isinstance(state, tuple)
        assert isinstance(buffer, bytes)
        assert isinstance(disk, Mapping)
        for name, value in zip(self._STATE, state, strict=True):
            setattr(self, name, value)
        self._geometry = Geometry(*self._geometry)
        self._buffer = bytearray(buffer)
        self.disk.load(disk)

    @property
    def _reads(self) -> bool:
        return self._command in (0x20, 0x21, 0xC4, 0xEC)

    @property
    def _count(self) -> int:
        return self._registers[COUNT] or 256

    @property
    def _chunk(self) -> int:
        """Sectors to be transferred before the next interrupt."""
        return min(self._left, self._multiple) if self._command in _MULTIPLE else 1

    def _start(self, step: str, nanoseconds: int) -> None:
        self.status = self.status & ~DRQ | BSY
        self._next = step
        self.due = self._clock.now() + nanoseconds * self._clock.hertz // 1_000_000_000

    def _seek(self, block: int) -> int:
        """How long it takes until a sector is there; it, and what follows, is then in the cache."""
        timing = self._timing
        first, end = self._cached
        if block == self._head or first <= block < end:
            return timing.command + timing.sector
        self._cached = (block, block + timing.cache)
        span = timing.longest_seek - timing.shortest_seek
        move = timing.shortest_seek + span * abs(block - self._head) // self.disk.sectors
        return timing.command + move + timing.half_turn + timing.sector

    def _address(self) -> int | None:
        """The logical block that the registers name, None if there is none."""
        _, _, _, sector, low, high, select = self._registers
        if select & SELECT_LBA:
            return (select & 0x0F) << 24 | high << 16 | low << 8 | sector
        return self._geometry.block(high << 8 | low, select & 0x0F, sector)

    def _show_address(self, block: int) -> None:
        select = self._registers[SELECT]
        if select & SELECT_LBA:
            sector, low, high, top = block & 0xFF, block >> 8 & 0xFF, block >> 16 & 0xFF, block >> 24 & 0x0F
        else:
            track, sector = divmod(block, self._geometry.sectors)
            cylinder, top = divmod(track, self._geometry.heads)
            sector, low, high = sector + 1, cylinder & 0xFF, cylinder >> 8 & 0xFF
        self._registers = (*self._registers[:SECTOR], sector, low, high, select & 0xF0 | top)

    def _begin_transfer(self, command: int) -> None:
        block = self._address()
        if command in _MULTIPLE and not self._multiple:
            self._start("_abort", self._timing.command)
        elif block is None or block >= self.disk.sectors:
            self._start("_not_found", self._timing.command)
        else:
            self._block, self._left = block, self._count
            if self.on_transfer is not None and command not in (0x40, 0x41):
                self.on_transfer(command in (0x30, 0x31, 0xC5), block, self._count)
            if command in (0x30, 0x31, 0xC5):
                # The cache takes data at once; drivers that do not wait for DRQ rely on it.
                self._take_block()
            elif command in (0x40, 0x41):
                self._start("_verify", self._seek(block) + (self._left - 1) * self._timing.sector)
            else:
                self._start("_give_block", self._seek(block) + (self._chunk - 1) * self._timing.sector)

    def _begin_seek(self) -> None:
        block = self._address()
        if block is None or block >= self.disk.sectors:
            self._start("_not_found", self._timing.command)
        else:
            self._start("_complete", self._seek(block))
            self._head = block

    def _offer(self, buffer: bytearray) -> None:
        self._buffer, self._position = buffer, 0
        self.status |= DRQ

    def _give_block(self) -> None:
        end = self._block + self._chunk
        if end > self.disk.sectors:
            self._show_address(self.disk.sectors)
            self._not_found()
            return
        self._offer(bytearray(b"".join(self._fetch(block) for block in range(self._block, end))))
        self._head = end
        self.interrupt = True

    def _give_identity(self) -> None:
        self._left = 1
        data = identify(self.disk.sectors, self._geometry, self._multiple, self._serial)
        self._offer(bytearray(data))
        self.interrupt = True

    def _take_block(self) -> None:
        if self._block + self._chunk > self.disk.sectors:
            self._show_address(self.disk.sectors)
            self._not_found()
            return
        # The first block is asked for without an interrupt.
        self._offer(bytearray(self._chunk * SECTOR_BYTES))

    def _end_of_block(self) -> None:
        """The host has read the buffer."""
        if self._command == 0xEC:
            self._left = 0
            return
        self._pass(len(self._buffer) // SECTOR_BYTES)
        if self._left:
            self._start("_give_block", self._chunk * self._timing.sector)

    def _store(self) -> None:
        """The host has filled the buffer."""
        count = len(self._buffer) // SECTOR_BYTES
        for index in range(count):
            start = index * SECTOR_BYTES
            self._keep(self._block + index, bytes(self._buffer[start : start + SECTOR_BYTES]))
        self._head = self._block + count
        self._pass(count)
        if self._left:
            self._take_block()
        self.interrupt = True

    def _fetch(self, block: int) -> bytes:
        return self.disk.read(block)

    def _keep(self, block: int, data: bytes) -> None:
        self.disk.write(block, data)

    def _verify(self) -> None:
        good = min(self._left, self.disk.sectors - self._block)
        self._head = self._block + good
        self._pass(good)
        if self._left:
            self._show_address(self.disk.sectors)
            self._not_found()
        else:
            self._complete()

    def _pass(self, count: int) -> None:
        """``count`` sectors are done; the registers show the last one and how many are left."""
        self._block += count
        self._left -= count
        self._show_address(self._block - 1)
        self._registers = (*self._registers[:COUNT], self._left & 0xFF, *self._registers[COUNT + 1 :])

    def _set_multiple(self) -> None:
        count = self._registers[COUNT]
        if count > MOST_MULTIPLE or count & count - 1:
            self._abort()
        else:
            self._multiple = count
            self._complete()

    def _set_geometry(self) -> None:
        heads, sectors = (self._registers[SELECT] & 0x0F) + 1, self._registers[COUNT]
        if not sectors:
            self._abort()
        else:
            cylinders = min(self.disk.sectors // (heads * sectors), 0xFFFF)
            self._geometry = Geometry(cylinders, heads, sectors)
            self._complete()

    def _set_features(self) -> None:
        feature, count = self._registers[FEATURE], self._registers[COUNT]
        known = feature in _FEATURES or (feature == 0x03 and count in _PIO_MODES)
        (self._complete if known else self._abort)()

    def _diagnose(self) -> None:
        self.set_signature()
        self._complete()

    def _tell_power(self) -> None:
        self._registers = (*self._registers[:COUNT], 0xFF, *self._registers[COUNT + 1 :])  # active
        self._complete()

    def _end_reset(self) -> None:
        self.status = DRDY | DSC
        self._left = self._multiple = 0
        self.set_signature()

    def _complete(self) -> None:
        self.interrupt = True

    def _abort(self) -> None:
        self._fail(ABRT)

    def _not_found(self) -> None:
        self._fail(IDNF)

    def _fail(self, error: int) -> None:
        self._error = error
        self._left = 0
        self.status |= ERR
        self.interrupt = True
