"""The same host and guests under SVM on our PC and on QEMU's: the VMCBs are the same."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from tests.machine.svm.bench import REV_F
from tests.oracle import bare_machine, svm
from vizapp.guest.assembler.assembler import assemble
from vizapp.isa.addresses import HostPhysical
from vizapp.machine.inputs import NAMES
from vizapp.machine.pc import Pc

EXPECTED = svm.by_case(svm.GOLDEN.read_text(encoding="ascii"))


@cache
def answers() -> dict[str, str]:
    prices = {**dict.fromkeys(NAMES, 1), "io": 1000}
    pc = Pc(prices, 16 << 20, 62_500_000, REV_F)
    code = assemble(svm.SOURCE.read_text(encoding="ascii"), svm.SOURCE.name)
    pc.memory.load(HostPhysical(code.origin), code.data)
    pc.cpu.eip = code.origin
    pc.run(max_steps=2_000_000)
    assert pc.stopped is not None
    assert pc.stopped[0] == "halted"
    return svm.by_case(pc.uart.output.decode("ascii"))


@pytest.mark.parametrize("case", EXPECTED)
def test_a_guest_leaves_as_on_qemu(case: str) -> None:
    assert answers()[case] == EXPECTED[case]


def test_every_case_ran() -> None:
    assert answers().keys() == EXPECTED.keys()


@pytest.mark.oracle
@pytest.mark.skipif(not bare_machine.available, reason="needs qemu-system-i386 and nasm")
def test_qemu_still_answers_so(tmp_path: Path) -> None:
    assert svm.by_case(svm.run(tmp_path)) == EXPECTED
