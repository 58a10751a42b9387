"""The meter's one law: what was counted, times its price, is what the clock shows."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vizapp.isa.opcodes import OPCODES
from vizapp.machine.inputs import INDEX, INPUTS, INSTRUCTION_CLASSES, NAMES
from vizapp.machine.meter import Meter, Purpose
from vizapp.machine.places import APPLICATION, VMM, Place

GUEST, USER, MONITOR = Place(), Place(ring=3, component=APPLICATION), Place(component=VMM)
prices = st.fixed_dictionaries({name: st.integers(0, 5000) for name in NAMES})
actions = st.lists(
    st.one_of(
        st.tuples(st.just("enter"), st.sampled_from([GUEST, USER, MONITOR])),
        st.tuples(st.just("instruction"), st.integers(0, len(NAMES) - 1)),
        st.tuples(
            st.just("charge"),
            st.sampled_from(NAMES),
            st.integers(0, 10**6),
            st.none() | st.sampled_from(list(Purpose)),
        ),
    )
)


def play(meter: Meter, steps: list[tuple]) -> None:
    for name, *arguments in steps:
        getattr(meter, name)(*arguments)


@settings(max_examples=30)
@given(prices, actions, actions)
def test_the_sum_over_rows_is_the_clock_also_after_a_checkpoint(price, first, second):
    meter = Meter(price)
    play(meter, first)
    assert sum(row.times * price[row.input] for row in meter.rows()) == meter.cycles
    saved = meter.save()
    play(meter, second)
    other = Meter(price)
    other.load(saved)
    play(other, second)
    for one in (meter, other):
        assert sum(row.times * price[row.input] for row in one.rows()) == one.cycles
        assert sum(one.by_purpose().values()) == one.cycles
    assert other.save() == meter.save()


@pytest.fixture
def meter() -> Meter:
    return Meter(dict.fromkeys(NAMES, 1))


@pytest.mark.parametrize(
    ("place", "name", "purpose"),
    [
        (GUEST, "alu", Purpose.GUEST),
        (USER, "alu", Purpose.GUEST),
        (MONITOR, "alu", Purpose.MONITOR),
        (MONITOR, "mon_decode", Purpose.MONITOR),
        (GUEST, "exception", Purpose.TRANSITION),
        (MONITOR, "iret_outer", Purpose.TRANSITION),
        (USER, "walk_step", Purpose.MEMORY),
        (GUEST, "io", Purpose.IO),
        (GUEST, "uncached", Purpose.IO),
        (MONITOR, "mon_port", Purpose.IO),
        (GUEST, "idle_cycle", Purpose.IDLE),
    ],
)
def test_a_charge_without_a_purpose_goes_by_its_nature_then_by_the_place(meter, place, name, purpose):
    meter.enter(place)
    meter.charge(name)
    assert meter.rows() == [(place, purpose, name, 1)]


def test_charges_are_taken_once_and_exclude_plain_instructions(meter):
    meter.instruction(INDEX["alu"])
    meter.charge("exception")
    meter.charge("walk_step", 2)
    meter.charge("walk_step", 2, Purpose.MONITOR)
    assert meter.take_charges() == (("exception", 1), ("walk_step", 4))
    assert meter.take_charges() == ()


def test_the_inner_loop_may_count_by_itself(meter):
    meter.enter(USER)
    meter.counts[INDEX["mov"]] += 3
    meter.cycles += 3 * meter.prices[INDEX["mov"]]
    assert meter.rows() == [(USER, Purpose.GUEST, "mov", 3)]
    assert meter.by_purpose()[Purpose.GUEST] == meter.cycles == 3


def test_every_input_is_named_once():
    assert len(set(NAMES)) == len(INPUTS)
    assert all(item.gloss for item in INPUTS)


def test_every_opcode_has_a_priced_class():
    by_themselves = {"software_interrupt", "iret_same", "sysenter", "vm_entry", "invept"}
    costs = {cost for opcode in OPCODES for cost in (opcode.cost, opcode.memory_cost)}
    assert costs <= INSTRUCTION_CLASSES | by_themselves
