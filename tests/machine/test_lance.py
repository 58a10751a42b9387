"""The LANCE against its datasheet, two of them on a switch, and the switch's times and order."""

from __future__ import annotations

from struct import pack, unpack_from
from zlib import crc32

import pytest

from vizapp.isa.addresses import HostPhysical
from vizapp.machine.clock import Clock
from vizapp.machine.devices.lance import LANCE_BASE, Lance, address_prom
from vizapp.machine.devices.network import LINE_RATE, Switch, line_time
from vizapp.machine.dma import BusMaster
from vizapp.machine.memory import PhysicalMemory

HERTZ = 100_000_000
RDP, RAP, RESET = (LANCE_BASE + offset for offset in (0x10, 0x12, 0x14))
BLOCK, RECEIVE, TRANSMIT, BUFFERS = 0x1000, 0x1100, 0x1200, 0x2000
OWN, ERR, STP, ENP = 0x8000, 0x4000, 0x0200, 0x0100
INIT, STRT, STOP, TDMD, IENA, INTR, IDON, TINT, RINT, MISS = (
    1,
    2,
    4,
    8,
    0x40,
    0x80,
    0x100,
    0x200,
    0x400,
    0x1000,
)
ALL = b"\xff" * 6


def mac(number: int) -> bytes:
    return bytes([0, 0x0C, 0x29, 0, 0, number])


class World:
    def __init__(self, stations: int = 2) -> None:
        self.cycles = 0
        self.switch = Switch()
        self.clock = Clock(HERTZ, lambda: self.cycles)
        self.stations = [Station(self, number) for number in range(1, stations + 1)]

    def wait(self, microseconds: int = 10_000) -> None:
        end = self.cycles + microseconds * HERTZ // 1_000_000
        while self.clock.due <= end:
            self.cycles = max(self.cycles, self.clock.due)
            self.clock.advance()
        self.cycles = end


class Station:
    def __init__(self, world: World, number: int) -> None:
        self.memory = PhysicalMemory(0x1_0000)
        self.levels: list[bool] = []
        self.mac = mac(number)
        self.lance = Lance(world.clock, self.levels.append, BusMaster(self.memory), self.mac)
        self.lance.cable = world.switch.plug(world.clock)

    def csr(self, number: int, value: int | None = None) -> int:
        self.lance.write_wide(RAP, 2, number)
        if value is None:
            return self.lance.read_wide(RDP, 2)
        self.lance.write_wide(RDP, 2, value)
        return 0

    def start(self, mode: int = 0, logical: int = 0, size: int = 1600) -> None:
        rings = pack("<4H", RECEIVE, 2 << 13, TRANSMIT, 2 << 13)
        self.load(BLOCK, pack("<H6sQ", mode, self.mac, logical) + rings)
        for index in range(4):
            buffer = BUFFERS + index * 0x800
            self.load(RECEIVE + 8 * index, pack("<4H", buffer, OWN, -size & 0xFFFF, 0))
        self.csr(1, BLOCK)
        self.csr(2, 0)
        self.csr(0, INIT | IENA)
        assert self.csr(0) & IDON
        self.csr(0, IDON | STRT | IENA)

    def load(self, address: int, data: bytes) -> None:
        self.memory.load(HostPhysical(address), data)

    def send(self, *parts: bytes, index: int = 0, demand: int = TDMD) -> None:
        for place, part in enumerate(parts):
            buffer = 0x8000 + 0x600 * (index + place)
            flags = OWN | (STP if place == 0 else 0) | (ENP if place == len(parts) - 1 else 0)
            self.load(buffer, part)
            self.load(TRANSMIT + 8 * (index + place), pack("<4H", buffer, flags, -len(part) & 0xFFFF, 0))
        self.csr(0, demand | IENA)

    def descriptor(self, ring: int, index: int) -> tuple[int, int]:
        _, flags, _, last = unpack_from("<4H", self.memory.dump(HostPhysical(ring + 8 * index), 8))
        return flags & 0xFF00, last

    def received(self, index: int) -> bytes | None:
        flags, length = self.descriptor(RECEIVE, index)
        if flags & OWN:
            return None
        return self.memory.dump(HostPhysical(BUFFERS + 0x800 * index), length)[:-4]


def frame(target: bytes, source: bytes, text: bytes, size: int = 60) -> bytes:
    return (target + source + b"\x08\x00" + text).ljust(size, b".")


@pytest.fixture
def world() -> World:
    return World(stations=3)


def test_the_prom_and_the_reset(world):
    lance = world.stations[0].lance
    prom = bytes(lance.read_port(LANCE_BASE + index) for index in range(16))
    assert prom == address_prom(mac(1))
    assert prom[:6] == mac(1)
    assert prom[14:] == b"WW"
    assert unpack_from("<H", prom, 12)[0] == sum(prom[:12]) + sum(prom[14:])
    assert world.stations[0].csr(0) == STOP
    assert world.stations[0].csr(88) == 0x3003


def test_initialization_and_start(world):
    station = world.stations[0]
    station.start()
    assert station.csr(0) == INIT | STRT | IENA | 0x30
    assert station.levels == [True, False]
    assert [station.csr(number) for number in (12, 13, 14)] == [0x0C00, 0x0029, 0x0100]
    station.csr(1, 0x4444)
    assert station.csr(1) == BLOCK  # only a stopped chip can be told
    station.lance.read_wide(RESET, 2)
    assert station.csr(0) == STOP


def test_a_frame_from_one_station_to_another(world):
    first, second, third = world.stations
    for station in world.stations:
        station.start()
    sent = frame(second.mac, first.mac, b"hello")
    first.send(sent)
    assert not first.csr(0) & TINT
    world.wait()
    assert first.csr(0) & (TINT | INTR) == TINT | INTR
    assert first.descriptor(TRANSMIT, 0) == (STP | ENP, 0)
    assert second.received(0) == sent
    assert second.descriptor(RECEIVE, 0) == (STP | ENP, 64)
    stored = second.memory.dump(HostPhysical(BUFFERS), 64)
    assert stored[60:] == crc32(sent).to_bytes(4, "little")
    assert second.levels == [True, False, True]
    second.csr(0, RINT | IENA)
    assert second.levels[-1] is False
    assert third.received(0) is None


def test_groups_and_promiscuous_stations(world):
    first, second, third = world.stations
    group = bytes.fromhex("01005e000001")
    bit = (~crc32(group) & 0xFFFF_FFFF) >> 26
    first.start()
    second.start(logical=1 << bit)
    third.start(mode=0x8000)
    for index, target in enumerate((ALL, group, mac(9))):
        first.send(frame(target, first.mac, bytes([index])), index=index)
        world.wait()
    assert [second.received(index) is not None for index in range(4)] == [True, True, False, False]
    assert [third.received(index) is not None for index in range(4)] == [True, True, True, False]


def test_the_switch_learns(world):
    first, second, third = world.stations
    for station in world.stations:
        station.start(mode=0x8000)
    first.send(frame(second.mac, first.mac, b"who?"))
    world.wait()
    assert third.received(0) is not None  # not known yet: to everyone
    second.send(frame(first.mac, second.mac, b"me"))
    world.wait()
    assert first.received(0) is not None
    assert third.received(1) is None


def test_chained_buffers(world):
    first, second, _ = world.stations
    first.start()
    second.start(size=64)
    data = frame(second.mac, first.mac, b"x" * 90, size=150)
    first.send(data[:100], data[100:])
    world.wait()
    flags = [second.descriptor(RECEIVE, index) for index in range(3)]
    assert flags == [(STP, 0), (0, 0), (ENP, 154)]
    pieces = [second.memory.dump(HostPhysical(BUFFERS + 0x800 * index), 64) for index in range(3)]
    assert b"".join(pieces)[:150] == data
    assert first.descriptor(TRANSMIT, 1) == (ENP, 0)


def test_a_frame_that_finds_no_buffer_is_missed(world):
    first, second, _ = world.stations
    first.start()
    second.start()
    for index in range(5):
        first.send(frame(second.mac, first.mac, bytes([index])), index=index % 4)
        world.wait()
    assert second.csr(0) & (MISS | 0x8000) == MISS | 0x8000
    second.csr(0, MISS | IENA)
    assert not second.csr(0) & 0x8000


def test_a_frame_that_is_longer_than_its_buffers(world):
    first, second, _ = world.stations
    first.start()
    second.start(size=64)
    second.load(RECEIVE + 8, pack("<4H", 0, 0, 0, 0))
    first.send(frame(second.mac, first.mac, b"", size=200))
    world.wait()
    assert second.descriptor(RECEIVE, 0)[0] == STP | ERR | 0x1400


def test_it_looks_for_frames_without_being_told(world):
    first, second, _ = world.stations
    first.start()
    second.start()
    first.send(frame(second.mac, first.mac, b"poll"), demand=0)
    world.wait(1500)
    assert second.received(0) is None
    world.wait(400)
    assert second.received(0) is not None


def test_short_frames_are_padded_only_on_request(world):
    first, second, _ = world.stations
    first.start()
    second.start()
    first.send(second.mac + first.mac + b"\x08\x00short")
    world.wait()
    assert second.received(0) is None
    first.csr(4, 0x0800)
    first.send(second.mac + first.mac + b"\x08\x00short", index=1)
    world.wait()
    assert second.received(0) == (second.mac + first.mac + b"\x08\x00short").ljust(60, b"\0")


def test_without_a_cable_there_is_no_carrier(world):
    station = world.stations[0]
    station.lance.cable = None
    station.start()
    station.send(frame(ALL, station.mac, b""))
    world.wait()
    assert station.descriptor(TRANSMIT, 0) == (STP | ENP | ERR, 0x0800)


def test_loopback(world):
    station = world.stations[0]
    station.start(mode=4)
    station.send(frame(station.mac, station.mac, b"me"))
    world.wait()
    assert station.received(0) == frame(station.mac, station.mac, b"me")
    assert station.csr(0) & (TINT | RINT) == TINT | RINT


def test_masks_of_csr_3(world):
    station = world.stations[0]
    station.csr(3, 0x0100)
    station.start()
    assert station.levels == []


def test_refused_dma_reads_ones_and_writes_nothing():
    memory = PhysicalMemory(0x4000)
    master = BusMaster(memory)
    asked: list[tuple[int, bool]] = []

    def owner(number: int, write: bool) -> bool:
        asked.append((number, write))
        return number != 2

    master.on_access = owner
    master.write(0x1FFE, b"abcd")
    assert asked == [(1, True), (2, True)]
    assert memory.dump(HostPhysical(0x1FFE), 4) == bytes(4)
    assert master.read(0x2000, 2) == b"\xff\xff"
    master.write(0x1000, b"ok")
    assert master.read(0x1000, 2) == b"ok"


def test_a_frame_takes_its_length_twice():
    switch, clock = Switch(), Clock(LINE_RATE, lambda: 0)
    sender, receiver = switch.plug(clock), switch.plug(clock)
    data = frame(mac(2), mac(1), b"", size=1000)
    assert sender.send(100, data) == 100 + line_time(data) == 100 + 8 * 1024
    assert receiver.next_arrival() == 100 + line_time(data)
    assert receiver.receive(100 + line_time(data)) == []
    arrival = receiver.next_arrival()
    assert arrival == 100 + 2 * line_time(data)
    assert arrival - 100 >= switch.lookahead
    assert receiver.receive(arrival) == [data]


def test_the_order_of_frames_does_not_depend_on_who_ran_first():
    def run(order: tuple[int, ...]) -> list[bytes]:
        switch, clock = Switch(), Clock(LINE_RATE, lambda: 0)
        cables = [switch.plug(clock) for _ in range(4)]
        for number in order:
            cables[number].send(10 * (number == 1), frame(mac(9), mac(number), bytes([number])))
        return cables[3].receive(10**6)

    assert run((0, 1, 2)) == run((2, 1, 0)) == run((1, 2, 0))
    assert [data[14] for data in run((2, 1, 0))] == [0, 2, 1]


def test_what_is_loaded_goes_on_as_what_was_saved(world):
    first, second, _ = world.stations
    for station in world.stations:
        station.start()
    first.send(frame(second.mac, first.mac, b"saved"))
    world.wait(30)
    memories = [station.memory.snapshot() for station in world.stations]
    saved = [station.lance.save() for station in world.stations], world.switch.save()
    cycles = world.cycles
    world.wait()
    assert second.received(0) is not None
    world.cycles = cycles
    world.switch.load(saved[1])
    for station, memory, state in zip(world.stations, memories, saved[0], strict=True):
        station.memory.restore(memory)
        station.lance.load(state)
    assert second.received(0) is None
    world.wait()
    assert second.received(0) == frame(second.mac, first.mac, b"saved")
    assert first.csr(0) & TINT
