"""Conditions are decided from real frames and events."""

from __future__ import annotations

import pytest

from vizapp.experiment.scenarios import make_scenario
from vizapp.lesson.conditions import holds, register_value
from vizapp.lesson.schema import Condition
from vizapp.machine.events import Event
from vizapp.session.frames import Frame
from vizapp.session.session import Session


@pytest.fixture(scope="module")
def ended() -> tuple[Frame, tuple[Event, ...]]:
    session = Session(make_scenario("rings"))
    session.advance()
    return session.frame(), session.events().events


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"register": {"name": "cpl", "equals": 0}}, True),
        ({"register": {"name": "cpl", "equals": 3}}, False),
        ({"register": {"name": "eflags.if", "equals": 0}}, True),
        ({"register": {"name": "eflags.iopl", "side": "processor", "equals": 0}}, True),
        ({"register": {"name": "nothing", "equals": 0}}, False),
        ({"register": {"name": "eflags.nothing", "equals": 0}}, False),
        ({"event": {"kind": "trap", "cause": "#GP"}}, True),
        ({"event": {"kind": "trap", "cause": "#GP", "times": 1}}, True),
        ({"event": {"kind": "trap", "cause": "#GP", "times": 2}}, False),
        ({"event": {"kind": "trap", "cause": "#PF"}}, False),
        ({"serial": {"contains": "result: "}}, True),
        ({"serial": {"contains": "no such words"}}, False),
        ({"truth": {"name": "CPL", "differs": False}}, True),
        ({"truth": {"name": "CPL"}}, False),
        ({"equivalence": {"holds": True}}, True),
        ({"stopped": "halted"}, True),
        ({"stopped": "crashed"}, False),
    ],
)
def test_conditions(ended: tuple[Frame, tuple[Event, ...]], condition: dict, expected: bool) -> None:
    frame, events = ended
    assert holds(Condition.model_validate(condition), frame, events) is expected


def test_flags_are_single_bits() -> None:
    assert register_value({"eflags": 0x202}, "eflags.if") == 1
    assert register_value({"eflags": 0x3002}, "eflags.iopl") == 3


def test_a_condition_is_one_thing() -> None:
    with pytest.raises(ValueError, match="exactly one"):
        Condition.model_validate({"stopped": "halted", "serial": {"contains": "x"}})
    with pytest.raises(ValueError, match="exactly one"):
        Condition.model_validate({})
