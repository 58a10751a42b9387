"""The timeline against a machine whose whole state is a number computed from the one before."""

from typing import Any

from vizapp.messages import Message
from vizapp.session.checkpoints import Checkpoint, Checkpoints
from vizapp.session.frames import Stopped
from vizapp.session.timeline import Timeline

END = 6_000


class Scrambler:
    """Each step computes the next state; every third step is not an instruction."""

    def __init__(self) -> None:
        self.position = self.instructions = 0
        self.state = 1
        self.stopped: tuple[str, Message] | None = None
        self.pause_requested = False
        self.awaits: tuple[str, ...] = ()
        self.steps = 0
        self.seen: list[tuple[int, int]] = []

    def step(self) -> None:
        self.state = self.state * 6364136223846793005 + 1442695040888963407 & 0xFFFF_FFFF_FFFF_FFFF
        self.position += 1
        self.instructions += self.position % 3 != 0
        self.steps += 1
        if self.position == END:
            self.stopped = ("halted", Message("over"))

    def run(
        self,
        max_steps: int | None = None,
        until_cycle: int | None = None,
        until_instruction: int | None = None,
    ) -> None:
        for _ in range(max_steps or 0):
            if self.stopped or self.pause_requested:
                return
            if until_instruction is not None and self.instructions >= until_instruction:
                return
            self.step()

    def save(self) -> Any:
        return self.position, self.instructions, self.state, self.stopped

    def load(self, data: Any) -> None:
        self.position, self.instructions, self.state, self.stopped = data


class Silence:
    """A recording that only notes when the machine stops."""

    def __init__(self, machine: Scrambler) -> None:
        self.machine = machine
        self.stretches = 0

    def begin(self) -> None:
        self.stretches += 1

    def finish(self) -> Stopped | None:
        return None if self.machine.stopped is None else Stopped(*self.machine.stopped)


class Clock:
    """A clock that advances with the machine's steps: 40 microseconds each."""

    def __init__(self, machine: Scrambler) -> None:
        self.machine = machine

    def __call__(self) -> float:
        return self.machine.steps * 4e-5


def recorded() -> tuple[Timeline, Scrambler, dict[int, int]]:
    machine = Scrambler()
    timeline = Timeline(machine, Silence(machine), clock=Clock(machine))
    while not timeline.forward():
        pass
    truth = Scrambler()
    states = {0: truth.state}
    for position in range(1, END + 1):
        truth.step()
        states[position] = truth.state
    return timeline, machine, states


def test_a_run_ends_where_the_machine_stops() -> None:
    timeline, _, _ = recorded()
    assert timeline.end == END
    assert timeline.at_end
    assert timeline.stopped == Stopped("halted", Message("over"))


def test_every_position_of_the_past_can_be_reached_and_is_what_it_was() -> None:
    timeline, machine, states = recorded()
    for position in (0, 1, END, END - 1, 3_000, 2_999, 3_000, 3, 5_999, 0, 1_555):
        timeline.seek(position)
        assert (machine.position, machine.state) == (position, states[position])


def test_a_step_back_replays_a_bounded_number_of_steps() -> None:
    timeline, machine, states = recorded()
    while timeline.cursor > END - 1_000:
        timeline.seek(timeline.cursor - 1)
        # 20 ms at 40 us a step are 500 steps; a stretch may overshoot by as much again.
        assert timeline.replayed <= 1_000
        assert machine.state == states[machine.position]


def test_an_instruction_is_found_by_number() -> None:
    timeline, machine, _ = recorded()
    for instruction in (0, 1, 2_777, 3, timeline.end_instruction):
        timeline.seek_instruction(instruction)
        assert machine.instructions == instruction


def test_replay_is_not_recorded_again() -> None:
    machine = Scrambler()
    recording = Silence(machine)
    timeline = Timeline(machine, recording, clock=Clock(machine))
    timeline.forward(500)
    stretches = recording.stretches
    timeline.seek(0)
    timeline.forward(500)
    assert recording.stretches == stretches
    timeline.forward(501)
    assert recording.stretches == stretches + 1


def test_until_looks_after_every_step() -> None:
    machine = Scrambler()
    timeline = Timeline(machine, Silence(machine), clock=Clock(machine))
    assert timeline.forward(until=lambda: machine.position == 77)
    assert timeline.cursor == 77


def test_a_cut_run_cannot_be_extended_and_forgets_what_lay_behind() -> None:
    timeline, machine, states = recorded()
    timeline.seek(2_345)
    timeline.cut(Stopped("diverged", Message("differs")))
    assert timeline.forward()
    assert timeline.cursor == timeline.end == 2_345
    timeline.seek(END)
    assert timeline.cursor == 2_345
    timeline.seek(2_000)
    timeline.seek(2_345)
    assert machine.state == states[2_345]


def test_thinning_keeps_the_start_the_recent_and_few() -> None:
    kept = Checkpoints(limit=40, recent=10)
    for position in range(0, 10_000, 10):
        kept.add(Checkpoint(position, position, None))
    assert len(kept) <= 40
    assert kept.at_or_before(5).position == 0
    for position in range(9_900, 10_000, 10):
        assert kept.holds(position)
    gaps = [position - kept.at_or_before(position).position for position in range(10_000)]
    assert max(gaps) < 10_000 / 10


def test_a_checkpoint_is_found_by_instruction() -> None:
    kept = Checkpoints()
    for position in (0, 100, 200):
        kept.add(Checkpoint(position, position // 2, None))
    assert kept.before_instruction(0).position == 0
    assert kept.before_instruction(99).position == 100
    assert kept.before_instruction(100).position == 200


def test_checkpoints_keep_within_their_budget_of_memory() -> None:
    """Each state keeps ten bytes more than the one before it: the last ones stay, and few of the others."""
    kept = Checkpoints(recent=10, budget=300, weigh=lambda older, newer: abs(newer - older) * 10)
    light = Checkpoints(recent=10, budget=300, weigh=lambda older, newer: 10)
    for position in range(0, 1_000, 10):
        kept.add(Checkpoint(position, position, position // 10))
        light.add(Checkpoint(position, position, None))
    assert 28 <= len(light) <= 31
    assert len(kept) <= 31
    for checkpoints in (kept, light):
        assert checkpoints.at_or_before(5).position == 0
        assert checkpoints.holds(990)
    assert light.holds(900)
    light.drop_after(0)
    assert len(light) == 1
    for position in range(10, 300, 10):
        light.add(Checkpoint(position, position, None))
    assert len(light) == 30


def test_far_beyond_the_limit_no_gap_is_wide() -> None:
    kept = Checkpoints()
    for position in range(8_000):
        kept.add(Checkpoint(position, position, None))
    assert len(kept) <= 2_500
    assert all(position - kept.at_or_before(position).position < 6 for position in range(8_000))
