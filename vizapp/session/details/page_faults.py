"""Page faults that came to a monitor: hidden ones, true ones, and writes to what it traces; by page.

A *hidden* fault is the monitor's own: the guest's tables have the page and the shadow had not. A *true* fault
is the guest's: its tables forbid the access, so its own handler runs. A *traced* access met a page that the
monitor keeps an eye on, and the monitor carried it out. Bugnion et al. (2012) tell them apart so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.isa.addresses import PAGE_SHIFT
from vizapp.isa.vectors import PF
from vizapp.machine.events import (
    EXCEPTION_DELIVERED,
    FAULT_REFLECTED,
    INSTRUCTION_EMULATED,
    PAGE_SHADOWED,
    RETURNED,
    VM_ENTERED,
    VM_EXITED,
)
from vizapp.machine.inputs import priced
from vizapp.machine.places import VMM

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vizapp.machine.events import Event
    from vizapp.session.details.registry import Subject

HIDDEN, TRUE, TRACED = KINDS = ("hidden", "true", "traced")
_OUTCOMES: Final = {PAGE_SHADOWED: HIDDEN, FAULT_REFLECTED: TRUE, INSTRUCTION_EMULATED: TRACED}
_ENDS: Final = (RETURNED, VM_ENTERED)
_LISTENED: Final = (EXCEPTION_DELIVERED, VM_EXITED, *_OUTCOMES, *_ENDS)


class FaultRow(NamedTuple):
    """Faults on one linear page (its number), by what they were, and the cycles that they took."""

    page: int
    hidden: int = 0
    true: int = 0
    traced: int = 0
    cycles: int = 0

    @property
    def faults(self) -> int:
        """All of them."""
        return self.hidden + self.true + self.traced


def page_faults(subject: Subject) -> tuple[FaultRow, ...]:
    """The pages of one virtual machine that faulted up to the cursor, most cycles first."""
    events = subject.store.of_kinds(_LISTENED, subject.position)
    return tabulate(events, subject.pc.meter.prices, subject.vm)


def tabulate(events: Iterable[Event], prices: list[int], vm: int) -> tuple[FaultRow, ...]:
    """The rows of events in the order in which they happened.

    Cycles are from the fault, its own included, to the return or entry that lets the guest run on.
    """
    rows: dict[int, FaultRow] = {}
    page, begun, outcome = -1, 0, ""
    for event in events:
        if event.kind in (EXCEPTION_DELIVERED, VM_EXITED):
            linear = _faulting_address(event) if event.source.vm == vm else None
            if linear is not None:
                own = priced(event.charges, prices)
                page, begun, outcome = linear >> PAGE_SHIFT, event.cycle - own, ""
        elif page >= 0 and event.kind in _ENDS:
            if event.target.vm == vm and outcome:
                row = rows.get(page, FaultRow(page))
                count = getattr(row, outcome) + 1
                rows[page] = row._replace(**{outcome: count}, cycles=row.cycles + event.cycle - begun)
                page = -1
        elif page >= 0 and not outcome:
            outcome = _OUTCOMES[event.kind]
    return tuple(sorted(rows.values(), key=lambda row: (-row.cycles, row.page)))


def _faulting_address(event: Event) -> int | None:
    """The linear address of a page fault that brings a monitor in; None of anything else."""
    payload = event.payload
    if event.kind == EXCEPTION_DELIVERED:
        to_monitor = event.target.component == VMM and payload.get("vector") == PF
        return int(payload["cr2"]) if to_monitor else None
    if event.cause == "exception-pf":  # SVM has an exit code for each vector
        return int(payload["exitinfo2"])
    if event.cause == "exception-nmi" and int(payload.get("event", 0)) & 0xFF == PF:
        return int(payload["qualification"])
    return None
