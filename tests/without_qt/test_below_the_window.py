"""Runs where Qt was never installed: everything below the window must work there."""

from __future__ import annotations

import importlib
import importlib.util
import json
import pkgutil

import pytest

import vizapp
from vizapp.cli.main import main

if importlib.util.find_spec("PySide6") is not None:
    pytest.skip(
        "this environment has Qt; bootstrap.py runs these in one that has not", allow_module_level=True
    )

MODULES = [
    module.name
    for module in pkgutil.walk_packages(vizapp.__path__, "vizapp.")
    if not module.name.startswith(("vizapp.ui", "vizapp.app", "vizapp.__main__"))
]


@pytest.mark.parametrize("name", MODULES)
def test_module_imports_without_qt(name: str) -> None:
    importlib.import_module(name)


def test_a_guest_runs_and_reports(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "rings", "--technique", "trap-and-emulate", "--virtualizable", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["stopped"]["reason"] == "halted"
    assert report["cycles"]["total"] == sum(report["cycles"]["by_purpose"].values())


def test_techniques_compare(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "syscall", "--iterations", "3", "--json"]) == 0
    runs = json.loads(capsys.readouterr().out)
    assert runs[0]["technique"] == "native"
    assert runs[0]["overhead"] == 1.0


def test_lessons_hold(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lesson", "check"]) == 0


def test_a_picture_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["picture", "rings", "-o", "never.png"]) == 2
    assert "PySide6" in capsys.readouterr().err
