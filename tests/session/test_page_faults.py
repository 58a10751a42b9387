"""Page faults by page: what they were is what the guest's tables and the events say."""

import pytest

from vizapp.experiment.scenarios import make_scenario
from vizapp.machine.events import FAULT_REFLECTED, PAGE_SHADOWED
from vizapp.session.details import PAGE_FAULTS
from vizapp.session.session import Session


def faults(guest, technique, **choices):
    session = Session(make_scenario(guest, technique_name=technique, iterations=20, **choices))
    session.watch_details((PAGE_FAULTS,))
    session.run()
    return session, session.frame().details[PAGE_FAULTS]


@pytest.mark.parametrize(
    ("technique", "choices"),
    [
        ("trap-and-emulate", {"virtualizable": True}),
        ("binary-translation", {}),
        ("vt-x", {}),
        ("amd-v", {}),
    ],
)
def test_true_faults_are_the_guests_own_and_hidden_ones_the_shadows(technique, choices):
    session, rows = faults("page-fault", technique, **choices)
    kinds = (FAULT_REFLECTED, PAGE_SHADOWED)
    told = list(session.store.of_kinds(kinds, session.timeline.cursor))
    true = [event for event in told if event.kind == FAULT_REFLECTED and event.payload["vector"] == 14]
    assert sum(row.true for row in rows) == len(true) >= 20
    # A page that the monitor shadows while it does something else was no fault of the guest's.
    assert 0 < sum(row.hidden for row in rows) <= len(told) - len(true)
    assert all(row.cycles > 0 for row in rows)


def test_the_bare_machine_has_none():
    _, rows = faults("page-fault", "native")
    assert rows == ()


def test_writes_to_traced_tables_are_told_apart():
    _, rows = faults("pte-modify", "vt-x")
    assert sum(row.traced for row in rows) > 20
