"""The same programs ask the devices of our PC and of QEMU's; the answers are the same."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from tests.oracle import bare_machine, devices
from tests.oracle.sources import include
from vizapp.guest.assembler.assembler import assemble
from vizapp.isa.addresses import HostPhysical
from vizapp.machine.features import Features
from vizapp.machine.inputs import NAMES
from vizapp.machine.pc import Pc


@cache
def answers(program: str) -> dict[str, str]:
    features = Features(disks=(devices.disk(),), mac=bytes.fromhex(devices.MAC.replace(":", "")))
    prices = {**dict.fromkeys(NAMES, 1), "io": 1000}  # a port is slow, so that a second is soon over
    pc = Pc(prices, 16 << 20, 62_500_000, features=features)
    code = assemble(include(f"{program}.asm"), f"{program}.asm", include=include)
    pc.memory.load(HostPhysical(code.origin), code.data)
    pc.cpu.eip = code.origin
    pc.run(max_steps=2_000_000)
    assert pc.stopped is not None
    assert pc.stopped[0] == "halted"
    return by_subject(pc.uart.output.decode("ascii"))


def by_subject(text: str) -> dict[str, str]:
    return {line[:4]: line[4:] for line in text.splitlines() if line and not line.startswith("result")}


def golden(program: str) -> dict[str, str]:
    return by_subject(devices.golden(program).read_text(encoding="ascii"))


@pytest.mark.parametrize(
    ("program", "subject"),
    [(program, subject) for program in devices.PROGRAMS for subject in golden(program)],
)
def test_our_devices_answer_as_qemu_s(program: str, subject: str) -> None:
    assert answers(program)[subject] == golden(program)[subject]


@pytest.mark.parametrize("program", devices.PROGRAMS)
def test_every_subject_was_asked(program: str) -> None:
    assert answers(program).keys() == golden(program).keys()


@pytest.mark.oracle
@pytest.mark.skipif(not bare_machine.available, reason="needs qemu-system-i386 and nasm")
@pytest.mark.parametrize("program", devices.PROGRAMS)
def test_qemu_still_answers_so(program: str, tmp_path: Path) -> None:
    assert by_subject(devices.run(program, tmp_path)) == golden(program)
