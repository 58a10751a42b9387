"""The same monitor and guests under VMX here and on Bochs: every field that an exit defines is the same."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from tests.machine.vmx.guest_bench import GENERATIONS
from tests.oracle import bochs, vmx, vmx_random
from tests.oracle.vmx_refused import CASES
from vizapp.guest.assembler.assembler import assemble
from vizapp.isa.addresses import HostPhysical
from vizapp.machine.identity import with_large_pages
from vizapp.machine.inputs import NAMES
from vizapp.machine.pc import Pc

EXPECTED = {line[:4]: line[5:] for line in vmx.GOLDEN.read_text(encoding="ascii").splitlines()}
DEBUG_PORT = 0xE9


RANDOM = {line[:4]: line[5:] for line in vmx_random.RANDOM_GOLDEN.read_text(encoding="ascii").splitlines()}


def run(cases: dict[str, vmx.Case]) -> dict[str, str]:
    """What the program tells here."""
    pc = Pc(dict.fromkeys(NAMES, 1), 16 << 20, 1_000_000_000, with_large_pages(GENERATIONS[2011]))
    pc.interrupts_blocked = True
    program = assemble(vmx.program(cases), vmx.SOURCE.name)
    pc.memory.load(HostPhysical(program.origin), program.data)
    pc.cpu.eip = program.origin
    told = bytearray()
    pc.on_port = lambda place, port, size, write, value: told.append(value) if port == DEBUG_PORT else None
    pc.run(max_steps=20_000_000)
    return vmx.by_case(told.decode("ascii"))


@cache
def answers() -> dict[str, str]:
    return run(CASES)


@pytest.mark.parametrize("case", CASES)
def test_a_guest_leaves_as_on_bochs(case: str) -> None:
    assert answers()[case] == EXPECTED[case], vmx.NAMES


def test_every_case_is_there() -> None:
    assert EXPECTED.keys() == CASES.keys() == answers().keys()


def test_random_guests_leave_as_on_bochs() -> None:
    cases = vmx_random.cases()
    found = vmx_random.compared(run(cases))
    assert found.keys() == RANDOM.keys() == cases.keys()
    wrong = {name: (cases[name], line, RANDOM[name]) for name, line in found.items() if line != RANDOM[name]}
    assert wrong == {}


@pytest.mark.oracle
@pytest.mark.skipif(not bochs.available, reason="needs bochs and nasm")
def test_bochs_still_answers_so(tmp_path: Path) -> None:
    assert vmx.by_case(vmx.run(tmp_path, CASES)) == EXPECTED
