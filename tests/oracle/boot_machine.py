"""Boots an image on qemu-system-i386 and types at it: what it wrote to COM1 until it ended the run."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

available = shutil.which("qemu-system-i386") is not None

DATE = "2009-01-01T00:00:00"  # as our own machine starts
EXIT_PORT = 0x501
PROMPT = b"type "
KEY_SECONDS = 0.3
ROM_BYTES = 64 << 10

DISK = ["-machine", "isapc", "-cpu", "486"]
KERNEL = ["-machine", "pc", "-cpu", "pentium3"]


def disk_options(disk: Path) -> list[str]:
    """QEMU's options for an IDE disk that stays as it is."""
    return ["-drive", f"file={disk},format=raw,if=ide,index=0,snapshot=on"]


def whole_rom(bios: bytes, directory: Path) -> Path:
    """The file for ``-bios``: as QEMU has no smaller ones, with nothing in front."""
    path = directory / "bios.rom"
    path.write_bytes(bios.rjust(ROM_BYTES, b"\xff"))
    return path


def boot(options: list[str], directory: Path, keys: tuple[str, ...] = (), seconds: float = 40.0) -> bytes:
    """Run until the guest writes to the exit port; ``keys``, names of ``sendkey``, are for its prompt."""
    output = directory / "serial"
    command = [
        "qemu-system-i386", *options, "-m", "16", "-nodefaults", "-display", "none", "-accel", "tcg",
        "-rtc", f"base={DATE}", "-serial", f"file:{output}", "-monitor", "stdio",
        "-device", f"isa-debug-exit,iobase={EXIT_PORT:#x},iosize=1",
    ]  # fmt: skip
    waiting = list(keys)
    deadline = time.monotonic() + seconds
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        try:
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
                if waiting and output.exists() and PROMPT in output.read_bytes():
                    process.stdin.write(f"sendkey {waiting.pop(0)}\n".encode())
                    process.stdin.flush()
                    time.sleep(KEY_SECONDS)
        finally:
            process.kill()
    return output.read_bytes()
