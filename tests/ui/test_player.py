"""The player and the bridge: commands go down, replies come up, in order and one at a time."""

import pytest
from conftest import DEPRIVILEGED, FakeLink, make_events, make_frame, make_progress

from vizapp.errors import ScenarioError, SessionError
from vizapp.messages import Message
from vizapp.session.frames import EventBatch, Stopped
from vizapp.session.protocol import (
    Back,
    Failed,
    Feed,
    NextEvent,
    Opened,
    Pause,
    Run,
    Seek,
    SeekInstruction,
    SetBreakpoints,
    Step,
)
from vizapp.ui.bridge import Bridge
from vizapp.ui.player import Player
from vizapp.ui.selection import Selection
from vizapp.ui.selection import racers as racing


class Links:
    """Makes fake session processes and keeps them; the first is the active session's."""

    def __init__(self):
        self.made = []

    def bridge(self, scenario, checked):
        link = FakeLink()
        self.made.append((scenario, checked, link))
        return Bridge(link)

    @property
    def active(self):
        return self.made[0][2]


@pytest.fixture
def links():
    return Links()


@pytest.fixture
def player(qtbot, links):
    made = Player(lambda selection: selection, links.bridge)
    yield made
    made.close()
    made.join()


def say(qtbot, player, links, *replies):
    """Let the session answer, and wait until the player has taken the last frame."""
    with qtbot.wait_signal(player.frame_changed):
        for reply in replies:
            links.active.replies.put(reply)


def test_an_opened_session_is_passed_on(qtbot, player, links):
    player.open(Selection())
    opened = Opened("trap-and-emulate", Message("T"), DEPRIVILEGED)
    with qtbot.wait_signal(player.opened) as got:
        links.active.replies.put(opened)
    assert got.args == [opened]


def test_the_active_session_is_checked_for_equivalence(player, links):
    player.open(Selection())
    assert [checked for _, checked, _ in links.made] == [True]


def test_opening_commands_wait_for_each_other(qtbot, player, links):
    player.open(Selection(), (NextEvent(frozenset({"A"})), NextEvent(frozenset({"B"}))))
    assert links.active.sent == []
    say(qtbot, player, links, make_frame(position=0))
    say(qtbot, player, links, make_frame(position=5, moving=True))
    assert links.active.sent == [NextEvent(frozenset({"A"}))]
    say(qtbot, player, links, make_frame(position=9))
    assert links.active.sent == [NextEvent(frozenset({"A"})), NextEvent(frozenset({"B"}))]


def test_a_move_by_hand_ends_the_opening(qtbot, player, links):
    player.open(Selection(), (NextEvent(), NextEvent()))
    say(qtbot, player, links, make_frame(position=0))
    player.to_start()
    say(qtbot, player, links, make_frame(position=7))
    assert links.active.sent == [NextEvent(), Seek(0)]


def test_repeated_keys_become_one_move(qtbot, player, links):
    player.open(Selection())
    say(qtbot, player, links, make_frame())
    for _ in range(5):
        player.step()
    assert links.active.sent == [Step()]
    say(qtbot, player, links, make_frame(position=1212))
    assert links.active.sent == [Step(), Step(4)]


def test_of_many_seeks_only_the_last_is_done(qtbot, player, links):
    player.open(Selection())
    say(qtbot, player, links, make_frame())
    for position in (10, 20, 30):
        player.seek(position)
    say(qtbot, player, links, make_frame(position=10))
    assert links.active.sent == [Seek(10), Seek(30)]


def test_steps_back_add_up_too(qtbot, player, links):
    player.open(Selection())
    say(qtbot, player, links, make_frame())
    for _ in range(3):
        player.back()
    say(qtbot, player, links, make_frame(position=1210))
    assert links.active.sent == [Back(), Back(2)]


def test_a_run_lasts_until_a_frame_that_moves_no_more(qtbot, player, links):
    player.open(Selection())
    say(qtbot, player, links, make_frame())
    player.set_speed(None)
    player.run()
    assert player.run_state.running
    say(qtbot, player, links, make_frame(position=2000, moving=True))
    assert player.run_state.running
    say(qtbot, player, links, make_frame(position=2411, stopped=Stopped("halted", Message("halted"))))
    assert not player.run_state.running
    assert links.active.sent == [Run(None)]


def test_a_run_waits_for_the_answer_to_a_step(qtbot, player, links):
    player.open(Selection())
    say(qtbot, player, links, make_frame())
    player.step()
    player.run()
    assert links.active.sent == [Step()]
    say(qtbot, player, links, make_frame(position=1212))
    assert links.active.sent == [Step(), Run(player.run_state.speed)]
    assert player.run_state.running


def test_pause_is_sent_at_once(qtbot, player, links):
    player.open(Selection())
    say(qtbot, player, links, make_frame())
    player.run()
    player.pause()
    assert links.active.sent[-1] == Pause()
    assert not player.run_state.running


def test_a_step_ends_a_run(qtbot, player, links):
    player.open(Selection())
    say(qtbot, player, links, make_frame())
    player.run()
    player.step()
    assert links.active.sent[-1] == Step()
    assert not player.run_state.running


def test_breakpoints_are_shown_at_once(qtbot, player, links):
    player.open(Selection())
    say(qtbot, player, links, make_frame())
    with qtbot.wait_signal(player.frame_changed) as got:
        player.toggle_breakpoint(0x101004)
    assert [line.address for line in got.args[0].code if line.breakpoint] == [0x101004]
    assert links.active.sent == [SetBreakpoints(frozenset({0x101004}))]
    player.toggle_breakpoint(0x101004)
    assert links.active.sent[-1] == SetBreakpoints(frozenset())


def test_a_failure_is_told_and_the_session_goes_on(qtbot, player, links):
    player.open(Selection())
    say(qtbot, player, links, make_frame())
    player.step()
    with qtbot.wait_signal(player.failed) as got:
        links.active.replies.put(Failed(Message("cannot")))
    assert got.args == [Message("cannot")]
    player.step()
    assert links.active.sent == [Step(), Step()]


def test_a_process_that_dies_is_told_and_can_be_replaced(qtbot, player, links):
    player.open(Selection())
    with qtbot.wait_signal(player.died) as got:
        links.active.replies.put(SessionError(Message("gone")))
    assert got.args == [Message("gone")]
    player.step()  # nothing is there to step, and nothing breaks
    player.restart()
    assert len(links.made) == 2


def test_a_selection_that_cannot_be_is_told(qtbot):
    def refuse(selection):
        raise ScenarioError(Message("no such pair"))

    player = Player(refuse, lambda scenario, checked: None)
    with qtbot.wait_signal(player.died) as got:
        player.open(Selection(guest="nothing"))
    assert got.args == [Message("no such pair")]


def test_the_race_runs_every_technique_unchecked(qtbot, player, links):
    player.open(Selection())
    with qtbot.wait_signal(player.race_started):
        player.race()
    racers = links.made[1:]
    assert [scenario.technique for scenario, _, _ in racers] == list(racing(Selection()))
    assert not any(checked for _, checked, _ in racers)
    assert all(link.sent == [Run(None, attended=False)] for _, _, link in racers)
    with qtbot.wait_signal(player.race_progress) as got:
        racers[1][2].replies.put(make_progress("trap-and-emulate", 0.5, 2.0))
    assert got.args[0].technique == "trap-and-emulate"


def test_the_race_begins_once_the_first_frame_is_there(qtbot, player, links):
    player.open(Selection())
    with qtbot.wait_signal(player.race_started):
        say(qtbot, player, links, make_frame())


def test_of_frames_that_pile_up_only_the_newest_is_shown(qtbot):
    events = make_events(6)
    link = FakeLink(
        [
            make_frame(position=1),
            EventBatch(0, 3, events[:3]),
            make_frame(position=2),
            EventBatch(3, 6, events[3:]),
            make_frame(position=3),
        ]
    )
    bridge = Bridge(link)
    frames, batches = [], []
    bridge.frame.connect(frames.append)
    bridge.events.connect(batches.append)
    qtbot.wait_until(lambda: bool(frames) and frames[-1].position == 3)
    assert sum(len(batch.events) for batch in batches) == 6
    bridge.close()
    bridge.join()


def test_a_closed_bridge_ends_its_process_and_says_nothing_more(qtbot):
    link = FakeLink()
    bridge = Bridge(link)
    frames = []
    bridge.frame.connect(frames.append)
    bridge.close()
    link.replies.put(make_frame())
    bridge.join()
    assert bridge.ended
    assert link.closed
    assert frames == []


def test_the_same_bytes_go_on_at_the_same_instruction(qtbot, player, links):
    player.open(Selection())
    say(qtbot, player, links, make_frame())
    player.switch(player.selection._replace(technique="native"))
    link = links.made[-1][2]
    with qtbot.wait_signal(player.frame_changed):
        link.replies.put(make_frame(position=0))
    assert link.sent == [SeekInstruction(9312)]


@pytest.mark.parametrize("changed", [{"technique": "paravirtual"}, {"guest": "rings"}])
def test_other_bytes_begin_at_the_start(qtbot, player, links, changed):
    player.open(Selection())
    say(qtbot, player, links, make_frame())
    player.switch(player.selection._replace(**changed))
    link = links.made[-1][2]
    with qtbot.wait_signal(player.frame_changed):
        link.replies.put(make_frame(position=0))
    assert link.sent == []


def test_a_racer_whose_guest_has_ended_is_let_go(qtbot, player, links):
    player.open(Selection())
    player.race()
    racer = links.made[1][2]
    with qtbot.wait_signal(player.race_frame):
        racer.replies.put(make_frame(stopped=Stopped("halted", Message("halted"))))
    qtbot.wait_until(lambda: racer.closed)


def test_another_technique_leaves_the_race_alone_and_another_guest_ends_it(qtbot, player, links):
    player.open(Selection())
    player.race()
    player.open(player.selection._replace(technique="native"))
    assert not links.made[1][2].closed
    with qtbot.wait_signal(player.race_started) as told:
        player.open(player.selection._replace(guest="rings"))
    assert told.args == [()]
    qtbot.wait_until(lambda: links.made[1][2].closed)


def test_a_guest_that_waits_keeps_its_run_up(qtbot, player, links):
    player.open(Selection())
    say(qtbot, player, links, make_frame())
    player.run()
    say(qtbot, player, links, make_frame(waiting=Message("The guest waits for a key.")))
    assert not player.run_state.running
    player.feed(Feed("keyboard", ("a", True)))
    say(qtbot, player, links, make_frame(moving=True))
    assert player.run_state.running
    say(qtbot, player, links, make_frame(waiting=Message("The guest waits for a key.")))
    player.set_speed(5.0)
    player.back()
    say(qtbot, player, links, make_frame(moving=True))
    assert not player.run_state.running
    assert links.active.sent == [Run(4.0), Feed("keyboard", ("a", True)), Run(5.0), Back(1)]


def test_another_owner_of_the_devices_is_another_race(qtbot, player):
    told = []
    player.race_started.connect(told.append)
    player.open(Selection(technique="paravirtual"))
    player.open(Selection(technique="vt-x"))
    assert told == []
    player.open(Selection(technique="paravirtual", io="hvm"))
    assert told == [()]
    player.open(Selection(technique="binary-translation", io="hosted"))
    assert told == [(), ()]
