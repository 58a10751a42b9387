"""Runs a native guest build on qemu-system-i386: a bare machine that we did not write."""

from __future__ import annotations

import select
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

LOAD_ADDRESS = 0x0010_0000
HERE = Path(__file__).resolve().parent

available = shutil.which("qemu-system-i386") is not None and shutil.which("nasm") is not None


def cpu_for(*, needs_apic: bool) -> str:
    """QEMU's name of the processor that a guest expects."""
    return "pentium3" if needs_apic else "pentium3,-apic"


def build_rom(directory: Path) -> Path:
    """Assemble the ROM that starts the guest; the path of the 64 KB file."""
    rom = directory / "flat_boot.rom"
    subprocess.run(["nasm", "-f", "bin", "-o", rom, HERE / "flat_boot.asm"], check=True)
    return rom


def run_guest(
    binary: Path,
    directory: Path,
    seconds: float = 20.0,
    cpu: str = "pentium3,-apic",
    options: Sequence[str] = (),
) -> str:
    """COM1's output of a guest loaded flat at 1 MB, up to the end of its ``result:`` line.

    Virtual time follows the instruction count (16 ns each), so that a run is the same on any computer.
    Returns what was printed so far when ``seconds`` are over.
    """
    machine = ["-machine", "pc", "-cpu", cpu, "-m", "16", "-nodefaults", "-display", "none"]
    time_base = ["-accel", "tcg", "-icount", "shift=4,sleep=off"]
    image = ["-device", f"loader,file={binary},addr={LOAD_ADDRESS:#x},force-raw=on"]
    start = ["-bios", str(build_rom(directory)), "-serial", "stdio"]
    command = ["qemu-system-i386", *machine, *time_base, *image, *start, *options]
    deadline = time.monotonic() + seconds
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        output = b""
        try:
            while not _finished(output) and time.monotonic() < deadline:
                ready, _, _ = select.select([process.stdout], [], [], 0.1)
                if ready:
                    piece = process.stdout.read1(4096)  # type: ignore[attr-defined]
                    if not piece:
                        break
                    output += piece
        finally:
            process.kill()
    return output.decode("latin-1")


def _finished(output: bytes) -> bool:
    head, found, tail = output.rpartition(b"result: ")
    return bool(found) and b"\n" in tail and (not head or head.endswith(b"\n"))
