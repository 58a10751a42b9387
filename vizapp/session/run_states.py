"""What each virtual machine of a PC does, written down whenever it changes: runs, could run, waits, ..."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.machine import events as ev

if TYPE_CHECKING:
    from vizapp.machine.events import Event
    from vizapp.vmm.base import Monitor

LETTERS: Final = {"running": "R", "ready": "r", "waiting": "w", "paused": "p", "stopped": "s"}
LOOKED_AT: Final = frozenset(
    {
        ev.VM_SCHEDULED, ev.EVENT_SENT, ev.VIRTUAL_CPU_HALTED, ev.VM_STOPPED, ev.DOMAIN_CREATED,
        ev.DOMAIN_DESTROYED, ev.HYPERCALL_MADE, ev.INTERRUPT_DELIVERED, ev.INTERRUPT_INJECTED, ev.RETURNED,
        ev.VM_ENTERED, ev.UPCALL_DELIVERED,
    }
)  # fmt: skip
"""After these the scheduler, or who waits for what, may be another."""


class Change(NamedTuple):
    """From the step at ``position`` and from ``cycle`` on: a letter of ``LETTERS`` for each machine."""

    position: int
    cycle: int
    states: str


class RunStates:
    """The changes of a recording, in order; none where there is only one machine."""

    def __init__(self, monitor: Monitor) -> None:
        self.all: list[Change] = []
        self._monitor = monitor

    def take(self, event: Event) -> None:
        """Look, after an event of ``LOOKED_AT``."""
        vms = self._monitor.vms
        if len(vms) < 2:
            return
        states = "".join(LETTERS.get(vm.state, "p") for vm in vms)
        if not self.all or self.all[-1].states != states:
            self.all.append(Change(event.position, event.cycle, states))

    def drop_after(self, position: int) -> None:
        """Forget what was seen at ``position`` and behind: it did not happen after all."""
        while self.all and self.all[-1].position >= position:
            self.all.pop()
