"""IDE against ATA/ATAPI-4: PIO protocols, addressing, identification, errors, resets, time."""

from __future__ import annotations

import pytest

from vizapp.machine.clock import Clock
from vizapp.machine.devices.ata_drive import Timing
from vizapp.machine.devices.disk import Disk, default_geometry
from vizapp.machine.devices.ide import IdeChannel

HERTZ = 1_000_000_000
SECTORS = 3 * 16 * 63
READY, BUSY, DRQ, ERROR = 0x50, 0x80, 0x08, 0x01


def pattern(block: int) -> bytes:
    return block.to_bytes(4, "little") * 128


class Machine:
    def __init__(self, disks: int = 1, timing: Timing | None = None) -> None:
        self.cycles = 0
        self.levels: list[bool] = []
        self.clock = Clock(HERTZ, lambda: self.cycles)
        contents = b"".join(pattern(block) for block in range(SECTORS))
        drives = [Disk(contents) for _ in range(disks)]
        self.ide = IdeChannel(self.clock, self.levels.append, drives, timing=timing)

    def out(self, *values: tuple[int, int]) -> None:
        for port, value in values:
            self.ide.write_port(port, value)

    def status(self) -> int:
        return self.ide.read_port(0x3F6)

    def wait(self) -> int:
        while self.clock.deadline() is not None:
            self.cycles = self.clock.due
            self.clock.advance()
        return self.status()

    def command(self, command: int, lba: int = 0, count: int = 1, drive: int = 0, feature: int = 0) -> int:
        self.out((0x1F6, 0xE0 | drive << 4 | lba >> 24), (0x1F1, feature), (0x1F2, count & 0xFF))
        self.out((0x1F3, lba & 0xFF), (0x1F4, lba >> 8 & 0xFF), (0x1F5, lba >> 16 & 0xFF), (0x1F7, command))
        return self.status()

    def read(self, size: int = 512, width: int = 2) -> bytes:
        return b"".join(
            self.ide.read_wide(0x1F0, width).to_bytes(width, "little") for _ in range(size // width)
        )

    def write(self, data: bytes) -> None:
        for index in range(0, len(data), 2):
            self.ide.write_wide(0x1F0, 2, int.from_bytes(data[index : index + 2], "little"))


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def pair() -> Machine:
    return Machine(disks=2)


def test_reading_a_sector(machine):
    assert machine.command(0x20, 1000) & BUSY
    assert machine.levels == []
    assert machine.wait() == READY | DRQ
    assert machine.levels == [True]
    assert machine.read() == pattern(1000)
    assert machine.ide.read_port(0x1F7) == READY
    assert machine.levels == [True, False]


def test_reading_several_sectors_interrupts_for_each(machine):
    machine.command(0x20, 5, count=3)
    for block in (5, 6, 7):
        assert machine.wait() == READY | DRQ
        machine.ide.read_port(0x1F7)
        assert machine.read(width=4) == pattern(block)
    assert machine.status() == READY
    assert machine.levels == [True, False] * 3
    assert [machine.ide.read_port(0x1F0 + index) for index in (2, 3, 4, 5)] == [0, 7, 0, 0]


def test_a_count_of_zero_is_256(machine):
    machine.command(0x20, 0, count=256)
    for block in range(256):
        assert machine.wait() & DRQ
        assert machine.read() == pattern(block)
    assert machine.status() == READY


def test_read_multiple(machine):
    assert machine.command(0xC4, 0) & BUSY
    assert machine.wait() == READY | ERROR
    assert machine.ide.read_port(0x1F1) == 0x04
    machine.command(0xC6, count=4)
    assert machine.wait() == READY
    machine.levels.clear()
    machine.ide.read_port(0x1F7)
    machine.command(0xC4, 10, count=6)
    blocks = []
    for size in (4, 2):
        assert machine.wait() & DRQ
        machine.ide.read_port(0x1F7)
        blocks.append(machine.read(512 * size))
        assert not machine.status() & DRQ
    assert b"".join(blocks) == b"".join(map(pattern, range(10, 16)))
    assert machine.levels.count(True) == 2


def test_writing(machine):
    machine.command(0x30, 20, count=2)
    assert machine.wait() == READY | DRQ
    assert machine.levels == []  # the first sector is asked for silently
    machine.write(b"\xaa" * 512)
    assert machine.status() & BUSY
    assert machine.wait() == READY | DRQ
    assert machine.levels == [True]
    machine.ide.read_port(0x1F7)
    machine.write(b"\xbb" * 512)
    assert machine.wait() == READY
    assert machine.levels == [True, False, True]
    disk = machine.ide.drives[0].disk
    assert [disk.read(block)[:1] for block in (20, 21, 22)] == [b"\xaa", b"\xbb", pattern(22)[:1]]


def test_write_multiple(machine):
    machine.command(0xC6, count=16)
    machine.wait()
    machine.command(0xC5, 30, count=20)
    for size in (16, 4):
        assert machine.wait() & DRQ
        machine.write(bytes([size]) * 512 * size)
    assert machine.wait() == READY
    disk = machine.ide.drives[0].disk
    assert [disk.read(block)[0] for block in (30, 45, 46, 49, 50)] == [16, 16, 4, 4, 50]


def test_cylinders_heads_and_sectors(machine):
    geometry = default_geometry(SECTORS)
    assert geometry == (3, 16, 63)
    machine.out((0x1F6, 0xA0 | 5), (0x1F2, 1), (0x1F3, 7), (0x1F4, 2), (0x1F5, 0), (0x1F7, 0x20))
    machine.wait()
    assert machine.read() == pattern((2 * 16 + 5) * 63 + 6)
    machine.out((0x1F6, 0xA0 | 3), (0x1F2, 17), (0x1F7, 0x91))  # 4 heads of 17 sectors
    machine.wait()
    machine.out((0x1F6, 0xA0 | 3), (0x1F2, 1), (0x1F3, 17), (0x1F4, 1), (0x1F7, 0x20))
    machine.wait()
    assert machine.read() == pattern((1 * 4 + 3) * 17 + 16)
    machine.out((0x1F6, 0xA0), (0x1F3, 18), (0x1F7, 0x20))
    assert machine.wait() & ERROR


def test_identification(machine):
    machine.command(0xEC)
    assert machine.wait() == READY | DRQ
    assert machine.levels == [True]
    data = machine.read()
    words = [int.from_bytes(data[index : index + 2], "little") for index in range(0, 512, 2)]
    assert (words[1], words[3], words[6]) == (3, 16, 63)
    assert words[60] | words[61] << 16 == SECTORS
    assert words[49] & 0x200
    assert words[47] & 0xFF == 16
    model = b"".join(word.to_bytes(2, "big") for word in words[27:47])
    assert model.rstrip() == b"VIZAPP HARDDISK"
    assert machine.status() == READY


@pytest.mark.parametrize(
    ("command", "lba", "count", "error"),
    [(0x20, SECTORS, 1, 0x10), (0x30, SECTORS, 1, 0x10), (0x40, SECTORS - 1, 2, 0x10), (0xA1, 0, 1, 0x04),
     (0xC6, 0, 3, 0x04), (0xC6, 0, 32, 0x04), (0xC8, 0, 1, 0x04), (0x00, 0, 0, 0x04)],
)  # fmt: skip
def test_errors(machine, command, lba, count, error):
    machine.command(command, lba, count)
    assert machine.wait() == READY | ERROR
    assert machine.ide.read_port(0x1F1) == error
    assert machine.levels == [True]
    machine.command(0xE7)
    assert machine.wait() == READY


def test_a_transfer_ends_where_the_disk_does(machine):
    machine.command(0x20, SECTORS - 1, count=2)
    assert machine.wait() & DRQ
    assert machine.read() == pattern(SECTORS - 1)
    assert machine.wait() == READY | ERROR
    assert machine.ide.read_port(0x1F3) == SECTORS & 0xFF


@pytest.mark.parametrize(
    ("command", "feature", "count"),
    [
        *((command, 0, 0) for command in (0x10, 0x70, 0xE0, 0xE1, 0xE5, 0xE7)),
        *((0xEF, feature, 0) for feature in (0x02, 0x82, 0x55, 0xAA)),
        (0x40, 0, 5),
        (0xC6, 0, 8),
        (0xEF, 0x03, 0x0C),
    ],
)
def test_commands_without_data(machine, command, feature, count):
    assert machine.command(command, count=count, feature=feature) & BUSY
    assert machine.wait() == READY
    assert machine.levels == [True]


def test_features_that_are_not_there(machine):
    for feature, count in ((0x03, 0x42), (0x05, 0)):
        machine.command(0xEF, feature=feature, count=count)
        assert machine.wait() & ERROR


def test_two_drives_keep_apart(pair):
    pair.command(0x30, 3, drive=1)
    pair.wait()
    pair.write(b"\x11" * 512)
    pair.wait()
    first, second = (drive.disk.read(3) for drive in pair.ide.drives)
    assert (first, second) == (pattern(3), b"\x11" * 512)
    assert pair.levels == [True]
    pair.out((0x1F6, 0xE0))
    assert pair.levels == [True, False]  # drive 0 asks for nothing
    pair.out((0x1F6, 0xF0))
    assert pair.levels == [True, False, True]


def test_a_drive_that_is_not_there_answers_zero(machine):
    machine.out((0x1F6, 0xF0))
    assert machine.status() == 0
    machine.out((0x1F7, 0xEC))
    assert machine.clock.deadline() is None
    assert machine.ide.read_wide(0x1F0, 2) == 0xFFFF


def test_a_diagnosis_and_the_signature(pair):
    pair.out((0x1F6, 0xF0), (0x1F7, 0x90))
    assert pair.wait() == READY
    assert pair.levels == [True]
    assert [pair.ide.read_port(0x1F0 + index) for index in range(1, 7)] == [1, 1, 1, 0, 0, 0xA0]


def test_a_software_reset(machine):
    machine.command(0x20, 9)
    machine.out((0x3F6, 0x04))
    assert machine.status() & BUSY
    assert machine.clock.deadline() is None
    machine.out((0x3F6, 0x00))
    assert machine.status() & BUSY
    assert machine.wait() == READY
    assert machine.levels == []
    assert machine.ide.read_port(0x1F2) == 1


def test_nien_holds_the_line_back(machine):
    machine.out((0x3F6, 0x02))
    machine.command(0xE7)
    machine.wait()
    assert machine.levels == []
    machine.out((0x3F6, 0x00))
    assert machine.levels == [True]


def test_alternate_status_leaves_the_interrupt(machine):
    machine.command(0xE7)
    machine.wait()
    machine.ide.read_port(0x3F6)
    assert machine.levels == [True]
    machine.ide.read_port(0x1F7)
    assert machine.levels == [True, False]


def test_what_follows_is_faster_than_what_is_far():
    timing = Timing(cache=4)
    machine = Machine(timing=timing)

    def time(lba: int) -> int:
        start = machine.cycles
        machine.command(0x20, lba)
        machine.wait()
        machine.read()
        return machine.cycles - start

    time(100)
    assert time(101) == time(103) == time(101) == timing.command + timing.sector
    near, far = time(110), time(3000)
    assert timing.half_turn < near < far < timing.longest_seek + timing.half_turn + 1_000_000


def test_what_is_loaded_goes_on_as_what_was_saved(machine):
    machine.command(0x20, 40, count=2)
    machine.wait()
    head = machine.read(100)
    saved = machine.ide.save()
    expected = machine.read(412)
    machine.wait()
    expected += machine.read()
    other = Machine()
    other.ide.load(saved)
    found = other.read(412)
    other.wait()
    found += other.read()
    assert found == expected
    assert head + found == pattern(40) + pattern(41)


def test_a_replayer_decides_when_a_drive_is_ready():
    clock = Clock(HERTZ, lambda: 0)
    disk = Disk(pattern(7))
    ide = IdeChannel(clock, lambda level: None, [disk], lambda source, value: READY | DRQ)
    for port, value in ((0x1F6, 0xE0), (0x1F2, 1), (0x1F3, 0), (0x1F4, 0), (0x1F5, 0), (0x1F7, 0x20)):
        ide.write_port(port, value)
    assert ide.read_port(0x1F7) == READY | DRQ
    assert ide.read_wide(0x1F0, 4) == 7


def test_a_drive_takes_the_first_sector_of_a_write_at_once(machine):
    assert machine.command(0x30, 7) == READY | DRQ
    machine.write(b"\x77" * 512)
    assert machine.wait() == READY
    assert machine.ide.drives[0].disk.read(7) == b"\x77" * 512
