"""Runs ``devices.asm`` on qemu-system-i386, for what its devices answer; `make goldens` keeps that.

Left out of the program, as faults of QEMU's: an APIC that software disables does not set the mask bits of its
local vector table there, as the SDM says it does; and a drive's DSC bit falls with an error, where real drives
keep theirs (status 51h).
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from tests.oracle import bare_machine

SOURCE = Path(__file__).resolve().parent / "devices.asm"
GOLDEN = Path(__file__).resolve().parents[1] / "goldens" / "devices.txt"
SECTORS = 3 * 16 * 63


def disk() -> bytes:
    """The contents of the disk: each sector begins with its number."""
    return b"".join(block.to_bytes(4, "little").ljust(512, b"\0") for block in range(SECTORS))


def run(directory: Path) -> str:
    """What the devices of QEMU's PC answer."""
    binary, image = directory / "devices.bin", directory / "disk.img"
    subprocess.run(["nasm", "-f", "bin", "-o", binary, SOURCE], check=True)
    image.write_bytes(disk())
    drive = ["-drive", f"file={image},format=raw,if=ide,index=0"]
    return bare_machine.run_guest(binary, directory, cpu="pentium3", options=drive)


def main() -> None:
    """Make the golden anew."""
    with tempfile.TemporaryDirectory() as directory:
        GOLDEN.write_text(run(Path(directory)), encoding="ascii")
