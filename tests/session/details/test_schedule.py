"""Lanes of the scheduler: one runs at a time, and who waits is told from who could run."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

from vizapp.experiment.scenarios import make_scenario
from vizapp.machine import events as ev
from vizapp.session.details import SCHEDULE
from vizapp.session.details.schedule import Schedule
from vizapp.session.session import Session


@cache
def recorded(guest: str, technique: str | None = "paravirtual") -> Session:
    session = Session(make_scenario(guest, technique_name=technique, iterations=2))
    session.run()
    return session


def schedule(session: Session, position: int) -> Schedule | None:
    session.watch_details({SCHEDULE})
    found = session.seek(position).details[SCHEDULE]
    assert found is None or isinstance(found, Schedule)
    return found


def test_domains_take_turns_and_none_runs_beside_another() -> None:
    session = recorded("disk-read")
    found = schedule(session, session.timeline.end)
    assert found is not None
    assert [share.name for share in found.shares] == ["domain-0", "disk-read"]
    assert all(share.weight == 256 and share.credit is not None for share in found.shares)
    states = [change.states for change in found.changes]
    assert all(one != other for one, other in pairwise(states))
    assert max(state.count("R") for state in states) == 1
    assert {"Rp", "rR", "Rw"} <= set(states)
    assert [change.cycle for change in found.changes] == sorted(change.cycle for change in found.changes)


def test_each_switch_of_the_scheduler_begins_a_stay() -> None:
    session = recorded("disk-read")
    found = schedule(session, session.timeline.end)
    assert found is not None
    for event in session.store.batch(0).events:
        if event.kind == ev.VM_SCHEDULED:
            now = next(c for c in reversed(found.changes) if c.position <= event.position)
            assert now.states[int(event.payload["vm"])] == "R"


def test_going_back_shows_the_same_lanes() -> None:
    session = recorded("disk-read")
    end = schedule(session, session.timeline.end)
    middle = schedule(session, session.timeline.end // 2)
    assert end is not None
    assert middle is not None
    assert middle.changes == end.changes
    assert middle.cycle < end.cycle


def test_one_machine_alone_is_not_scheduled() -> None:
    assert schedule(recorded("syscall", "native"), 1) is None
