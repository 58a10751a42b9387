"""Random programs of kernels and users, of 16 and 32 bits, end here as they end on unicorn.

A few in the ordinary run; a million instructions with ``VIZAPP_ORACLE=full``, as ``make oracle`` sets it:
some 15 minutes of processor time. What has run can be left out of the next run:
``python -m tests.oracle.random_programs FIRST [LAST]`` does some of the seeds.
"""

from __future__ import annotations

import pytest

from tests.lengths import FULL
from tests.oracle.random_programs import MODES, SEEDS, UNIT, unit

pytestmark = pytest.mark.oracle

SAMPLE = 600  # instructions of each mode
MILLION = 1_000_000
assert UNIT * len(MODES) * SEEDS >= MILLION


@pytest.mark.parametrize("mode", MODES)
def test_random_programs_end_as_on_unicorn(mode: str) -> None:
    _, _, count, problem = unit(mode, 1000, SAMPLE)
    assert not problem, problem
    assert count >= SAMPLE


@pytest.mark.timeout(0)
@pytest.mark.skipif(not FULL, reason="needs make oracle")
@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("mode", MODES)
def test_a_million_instructions_are_as_on_unicorn(mode: str, seed: int) -> None:
    _, _, count, problem = unit(mode, seed)
    assert not problem, problem
    assert count >= UNIT
