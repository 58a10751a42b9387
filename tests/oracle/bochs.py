"""Runs a ROM on Bochs without a screen, up to its ``xchg bx, bx``: what it wrote to port E9h.

Debian's Bochs has its debugger in it and so obeys a file of commands: it runs to the magic breakpoint and
ends. The terminal display opens a pseudo-terminal of its own, so none is needed.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

PROGRAM = "bochs-bin"
VGA_ROM = Path("/usr/share/vgabios/vgabios.bin")
available = shutil.which(PROGRAM) is not None and VGA_ROM.exists()

_SETTINGS = """
megs: 16
cpu: model={model}, count=1, ips=50000000, reset_on_triple_fault=0
cpuid: level=6
romimage: file={rom}, address={address:#x}
vgaromimage: file={vga}
display_library: term
port_e9_hack: enabled=1
magic_break: enabled=1
clock: sync=none
speaker: enabled=0
log: {log}
panic: action=fatal
error: action=ignore
info: action=ignore
"""


def run(image: bytes, directory: Path, seconds: float = 120.0, model: str = "p4_prescott_celeron_336") -> str:
    """What the image, which ends with the address space, tells."""
    rom, settings, commands = directory / "probe.rom", directory / "bochsrc", directory / "commands"
    rom.write_bytes(image)
    address = (1 << 32) - len(image)
    text = _SETTINGS.format(rom=rom, address=address, model=model, vga=VGA_ROM, log=directory / "bochs.log")
    settings.write_text(text, encoding="ascii")
    commands.write_text("c\nq\n", encoding="ascii")
    command = [PROGRAM, "-q", "-f", settings, "-rc", commands]
    done = subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=seconds,
    )
    return done.stdout.decode("latin-1")
