"""A PC in real mode with a few instructions at 0:1000."""

from __future__ import annotations

import subprocess
import tempfile
from functools import cache
from pathlib import Path

from vizapp.isa.addresses import HostPhysical
from vizapp.isa.registers import CS
from vizapp.machine.cpu import Cpu
from vizapp.machine.inputs import NAMES
from vizapp.machine.pc import Pc
from vizapp.machine.real_mode import power_on
from vizapp.machine.segments import paragraph_segment

ORIGIN = 0x1000
STACK = 0x7000
STEPS = 20_000


@cache
def assemble(source: str) -> bytes:
    """NASM's bytes of 16-bit code at ``ORIGIN``."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "code.asm"
        path.write_text(f"bits 16\norg {ORIGIN:#x}\n{source}\n")
        subprocess.run(["nasm", "-f", "bin", "-o", path.with_suffix(".bin"), path], check=True)
        return path.with_suffix(".bin").read_bytes()


def real_pc(source: str) -> Pc:
    """A machine that is about to run ``source`` in real mode, all segments 0."""
    pc = Pc(dict.fromkeys(NAMES, 1), 2 << 20, 1_000_000_000)
    pc.memory.load(HostPhysical(ORIGIN), assemble(source))
    power_on(pc.cpu)
    pc.cpu.set_code_segment(paragraph_segment(pc.cpu, CS, 0), 0)
    pc.cpu.eip, pc.cpu.esp, pc.cpu.edx = ORIGIN, STACK, 0
    pc.interrupts_blocked = True
    return pc


def run(source: str) -> Cpu:
    """The processor after HLT."""
    pc = real_pc(source)
    pc.run(max_steps=STEPS)
    assert pc.cpu.halted, (pc.stopped, hex(pc.cpu.eip))
    return pc.cpu
