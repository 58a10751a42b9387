"""Machine code stepped here and on qemu-system-i386: registers, flags and frames compared after each step.

A sample in the ordinary run; everything with ``VIZAPP_ORACLE=full``, as ``make oracle`` sets it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.goldens.make import nasm_golden
from tests.lengths import FULL
from tests.oracle import bare_machine
from tests.oracle.lockstep import Lockstep, qemu
from tests.oracle.sources import HERE, nasm

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(not bare_machine.available, reason="needs qemu-system-i386 and nasm"),
    pytest.mark.timeout(1800),
]

SAMPLE = 400
SOURCE_SAMPLE = 5000
# Rings and gates, everything sensitive and everything privileged, faults, system calls, processes and address
# spaces.
GUESTS = {
    "rings": 5_000, "sensitive": 20_000, "page-fault": 20_000, "syscall": 20_000, "minikernel": 60_000,
    "privileged-app": 20_000, "red-pill": 5_000, "divide-error": 5_000, "pte-modify": 5_000,
}  # fmt: skip
GATES, MODES, PAGING = HERE / "gates.asm", HERE / "modes.asm", HERE / "paging.asm"


def step_together(binary: Path, directory: Path, steps: int, sample: int = SAMPLE) -> None:
    with qemu(binary, directory) as remote:
        both = Lockstep(remote, binary)
        while not both.over and both.steps < (steps if FULL else sample):
            problem = both.step()
            assert problem is None, problem


@pytest.mark.parametrize(("name", "steps"), GUESTS.items())
def test_every_step_of_a_guest_is_qemus(name: str, steps: int, tmp_path: Path) -> None:
    step_together(nasm_golden(name, "native"), tmp_path, steps)


@pytest.mark.parametrize("source", [GATES, MODES, PAGING], ids=["gates", "modes", "paging"])
def test_every_way_and_every_refusal_is_qemus(source: Path, tmp_path: Path) -> None:
    binary = tmp_path / "code.bin"
    nasm(source, binary, "-w-all")
    step_together(binary, tmp_path, 100_000, SOURCE_SAMPLE)
