"""Equivalence by replay: what holds, what breaks and where, and why the yardstick refuses."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from vizapp.machine import events as ev
from vizapp.session.scenario import Scenario
from vizapp.session.session import Session

MakeScenario = Callable[..., Scenario]


@pytest.mark.parametrize("guest", ["hello", "rings", "popf", "sensitive", "syscall", "page-fault"])
def test_virtualizable_trap_and_emulate_is_equivalent(scenario: MakeScenario, guest: str) -> None:
    session = Session(scenario(guest, "trap-and-emulate", virtualizable=True), lockstep=True)
    session.advance()
    card = session.scorecard()
    assert card.first_difference is None
    assert (card.holds, card.compared) == (True, session.timeline.end_instruction)
    assert session.progress().overhead_valid


def test_popf_betrays_trap_and_emulate_on_stock_x86(scenario: MakeScenario) -> None:
    session = Session(scenario("popf", "trap-and-emulate"), lockstep=True)
    frame = session.run()
    assert frame.stopped is not None
    assert frame.stopped.reason == "diverged"
    assert frame.scorecard.holds is False
    sentence = frame.stopped.detail.in_english()
    assert "EAX is 00000202 here and 00000002 on the bare machine" in sentence
    assert "pushf" in sentence
    assert frame.event is not None
    assert frame.event.kind == ev.DIVERGED
    assert frame.position == frame.last_position
    assert not session.progress().overhead_valid


def test_a_diverged_run_cannot_be_extended_but_can_be_walked(scenario: MakeScenario) -> None:
    session = Session(scenario("popf", "trap-and-emulate"), lockstep=True)
    end = session.run().position
    assert session.step().position == end
    assert session.back(5).position == end - 5
    assert session.run().position == end


def test_sgdt_leaks_the_monitor_s_table(scenario: MakeScenario) -> None:
    session = Session(scenario("sensitive", "trap-and-emulate"), lockstep=True)
    frame = session.run()
    assert frame.stopped is not None
    assert "sgdt" in frame.stopped.detail.in_english()


def test_scoring_afterwards_finds_the_same_as_lockstep(scenario: MakeScenario) -> None:
    plan = scenario("popf", "trap-and-emulate")
    beside, after = Session(plan, lockstep=True), Session(plan)
    beside.advance()
    after.advance()
    assert after.timeline.end > beside.timeline.end
    assert after.scorecard().holds is None
    assert after.score() == beside.scorecard()
    assert after.timeline.end == beside.timeline.end
    assert after.events() == beside.events()


def test_native_is_its_own_yardstick(scenario: MakeScenario) -> None:
    session = Session(scenario("hello"), lockstep=True)
    session.advance()
    assert session.scorecard().holds is True


def test_a_step_at_a_time_is_checked_like_a_run(scenario: MakeScenario) -> None:
    plan = replace(scenario("sensitive", "trap-and-emulate"))
    run, step = Session(plan, lockstep=True), Session(plan, lockstep=True)
    run.advance()
    while not step.timeline.at_end:
        step.timeline.forward(step.timeline.cursor + 1)
    assert step.timeline.end == run.timeline.end
    assert step.scorecard() == run.scorecard()
    assert step.events() == run.events()


def test_a_score_is_taken_again_once_the_run_has_gone_on(scenario: MakeScenario) -> None:
    session = Session(scenario("rings", "trap-and-emulate", virtualizable=True))
    session.advance(max_instructions=200)
    assert session.score().compared == 200
    session.advance(max_instructions=300)
    assert (session.scorecard().compared, session.scorecard().total) == (200, 300)
    assert session.score().compared == 300


def test_heat_is_of_what_happened_and_of_nothing_behind_the_cut(scenario: MakeScenario) -> None:
    plan = scenario("popf", "trap-and-emulate")
    run, step = Session(plan, lockstep=True), Session(plan, lockstep=True)
    run.advance()
    while not step.timeline.at_end:
        step.timeline.forward(step.timeline.cursor + 7)
    heat = {line.address: line.heat for line in run.frame().code}
    assert heat == {line.address: line.heat for line in step.frame().code}
    assert any(heat.values())
