"""Going back in time: what one step back costs anywhere in a long run, and what a run costs to record."""

from __future__ import annotations

import random
import time
from statistics import median
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from vizapp.guest.library import build_guest
from vizapp.session.builder import build
from vizapp.session.scenario import Scenario
from vizapp.session.session import Session

PROBES = 100
BOUND = 0.100  # seconds that a step back may take, wherever it is made


class Run(NamedTuple):
    """A guest that runs for ``instructions`` at scale 1, or to its end before."""

    guest: str
    technique: str
    iterations: int | None
    instructions: int


RUNS = (
    Run("compute", "native", 100, 3_000_000),
    Run("minikernel", "trap-and-emulate", None, 1_000_000),
    Run("syscall", "trap-and-emulate", 20_000, 100_000),
)


def main(scale: float) -> None:
    """Print the table."""
    table = Table(
        "guest", "technique", "instructions", "steps", "run in", "recorded in", "step back: median", "worst"
    )
    for run in RUNS:
        image = build_guest(run.guest, "native", iterations=run.iterations)
        scenario = Scenario(image, run.technique, virtualizable=True)
        bare = median(_without_history(scenario, int(run.instructions * scale)) for _ in range(3))
        session = Session(scenario)
        began = time.process_time()
        session.advance(max_instructions=int(run.instructions * scale))
        recorded = time.process_time() - began
        end = session.timeline.end
        times = [_step_back(session, position) for position in _positions(end)]
        table.add_row(
            run.guest,
            run.technique,
            f"{session.timeline.end_instruction:,}",
            f"{end:,}",
            f"{bare:.2f} s",
            f"{recorded:.2f} s",
            f"{median(times) * 1000:.0f} ms",
            f"{max(times) * 1000:.0f} ms" + (" !" if max(times) > BOUND else ""),
        )
    Console().print(table)


def _without_history(scenario: Scenario, instructions: int) -> float:
    """Seconds of process time for the same run when nobody records it."""
    pc = build(scenario).pc
    began = time.process_time()
    pc.run(until_instruction=instructions)
    return time.process_time() - began


def _positions(end: int) -> list[int]:
    chance = random.Random(1)
    return [chance.randrange(2, end) for _ in range(PROBES)]


def _step_back(session: Session, position: int) -> float:
    """Seconds of process time for one step back from ``position``, the frame included."""
    session.seek(position)
    began = time.process_time()
    session.back()
    return time.process_time() - began


if __name__ == "__main__":
    main(1.0)
