"""What the history of a long run weighs: the peak of a process that records ten million instructions.

Each guest has 16 MB and a process of its own, which tells its peak and its time with and without a recording.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from vizapp.guest.library import build_guest
from vizapp.guest.loader import load_guest
from vizapp.session.builder import build
from vizapp.session.scenario import Scenario
from vizapp.session.session import Session

INSTRUCTIONS = 10_000_000
GOAL = 400  # MB
WIDTH = 120  # columns
# Writes to every line of 13 MB again and again, so that no two checkpoints have much in common.
SWEEP = """
start:  mov ebp, 1
.again: mov edi, 0x200000
.line:  mov [edi], ebp
        add [edi + 4], edi
        add edi, 64
        cmp edi, 0xF00000
        jb .line
        inc ebp
        jmp .again
"""


def measure(guest: str, instructions: int) -> dict[str, float]:
    """Run a guest in this process: MB, seconds, and how many checkpoints there are."""
    if guest == "sweep":
        with tempfile.TemporaryDirectory() as directory:
            source = Path(directory) / "sweep.asm"
            source.write_text(SWEEP)
            image = load_guest(str(source))
    else:
        image = build_guest(guest, "native", iterations=instructions // 20_000)
    scenario = Scenario(image, memory=16 << 20)
    began = time.process_time()
    pc = build(scenario).pc
    pc.run(until_instruction=instructions)
    bare = time.process_time() - began
    began = time.process_time()
    session = Session(scenario)
    session.advance(max_instructions=instructions)
    recorded = time.process_time() - began
    return {
        "instructions": session.timeline.end_instruction,
        "events": len(session.store),
        "bare": bare,
        "recorded": recorded,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main(scale: float) -> None:
    """Print the table."""
    table = Table(
        "guest of 16 MB", "instructions", "events", "goal", "peak of the process", "run in", "recorded in"
    )
    for guest in ("compute", "sweep"):
        command = [sys.executable, "-m", "tests.bench.bench_memory", guest, str(int(INSTRUCTIONS * scale))]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        table.add_row(
            guest,
            f"{found['instructions']:,}",
            f"{found['events']:,}",
            f"{GOAL} MB",
            f"{found['peak']:.0f} MB" + (" !" if found["peak"] > GOAL else ""),
            f"{found['bare']:.2f} s",
            f"{found['recorded']:.2f} s",
        )
    Console(width=WIDTH).print(table)


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
