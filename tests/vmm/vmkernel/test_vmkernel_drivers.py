"""The VMkernel's drivers on a machine: frames to and from the line, sectors to and from the disk."""

from __future__ import annotations

from struct import pack

import pytest

from vizapp.machine.devices.ide import IDE_IRQ
from vizapp.machine.devices.lance import LANCE_IRQ, RINT, TINT
from vizapp.machine.devices.station import FETCH, REPORT, SEND, STATION_MAC, STATION_TYPE
from vizapp.machine.features import Features
from vizapp.machine.inputs import NAMES
from vizapp.machine.meter import Purpose
from vizapp.machine.pc import Pc
from vizapp.vmm.bill import Bill
from vizapp.vmm.frame_allocator import FrameAllocator
from vizapp.vmm.vmkernel.disk_driver import DiskDriver
from vizapp.vmm.vmkernel.lance_driver import OWNER, PAGES, TRANSMIT, LanceDriver

HERTZ = 100_000_000
MAC = bytes.fromhex("000c29fffffe")
GUEST = bytes.fromhex("000c29000001")
DISK = bytes(index * 7 & 0xFF for index in range(512 * 64))


def machine() -> Pc:
    features = Features(disks=(DISK,), mac=MAC, station=True, apic=False, large_pages=False)
    return Pc(dict.fromkeys(NAMES, 10), 4 << 20, HERTZ, features=features)


class Driven:
    """A machine whose adapter a driver has, and the frames of memory that it may use."""

    def __init__(self) -> None:
        self.pc = machine()
        self.frames = FrameAllocator(0x100, 0x200)
        self.bill = Bill(self.pc, {})
        self.bill.purpose = Purpose.IO
        self.driver = LanceDriver(self.pc, self.frames, self.bill)
        self.used: list[int] = []
        self.pc.board.watch_dma(lambda frame, write: self.used.append(frame))
        self.driver.start()

    def wait(self) -> int:
        """Until the adapter interrupts; why."""
        assert wait_for(self.pc, LANCE_IRQ)
        return self.driver.acknowledge()


def wait_for(pc: Pc, line: int) -> bool:
    """Let time pass until a line of the second controller has risen, and take the request."""
    bit, controller = 1 << line - 8, pc.board.pic.slave
    for _ in range(100_000):
        pc.board.advance()
        if controller.irr & bit:
            controller.irr &= ~bit
            return True
        pc.meter.charge("idle_cycle", 100)
    return False


def ask(operation: int, number: int = 0, count: int = 0, size: int = 0, data: bytes = b"") -> bytes:
    head = STATION_MAC + GUEST + STATION_TYPE + pack("<H3I", operation, number, count, size)
    return (head + data).ljust(60, b"\0")


def test_frames_arrive_and_come_back_for_an_address_that_is_not_the_adapters() -> None:
    driven = Driven()
    driver = driven.driver
    for number in range(3):
        driver.send(ask(SEND, number, data=bytes([number]) * 1000))
    assert driver.in_flight == 3
    while driver.in_flight:
        assert driven.wait() & TINT
        driver.reclaim()
    driver.send(ask(REPORT))
    while not (causes := driven.wait()) & RINT:
        assert causes
    report = driver.fetch()
    assert report is not None
    assert report[:6] == GUEST
    assert int.from_bytes(report[20:24], "little") == 3
    assert driver.fetch() is None


def test_forty_frames_go_through_a_ring_of_thirty_two() -> None:
    driven = Driven()
    driver = driven.driver
    driver.send(ask(FETCH, 0, 40, 300))
    numbers = []
    while len(numbers) < 40:
        driven.wait()
        driver.reclaim()
        while (frame := driver.fetch()) is not None:
            assert len(frame) == 300
            assert frame[28:] == bytes(numbers_of(len(numbers)))
            numbers.append(int.from_bytes(frame[16:20], "little"))
    assert numbers == list(range(40))


def numbers_of(frame: int) -> list[int]:
    """What the station puts into a frame behind its head."""
    return [frame + index & 0xFF for index in range(28, 300)]


def test_the_adapter_reaches_the_drivers_own_frames_only() -> None:
    driven = Driven()
    driven.driver.send(ask(FETCH, 0, 4, 1514))
    for _ in range(5):
        driven.wait()
    own = {frame for frame in range(0x100, 0x200) if driven.frames.owner(frame) == OWNER}
    assert len(own) == PAGES
    assert set(driven.used) <= own


def test_a_full_ring_has_room_again_when_frames_have_left() -> None:
    driven = Driven()
    for _ in range(TRANSMIT):
        assert driven.driver.room
        driven.driver.send(ask(SEND))
    assert not driven.driver.room
    driven.wait()
    assert driven.driver.reclaim()
    assert driven.driver.room


def test_each_access_to_a_port_is_paid_for_as_input_and_output() -> None:
    driven = Driven()
    before = driven.pc.meter.by_purpose()[Purpose.IO]
    driven.driver.send(ask(SEND))
    assert driven.pc.meter.by_purpose()[Purpose.IO] - before == 10 * (1 + 2 * 15 + 3)


def disk() -> tuple[Pc, DiskDriver]:
    pc = machine()
    return pc, DiskDriver(pc, Bill(pc, {}))


def serve(pc: Pc, driver: DiskDriver) -> bytes:
    """Until the transfer is over; what was read."""
    while True:
        assert wait_for(pc, IDE_IRQ)
        over = driver.serve()
        if over is not None:
            assert over[1]
            return over[0].data


@pytest.mark.parametrize(("first", "count"), [(0, 1), (5, 3), (48, 16)])
def test_sectors_are_read(first: int, count: int) -> None:
    pc, driver = disk()
    driver.start(False, first, count)
    assert serve(pc, driver) == DISK[512 * first : 512 * (first + count)]
    assert driver.transfer is None


def test_sectors_are_written_and_the_others_stay() -> None:
    pc, driver = disk()
    data = bytes(range(256)) * 6
    driver.start(True, 10, 3, data)
    serve(pc, driver)
    driver.start(False, 9, 5)
    assert serve(pc, driver) == DISK[512 * 9 : 512 * 10] + data + DISK[512 * 13 : 512 * 14]


def test_a_sector_that_is_not_there_is_told() -> None:
    pc, driver = disk()
    driver.start(False, 64, 1)
    assert wait_for(pc, IDE_IRQ)
    over = driver.serve()
    assert over is not None
    assert not over[1]
    assert driver.transfer is None


def test_an_interrupt_that_nobody_waits_for_is_taken() -> None:
    pc, driver = disk()
    assert driver.serve() is None
    assert driver.transfer is None
    assert not wait_for(pc, IDE_IRQ)
