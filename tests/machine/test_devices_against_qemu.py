"""One program asks the devices of our PC and of QEMU's; the answers are the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.oracle import bare_machine, devices
from vizapp.guest.assembler.assembler import assemble
from vizapp.isa.addresses import HostPhysical
from vizapp.machine.features import Features
from vizapp.machine.inputs import NAMES
from vizapp.machine.pc import Pc


@pytest.fixture(scope="module")
def answers() -> dict[str, str]:
    prices = {**dict.fromkeys(NAMES, 1), "io": 1000}  # a port is slow, so that a second is soon over
    pc = Pc(prices, 16 << 20, 62_500_000, features=Features(disks=(devices.disk(),)))
    code = assemble(devices.SOURCE.read_text(encoding="ascii"), "devices.asm")
    pc.memory.load(HostPhysical(code.origin), code.data)
    pc.cpu.eip = code.origin
    pc.run(max_steps=2_000_000)
    assert pc.stopped is not None
    assert pc.stopped[0] == "halted"
    return by_subject(pc.uart.output.decode("ascii"))


def by_subject(text: str) -> dict[str, str]:
    return {line[:4]: line[4:] for line in text.splitlines() if line and not line.startswith("result")}


GOLDEN = by_subject(devices.GOLDEN.read_text(encoding="ascii"))


@pytest.mark.parametrize("subject", GOLDEN)
def test_our_devices_answer_as_qemu_s(answers: dict[str, str], subject: str) -> None:
    assert answers[subject] == GOLDEN[subject]


def test_every_subject_was_asked(answers: dict[str, str]) -> None:
    assert answers.keys() == GOLDEN.keys()


@pytest.mark.oracle
@pytest.mark.skipif(not bare_machine.available, reason="needs qemu-system-i386 and nasm")
def test_qemu_still_answers_so(tmp_path: Path) -> None:
    assert by_subject(devices.run(tmp_path)) == GOLDEN
