"""The guests of the library run in compiled blocks as they do in single steps, under every technique."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.lengths import FULL
from vizapp.experiment.compare import techniques_for
from vizapp.guest.catalogue import GUESTS
from vizapp.guest.library import build_guest
from vizapp.machine import hot_blocks
from vizapp.machine.events import Event
from vizapp.machine.pc import Pc
from vizapp.session.builder import build
from vizapp.session.scenario import Scenario
from vizapp.session.session import Session

STEPS = 8_000 if FULL else 4_000
STOPS = 6
CASES = [
    (guest.name, technique, virtualizable)
    for guest in GUESTS.values()
    for technique, virtualizable in (
        ("native", False),
        ("trap-and-emulate", True),
        ("trap-and-emulate", False),
        ("paravirtual", False),
    )
    if technique in techniques_for(guest.name)
]


@pytest.fixture(autouse=True)
def compile_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short runs are to be compiled too."""
    monkeypatch.setattr(hot_blocks, "ARRIVALS", 2)
    monkeypatch.setattr(hot_blocks, "EXITS", 3)


def machine(guest: str, technique: str, virtualizable: bool) -> tuple[Pc, list[Event]]:
    image = build_guest(guest, "xen" if technique == "paravirtual" else "native")
    pc = build(Scenario(image, technique, virtualizable=virtualizable)).pc
    events: list[Event] = []
    pc.listener = events.append
    return pc, events


def state(pc: Pc) -> dict[str, Any]:
    saved = pc.save()
    return {**saved, "memory": pc.memory.digest(), "rows": pc.meter.rows(), "eflags": pc.cpu.eflags}


@pytest.mark.oracle
@pytest.mark.parametrize(("guest", "technique", "virtualizable"), CASES)
def test_library_guests_run_alike(guest: str, technique: str, virtualizable: bool) -> None:
    fast, fast_events = machine(guest, technique, virtualizable)
    slow, slow_events = machine(guest, technique, virtualizable)
    chance = random.Random(guest)
    for stop in [*sorted(chance.randrange(STEPS) for _ in range(STOPS)), STEPS]:
        fast.run(max_steps=stop - fast.position)
        while slow.position < stop and slow.stopped is None:
            slow.step()
        assert state(fast) == state(slow)
        assert fast_events == slow_events


@pytest.mark.parametrize("guest", ["syscall", "minikernel", "page-fault", "popf"])
def test_heat_is_the_same_where_each_instruction_is_watched(guest: str) -> None:
    scenario = Scenario(
        build_guest(guest, iterations=300 if GUESTS[guest].iterations else None),
        "trap-and-emulate",
        virtualizable=True,
    )
    fast, watched = Session(scenario), Session(scenario, lockstep=True)
    for session in (fast, watched):
        session.advance(max_instructions=4000)
    assert fast._recorder.heats == watched._recorder.heats
