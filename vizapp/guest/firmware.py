"""The BIOS, from ``assets/firmware``: its bytes as they stand in the ROM, and the way back to its source.

Assembling it takes a second or two, so what the assembler made is kept beside the source: ``bios.bin``, and
in ``bios.map`` a line for each piece of code or data: offset in segment F000h and length (hexadecimal), kind,
source line and file. ``make_firmware`` writes both.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from vizapp.guest.assembler import assemble
from vizapp.isa.addresses import Linear
from vizapp.machine.image import SourceLine
from vizapp.resources import assets

SEGMENT = 0xF000
SEGMENT_BASE = SEGMENT << 4
MAIN = "bios.asm"
BINARY, MAP = "bios.bin", "bios.map"
_KINDS = {"code": True, "data": False}


class Firmware(NamedTuple):
    """The BIOS: whole pages that end with the first megabyte, and its source lines at linear addresses."""

    data: bytes
    lines: tuple[SourceLine, ...]


def firmware_directory() -> Path:
    """Where the source of the BIOS stands."""
    return assets() / "firmware"


@lru_cache(maxsize=1)
def bios() -> Firmware:
    """The BIOS as it was built."""
    directory = firmware_directory()
    data = (directory / BINARY).read_bytes()
    texts: dict[str, list[str]] = {}
    lines = []
    for row in (directory / MAP).read_text(encoding="utf-8").splitlines():
        offset, length, kind, number, file = row.split(" ")
        if file not in texts:
            texts[file] = (directory / file).read_text(encoding="utf-8").splitlines()
        address = Linear(SEGMENT_BASE + int(offset, 16))
        text = texts[file][int(number) - 1]
        lines.append(SourceLine(address, int(length, 16), file, int(number), text, _KINDS[kind]))
    return Firmware(data, tuple(lines))


def build() -> tuple[bytes, str]:
    """Assemble the BIOS: what ``bios.bin`` and ``bios.map`` hold."""
    directory = firmware_directory()

    def included(name: str) -> str:
        return (directory / Path(name).name).read_text(encoding="utf-8")

    assembly = assemble(included(MAIN), MAIN, include=included, bits=16)
    rows = [
        f"{line.address:04x} {line.length:x} {'code' if line.code else 'data'} {line.number} {line.file}\n"
        for line in assembly.lines
    ]
    return assembly.data, "".join(rows)


def make_firmware() -> None:
    """Write what ``build`` makes to where ``bios`` reads it."""
    data, rows = build()
    (firmware_directory() / BINARY).write_bytes(data)
    (firmware_directory() / MAP).write_text(rows, encoding="utf-8")
