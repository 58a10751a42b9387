"""The programs in assembly beside the tests: what they include, and NASM's bytes of them.

reset.inc     from the reset vector of a ROM to flat code in ring 0
attempts.inc  what may be refused, and goes on all the same; gates
print.inc     numbers on the serial port, heading.inc lines that begin with four letters
pci.inc       a register of a PCI device
"""

from __future__ import annotations

import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent


def include(name: str) -> str:
    """The text of an included file, for our assembler."""
    return (HERE / name).read_text(encoding="ascii")


def nasm(source: Path, binary: Path, *options: str) -> bytes:
    """What NASM makes of a source, which need not be here to include what is."""
    subprocess.run(["nasm", "-f", "bin", "-i", f"{HERE}/", *options, "-o", binary, source], check=True)
    return binary.read_bytes()
