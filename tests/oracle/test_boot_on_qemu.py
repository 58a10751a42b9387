"""The goldens of what boots are what QEMU prints, a PC that we did not write, with our BIOS in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.goldens.boot import BOOT_TESTS, TEACHING, BootTest, printed, run_on_qemu
from tests.oracle import boot_machine

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(not boot_machine.available, reason="needs qemu-system-i386"),
]


@pytest.mark.parametrize("test", [*BOOT_TESTS, TEACHING], ids=lambda test: test.name)
def test_qemu_prints_the_golden(test: BootTest, tmp_path: Path) -> None:
    assert run_on_qemu(test, tmp_path) == printed(test).read_bytes()
