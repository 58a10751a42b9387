"""`vizapp classify`: the names in its JSON, and the two lists in its table."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vizapp.cli.main import main
from vizapp.experiment import classification
from vizapp.isa.opcodes import OPCODES


def documents(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    assert main(["classify", *words, "--json"]) == 0
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return rows


def test_of_a_guest_every_instruction_is_tried_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    rows = documents(capsys, "rings")
    by_class = {(row["name"], row["class"]): row for row in rows}
    assert by_class["iretd", "sensitive"]["count"] == 3
    assert by_class["cli", "privileged"]["declared"] == "privileged"
    assert by_class["mov", "innocuous"]["count"] > by_class["mov", "sensitive"]["count"]
    assert by_class["mov", "sensitive"]["robin_irvine"] is True
    assert by_class["iretd", "sensitive"]["evidence"].startswith("IF becomes 0 at ring 0 and 1 at ring 1")
    assert {run["ring"] for run in by_class["iretd", "sensitive"]["runs"]} <= {1, 3}


def test_the_table_stands_beside_the_paper_s_list(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    some = [opcode for opcode in OPCODES if opcode.privilege == "sensitive" or opcode.mnemonic == "add"]
    monkeypatch.setattr(classification, "OPCODES", some)  # the whole table is tried in tests/experiment
    assert main(["classify"]) == 0
    text = capsys.readouterr().out
    assert "17 by the paper's count" in text
    _, beside = text.split("17 by the paper's count")
    for name in ("SGDT", "POPF", "INT n", "MOV", "IRET", "LDS"):
        assert f"\n{name} " in beside
