"""Credits: shares by weight, the boost of who wakes, and who gives way."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vizapp.vmm.xen.credit import BOOST, OVER, UNDER, CreditScheduler

SLICE = 30_000


def scheduler(*weights: int) -> CreditScheduler:
    made = CreditScheduler(SLICE)
    for number, weight in enumerate(weights):
        made.add(number, weight)
        made.wake(number, 0)
    return made


def run(made: CreditScheduler, until: int, step: int = 500) -> dict[int, int]:
    """Cycles that each had, where all always want the processor."""
    used = dict.fromkeys(range(len(made._accounts)), 0)
    for now in range(0, until, step):
        if made.must_switch(now):
            made.switch(now)
        used[made.current] += step
    return used


@pytest.mark.parametrize("weights", [(256, 256), (256, 512), (100, 200, 700), (1, 1, 1, 1)])
def test_shares_go_by_weight(weights):
    total = 400 * SLICE
    used = run(scheduler(*weights), total)
    for number, weight in enumerate(weights):
        assert used[number] == pytest.approx(total * weight / sum(weights), rel=0.06, abs=2 * SLICE)


def test_one_alone_is_never_switched_and_has_no_slice():
    made = scheduler(256)
    assert run(made, 10 * SLICE)[0] == 10 * SLICE
    assert made.slice_end() is None


def test_who_wakes_goes_first_for_a_tick_and_then_takes_its_turn():
    made = scheduler(256, 256)
    made.block(1, 100)
    assert not made.must_switch(200)
    made.wake(1, SLICE // 2)
    assert made.account_of(1).priority == BOOST
    assert made.must_switch(SLICE // 2)
    assert made.switch(SLICE // 2) == 1
    end = SLICE // 2 + SLICE
    assert made.slice_end() == end
    assert not made.must_switch(SLICE // 2 + SLICE // 3)
    assert made.account_of(1).priority == UNDER
    assert made.must_switch(end)
    assert made.switch(end) == 0


def test_who_has_used_more_than_its_share_is_not_boosted():
    made = scheduler(256, 10)
    run(made, 50 * SLICE)
    number = 1
    while made.account_of(number).priority != OVER:
        number = 1 - number
    made.block(number, 50 * SLICE)
    made.wake(number, 50 * SLICE + 1)
    assert made.account_of(number).priority == OVER


def test_giving_way_lets_the_equal_go_first():
    made = scheduler(256, 256)
    assert not made.must_switch(10)
    made.give_way(0, 10)
    assert made.must_switch(10)
    assert made.switch(10) == 1
    made.give_way(1, 20)
    assert made.switch(20) == 0


def test_when_nobody_wants_it_there_is_nobody_to_choose():
    made = scheduler(256, 256)
    made.block(0, 5)
    made.block(1, 6)
    assert not made.must_switch(10)
    assert not made.any_ready
    with pytest.raises(ValueError, match="no domain"):
        made.switch(10)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    weights=st.lists(st.integers(1, 1000), min_size=1, max_size=4),
    steps=st.lists(
        st.tuples(
            st.sampled_from(["block", "wake", "yield", "ask", "save"]),
            st.integers(0, 3),
            st.integers(0, 40_000),
        ),
        max_size=60,
    ),
)
def test_it_never_chooses_who_cannot_run_and_saves_all_that_it_is(weights, steps):
    made = scheduler(*weights)
    ready = set(range(len(weights)))
    now = 0
    for what, domain, later in steps:
        now += later
        domain %= len(weights)
        if what == "block":
            made.block(domain, now)
            ready.discard(domain)
        elif what == "wake":
            made.wake(domain, now)
            ready.add(domain)
        elif what == "yield" and domain in ready:
            made.give_way(domain, now)
        elif what == "save":
            copy = CreditScheduler(SLICE)
            copy.load(made.save())
            assert copy.save() == made.save()
            made = copy
        if made.must_switch(now):
            assert made.switch(now) in ready
        assert made.any_ready == bool(ready)
        for number in range(len(weights)):
            assert made.account_of(number).credit <= SLICE


@pytest.mark.parametrize("cap", [10, 30, 50, 80])
def test_a_cap_holds_while_nobody_else_wants_the_processor(cap):
    made = scheduler(256)
    made.set_cap(0, cap)
    used, total = 0, 400 * SLICE
    for now in range(0, total, 500):
        if made.must_switch(now):
            made.switch(now)
        used += 500 * made.account_of(0).runs
        assert made.deadline() is not None  # or nobody would look when the period is over
    assert used == pytest.approx(total * cap / 100, rel=0.05)


def test_what_a_cap_leaves_goes_to_the_others_by_weight():
    made = scheduler(256, 256, 512)
    made.set_cap(2, 25)
    total = 400 * SLICE
    used = dict.fromkeys(range(3), 0)
    for now in range(0, total, 500):
        if made.must_switch(now):
            made.switch(now)
        used[made.current] += 500
    assert used[2] == pytest.approx(total * 0.25, rel=0.1)
    assert used[0] == pytest.approx(used[1], rel=0.1)
    made.set_cap(2, 0)
    assert not made.account_of(2).parked
