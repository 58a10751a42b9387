"""The JSON of a run has every promised name, and its figures agree with each other."""

import json
from collections.abc import Callable

import pytest

from vizapp.session.scenario import Scenario
from vizapp.session.session import Session

MakeScenario = Callable[..., Scenario]

PROMISED = {
    "guest": str, "technique": str, "processor": str, "paging": str, "io": str, "stopped": dict,
    "instructions": dict, "translated": dict, "cycles": dict, "events": dict, "registers": dict,
    "serial": str, "screen": list, "scorecard": dict,
}  # fmt: skip
PURPOSES = {"guest", "transition", "monitor", "translation", "memory", "io", "idle"}


@pytest.mark.parametrize("technique", ["native", "trap-and-emulate", "paravirtual"])
def test_every_promised_name_is_there(scenario: MakeScenario, technique: str) -> None:
    session = Session(scenario("rings", technique))
    session.advance()
    report = json.loads(json.dumps(session.report()))
    for name, kind in PROMISED.items():
        assert isinstance(report[name], kind), name
    assert set(report["stopped"]) == {"reason", "detail"}
    assert set(report["instructions"]) == {"guest", "user", "kernel", "monitor_written"}
    assert set(report["translated"]) == {"ident", "in-cache", "callout", "chained", "lookup"}
    assert set(report["cycles"]["by_purpose"]) == PURPOSES
    card = report["scorecard"]
    assert set(card) == {"equivalence", "resource_control", "efficiency"}
    assert set(card["equivalence"]) == {"claimed", "holds", "compared", "first_difference"}
    assert card["equivalence"]["holds"] is None
    assert set(card["resource_control"]) == {"refused", "let_through"}
    assert set(card["efficiency"]) == {"direct", "cache", "emulated"}


@pytest.mark.parametrize("technique", ["native", "trap-and-emulate", "paravirtual"])
def test_the_figures_agree(scenario: MakeScenario, technique: str) -> None:
    session = Session(scenario("rings", technique))
    session.advance()
    report = session.report()
    assert sum(report["cycles"]["by_purpose"].values()) == report["cycles"]["total"]
    instructions = report["instructions"]
    assert instructions["user"] + instructions["kernel"] == instructions["guest"]
    assert 0 < instructions["user"] < 100
    efficiency = report["scorecard"]["efficiency"]
    assert efficiency["direct"] + efficiency["emulated"] == instructions["guest"]
    assert report["stopped"]["reason"] == "halted"
    assert report["serial"].splitlines()[-1].startswith("result: ")


def test_events_are_named_as_on_the_command_line(scenario: MakeScenario) -> None:
    emulated = Session(scenario("rings", "trap-and-emulate"))
    emulated.advance()
    events = emulated.report()["events"]
    assert events["reflect-syscall"] == 1
    assert events["trap"] > 0
    ported = Session(scenario("rings", "paravirtual"))
    ported.advance()
    hypercalls = ported.report()["events"]["hypercall"]
    assert isinstance(hypercalls, dict)
    assert all(isinstance(count, int) for count in hypercalls.values())


def test_a_run_that_was_bounded_says_limit(scenario: MakeScenario) -> None:
    session = Session(scenario("minikernel"))
    session.advance(max_instructions=100)
    report = session.report()
    assert report["stopped"]["reason"] == "limit"
    assert report["instructions"]["guest"] == 100


def test_a_scored_run_says_what_was_found(scenario: MakeScenario) -> None:
    session = Session(scenario("popf", "trap-and-emulate"))
    session.advance()
    session.score()
    report = session.report()
    assert report["stopped"]["reason"] == "diverged"
    equivalence = report["scorecard"]["equivalence"]
    assert equivalence["holds"] is False
    assert "EAX" in equivalence["first_difference"]


def test_a_ported_guest_is_compared_by_its_result(scenario: MakeScenario) -> None:
    session = Session(scenario("popf", "paravirtual"))
    session.advance()
    card = session.score()
    assert card.holds is True
    assert not card.claimed
    assert card.compared > 0
