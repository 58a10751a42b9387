"""The scheduler against its promise: shares by weight, nobody starves, no chance."""

from hypothesis import given
from hypothesis import strategies as st

from vizapp.vmm.scheduler import Scheduler, slice_of

SLICE = 1000
weights = st.lists(st.integers(1, 512), min_size=1, max_size=5).map(tuple)


def run(scheduler: Scheduler, turns: int, now: int = 0) -> list[int]:
    """Let the machines run without ever waiting; who had the processor in each turn."""
    scheduler.start(now)
    order = [scheduler.current]
    for _ in range(turns):
        end = scheduler.slice_end()
        now = now + SLICE if end is None else end
        if scheduler.must_switch(now):
            scheduler.switch(now)
        order.append(scheduler.current)
    scheduler.account(now)
    return order


@given(weights, st.integers(1, 400))
def test_machines_that_never_wait_share_by_weight_to_within_a_slice(weights, turns):
    scheduler = Scheduler(weights, SLICE)
    run(scheduler, turns)
    shares = [used / weight for used, weight in zip(scheduler.used, weights, strict=True)]
    assert max(shares) - min(shares) <= SLICE / min(weights) + 1e-3
    assert sum(scheduler.used) == turns * SLICE


@given(weights)
def test_nobody_starves(weights):
    scheduler = Scheduler(weights, SLICE)
    # By when the lightest has had one slice, the others have had theirs by weight and one more at most.
    turns = sum(-(-weight // min(weights)) + 1 for weight in weights)
    assert set(run(scheduler, turns)) == set(range(len(weights)))


events = st.lists(
    st.tuples(st.sampled_from("bws"), st.integers(0, 4), st.integers(0, 3 * SLICE)), max_size=60
)


def drive(scheduler: Scheduler, steps: list[tuple[str, int, int]]) -> list[object]:
    seen: list[object] = []
    now = 0
    scheduler.start(0)
    for action, vm, after in steps:
        now += after
        if action == "b":
            scheduler.block(scheduler.current, now)
        elif action == "w":
            scheduler.wake(vm, now)
        if scheduler.any_ready and scheduler.must_switch(now):
            scheduler.switch(now)
            assert scheduler.is_ready(scheduler.current)
        seen.append((scheduler.current, scheduler.used, scheduler.save()))
    return seen


@given(st.lists(st.integers(1, 9), min_size=5, max_size=5).map(tuple), events)
def test_the_same_happenings_give_the_same_order(weights, steps):
    assert drive(Scheduler(weights, SLICE), steps) == drive(Scheduler(weights, SLICE), steps)


@given(st.lists(st.integers(1, 9), min_size=5, max_size=5).map(tuple), events, events)
def test_a_loaded_scheduler_goes_on_as_the_saved_one(weights, first, second):
    scheduler, other = Scheduler(weights, SLICE), Scheduler(weights, SLICE)
    drive(scheduler, first)
    other.load(scheduler.save())
    assert drive(scheduler, second) == drive(other, second)


def test_one_that_waited_does_not_make_up_for_it():
    scheduler = Scheduler((1, 1), SLICE)
    scheduler.start(0)
    scheduler.block(0, 0)
    scheduler.switch(0)
    scheduler.account(100 * SLICE)
    scheduler.wake(0, 100 * SLICE)
    now = 100 * SLICE
    turns = []
    for _ in range(6):
        assert scheduler.must_switch(now)
        turns.append(scheduler.switch(now))
        now += SLICE
    assert turns == [0, 1, 0, 1, 0, 1]


def test_alone_a_machine_is_never_interrupted():
    scheduler = Scheduler((1, 1), SLICE)
    scheduler.start(0)
    scheduler.block(1, 0)
    assert scheduler.slice_end() is None
    assert not scheduler.must_switch(1 << 40)


def test_when_all_wait_there_is_nobody_to_switch_to():
    scheduler = Scheduler((1,), SLICE)
    scheduler.start(0)
    scheduler.block(0, 700)
    assert not scheduler.any_ready
    assert not scheduler.must_switch(701)
    assert scheduler.used == (700,)


def test_the_default_slice_is_xens_five_milliseconds():
    assert slice_of(3_800_000_000) == 19_000_000
