"""The yardstick: the bare machine made to relive a monitored run, by instruction count instead of by time.

Time differs under a monitor, by nature. So the monitored run logs, by guest-instruction count, each interrupt
that its guest was given, each time value that it read and when its devices got something from outside; the
bare machine gets the same at the same points, and whatever else its timer would do does not happen. Data from
devices is computed, never replayed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from vizapp.isa.registers import EFLAGS_IF
from vizapp.machine.events import ADDRESS_SPACE_SWITCHED
from vizapp.messages import N_, Message
from vizapp.session.trace import UNSEEN, Trace, digest

if TYPE_CHECKING:
    from vizapp.machine.events import Event
    from vizapp.machine.input_log import Input
    from vizapp.machine.pc import Pc

STRETCH = 20_000  # steps between two looks at a processor that may be waiting for ever


class Injection(NamedTuple):
    """The guest was interrupted after ``instructions``; ``ecx`` says in which iteration of a REP.

    With ``input`` it was not: its devices then got something from outside.
    """

    instructions: int
    ecx: int
    vector: int
    input: Input | None = None


class TimeRead(NamedTuple):
    """The guest read ``value`` from ``source`` (tsc, pit...) in instruction number ``instructions``."""

    instructions: int
    source: str
    value: int


@dataclass(slots=True)
class ReplayLog:
    """What a monitored guest got from time, in order."""

    injections: list[Injection] = field(default_factory=list)
    times: list[TimeRead] = field(default_factory=list)


class Difference(NamedTuple):
    """Where the bare machine does something else: at guest ``instruction`` number (from 0), and why."""

    instruction: int
    reason: Message | None


class Yardstick:
    """A bare machine under replay.

    Attributes:
        pc: the machine.
        difference: the first difference, once there is one.
        directories: every value of CR3 under which the guest has used paging.
    """

    def __init__(self, pc: Pc, log: ReplayLog) -> None:
        self.pc = pc
        self.difference: Difference | None = None
        self.directories: set[int] = set()
        self._log = log
        self._injected = 0
        self._times_read = 0
        self._trace = Trace(0)
        pc.read_time = self._time
        pc.on_retired = self._retired
        pc.listener = self._event
        pc.interrupts_blocked = True

    def follow(self, trace: Trace, end: int) -> None:
        """Run until ``end`` guest instructions have retired, comparing with ``trace`` as far as it goes."""
        self._trace = trace
        while self.difference is None:
            due = self._due(end)
            goal = end if due is None else due.instructions
            if self.pc.instructions < goal and not self._run(goal):
                self._differ(self._ended())
            if self.difference is not None or due is None:
                return
            self._inject(due)

    def _due(self, end: int) -> Injection | None:
        """The next injection, if it comes by ``end``."""
        injections = self._log.injections
        if self._injected == len(injections) or injections[self._injected].instructions > end:
            return None
        return injections[self._injected]

    def _run(self, goal: int) -> bool:
        """Run until ``goal`` instructions have retired; False if the machine does not get there."""
        pc = self.pc
        while pc.instructions < goal and self.difference is None:
            pc.pause_requested = False
            before = pc.instructions
            pc.run(max_steps=STRETCH, until_instruction=goal)
            if pc.stopped is not None or (pc.cpu.halted and pc.instructions == before):
                return pc.instructions >= goal
        return True

    def _inject(self, injection: Injection) -> None:
        pc = self.pc
        cpu = pc.cpu
        here = cpu.eip
        while cpu.ecx != injection.ecx and cpu.eip == here and pc.instructions == injection.instructions:
            before = cpu.ecx
            pc.step()
            if cpu.ecx == before:
                break
        if injection.input is not None:
            pc.board.take_input(injection.input)
            self._injected += 1
            return
        parameters = {"vector": f"{injection.vector:#04x}"}
        if not cpu.eflags & EFLAGS_IF or cpu.shadow:
            self._differ(
                Message(
                    N_("interrupt {vector} is taken here, where the bare machine has interrupts masked"),
                    parameters,
                )
            )
            return
        if not pc.inject(injection.vector):
            self._differ(
                Message(
                    N_("interrupt {vector} is taken here, which the bare machine's controller has masked"),
                    parameters,
                )
            )
            return
        self._injected += 1

    def _retired(self) -> None:
        pc = self.pc
        index = pc.instructions - 1 - self._trace.first
        digests = self._trace.digests
        if 0 <= index < len(digests):
            expected = digests[index]
            if expected not in (UNSEEN, digest(pc)) and self.difference is None:
                self._differ(None)

    def _event(self, event: Event) -> None:
        if event.kind == ADDRESS_SPACE_SWITCHED:
            self.directories.add(self.pc.cpu.cr3)

    def _differ(self, reason: Message | None) -> None:
        index = self.pc.instructions - (1 if reason is None else 0)
        self.difference = Difference(index, reason)
        self.pc.pause_requested = True

    def _time(self, source: str, value: int) -> int:
        times = self._log.times
        if self._times_read < len(times) and times[self._times_read].source == source:
            self._times_read += 1
            return times[self._times_read - 1].value
        return value

    def _ended(self) -> Message:
        stopped = self.pc.stopped
        if stopped is not None:
            return Message(N_("the bare machine has stopped here: {detail}"), {"detail": stopped[1]})
        return Message(N_("the bare machine waits here for an interrupt"))
