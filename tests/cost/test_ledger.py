"""The ledger adds up, in every direction, and can be priced again."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vizapp.cost.ledger import Ledger
from vizapp.machine.inputs import NAMES
from vizapp.machine.meter import Meter, Purpose
from vizapp.machine.places import APPLICATION, VMM, Place

KERNEL, USER, MONITOR = Place(), Place(ring=3, component=APPLICATION), Place(component=VMM)
charges = st.lists(
    st.tuples(
        st.sampled_from([KERNEL, USER, MONITOR]),
        st.sampled_from(NAMES),
        st.integers(0, 1000),
        st.none() | st.sampled_from(list(Purpose)),
    ),
    max_size=30,
)


def charged(prices: dict[str, int], script) -> Meter:
    meter = Meter(prices)
    for place, name, count, purpose in script:
        meter.enter(place)
        meter.charge(name, count, purpose)
    return meter


@settings(max_examples=30)
@given(charges, st.integers(0, 99), st.integers(0, 99))
def test_every_view_sums_to_the_clock_at_any_prices(script, first, second):
    prices, others = (dict(zip(NAMES, range(start, start + 100), strict=False)) for start in (first, second))
    meter = charged(prices, script)
    ledger = Ledger.of(meter)
    assert ledger.difference(meter.cycles) == 0
    again = ledger.repriced(others)
    assert again.difference(charged(others, script).cycles) == 0
    for one in (ledger, again):
        for view in (one.by_place(), one.by_purpose(), one.by_input()):
            assert sum(view.values()) == one.total
        assert sum(entry.cycles for entry in one.entries()) == one.total
    assert ledger.counts() == again.counts()


@pytest.fixture
def ledger() -> Ledger:
    prices = dict.fromkeys(NAMES, 1) | {"exception": 500, "mon_decode": 200}
    script = [(USER, "alu", 100, None), (USER, "exception", 1, None), (MONITOR, "mon_decode", 2, None)]
    return Ledger.of(charged(prices, script))


def test_cycles_stand_by_place_purpose_and_input(ledger):
    assert ledger.by_place() == {USER: 600, MONITOR: 400}
    assert {purpose: cycles for purpose, cycles in ledger.by_purpose().items() if cycles} == {
        Purpose.GUEST: 100,
        Purpose.TRANSITION: 500,
        Purpose.MONITOR: 400,
    }
    assert list(ledger.by_input().items()) == [("exception", 500), ("mon_decode", 400), ("alu", 100)]
    assert ledger.share(Purpose.TRANSITION) == 0.5
    assert ledger.entries()[0] == (USER, Purpose.GUEST, "alu", 100, 100)


def test_an_empty_ledger_has_no_shares():
    assert Ledger((), {}).share(Purpose.GUEST) == 0.0


def test_cycles_that_no_row_accounts_for_are_found(ledger):
    assert ledger.difference(ledger.total + 7) == 7
