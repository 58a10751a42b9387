"""Guests stepped on this machine and on qemu-system-i386: registers, flags and frames after each step.

A sample of each in the ordinary run; whole guests with ``VIZAPP_ORACLE=full``, as ``make oracle`` sets it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.goldens.make import nasm_golden
from tests.oracle import bare_machine
from tests.oracle.lockstep import Lockstep, qemu

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(not bare_machine.available, reason="needs qemu-system-i386 and nasm"),
]

FULL = os.environ.get("VIZAPP_ORACLE") == "full"
SAMPLE = 400
# Rings and gates, everything sensitive, page faults, system calls, processes and address spaces.
GUESTS = {"rings": 5_000, "sensitive": 20_000, "page-fault": 20_000, "syscall": 20_000, "minikernel": 60_000}


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("name", "steps"), GUESTS.items())
def test_every_step_is_qemus(name: str, steps: int, tmp_path: Path) -> None:
    binary = nasm_golden(name, "native")
    with qemu(binary, tmp_path) as remote:
        both = Lockstep(remote, binary)
        while not both.over and both.steps < (steps if FULL else SAMPLE):
            problem = both.step()
            assert problem is None, problem
