"""VM exits by reason: how many, and how long the guest was kept from running by each.

The columns are those of ``perf kvm stat report``: samples, their share, the share of time, the shortest, the
longest and the mean time. Time is in cycles, from the exit to the entry that ends it, both included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vizapp.machine.events import VM_ENTERED, VM_EXITED
from vizapp.machine.inputs import priced

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vizapp.machine.events import Event
    from vizapp.session.details.registry import Subject


class ExitRow(NamedTuple):
    """All exits of one reason; times in cycles, shares from 0 to 1. ``open`` have not ended yet."""

    reason: str
    samples: int
    share: float
    time: int
    time_share: float
    shortest: int
    longest: int
    open: int = 0

    @property
    def mean(self) -> float:
        """Cycles of an exit that has ended."""
        ended = self.samples - self.open
        return self.time / ended if ended else 0.0


def exits(subject: Subject) -> tuple[ExitRow, ...]:
    """The rows of one virtual machine up to the cursor, most time first."""
    store, prices = subject.store, subject.pc.meter.prices
    kinds = (VM_EXITED, VM_ENTERED)
    return tabulate(store.of_kinds(kinds, subject.position), prices, subject.vm)


def tabulate(events: Iterable[Event], prices: list[int], vm: int) -> tuple[ExitRow, ...]:
    """The rows of exits and entries in the order in which they happened."""
    times: dict[str, list[int]] = {}
    left: tuple[str, int] | None = None
    pending: dict[str, int] = {}
    for event in events:
        if event.kind == VM_EXITED:
            if event.source.vm == vm:
                own = priced(event.charges, prices)
                left = (event.cause, event.cycle - own)
                times.setdefault(event.cause, [])
        elif left is not None and event.target.vm == vm:
            times[left[0]].append(event.cycle - left[1])
            left = None
    if left is not None:
        pending[left[0]] = 1
    samples = {reason: len(spent) + pending.get(reason, 0) for reason, spent in times.items()}
    every, all_time = sum(samples.values()) or 1, sum(map(sum, times.values())) or 1
    rows = [
        ExitRow(
            reason=reason,
            samples=samples[reason],
            share=samples[reason] / every,
            time=sum(spent),
            time_share=sum(spent) / all_time,
            shortest=min(spent, default=0),
            longest=max(spent, default=0),
            open=pending.get(reason, 0),
        )
        for reason, spent in times.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.time, -row.samples, row.reason)))
