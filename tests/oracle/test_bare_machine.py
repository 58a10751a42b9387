"""Native builds on a bare machine that we did not write: they end, and print the results that are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.goldens.make import nasm_golden, result_of, results
from tests.oracle import bare_machine
from vizapp.guest.catalogue import GUESTS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(not bare_machine.available, reason="needs qemu-system-i386 and nasm"),
]


@pytest.mark.parametrize("name", [name for name in GUESTS if "native" in GUESTS[name].builds])
def test_native_build_prints_its_result_on_qemu(name: str, tmp_path: Path) -> None:
    output = bare_machine.run_library_guest(GUESTS[name], nasm_golden(name, "native"), tmp_path)
    assert result_of(output) == results()[name], output


def test_timer_ticks_reach_the_guests_on_qemu(tmp_path: Path) -> None:
    assert "no timer tick" not in bare_machine.run_guest(nasm_golden("popf", "native"), tmp_path)
    output = bare_machine.run_guest(nasm_golden("minikernel", "native"), tmp_path)
    assert ", ticks 0," not in output
    assert ", preemptions 0\n" not in output
