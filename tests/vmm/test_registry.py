"""The registry: what it says of a technique is what the technique says of itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

from vizapp.errors import UnknownNameError
from vizapp.vmm.registry import TECHNIQUES, technique


@pytest.mark.parametrize("name", TECHNIQUES)
def test_an_entry_tells_its_techniques_name_and_build(name: str) -> None:
    made = technique(name)
    assert made.name == name
    assert made.build == TECHNIQUES[name].build


def test_an_unknown_name_is_told_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean native"):
        technique("nativ")


def test_naming_techniques_loads_no_machine() -> None:
    code = "import sys, vizapp.vmm.registry; sys.exit('vizapp.machine.pc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
