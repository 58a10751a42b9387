"""--host-memory and --shadow-sync: who has them, what comes of them, and who is told that there is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vizapp.cli.main import main

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--technique", "vt-x", "--host-memory", "8M"), "gives each guest all of its memory"),
        (("--technique", "native", "--host-memory", "8M"), "gives each guest all of its memory"),
        (
            ("--technique", "binary-translation", "--host-memory", "1M"),
            "1024 KB of host memory are not",
        ),
        (("--technique", "vt-x", "--shadow-sync", "lazy"), "only binary-translation"),
    ],
)
def test_what_cannot_be_is_refused(capsys: Capture, words: tuple[str, ...], sentence: str) -> None:
    assert main(["run", "hello", *words, "--lang", "en"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert sentence in captured.err


def test_a_scenario_says_how_much_there_is(capsys: Capture, tmp_path: Path) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(
        "format: 1\npcs:\n  - technique: trap-and-emulate\n    virtualizable: true\n    host_memory: 3M\n"
        "    vms: [{guest: fork, memory: 4M}]\n"
    )
    assert main(["run", str(file), "--json", "--scorecard", "--lang", "en"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["scorecard"]["equivalence"]["holds"] is True
    assert report["memory"]["hidden_faults"] > 0
    assert report["memory"]["paged_out"] == 0
