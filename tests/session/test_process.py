"""The process boundary: answers, bounded waits, survival of bad commands, and an honest death."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from vizapp.errors import SessionError
from vizapp.session import protocol as p
from vizapp.session.frames import EventBatch, Frame, Progress
from vizapp.session.process import SessionProcess
from vizapp.session.scenario import Scenario
from vizapp.session.session import Session

MakeScenario = Callable[..., Scenario]
PATIENCE = 60.0


@pytest.fixture
def process(scenario: MakeScenario) -> Iterator[SessionProcess]:
    with SessionProcess(scenario("rings", "trap-and-emulate"), lockstep=False) as running:
        yield running
    assert not running.alive


def until(process: SessionProcess, wanted: Callable[[p.Reply], bool]) -> list[p.Reply]:
    """Replies up to the first that is ``wanted``."""
    replies: list[p.Reply] = []
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        reply = process.receive(1.0)
        if reply is not None:
            replies.append(reply)
            if wanted(reply):
                return replies
    raise AssertionError(f"nothing of the kind among {len(replies)} replies")


def settled(reply: p.Reply) -> bool:
    return isinstance(reply, Frame) and not reply.moving


def test_a_session_in_a_process_says_what_one_in_this_process_says(
    process: SessionProcess, scenario: MakeScenario
) -> None:
    here = Session(scenario("rings", "trap-and-emulate"))
    opened, *_, first = until(process, settled)
    assert isinstance(opened, p.Opened)
    assert opened.stage == here.stage
    assert first == here.frame()
    process.send(p.Run())
    replies = until(process, settled)
    assert replies[-1] == here.run()
    events = [event for reply in replies if isinstance(reply, EventBatch) for event in reply.events]
    assert events == list(here.events().events)
    assert [reply for reply in replies if isinstance(reply, Progress)][-1] == here.progress()
    process.send(p.Back(3))
    assert until(process, settled)[-1] == here.back(3)


def test_bad_commands_are_answered_and_survived(process: SessionProcess) -> None:
    until(process, settled)
    process.send("jump")  # type: ignore[arg-type]
    process.send(p.Step("many"))  # type: ignore[arg-type]
    failures = until(process, lambda reply: isinstance(reply, p.Failed))
    failures += until(process, lambda reply: isinstance(reply, p.Failed))
    assert all(isinstance(reply, p.Failed) for reply in failures)
    process.send(p.Step())
    frame = until(process, settled)[-1]
    assert isinstance(frame, Frame)
    assert frame.position == 1


def test_a_scenario_that_cannot_be_is_answered(scenario: MakeScenario) -> None:
    plan = scenario("hello")
    with SessionProcess(Scenario(plan.image, technique="magic")) as process:
        reply = process.receive(PATIENCE)
        assert isinstance(reply, p.Failed)
        assert "magic" in reply.message.in_english()
        with pytest.raises(SessionError):
            process.receive(PATIENCE)


def test_running_can_be_paused_and_goes_on(process: SessionProcess) -> None:
    until(process, settled)
    process.send(p.Run(steps_per_second=200.0))
    until(process, lambda reply: isinstance(reply, Frame) and reply.moving and reply.position > 0)
    process.send(p.Pause())
    paused = until(process, settled)[-1]
    assert isinstance(paused, Frame)
    assert paused.stopped is None
    process.send(p.Run())
    ended = until(process, settled)[-1]
    assert isinstance(ended, Frame)
    assert ended.stopped is not None


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_killed_process_is_reported_and_leaves_no_zombie(process: SessionProcess) -> None:
    until(process, settled)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(SessionError, match="ended unexpectedly"):
        until(process, lambda reply: False)
    with pytest.raises(SessionError):
        process.send(p.Step())
    assert not process.alive
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_is_the_window_s_to_handle(process: SessionProcess) -> None:
    until(process, settled)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGINT)
    process.send(p.Step())
    assert isinstance(until(process, settled)[-1], Frame)


def test_closing_in_the_middle_of_a_run_is_clean(scenario: MakeScenario) -> None:
    process = SessionProcess(scenario("minikernel", "trap-and-emulate", virtualizable=True))
    process.send(p.Run())
    until(process, lambda reply: isinstance(reply, Frame) and reply.moving)
    process.close()
    assert not process.alive
    with pytest.raises(SessionError):
        process.send(p.Step())


def test_scoring_cuts_off_what_was_sent_already(scenario: MakeScenario) -> None:
    plan = scenario("popf", "trap-and-emulate")
    here = Session(plan, lockstep=True)
    here.advance()
    known: list[object] = []
    with SessionProcess(plan, lockstep=False) as process:
        for command in (p.Run(), p.Score()):
            process.send(command)
            for reply in until(process, lambda reply: settled(reply) and reply.position > 0):
                if isinstance(reply, EventBatch):
                    known[reply.first :] = reply.events
    assert known == list(here.events().events)
