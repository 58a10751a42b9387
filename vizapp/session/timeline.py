"""The timeline: one deterministic run, its recorded past, and a cursor that can stand anywhere in it.

    0 ----o--------o--------o-----|---o--------o---> end        o checkpoint
                                cursor

The machine itself always stands at the cursor. Going back loads the checkpoint before the goal and runs
forward from there; the machine is deterministic, so what it does again is what it did. Beyond the end the
run is recorded: then, and only then, the observers of the session are told of it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from vizapp.session.checkpoints import Checkpoint, Checkpoints

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.messages import Message
    from vizapp.session.frames import Stopped

SPACING = 0.020  # seconds of processor time between checkpoints: what a step back costs at most
# Where saving takes long because the guest writes to much memory, it is done less often.
SAVING_SHARE, WIDEST = 0.1, 0.100
FEWEST, MOST = 64, 1 << 18  # steps in one stretch


class Machine(Protocol):
    """What a timeline needs of a machine; ``vizapp.machine.pc.Pc`` is one."""

    position: int
    instructions: int
    stopped: tuple[str, Message] | None
    pause_requested: bool

    @property
    def awaits(self) -> tuple[str, ...]:
        """What it waits for from outside; while it does, no step can be done."""

    def step(self) -> None:
        """Do one step: an instruction, a delivery or a phase of a monitor."""

    def run(
        self,
        max_steps: int | None = None,
        until_cycle: int | None = None,
        until_instruction: int | None = None,
    ) -> None:
        """Do steps until a bound is hit, the machine stops or a pause is requested."""

    def save(self) -> Any:
        """The whole state as data that later runs do not change."""

    def load(self, data: Any) -> None:
        """Become what ``save`` saw."""


class Recording(Protocol):
    """What is told of a run while it happens for the first time."""

    def begin(self) -> None:
        """The machine is about to go beyond the end of the recording."""

    def finish(self) -> Stopped | None:
        """A stretch beyond the end is done; a reason if the run ends here all the same."""


class Timeline:
    """Moves a machine along its run.

    Attributes:
        end: the last recorded position, in steps.
        end_instruction: guest instructions retired there.
        stopped: why the run cannot go beyond ``end``, once it cannot.
        replayed: steps that had to be done again to get where the cursor last went in the past.
    """

    def __init__(
        self,
        machine: Machine,
        recording: Recording,
        checkpoints: Checkpoints | None = None,
        clock: Callable[[], float] = time.process_time,
    ) -> None:
        self.machine = machine
        self.end = machine.position
        self.end_instruction = machine.instructions
        self.stopped: Stopped | None = None
        self.replayed = 0
        self._recording = recording
        self._checkpoints = Checkpoints() if checkpoints is None else checkpoints
        self._clock = clock
        self._stretch = 1024
        self._work = 0.0
        self._spacing = SPACING
        self._checkpoint()

    @property
    def cursor(self) -> int:
        """The position of the cursor, in steps from the start."""
        return self.machine.position

    @property
    def at_end(self) -> bool:
        """Whether the cursor stands at the end of a run that cannot be extended."""
        return self.stopped is not None and self.cursor >= self.end

    @property
    def waits(self) -> bool:
        """Whether the cursor stands where the run goes on only with an input from outside."""
        return bool(self.machine.awaits) and self.cursor >= self.end

    def forward(
        self,
        limit: int | None = None,
        instruction: int | None = None,
        until: Callable[[], bool] | None = None,
    ) -> bool:
        """Move on by one stretch, about ``SPACING`` of work.

        Stops at position ``limit``, once ``instruction`` guest instructions have retired, where ``until``
        holds after a step, at a pause, between past and future, and where the machine waits for an input.
        Whether one of the first three held, or no more can be done.
        """
        machine = self.machine
        start = machine.position
        if self.at_end or self.waits or (limit is not None and start >= limit):
            return True
        replaying = start < self.end
        steps = self._stretch if limit is None else min(self._stretch, limit - start)
        if replaying:
            steps = min(steps, self._checkpoints.room_after(start), self.end - start)
        else:
            self._recording.begin()
        began = self._clock()
        machine.pause_requested = False
        held = self._go(steps, instruction, until)
        self._account(machine.position - start, self._clock() - began)
        if not replaying:
            self._extend()
        elif self._checkpoints.holds(machine.position):
            self._work = 0.0
        if self._work >= self._spacing:
            self._checkpoint()
        return held or self.at_end or self.waits or (limit is not None and machine.position >= limit)

    def seek(self, position: int) -> None:
        """Put the cursor at ``position`` of the recorded past (or at its nearer end)."""
        goal = max(0, min(position, self.end))
        self.approach(goal)
        while self.cursor < goal:
            self.forward(goal)

    def seek_instruction(self, instruction: int) -> None:
        """Put the cursor where guest instruction ``instruction`` (from 0) of the past is about to execute."""
        checkpoint = self._checkpoints.before_instruction(instruction)
        here = self.machine.instructions
        if here >= instruction or here < checkpoint.instruction:
            self._load(checkpoint)
        before = self.cursor
        while self.machine.instructions < instruction and self.cursor < self.end:
            self.forward(self.end, instruction)
        self.replayed = self.cursor - before

    def approach(self, position: int) -> None:
        """Load the checkpoint from which ``position`` is soonest reached, if the cursor is not nearer."""
        checkpoint = self._checkpoints.at_or_before(position)
        if not checkpoint.position <= self.cursor <= position:
            self._load(checkpoint)
        self.replayed = max(0, position - self.cursor)

    def cut(self, stopped: Stopped) -> None:
        """End the run at the cursor, for ``stopped``: what was recorded behind it did not happen."""
        self.end = self.cursor
        self.end_instruction = self.machine.instructions
        self.stopped = stopped
        self._checkpoints.drop_after(self.end)

    def _go(self, steps: int, instruction: int | None, until: Callable[[], bool] | None) -> bool:
        machine = self.machine
        if until is None:
            machine.run(max_steps=steps, until_instruction=instruction)
            return instruction is not None and machine.instructions >= instruction
        for _ in range(steps):
            if machine.stopped is not None or machine.awaits:
                break
            machine.step()
            if until() or (instruction is not None and machine.instructions >= instruction):
                return True
            if machine.pause_requested:
                break
        return False

    def _account(self, steps: int, seconds: float) -> None:
        """Choose the next stretch so that it takes about ``SPACING``."""
        self._work += seconds
        if steps >= self._stretch:
            wanted = int(steps * SPACING / max(seconds, 1e-6))
            self._stretch = max(FEWEST, min(wanted, 2 * steps, MOST))
        elif seconds > 2 * SPACING:
            self._stretch = max(FEWEST, self._stretch // 2)

    def _extend(self) -> None:
        stopped = self._recording.finish()
        if stopped is not None:
            self.cut(stopped)
        elif self.machine.position > self.end:
            self.end = self.machine.position
            self.end_instruction = self.machine.instructions

    def _checkpoint(self) -> None:
        machine = self.machine
        began = self._clock()
        self._checkpoints.add(Checkpoint(machine.position, machine.instructions, machine.save()))
        self._spacing = min(WIDEST, max(SPACING, (self._clock() - began) / SAVING_SHARE))
        self._work = 0.0

    def _load(self, checkpoint: Checkpoint) -> None:
        self.machine.load(checkpoint.state)
        self._work = 0.0
