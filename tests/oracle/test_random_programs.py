"""Random programs of kernels and users, of 16 and 32 bits, end here as they end on unicorn.

A few in the ordinary run; a million instructions with ``VIZAPP_ORACLE=full``, as ``make oracle`` sets it:
some 15 minutes of processor time, in as many processes as there are cores. What has run can be left out of
the next run: ``python -m tests.oracle.random_programs FIRST [LAST]`` does some of the seeds.
"""

from __future__ import annotations

import os
import sys

import pytest

from tests.oracle.random_programs import MODES, SEEDS, compare, unit

pytestmark = pytest.mark.oracle

SAMPLE = 600  # instructions of each mode
MILLION = 1_000_000


@pytest.mark.parametrize("mode", MODES)
def test_random_programs_end_as_on_unicorn(mode: str) -> None:
    _, _, count, problem = unit(mode, 1000, SAMPLE)
    assert not problem, problem
    assert count >= SAMPLE


@pytest.mark.timeout(0)
@pytest.mark.skipif(os.environ.get("VIZAPP_ORACLE") != "full", reason="needs make oracle")
def test_a_million_instructions_are_as_on_unicorn() -> None:
    def tell(line: str) -> None:
        print(line, file=sys.__stderr__, flush=True)

    total, problems = compare(range(SEEDS), os.cpu_count() or 1, tell)
    assert problems == []
    assert total >= MILLION
