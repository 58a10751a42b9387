"""The README: every command in it works as it stands there, and every file that it names is there."""

from __future__ import annotations

import io
import re
import shlex
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.goldens.boot import BOOT_TESTS, binary_of, disk_contents
from vizapp.cli.main import main

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [shlex.split(line, comments=True)[1:] for line in re.findall(r"^ +vizapp .*", README, re.M)]
BLOCKS = re.findall(r"(?:^ {4,}.*\n|^\n(?= {4}))+", README, re.M)
TESTS = {test.name: test for test in BOOT_TESTS}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with what somebody might bring to it."""
    (tmp_path / "assets").symlink_to(ROOT / "assets")
    (tmp_path / "mine.asm").write_text("mov eax, 1\ncli\nhlt\n", encoding="utf-8")
    (tmp_path / "code.bin").write_bytes(bytes((0xB8, 1, 0, 0, 0, 0xFA, 0xF4)))
    sector = bytes((0xFA, 0xF4)).ljust(510, b"\0") + b"\x55\xaa"
    (tmp_path / "floppy.img").write_bytes(sector.ljust(1440 << 10, b"\0"))
    (tmp_path / "kernel.elf").write_bytes(binary_of(TESTS["kernel-elf"]).read_bytes())
    (tmp_path / "hd.img").write_bytes(disk_contents(TESTS["kernel-elf"]))
    jump = bytes((0xEA, 0, 0, 0, 0xF0))
    (tmp_path / "rom.bin").write_bytes(bytes((0xFA, 0xF4)).ljust(0xFFF0, b"\0") + jump.ljust(16, b"\0"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_runs_as_it_is_written(
    words: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if words[0] == "picture":
        pytest.importorskip("PySide6")
    monkeypatch.setattr(sys, "stdin", io.StringIO("a\n" * 100))
    wrong_answers = int(words[:2] == ["lesson", "play"])  # here every answer is the first
    assert main([*words, "--lang", "en"]) == wrong_answers
    assert "vizapp:" not in capsys.readouterr().err
    if "-o" in words:
        assert (folder / words[words.index("-o") + 1]).stat().st_size


def test_the_commands_are_found() -> None:
    assert {words[0] for words in COMMANDS} >= {"run", "compare", "lesson", "picture"}


def test_the_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = [block for block in BLOCKS if "import vizapp" in block]
    names: dict[str, object] = {}
    exec(dedent(block), names)
    assert "trap-and-emulate" in capsys.readouterr().out


def test_the_scenario_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = [block for block in BLOCKS if "format: 1" in block]
    (folder / "several.yaml").write_text(dedent(block), encoding="utf-8")
    assert main(["run", "several.yaml", "--lang", "en"]) == 0
    assert "all 2 virtual machines have halted" in capsys.readouterr().out


def test_the_files_of_the_reading_order_are_there() -> None:
    order = README.split("### A reading order")[1].split("###")[0]
    package = ""
    for name in re.findall(r"`([\w/]+(?:\.py|/))`", order):
        package = name.rsplit("/", 1)[0] if "/" in name else package
        path = name if "/" in name else f"{package}/{name}"
        assert (ROOT / "vizapp" / path).exists(), path
