"""Who had the processor and who wanted it, around the cursor, with what the scheduler keeps of each."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

from vizapp.session.run_states import Change
from vizapp.vmm.xen.monitor import XenMonitor

if TYPE_CHECKING:
    from vizapp.session.details.registry import Subject

BEFORE, BEHIND = 700, 300


class Share(NamedTuple):
    """A machine's part of the processor: ``credit`` in cycles, None where the scheduler has no credits."""

    name: str
    weight: int
    credit: int | None


class Schedule(NamedTuple):
    """The changes around the cursor, which is at ``cycle``; the last one lasts at least until ``end``."""

    shares: tuple[Share, ...]
    changes: tuple[Change, ...]
    cycle: int
    end: int


def schedule(subject: Subject) -> Schedule | None:
    """The lanes of the processor; None where one machine has it to itself."""
    monitor, changes = subject.monitor, subject.run_states
    if len(monitor.vms) < 2:
        return None
    begun = bisect_left(changes, subject.position, key=lambda change: change.position)
    first = max(0, begun - BEFORE)
    window = tuple(changes[first : begun + BEHIND])
    last = len(subject.store) - 1
    recorded = subject.store[last].cycle if last >= 0 else 0
    following = begun + BEHIND
    end = changes[following].cycle if following < len(changes) else max(recorded, subject.pc.meter.cycles)
    shares = []
    for vm in monitor.vms:
        credit = None
        if isinstance(monitor, XenMonitor):
            known = vm.index < len(monitor.xen.domains)
            credit = monitor.xen.scheduler.account_of(vm.index).credit if known else 0
        shares.append(Share(vm.name, vm.weight, credit))
    return Schedule(tuple(shares), window, subject.pc.meter.cycles, end)
