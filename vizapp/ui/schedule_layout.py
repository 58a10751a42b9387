"""Lanes of the processor: what each virtual machine did from cycle to cycle, cut to what is in view."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from vizapp.session.details.schedule import Schedule

RUNS, READY, WAITS, PAUSED, STOPPED = "Rrwps"


class Stay(NamedTuple):
    """A machine in one state from one cycle to another; it began with the step at ``position``."""

    state: str
    start: int
    end: int
    position: int


def stays(schedule: Schedule, vm: int) -> list[Stay]:
    """What a machine did, neighbours of the same state joined."""
    changes = schedule.changes
    ends = [*(after.cycle for _, after in pairwise(changes)), schedule.end]
    found: list[Stay] = []
    for change, end in zip(changes, ends, strict=True) if changes else ():
        state = change.states[vm] if vm < len(change.states) else PAUSED
        if found and found[-1].state == state:
            found[-1] = found[-1]._replace(end=end)
        else:
            found.append(Stay(state, change.cycle, end, change.position))
    return found


def span(schedule: Schedule) -> tuple[int, int]:
    """The cycles that the lanes reach from and to."""
    start = schedule.changes[0].cycle if schedule.changes else 0
    return start, max(schedule.end, start + 1)


def zoomed(
    whole: tuple[int, int], seen: tuple[float, float], factor: float, around: float
) -> tuple[float, float]:
    """``1 / factor`` of what is seen, the cycle ``around`` staying in its place; at most the whole."""
    low, high = seen
    width = min(max((high - low) / factor, 1000.0), whole[1] - whole[0])
    start = around - width * (around - low) / (high - low)
    start = min(max(start, whole[0]), whole[1] - width)
    return start, start + width


def used(schedule: Schedule, vm: int) -> float:
    """The share of the time in the lanes that a machine ran, from 0 to 1."""
    low, high = span(schedule)
    return sum(stay.end - stay.start for stay in stays(schedule, vm) if stay.state == RUNS) / (high - low)
