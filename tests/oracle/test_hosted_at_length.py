"""Ten thousand frames and ten thousand sectors through a host operating system arrive intact.

With and without Sugerman's optimizations; at the other end is the station, and on the disk what was written
is read again. The result is that of the bare machine. ``tests/vmm/test_hosted.py`` has the short form; this
is some half an hour of processor time.
"""

from __future__ import annotations

from functools import cache

import pytest

from tests.goldens.make import result_of
from tests.lengths import AT_LENGTH
from vizapp.experiment.scenarios import make_scenario
from vizapp.session.builder import build

pytestmark = [*AT_LENGTH, pytest.mark.timeout(0)]

FRAMES = 5_000  # sent, and as many received
BLOCKS = 625  # of eight sectors, written and read again
OFF = {"ports": False, "combining": False, "notification": False}


@cache
def output(guest: str, iterations: int, technique: str, io: str, *off: str) -> str:
    hosted = dict.fromkeys(off, False)
    machine = build(
        make_scenario(guest, technique_name=technique, io=io, iterations=iterations, hosted=hosted)
    )
    machine.pc.run()
    return bytes(machine.monitor.devices.uart.output).decode("ascii")


@pytest.mark.parametrize("off", [(), tuple(OFF)], ids=["optimized", "not"])
@pytest.mark.parametrize(
    ("guest", "iterations"),
    [("network-send", FRAMES), ("network-receive", FRAMES), ("disk-write", BLOCKS)],
)
def test_what_goes_through_the_host_arrives_intact(guest: str, iterations: int, off: tuple[str, ...]) -> None:
    through = output(guest, iterations, "binary-translation", "hosted", *off)
    assert result_of(through) == result_of(output(guest, iterations, "native", "bare-metal"))
