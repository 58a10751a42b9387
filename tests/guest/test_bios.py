"""The BIOS: the bytes that are shipped are the assembler's and NASM's, and lead back to its source."""

from __future__ import annotations

from tests.goldens.boot import bios_golden
from vizapp.guest.firmware import SEGMENT_BASE, bios, build, firmware_directory
from vizapp.isa.decode import decode


def test_shipped_bytes_and_map_are_what_the_assembler_makes() -> None:
    data, rows = build()
    assert data == bios().data
    assert rows == (firmware_directory() / "bios.map").read_text(encoding="utf-8")


def test_bytes_are_nasms() -> None:
    assert bios().data == bios_golden().read_bytes()


def test_rom_ends_with_the_megabyte() -> None:
    assert len(bios().data) % 4096 == 0
    assert bios().data[-16] == 0xEA  # a far jump
    assert bios().data[-2] == 0xFC  # a PC/AT


def test_every_line_of_code_is_instructions() -> None:
    firmware = bios()
    start = (1 << 20) - len(firmware.data)
    for line in firmware.lines:
        code = firmware.data[line.address - start : line.address - start + line.length]
        assert len(code) == line.length
        while line.code and code:
            code = code[decode(code, line.address - SEGMENT_BASE, 16).length :]


def test_lines_have_their_text() -> None:
    services = [line for line in bios().lines if line.text.strip() == "ENTER_SERVICE"]
    assert {line.file for line in services} == {
        "clock.inc", "disk.inc", "keyboard.inc", "serial.inc", "system.inc", "video.inc"
    }  # fmt: skip
