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
WIDTH = 150  # columns
REPEATS = 3  # of a run without a recording and with one, in turn
OVERHEAD = 0.15  # what recording may cost, as a share of the run


class Run(NamedTuple):
    """A guest that runs for ``instructions`` at scale 1, or to its end before."""

    guest: str
    technique: str
    iterations: int | None
    instructions: int


RUNS = (
    Run("compute", "native", 100, 3_000_000),
    Run("minikernel", "trap-and-emulate", None, 1_000_000),
    Run("syscall", "trap-and-emulate", 20_000, 20_000),
)


def main(scale: float) -> None:
    """Print the table."""
    table = Table(title=f"recording: medians of {REPEATS}; step back: of {PROBES} anywhere in the run")
    for heading in ("guest", "technique", "instructions", "steps", "run in", "recorded in"):
        table.add_column(heading)
    for heading in (
        f"overhead (goal {OVERHEAD:.0%})",
        "step back: median",
        f"worst (goal {BOUND * 1000:.0f} ms)",
    ):
        table.add_column(heading)
    table.add_column("far instruction: worst")
    for run in RUNS:
        image = build_guest(run.guest, "native", iterations=run.iterations)
        scenario = Scenario(image, run.technique, virtualizable=True)
        count = int(run.instructions * scale)
        bare, recorded = [], []
        for _ in range(REPEATS):
            bare.append(_without_history(scenario, count))
            session = Session(scenario)
            began = time.process_time()
            session.advance(max_instructions=count)
            recorded.append(time.process_time() - began)
        end = session.timeline.end
        times = [_step_back(session, position) for position in _positions(end)]
        far = [_to_instruction(session, number) for number in _positions(session.timeline.end_instruction)]
        overhead = median(recorded) / median(bare) - 1
        table.add_row(
            run.guest,
            run.technique,
            f"{session.timeline.end_instruction:,}",
            f"{end:,}",
            f"{median(bare):.2f} s",
            f"{median(recorded):.2f} s",
            f"{overhead:.0%}" + (" !" if overhead > OVERHEAD else ""),
            f"{median(times) * 1000:.0f} ms",
            f"{max(times) * 1000:.0f} ms" + (" !" if max(times) > BOUND else ""),
            f"{max(far) * 1000:.0f} ms",
        )
    Console(width=WIDTH).print(table)


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


def _to_instruction(session: Session, number: int) -> float:
    """Seconds of process time for going to a guest instruction from wherever the cursor is."""
    began = time.process_time()
    session.seek_instruction(number)
    return time.process_time() - began


if __name__ == "__main__":
    main(1.0)
