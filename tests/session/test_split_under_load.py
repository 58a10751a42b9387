"""Packets and blocks of several domains at once through domain 0, while another domain computes.

What arrived is judged by sums worked out here from what each guest's source says that it sends or asks for,
from the contents of a disk that was made here, and from what lies on the other disk at the end.
"""

from __future__ import annotations

import random
import re
from struct import iter_unpack, pack
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.lengths import AT_LENGTH
from vizapp.experiment.split import with_domain_0
from vizapp.guest.library import build_guest
from vizapp.session.builder import build
from vizapp.session.scenario import Scenario, VmScenario

if TYPE_CHECKING:
    from vizapp.session.builder import Machine

FRAME = 60
SECTOR = 512
PER_BLOCK = 8  # sectors of a block that is written
READ_SECTORS = 300  # of the disk that is only read
SEND, SENT_TO_US = 1, 0x8002  # operations of a frame that a guest sends, and of one that it had asked for


class Load(NamedTuple):
    """How much the domains do: frames each way, sectors read and as many written, rounds of computing."""

    frames: int
    sectors: int
    rounds: int


SHORT = Load(frames=20, sectors=16, rounds=5)
LONG = Load(frames=10_000, sectors=10_000, rounds=500)


def summed(data: bytes, total: int = 2166136261) -> int:
    """FNV-1a, a doubleword at a time, the last one filled up with zeros."""
    for (word,) in iter_unpack("<I", data + bytes(-len(data) % 4)):
        total = (total ^ word) * 16777619 & 0xFFFFFFFF
    return total


def sum_of_frames(operation: int, size: int, count: int) -> int:
    """Of frames 0 to ``count`` - 1 from behind their type on; byte i of the data of frame n is n + i."""
    total = 2166136261
    for number in range(count):
        head = pack("<HIII", operation, number, 0, size)
        total = summed(head + bytes((number + at) & 0xFF for at in range(28, FRAME)), total)
    return total


def block(number: int) -> bytes:
    """Block ``number`` as the writer makes it."""
    return b"".join(
        pack("<I", number * 2654435761 + at & 0xFFFFFFFF) for at in range(PER_BLOCK * SECTOR // 4)
    )


def run(load: Load, readable: bytes) -> Machine:
    blocks = load.sectors // PER_BLOCK
    guests = (
        ("network-send", load.frames, {"FRAME_BYTES": str(FRAME)}, ()),
        ("network-receive", load.frames, {"FRAME_BYTES": str(FRAME)}, ()),
        ("disk-read", load.sectors, {"SECTORS": "1"}, (readable,)),
        ("disk-write", blocks, {}, (bytes(load.sectors * SECTOR),)),
        ("compute", load.rounds, {}, ()),
    )
    domains = [
        VmScenario(build_guest(name, "xen", count, defines), 8 << 20, name, disks=disks)
        for name, count, defines, disks in guests
    ]
    first, *others = domains
    scenario = Scenario(
        first.image, "paravirtual", memory=first.memory, name=first.name, others=tuple(others)
    )
    machine = build(with_domain_0(scenario))
    machine.pc.run(max_steps=2_000_000_000)
    return machine


@pytest.mark.parametrize(
    "load", [SHORT, pytest.param(LONG, marks=[*AT_LENGTH, pytest.mark.timeout(0)])], ids=["short", "long"]
)
def test_what_passes_through_domain_0_under_load_arrives_as_it_was_sent(load: Load) -> None:
    readable = random.Random(6).randbytes(READ_SECTORS * SECTOR)
    machine = run(load, readable)
    assert machine.pc.stopped is not None
    output = bytes(machine.monitor.vms[0].hardware.uart.output).decode("ascii")
    assert machine.pc.stopped[0] == "halted", output

    def found(pattern: str) -> tuple[str, ...]:
        match = re.search(pattern, output)
        assert match is not None, output
        return match.groups()

    for verb, operation, size in (("received", SEND, 0), ("sent", SENT_TO_US, FRAME)):
        expected = f"{sum_of_frames(operation, size, load.frames):08X}"
        said = found(rf"the station has {verb} (\d+), checksum (\w+), ours (\w+)")
        assert said == (str(load.frames), expected, expected)
    assert found(r"(\d+) out of order") == ("0",)

    times, rest = divmod(load.sectors, READ_SECTORS)
    total = 2166136261
    for _ in range(times):
        total = summed(readable, total)
    total = summed(readable[: rest * SECTOR], total)
    assert found(r"\(d3\) checksum (\w+)") == (f"{total:08X}",)

    written = b"".join(block(number) for number in range(load.sectors // PER_BLOCK))
    assert found(r"read again, checksum (\w+), doublewords wrong (\d+)") == (f"{summed(written):08X}", "0")
    assert machine.pc.board.peripherals is not None
    assert machine.pc.board.peripherals.ide is not None
    disk = machine.pc.board.peripherals.ide.drives[0].disk  # both virtual disks, one behind the other
    contents = b"".join(disk.read(sector) for sector in range(disk.sectors))
    assert contents == readable + written
