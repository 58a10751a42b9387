"""Data breakpoints on descriptors, gates and frames: what Bochs and this processor do with the same ROM."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.oracle import bochs, breakpoints
from tests.oracle.probe import Tables, outcomes, rom, run_here

pytestmark = pytest.mark.oracle


@pytest.mark.skipif(not bochs.available, reason="needs bochs")
def test_breakpoints_on_the_processors_own_accesses_are_bochss(tmp_path: Path) -> None:
    tables = Tables()
    cases = list(breakpoints.cases(tables))
    image = rom(tables, cases)
    here, there = outcomes(run_here(image)), outcomes(bochs.run(image, tmp_path))
    assert len(here) == len(there) == len(cases)
    different = [
        f"{case.name}:\n  here  {ours}\n  there {theirs}"
        for case, ours, theirs in zip(cases, here, there, strict=True)
        if ours != theirs
    ]
    assert different == []
    assert {outcome.vector for outcome in here} == {1, 11, 32}
