"""The same host and guests under SVM on our PC and on QEMU's: the VMCBs are the same."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from tests.machine.svm.bench import REV_F
from tests.oracle import bare_machine, svm, svm_random
from tests.oracle.sources import include
from vizapp.guest.assembler.assembler import assemble
from vizapp.isa.addresses import HostPhysical
from vizapp.machine.inputs import NAMES
from vizapp.machine.pc import Pc

EXPECTED = svm.by_case(svm.GOLDEN.read_text(encoding="ascii"))


def printed(source: str) -> str:
    prices = {**dict.fromkeys(NAMES, 1), "io": 1000}
    pc = Pc(prices, 16 << 20, 62_500_000, REV_F)
    code = assemble(source, svm.SOURCE.name, include=include)
    pc.memory.load(HostPhysical(code.origin), code.data)
    pc.cpu.eip = code.origin
    pc.run(max_steps=8_000_000)
    assert pc.stopped is not None
    assert pc.stopped[0] == "halted"
    return pc.uart.output.decode("ascii")


@cache
def answers() -> dict[str, str]:
    return svm.by_case(printed(svm.SOURCE.read_text(encoding="ascii")))


@pytest.mark.parametrize("case", EXPECTED)
def test_a_guest_leaves_as_on_qemu(case: str) -> None:
    assert answers()[case] == EXPECTED[case]


def test_every_case_ran() -> None:
    assert answers().keys() == EXPECTED.keys()


def test_random_guests_leave_as_on_qemu() -> None:
    source = svm_random.source(svm_random.SEED, svm_random.COUNT)
    expected = svm_random.compared(svm_random.GOLDEN.read_text(encoding="ascii"))
    assert len(expected) == svm_random.COUNT
    assert svm_random.compared(printed(source)) == expected


@pytest.mark.oracle
@pytest.mark.skipif(not bare_machine.available, reason="needs qemu-system-i386 and nasm")
def test_qemu_still_answers_so(tmp_path: Path) -> None:
    assert svm.by_case(svm.run(tmp_path)) == EXPECTED


@pytest.mark.oracle
@pytest.mark.skipif(not bare_machine.available, reason="needs qemu-system-i386 and nasm")
@pytest.mark.parametrize("seed", range(100, 104))
def test_other_random_guests_too(seed: int, tmp_path: Path) -> None:
    source = svm_random.source(seed, 100)
    assert svm_random.compared(printed(source)) == svm_random.compared(svm.run(tmp_path, source))
