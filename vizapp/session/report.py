"""The outcome of a run as plain data: the JSON that ``vizapp run --json`` promises."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vizapp.machine import events as ev
from vizapp.machine.inputs import INSTRUCTION_CLASSES
from vizapp.machine.places import APPLICATION
from vizapp.session.frames import Stopped

if TYPE_CHECKING:
    from vizapp.session.frames import Frame, Scorecard
    from vizapp.session.recorder import EventStore
    from vizapp.session.scenario import Scenario
    from vizapp.vmm.base import Guest

_TRANSLATED = ("ident", "in-cache", "callout", "chained", "lookup")
# What an instruction that retires is charged: its class, or the passage between rings that it makes.
_OF_INSTRUCTIONS = INSTRUCTION_CLASSES | {
    "software_interrupt", "iret_same", "iret_outer", "gate_call", "sysenter",
}  # fmt: skip
# Kinds of which the JSON tells the counts by cause.
_BY_CAUSE = frozenset({ev.HYPERCALL_MADE, ev.VM_EXITED, ev.WORLD_SWITCHED})


def event_counts(store: EventStore, position: int) -> dict[str, Any]:
    """Counts by the command line's names; by cause where the promise says so."""
    counts: dict[str, Any] = {}
    for kind, count in store.counts(position).items():
        name = ev.CLI_NAMES.get(kind, kind)
        counts[name] = store.causes(kind, position) if kind in _BY_CAUSE else count
    return counts


def instruction_counts(frame: Frame, store: EventStore, vm: int | None = None) -> dict[str, int]:
    """Guest instructions by ring, and those that a monitor had written; ``vm``: of one virtual machine.

    Those of ring 3 that the processor did are in the ledger, those that a monitor did are events.
    """
    user = sum(
        count
        for place, _, charged, count, _ in frame.charges
        if place.component == APPLICATION and charged in _OF_INSTRUCTIONS
    )
    user -= sum(count for place, count in frame.unfinished.items() if place.component == APPLICATION)
    user += _emulated_in_ring_3(store, frame.position, vm)
    return {
        "guest": frame.instruction,
        "user": user,
        "kernel": frame.instruction - user,
        "monitor_written": frame.scorecard.efficiency.cache,
    }


def _emulated_in_ring_3(store: EventStore, position: int, vm: int | None) -> int:
    count = current = 0
    kinds = (ev.VM_SCHEDULED, ev.INSTRUCTION_EMULATED, ev.SYSTEM_CALL_REFLECTED)
    for event in store.of_kinds(kinds, position):
        if event.kind == ev.VM_SCHEDULED:
            current = int(event.payload["vm"])
        elif vm is None or event.payload.get("vm", current) == vm:
            told = 0 if event.kind == ev.SYSTEM_CALL_REFLECTED else event.source.ring
            count += event.payload.get("ring", told) == 3 and "again" not in event.payload
    return count


def _scorecard(card: Scorecard, *, scored: bool) -> dict[str, Any]:
    difference = card.first_difference
    return {
        "equivalence": {
            "claimed": card.claimed,
            "holds": card.holds if scored else None,
            "compared": card.compared if scored else 0,
            "first_difference": None if difference is None or not scored else difference.in_english(),
        },
        "resource_control": {"refused": card.refused, "let_through": card.let_through},
        "efficiency": {
            "direct": card.efficiency.direct,
            "cache": card.efficiency.cache,
            "emulated": card.efficiency.emulated,
        },
    }


def vm_event_counts(store: EventStore, position: int, vm: int) -> dict[str, Any]:
    """As ``event_counts``, of what happened while virtual machine ``vm`` had the processor."""
    counts: dict[str, Any] = {}
    current = 0
    for event in store.batch(0).events:
        if event.position >= position:
            break
        if event.kind == ev.VM_SCHEDULED:
            current = int(event.payload["vm"])
        if event.payload.get("vm", current) != vm:
            continue
        name = ev.CLI_NAMES.get(event.kind, event.kind)
        if event.kind in _BY_CAUSE:
            causes = counts.setdefault(name, {})
            causes[event.cause] = causes.get(event.cause, 0) + 1
        else:
            counts[name] = counts.get(name, 0) + 1
    return counts


def memory_counts(store: EventStore, position: int, vm: int | None = None) -> dict[str, int]:
    """Page faults that a guest (None: any) had to know of and those kept from it, and the monitor's paging.

    ``paged_twice`` are pages that came in because the guest was moving them between memory and its own disk.
    """
    counts = dict.fromkeys(("true_faults", "hidden_faults", "paged_out", "paged_in", "paged_twice"), 0)
    current = 0
    for event in store.batch(0).events:
        if event.position >= position:
            break
        if event.kind == ev.VM_SCHEDULED:
            current = int(event.payload["vm"])
        if vm is not None and event.payload.get("vm", current) != vm:
            continue
        if event.kind == ev.FAULT_REFLECTED:
            counts["true_faults"] += event.cause == "#PF"
        elif event.kind in (ev.PAGE_SHADOWED, ev.NESTED_PAGE_MAPPED):
            counts["hidden_faults"] += 1
        elif event.kind == ev.PAGE_SWAPPED_OUT:
            counts["paged_out"] += 1
        elif event.kind == ev.PAGE_SWAPPED_IN:
            counts["paged_in"] += 1
            counts["paged_twice"] += event.cause == "guest-disk"
    return counts


def vm_report(
    scenario: Scenario, guest: Guest, frame: Frame, card: Scorecard, store: EventStore, *, scored: bool
) -> dict[str, Any]:
    """The same of one virtual machine, which ``frame`` shows; cycles are those while it had the processor."""
    mine = replace(
        frame,
        instruction=guest.instructions,
        charges=tuple(charge for charge in frame.charges if charge[0].vm == guest.index),
        unfinished={place: n for place, n in frame.unfinished.items() if place.vm == guest.index},
        scorecard=card,
        translated=guest.translated,
        stopped=None if guest.stopped is None else Stopped(*guest.stopped),
    )
    cycles = {purpose.value: count for purpose, count in guest.cycles().items()}
    return {
        "name": guest.name,
        "weight": guest.weight,
        **report(scenario.alone(guest.index), mine, store, scored=scored, vm=guest.index),
        "cycles": {"total": sum(cycles.values()), "by_purpose": cycles},
        "events": vm_event_counts(store, frame.position, guest.index),
        "memory": memory_counts(store, frame.position, guest.index),
    }


def report(
    scenario: Scenario, frame: Frame, store: EventStore, *, scored: bool, vm: int | None = None
) -> dict[str, Any]:
    """The JSON of one run whose cursor stands at its end; equivalence is null unless ``scored``.

    ``vm``: the frame is of that virtual machine alone.
    """
    card = frame.scorecard
    stopped = frame.stopped
    return {
        "guest": ", ".join(vm.image.name for vm in scenario.machines),
        "technique": scenario.technique,
        "processor": scenario.processor,
        "paging": scenario.paging,
        "virtualizable": scenario.virtualizable,
        "io": "split" if scenario.technique == "paravirtual" else scenario.io,
        "stopped": {
            "reason": "limit" if stopped is None else stopped.reason,
            "detail": "" if stopped is None else stopped.detail.in_english(),
        },
        "instructions": instruction_counts(frame, store, vm),
        "translated": {kind: frame.translated.get(kind, 0) for kind in _TRANSLATED},
        "cycles": {"total": frame.cycle, "by_purpose": dict(frame.purposes)},
        "events": event_counts(store, frame.position),
        "memory": memory_counts(store, frame.position),
        "registers": dict(frame.guest_registers),
        "serial": frame.serial,
        "screen": list(frame.screen),
        "scorecard": _scorecard(card, scored=scored),
    }
