"""A session over real guests: determinism, rewind, the ledger, and the ways to move."""

from collections.abc import Callable

import pytest

from vizapp.errors import ScenarioError, UnknownNameError
from vizapp.isa.addresses import GuestPhysical, Linear
from vizapp.machine import events as ev
from vizapp.machine.image import Image
from vizapp.session.frames import Frame
from vizapp.session.scenario import Scenario
from vizapp.session.session import Session
from vizapp.session.state_hash import state_hash

MakeScenario = Callable[..., Scenario]
TECHNIQUES = (("native", False), ("trap-and-emulate", False), ("trap-and-emulate", True))


def stepped(session: Session, end: int) -> None:
    """Record up to ``end`` one step at a time."""
    while session.timeline.cursor < end:
        session.timeline.forward(session.timeline.cursor + 1)


@pytest.mark.parametrize(("technique", "virtualizable"), TECHNIQUES)
def test_stepped_and_run_give_the_same_events_and_states(
    scenario: MakeScenario, technique: str, virtualizable: bool
) -> None:
    plan = scenario("rings", technique, virtualizable=virtualizable)
    run, step = Session(plan), Session(plan)
    run.advance()
    end = min(run.timeline.end, 2_500)
    stepped(step, end)
    run.timeline.seek(end)
    assert step.events().events == tuple(event for event in run.events().events if event.position < end)
    assert state_hash(step.machine.pc) == state_hash(run.machine.pc)


def test_two_runs_are_byte_for_byte_the_same(scenario: MakeScenario) -> None:
    plan = scenario("minikernel", "trap-and-emulate", virtualizable=True)
    first, second = Session(plan), Session(plan)
    first.run(max_steps=20_000)
    for _ in range(20):
        second.run(max_steps=1_000)
    assert first.events() == second.events()
    assert state_hash(first.machine.pc) == state_hash(second.machine.pc)


def test_going_back_ten_thousand_steps_and_forward_again_gives_the_same_state(scenario: MakeScenario) -> None:
    session = Session(scenario("minikernel", "trap-and-emulate", virtualizable=True))
    session.advance(max_steps=20_000)
    end, recorded = session.timeline.end, len(session.store)
    there = state_hash(session.machine.pc)
    session.seek(end - 10_000)
    earlier = state_hash(session.machine.pc)
    session.seek(end)
    assert state_hash(session.machine.pc) == there
    session.seek(end - 10_000)
    assert state_hash(session.machine.pc) == earlier
    assert len(session.store) == recorded


@pytest.mark.parametrize(("technique", "virtualizable"), TECHNIQUES)
def test_the_ledger_sums_to_the_cycle_counter_everywhere(
    scenario: MakeScenario, technique: str, virtualizable: bool
) -> None:
    session = Session(scenario("rings", technique, virtualizable=virtualizable))
    for frame in (
        session.frame(),
        session.step(),
        session.run(max_steps=700),
        session.run(),
        session.back(99),
    ):
        assert sum(frame.purposes.values()) == frame.cycle
        assert sum(charge[4] for charge in frame.charges) == frame.cycle


def test_steps_back_and_forth_show_the_same_frames(scenario: MakeScenario) -> None:
    session = Session(scenario("rings", "trap-and-emulate"))
    session.run(max_steps=60)
    forth = {frame.position: frame for frame in (session.seek(position) for position in range(40))}
    for _ in range(39):
        frame = session.back()
        assert _picture(frame) == _picture(forth[frame.position])


def _picture(frame: Frame) -> tuple[object, ...]:
    return (
        frame.sentence, frame.event, frame.truths, frame.registers, frame.cycle, frame.purposes, frame.place,
        frame.phase, [line.address for line in frame.code], frame.changed, frame.lesson,
    )  # fmt: skip


def test_events_are_found_in_the_past_and_beyond_the_end(scenario: MakeScenario) -> None:
    session = Session(scenario("rings", "trap-and-emulate"))
    first = session.next_event(ev.TRAPS)
    assert first.event is not None
    assert first.event.kind in ev.TRAPS
    assert first.position == first.event.position + 1
    second = session.next_event(ev.TRAPS)
    assert second.position > first.position
    assert session.previous_event(ev.TRAPS).position == first.position
    assert session.next_event(ev.TRAPS).position == second.position
    assert session.previous_event({ev.HYPERCALL_MADE}).position == 0


def test_without_such_an_event_the_run_goes_to_its_end(scenario: MakeScenario) -> None:
    frame = Session(scenario("hello")).next_event({ev.HYPERCALL_MADE})
    assert frame.stopped is not None
    assert frame.stopped.reason == "halted"
    assert frame.position == frame.last_position


def test_an_instruction_is_reached_by_number(scenario: MakeScenario) -> None:
    session = Session(scenario("rings", "trap-and-emulate"))
    for number in (300, 20, 0, 301):
        assert session.seek_instruction(number).instruction == number


def test_over_steps_over_a_call(scenario: MakeScenario) -> None:
    session = Session(scenario("rings"))
    frame = session.frame()
    for _ in range(200):
        line = next(line for line in frame.code if line.current)
        if line.text.startswith("call"):
            break
        frame = session.step()
    behind = line.address + len(line.raw)
    stack = frame.guest_registers["esp"]
    after = session.over()
    assert after.guest_registers["eip"] == behind
    assert after.guest_registers["esp"] == stack
    assert after.instruction > frame.instruction + 1


def test_over_steps_over_a_trap_into_the_monitor(scenario: MakeScenario) -> None:
    session = Session(scenario("rings", "trap-and-emulate"))
    entered = session.over()
    assert entered.instruction == 0
    assert entered.place.is_guest
    assert next(line for line in entered.code if line.current).text == "cli"
    after = session.over()
    assert after.instruction == 1
    assert after.place == entered.place
    assert after.position > entered.position + 3


def test_breakpoints_and_catchpoints_stop_a_run(scenario: MakeScenario) -> None:
    plan = scenario("rings", "trap-and-emulate")
    session = Session(plan)
    address = int(plan.image.symbols["mark_done"]) if "mark_done" in plan.image.symbols else None
    session.set_catchpoints({ev.SYSTEM_CALL_REFLECTED})
    caught = session.run()
    assert caught.event is not None
    assert caught.event.kind == ev.SYSTEM_CALL_REFLECTED
    session.set_catchpoints(())
    if address is not None:
        session.set_breakpoints({address})
        assert session.run().guest_registers["eip"] == address


def test_bad_scenarios_are_refused_with_a_sentence(scenario: MakeScenario) -> None:
    plan = scenario("hello")
    with pytest.raises(UnknownNameError):
        Session(Scenario(plan.image, technique="trap-and-emulat"))
    with pytest.raises(UnknownNameError):
        Session(Scenario(plan.image, overrides={"exeption": 3}))
    with pytest.raises(ScenarioError):
        Session(Scenario(plan.image, overrides={"exception": -3}))


# mov al, 0x2A; out 0x80, al; mov al, 7; out 0xF4, al; hlt
PORT_WRITER = Image(
    "ports",
    "native",
    ((GuestPhysical(0x10_0000), bytes.fromhex("B02A E680 B007 E6F4 F4")),),
    Linear(0x10_0000),
)


@pytest.mark.parametrize("technique", ["native", "trap-and-emulate"])
def test_ports_can_be_logged_and_can_end_the_run(technique: str) -> None:
    session = Session(Scenario(PORT_WRITER, technique, exit_port=0xF4, log_ports=(0x80,)))
    frame = session.run()
    assert frame.stopped is not None
    assert frame.stopped.reason == "exit-port"
    assert frame.stopped.detail.parameters["status"] == 7
    assert session.port_logs == {0x80: b"\x2a"}
    session.seek(0)
    session.run()
    assert session.port_logs == {0x80: b"\x2a"}
