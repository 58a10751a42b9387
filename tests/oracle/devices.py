"""Runs programs that ask devices on qemu-system-i386, for what its devices answer; `make goldens` keeps that.

Left out of the programs, as faults of QEMU:

- an APIC that software disables does not set the mask bits of its local vector table, as the SDM says;
- a drive's DSC bit falls with an error, where real drives keep theirs (status 51h);
- a LANCE that runs takes new addresses in CSR1 and CSR2, keeps TDMD when it has looked, and TXON when it is
  stopped; the check sequence of a frame that it sends to itself is not complemented and in the wrong order.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.oracle import bare_machine
from tests.oracle.sources import HERE, nasm

PROGRAMS = ("devices", "network")
SECTORS = 3 * 16 * 63
MAC = "00:0c:29:00:00:01"
_GOLDENS = HERE.parent / "goldens"


def source(program: str) -> Path:
    """Where a program stands."""
    return HERE / f"{program}.asm"


def golden(program: str) -> Path:
    """Where QEMU's answers stand."""
    return _GOLDENS / f"{program}.txt"


def disk() -> bytes:
    """The contents of the disk: each sector begins with its number."""
    return b"".join(block.to_bytes(4, "little").ljust(512, b"\0") for block in range(SECTORS))


def run(program: str, directory: Path) -> str:
    """What the devices of QEMU's PC answer."""
    binary, image = directory / f"{program}.bin", directory / "disk.img"
    nasm(source(program), binary)
    image.write_bytes(disk())
    drive = ["-drive", f"file={image},format=raw,if=ide,index=0"]
    network = ["-device", f"pcnet,mac={MAC},addr=3,netdev=none", "-netdev", "hubport,hubid=0,id=none"]
    # The clock follows the instruction count, as everything else does.
    options = [*drive, *network, "-rtc", "clock=vm"]
    return bare_machine.run_guest(binary, directory, cpu="pentium3", options=options)


def main() -> None:
    """Make the goldens anew."""
    with tempfile.TemporaryDirectory() as directory:
        for program in PROGRAMS:
            golden(program).write_text(run(program, Path(directory)), encoding="ascii")
