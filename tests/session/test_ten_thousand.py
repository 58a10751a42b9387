"""Ten thousand frames and sectors, on the bare machine, under monitors and through domain 0: none is lost."""

from __future__ import annotations

import re

import pytest

from tests.lengths import AT_LENGTH
from vizapp.experiment.split import with_domain_0
from vizapp.guest.library import build_guest
from vizapp.session.builder import build
from vizapp.session.scenario import Scenario
from vizapp.vmm.registry import TECHNIQUES

pytestmark = [*AT_LENGTH, pytest.mark.timeout(3600)]

PROCESSORS = {"vt-x": "nehalem", "amd-v": "barcelona"}
MOST_STEPS = 200_000_000
WAYS = ("native", "trap-and-emulate", "binary-translation", "vt-x", "amd-v", "paravirtual")


def output_of(guest: str, technique: str, iterations: int, **defines: str) -> str:
    """What the guest prints; under Xen domain 0 prints it, with its own number in front."""
    image = build_guest(guest, TECHNIQUES[technique]().build, iterations, defines)
    scenario = Scenario(
        image,
        technique=technique,
        virtualizable=technique == "trap-and-emulate",
        processor=PROCESSORS.get(technique, "pentium-4-672"),
    )
    machine = build(with_domain_0(scenario) if technique == "paravirtual" else scenario)
    machine.pc.run(max_steps=MOST_STEPS)
    assert machine.pc.stopped is not None
    return bytes(machine.monitor.vms[0].hardware.uart.output).decode("ascii")


@pytest.mark.parametrize("technique", WAYS)
@pytest.mark.parametrize("guest", ["network-send", "network-receive"])
def test_frames_arrive_as_they_were_sent(guest: str, technique: str) -> None:
    output = output_of(guest, technique, 10_000, FRAME_BYTES="60")
    found = re.search(r"the station has \w+ (\d+), checksum (\w+), ours (\w+)", output)
    assert found is not None, output
    assert found[1] == "10000"
    assert found[2] == found[3]
    assert "0 out of order" in output or guest == "network-send"


@pytest.mark.parametrize("technique", WAYS)
def test_sectors_are_read_as_they_were_written(technique: str) -> None:
    # 8 sectors a block; 256 blocks are on the disk, so that each is written several times.
    assert ", doublewords wrong 0\n" in output_of("disk-write", technique, 1250)
