"""Ten thousand frames and ten thousand sectors through a host operating system arrive intact.

With Sugerman's three optimizations and without any. Half of the frames are sent and half received, half of
the sectors written and half read, by guests that loop. What has to arrive is made here, byte by byte, from
what the guests' sources say of it, and compared where it arrives: at the station, on the host's disk, and by
the checksum of what the guest had in its memory. ``tests/vmm/test_hosted.py`` has the short form.
"""

from __future__ import annotations

from dataclasses import replace
from struct import iter_unpack, pack

import pytest

from tests.lengths import AT_LENGTH
from vizapp.experiment.hosted import with_io
from vizapp.guest.library import build_guest
from vizapp.machine.devices.station import Station
from vizapp.session.builder import Machine, build
from vizapp.session.scenario import Scenario, VmScenario

pytestmark = [*AT_LENGTH, pytest.mark.timeout(0)]

FRAMES = 5_000  # sent, and as many received
FRAME_BYTES = 590
SECTORS = 5_000  # written, and read again
BLOCK_SECTORS = 8
DISK_SECTORS = SECTORS + 120
HEADER = 14
GOLDEN_RATIO = 2654435761
OFF = {"ports": False, "combining": False, "notification": False}
WAYS = pytest.mark.parametrize("off", [{}, OFF], ids=["optimized", "not"])


def fnv(pieces: list[bytes]) -> int:
    """FNV-1a, a doubleword at a time, the last of each piece filled up with zeros."""
    total = 2166136261
    for piece in pieces:
        for (word,) in iter_unpack("<I", piece + bytes(-len(piece) % 4)):
            total = (total ^ word) * 16777619 % 2**32
    return total


def frame_data(operation: int, number: int, size: int) -> bytes:
    """A frame behind its type: operation, number, two more words, and byte i is i + number."""
    head = pack("<HIII", operation, number, 0, size)
    return head + bytes((index + number) % 256 for index in range(HEADER + len(head), FRAME_BYTES))


def run(guest: str, iterations: int, off: dict[str, bool], disk: bytes = b"") -> tuple[Machine, str]:
    machine, (output,) = beside([(guest, iterations, disk)], off)
    return machine, output


def beside(guests: list[tuple[str, int, bytes]], off: dict[str, bool]) -> tuple[Machine, list[str]]:
    """Guests with how often they loop and their disk, beside one host: what each has printed."""
    vms = []
    for number, (guest, iterations, disk) in enumerate(guests):
        image = build_guest(guest, "native", iterations, {"FRAME_BYTES": str(FRAME_BYTES)})
        disks = (disk,) if disk else ()
        vms.append(
            VmScenario(replace(image, spare_disk=b"") if disk else image, disks=disks, name=f"vm{number}")
        )
    first, *others = vms
    scenario = Scenario(
        first.image, technique="binary-translation", disks=first.disks, name=first.name, others=tuple(others)
    )
    machine = build(with_io(scenario, "hosted", off))
    machine.pc.run()
    return machine, [bytes(vm.hardware.uart.output).decode("ascii") for vm in machine.monitor.vms]


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, list[bytes]]]:
    """What the station is sent, each with its answers."""
    heard: list[tuple[bytes, list[bytes]]] = []
    answer = Station.answer

    def listen(station: Station, frame: bytes) -> list[bytes]:
        answers = answer(station, frame)
        heard.append((bytes(frame), answers))
        return answers

    monkeypatch.setattr(Station, "answer", listen)
    return heard


@WAYS
def test_frames_are_sent_intact(wire: list[tuple[bytes, list[bytes]]], off: dict[str, bool]) -> None:
    _, output = run("network-send", FRAMES, off)
    wanted = [frame_data(1, number, 0) for number in range(FRAMES)]
    assert [frame[HEADER:] for frame, _ in wire[:-1]] == wanted  # the last one asks for the report
    total = fnv(wanted)
    assert f"the station has received {FRAMES}, checksum {total:08X}, ours {total:08X}\n" in output


@WAYS
def test_frames_are_received_intact(wire: list[tuple[bytes, list[bytes]]], off: dict[str, bool]) -> None:
    _, output = run("network-receive", FRAMES, off)
    wanted = [frame_data(0x8002, number, FRAME_BYTES) for number in range(FRAMES)]
    assert [frame[HEADER:] for _, answers in wire[:-1] for frame in answers] == wanted
    total = fnv(wanted)
    assert f"the station has sent {FRAMES}, checksum {total:08X}, ours {total:08X}\n" in output
    assert "\n0 out of order\n" in output


@WAYS
def test_sectors_are_written_and_read_intact(off: dict[str, bool]) -> None:
    before = bytes((index * 7 + (index >> 9)) % 256 for index in range(DISK_SECTORS * 512))
    machine, output = run("disk-write", SECTORS // BLOCK_SECTORS, off, before)
    words = BLOCK_SECTORS * 512 // 4
    wanted = [
        pack(f"<{words}I", *((number * GOLDEN_RATIO + index) % 2**32 for index in range(words)))
        for number in range(SECTORS // BLOCK_SECTORS)
    ]
    assert f"read again, checksum {fnv(wanted):08X}, doublewords wrong 0\n" in output
    peripherals = machine.pc.board.peripherals
    assert peripherals is not None
    disk, host = peripherals.ide.drives[0].disk, build_guest("host").spare_disk
    held = b"".join(disk.read(sector) for sector in range(disk.sectors))
    assert held == host + b"".join(wanted) + before[SECTORS * 512 :]


@WAYS
def test_all_of_it_at_once_in_four_machines(
    wire: list[tuple[bytes, list[bytes]]], off: dict[str, bool]
) -> None:
    """A tenth as much of each: two use the network and two write their disks, beside each other."""
    frames, rounds = FRAMES // 10, SECTORS // BLOCK_SECTORS // 10
    before = [bytes((index * 7 + own) % 256 for index in range(DISK_SECTORS * 512 // 4)) for own in (1, 2)]
    guests = [
        ("network-send", frames, b""),
        ("disk-write", rounds, before[0]),
        ("network-receive", frames, b""),
        ("disk-write", rounds, before[1]),
    ]
    machine, (sent, first, received, second) = beside(guests, off)
    wanted = [frame_data(1, number, 0) for number in range(frames)]
    operations = [(frame[HEADER:], answers) for frame, answers in wire]
    assert [frame for frame, answers in operations if frame.startswith(pack("<H", 1))] == wanted
    total = fnv(wanted)
    assert f"the station has received {frames}, checksum {total:08X}, ours {total:08X}\n" in sent
    answers = [
        frame[HEADER:]
        for _, given in wire
        for frame in given
        if frame[HEADER:].startswith(pack("<H", 0x8002))
    ]
    wanted = [frame_data(0x8002, number, FRAME_BYTES) for number in range(frames)]
    assert answers == wanted
    total = fnv(wanted)
    assert f"the station has sent {frames}, checksum {total:08X}, ours {total:08X}\n" in received
    words = BLOCK_SECTORS * 512 // 4
    written = b"".join(
        pack(f"<{words}I", *((number * GOLDEN_RATIO + index) % 2**32 for index in range(words)))
        for number in range(rounds)
    )
    for output in (first, second):
        assert "doublewords wrong 0\n" in output
    peripherals = machine.pc.board.peripherals
    assert peripherals is not None
    disk, host = peripherals.ide.drives[0].disk, build_guest("host").spare_disk
    held = b"".join(disk.read(sector) for sector in range(disk.sectors))
    assert held == host + b"".join(written + own[len(written) :] for own in before)
