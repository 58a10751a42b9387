"""The station on the switch: what it answers, when its frames arrive, and that it can be saved."""

from __future__ import annotations

from struct import pack, unpack_from

import pytest

from vizapp.machine.clock import Clock
from vizapp.machine.devices.network import LINE_RATE, Switch, line_time
from vizapp.machine.devices.station import (
    ANSWER,
    ECHO,
    FETCH,
    REPORT,
    SEND,
    STATION_MAC,
    STATION_TYPE,
    Station,
)

MAC = bytes.fromhex("000c29000001")


def ask(operation: int, number: int = 0, count: int = 0, size: int = 0, data: bytes = b"") -> bytes:
    head = STATION_MAC + MAC + STATION_TYPE + pack("<H3I", operation, number, count, size)
    return (head + data).ljust(60, b"\0")


def fnv(data: bytes, total: int = 2166136261) -> int:
    for start in range(0, len(data), 4):
        word = int.from_bytes(data[start : start + 4], "little")
        total = (total ^ word) * 16777619 % (1 << 32)
    return total


def test_what_was_sent_to_it_is_counted_and_summed():
    station = Station()
    frames = [ask(SEND, number, data=b"abcdefg" * (number + 5)) for number in range(3)]
    assert [station.answer(frame) for frame in frames] == [[], [], []]
    (report,) = station.answer(ask(REPORT, 77))
    assert report[:14] == MAC + STATION_MAC + STATION_TYPE
    total = fnv(frames[2][14:], fnv(frames[1][14:], fnv(frames[0][14:])))
    assert unpack_from("<H5I", report, 14) == (ANSWER + REPORT, 77, 3, total, 0, 2166136261)
    assert len(report) == 60


def test_each_sender_has_an_account_of_its_own():
    station = Station()
    other = bytes.fromhex("00163e000200")
    theirs = [ask(SEND, number, data=b"theirs").replace(MAC, other, 1) for number in range(2)]
    for frame in (ask(SEND, data=b"mine"), *theirs):
        station.answer(frame)
    (mine,) = station.answer(ask(REPORT))
    (report,) = station.answer(ask(REPORT).replace(MAC, other, 1))
    assert [unpack_from("<I", frame, 20)[0] for frame in (mine, report)] == [1, 2]
    assert report[:6] == other


def test_frames_asked_for_come_numbered_and_filled():
    station = Station()
    frames = station.answer(ask(FETCH, number=300, count=2, size=100))
    assert [unpack_from("<HI", frame, 14) for frame in frames] == [
        (ANSWER + FETCH, 300),
        (ANSWER + FETCH, 301),
    ]
    assert [len(frame) for frame in frames] == [100, 100]
    assert frames[1][28:] == bytes((301 + index) & 0xFF for index in range(28, 100))
    (report,) = station.answer(ask(REPORT))
    assert unpack_from("<2I", report, 28) == (2, fnv(frames[1][14:], fnv(frames[0][14:])))


@pytest.mark.parametrize(("size", "length"), [(0, 60), (59, 60), (1514, 1514), (9999, 1514)])
def test_frames_are_as_long_as_ethernet_has_them(size, length):
    (frame,) = Station().answer(ask(FETCH, count=1, size=size))
    assert len(frame) == length


def test_a_request_has_a_bound():
    assert len(Station().answer(ask(FETCH, count=100_000, size=60))) == 64


def test_it_returns_a_frame():
    (frame,) = Station().answer(ask(ECHO, 5, 6, 7, b"hello"))
    assert (
        frame
        == MAC + STATION_MAC + STATION_TYPE + pack("<H", ANSWER + ECHO) + ask(ECHO, 5, 6, 7, b"hello")[16:]
    )


@pytest.mark.parametrize(
    "frame",
    [
        b"\xff" * 6 + ask(REPORT)[6:],
        ask(REPORT)[:12] + b"\x08\x00" + ask(REPORT)[14:],
        ask(REPORT)[:40],
        ask(99),
    ],
    ids=["broadcast", "other type", "fragment", "unknown operation"],
)
def test_it_is_silent_otherwise(frame):
    assert Station().answer(frame) == []


class World:
    """One machine and the station."""

    def __init__(self) -> None:
        self.switch = Switch()
        self.cable = self.switch.plug(Clock(LINE_RATE, lambda: 0))
        self.switch.settle(Station())

    def arrivals(self, end: int) -> list[tuple[int, int]]:
        """(bit time, number) of each frame that arrives by ``end``."""
        found = []
        while (tick := self.cable.next_arrival()) is not None and tick <= end:
            found += [(tick, unpack_from("<I", frame, 16)[0]) for frame in self.cable.receive(tick)]
        return found


def test_its_answers_come_one_after_the_other_at_the_line_rate():
    world = World()
    request = ask(FETCH, number=7, count=3, size=1000)
    world.cable.send(0, request)
    long = line_time(bytes(1000))
    first = 2 * line_time(request) + 2 * long  # there and back, each stored once on the way
    assert world.arrivals(1 << 30) == [(first, 7), (first + long, 8), (first + 2 * long, 9)]


def test_looking_late_finds_the_same():
    early, late = World(), World()
    for world in (early, late):
        world.cable.send(0, ask(FETCH, count=2, size=60))
    expected = [number for _, number in early.arrivals(1 << 30)]
    assert [unpack_from("<I", frame, 16)[0] for frame in late.cable.receive(1 << 30)] == expected == [0, 1]


def test_it_is_saved_with_the_switch():
    world, other = World(), World()
    world.cable.send(0, ask(SEND))
    world.cable.send(0, ask(FETCH, count=5, size=200))
    world.arrivals(5_000)
    other.switch.load(world.switch.save())
    for each in (world, other):
        each.cable.send(6_000, ask(REPORT))
    assert other.arrivals(1 << 30) == world.arrivals(1 << 30) != []
    assert other.switch.save() == world.switch.save()
