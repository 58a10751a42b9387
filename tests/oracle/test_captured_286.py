"""Every capture of SingleStepTests/80286 at hand, on the whole PC in real mode; 100 percent pass.

The ordinary run has the ten of each opcode that ``tests/machine/data`` keeps. ``VIZAPP_ORACLE=full``, as
``make oracle`` sets it, adds all of ``VIZAPP_CAPTURES``: a folder with ``sst286_real_sample.jsonl.gz`` and
``sst286_metadata.json``.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lengths import FULL
from tests.oracle.captured_286 import Bench

SAMPLE = Path(__file__).parents[1] / "machine" / "data" / "harris-80c286.jsonl.gz"
FOLDER = Path(os.environ.get("VIZAPP_CAPTURES", "captures"))
ALL = FOLDER / "sst286_real_sample.jsonl.gz"
METADATA = FOLDER / "sst286_metadata.json"
NO_MASK = 0xFFFF
STRIDE = 5


def captures(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt") as lines:
        yield from map(json.loads, lines)


def failures(found: Iterator[dict[str, Any]]) -> list[str]:
    bench = Bench()
    report = []
    for capture in found:
        problems = bench.problems(capture)
        if problems:
            report.append(f"{capture['op']} {capture['name']} ({capture['bytes']}): {problems[0]}")
    return report


def defined_flags(opcodes: dict[str, Any], name: str) -> int:
    opcode, _, digit = name.partition(".")
    entry = opcodes[opcode]
    mask: int = (entry["reg"][digit] if digit else entry).get("flags-mask", NO_MASK)
    return mask


def test_a_sample_of_what_a_real_80286_did() -> None:
    found = (capture for index, capture in enumerate(captures(SAMPLE)) if index % STRIDE == 0)
    assert failures(found) == []


@pytest.mark.oracle
@pytest.mark.timeout(1800)
@pytest.mark.skipif(
    not FULL or not ALL.exists(),
    reason="needs VIZAPP_CAPTURES and make oracle",
)
def test_all_that_a_real_80286_did() -> None:
    opcodes = json.loads(METADATA.read_text())["opcodes"]
    found = (capture | {"mask": defined_flags(opcodes, capture["op"])} for capture in captures(ALL))
    assert failures(found) == []
