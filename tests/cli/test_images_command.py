"""`vizapp run` with images that somebody else might have made: disks, ROMs, kernels, flat 16-bit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.goldens.boot import BOOT_TESTS, IMAGES, binary_of, disk_contents, printed
from vizapp.cli.main import main

Capture = pytest.CaptureFixture[str]
TESTS = {test.name: test for test in BOOT_TESTS}


def without_returns(name: str) -> str:
    """What a test prints, with the line ends of text."""
    return printed(TESTS[name]).read_text(encoding="latin-1")


def run_json(capsys: Capture, *words: str) -> dict:
    status = main(["run", *words, "--json", "--lang", "en"])
    captured = capsys.readouterr()
    assert (status, captured.err) == (0, "")
    return json.loads(captured.out)


def refused(capsys: Capture, *words: str) -> str:
    assert main([*words, "--lang", "en"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def test_a_disk_boots_and_ends_by_the_exit_port(capsys: Capture, tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(disk_contents(TESTS["modes"]))
    report = run_json(capsys, str(disk), "--exit-port", "0x501")
    assert report["stopped"]["reason"] == "exit-port"
    assert report["serial"] == without_returns("modes")
    assert report["screen"][0].startswith("vizapp BIOS")


def test_its_source_boots_too(capsys: Capture) -> None:
    report = run_json(capsys, str(IMAGES / "modes.asm"), "--exit-port", "0x501")
    assert report["serial"] == without_returns("modes")


def test_a_rom_starts_at_the_reset_vector(capsys: Capture) -> None:
    report = run_json(capsys, str(binary_of(TESTS["rom"])), "--exit-port", "0x501")
    assert report["serial"] == without_returns("rom")


def test_a_kernel_finds_its_disk(capsys: Capture, tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(disk_contents(TESTS["kernel-elf"]))
    report = run_json(capsys, str(binary_of(TESTS["kernel-elf"])), "--disk", str(disk))
    assert report["stopped"]["reason"] == "halted"  # it waits for a key
    assert "disk 2E747331 2E303033" in report["serial"]


def test_a_16_bit_binary_runs_without_firmware(capsys: Capture, tmp_path: Path) -> None:
    binary = tmp_path / "code.bin"
    binary.write_bytes(bytes.fromhex("B8 34 12 8C C9 F4"))  # MOV AX, 1234h; MOV CX, CS; HLT
    report = run_json(capsys, str(binary), "--load", "0x20000", "--bits", "16")
    assert report["stopped"]["reason"] == "halted"
    assert report["instructions"]["guest"] == 3


@pytest.mark.parametrize("technique", ["trap-and-emulate", "paravirtual"])
def test_monitors_say_why_they_cannot(capsys: Capture, technique: str) -> None:
    for image in ("rom", "modes"):
        message = refused(capsys, "run", str(binary_of(TESTS[image])), "--technique", technique)
        assert "starts in real mode" in message
        assert "native" in message


def test_a_disk_that_is_not_there_is_one_message(capsys: Capture) -> None:
    assert "there is no file nowhere.img" in refused(capsys, "run", "hello", "--disk", "nowhere.img")
