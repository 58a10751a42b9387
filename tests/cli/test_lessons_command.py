"""`vizapp lesson`: lists, checks and plays; a lesson that is wrong says where."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from vizapp.cli.main import main
from vizapp.resources import lessons

Capture = pytest.CaptureFixture[str]
RIGHT = "c b b b b a b b a a\n"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the first lesson that may be spoilt."""
    target = tmp_path / "lesson"
    shutil.copytree(lessons() / "01-rings-and-popf", target)
    return target


def test_the_shipped_lessons_hold(capsys: Capture) -> None:
    assert main(["lesson", "check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_right_answers_score(capsys: Capture, tmp_path: Path) -> None:
    answers = tmp_path / "answers"
    answers.write_text(RIGHT)
    assert main(["lesson", "play", "rings-and-popf", "--answers", str(answers), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["asked"] == report["right"] == 10


def test_a_wrong_answer_is_told_what_the_machine_did(capsys: Capture, tmp_path: Path) -> None:
    answers = tmp_path / "answers"
    answers.write_text("a\n")
    arguments = ["lesson", "play", "rings-and-popf", "--step", "2", "--answers", str(answers), "--lang", "en"]
    assert main(arguments) == 1
    assert "The machine did something else: Ring 3" in capsys.readouterr().out


def test_a_misspelt_key_is_found_with_its_line(capsys: Capture, copy: Path) -> None:
    file = copy / "lesson.yaml"
    file.write_text(file.read_text().replace("minutes:", "minuts:"))
    assert main(["lesson", "check", str(copy), "--lang", "en"]) == 2
    message = capsys.readouterr().err
    assert f"{file}:4:1:" in message
    assert "minutes" in message


def test_a_claim_that_does_not_hold_is_status_1(capsys: Capture, copy: Path) -> None:
    file = copy / "lesson.yaml"
    file.write_text(
        file.read_text().replace(
            "- register: {name: cpl, equals: 0}\n", "- register: {name: cpl, equals: 2}\n", 1
        )
    )
    assert main(["lesson", "check", str(copy), "--lang", "en"]) == 1
    assert "the-kernel-in-ring-0" in capsys.readouterr().out


def test_two_right_answers_are_a_fault_of_the_lesson(capsys: Capture, copy: Path) -> None:
    file = copy / "lesson.yaml"
    file.write_text(
        file.read_text().replace(
            "when: {register: {name: cpl, equals: 1}}", "when: {register: {name: cpl, equals: 3}}"
        )
    )
    assert main(["lesson", "check", str(copy), "--lang", "en"]) == 1
    assert "exactly one must be right" in capsys.readouterr().out


def test_a_missing_section_is_found(capsys: Capture, copy: Path) -> None:
    file = copy / "pt_BR.md"
    file.write_text(file.read_text().replace("{#down-to-ring-3}", "{#down-to-ring-2}"))
    assert main(["lesson", "check", str(copy), "--lang", "en"]) == 2
    message = capsys.readouterr().err
    assert "down-to-ring-3" in message
    assert "down-to-ring-2" in message


def test_an_unknown_label_is_found(capsys: Capture, copy: Path) -> None:
    file = copy / "lesson.yaml"
    file.write_text(file.read_text().replace("label: mark_enter_ring_3", "label: mark_nowhere", 1))
    assert main(["lesson", "check", str(copy), "--lang", "en"]) == 2
    assert "mark_nowhere" in capsys.readouterr().err
