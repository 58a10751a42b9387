"""4 MB pages with PSE-36: what Bochs and this processor do with the same ROM, or did when it was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.oracle import bochs
from tests.oracle.bochs_goldens import LARGE_PAGES
from tests.oracle.probe import outcomes, rom, run_here

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.oracle


def test_large_pages_are_bochss() -> None:
    tables, cases = LARGE_PAGES.sample()
    here, there = outcomes(run_here(rom(tables, cases))), LARGE_PAGES.told()
    assert len(here) == len(there) == len(cases)
    different = [
        f"{case.name}:\n  here  {ours}\n  there {theirs}"
        for case, ours, theirs in zip(cases, here, there, strict=True)
        if ours != theirs
    ]
    assert different == []
    assert {outcome.vector for outcome in here} == {14, 32}


@pytest.mark.skipif(not bochs.available, reason="needs bochs")
def test_bochs_tells_what_it_told(tmp_path: Path) -> None:
    assert outcomes(bochs.run(rom(*LARGE_PAGES.sample()), tmp_path)) == LARGE_PAGES.told()
