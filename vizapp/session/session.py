"""A session: one scenario, its recording, and the cursor in it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vizapp.errors import SessionError
from vizapp.guest.port import ported_lines
from vizapp.machine.devices.scan_codes import KEYS
from vizapp.machine.input_log import KEYBOARD
from vizapp.messages import N_, Message
from vizapp.session import protocol as p
from vizapp.session.auditor import Auditor
from vizapp.session.builder import build
from vizapp.session.controls import Controls
from vizapp.session.details import Subject, details_of
from vizapp.session.equivalence import Lockstep
from vizapp.session.frames import DIVERGED, Efficiency, Scorecard, Stage
from vizapp.session.listing import Listing
from vizapp.session.observe import Observer
from vizapp.session.port_taps import PortTaps
from vizapp.session.recorder import EventStore
from vizapp.session.recording import Recorder
from vizapp.session.report import report
from vizapp.session.scoring import Scoring
from vizapp.session.timeline import Timeline
from vizapp.session.view import FrameBuilder, serial_text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from vizapp.isa.instruction import Instruction
    from vizapp.machine.pc import Pc
    from vizapp.session.auditor import Leak
    from vizapp.session.frames import EventBatch, Frame, Progress
    from vizapp.session.motion import Motion
    from vizapp.session.observe import Observation
    from vizapp.session.scenario import Scenario


class Session:
    """Runs one scenario under full control, in this process.

    With ``lockstep`` the run is checked for equivalence while it is recorded, and stops where it ceases to
    be equivalent; without it, equivalence is unknown until ``score`` is asked for.

    Attributes:
        scenario: what decides the run.
        title: the technique's name for people.
        stage: which places there are.
        store: every recorded event.
        timeline: the run and its cursor.
    """

    def __init__(self, scenario: Scenario, *, lockstep: bool = False) -> None:
        self.scenario = scenario
        self.machine = build(scenario)
        pc, monitor, technique, _ = self.machine
        self.title: Message = technique.title
        self.stage = Stage(monitor.stage())
        self.store = EventStore()
        self._listing = Listing(scenario.image, scenario.technique, scenario.virtualizable)
        self._observer = Observer(pc, monitor, self._listing.disassemble)
        self._auditor = Auditor(monitor.ownership, pc.memory.frames)
        self._lockstep = self._start_lockstep() if lockstep else None
        self._taps = PortTaps(pc, scenario)
        self._recorder = Recorder(
            pc,
            scenario.technique,
            self.store,
            self._auditor,
            self._lockstep,
            monitor.devices.board,
            self._taps,
        )
        self.timeline = Timeline(pc, self._recorder)
        native = scenario.yardstick
        self._builder = FrameBuilder(
            scenario,
            pc,
            monitor.devices,
            self._listing,
            self._observer,
            self.store,
            ported=ported_lines(native, scenario.image) if native is not None else (),
        )
        self._before: Observation | None = None
        self._controls = Controls(
            pc, self.timeline, self.store, self._observer, catch=self._recorder.catch, look=self._look
        )
        self._seen: Observation | None = None
        self._scored: Scorecard | None = None
        self._scored_to = 0  # the end of the recording when that was found
        self._asked = False
        self._watch = p.Watch()

    def watch(self, watcher: Callable[[Pc], None]) -> None:
        """Tell ``watcher`` of the PC after each guest instruction that it retires, while recording."""
        self._recorder.watcher = watcher

    def step(self, count: int = 1) -> Frame:
        """Forward by ``count`` steps."""
        return self._do(p.Step(count))

    def back(self, count: int = 1) -> Frame:
        """Back by ``count`` steps."""
        return self._do(p.Back(count))

    def over(self) -> Frame:
        """Until the guest instruction at the cursor, with all that it causes, is done."""
        return self._do(p.Over())

    def seek(self, position: int) -> Frame:
        """To a position; beyond the end by recording."""
        return self._do(p.Seek(position))

    def seek_instruction(self, instruction: int) -> Frame:
        """To where a guest instruction, counted from 0, is about to execute."""
        return self._do(p.SeekInstruction(instruction))

    def run_to(self, address: int) -> Frame:
        """Until the guest is about to execute at a linear address; else to the end."""
        return self._do(p.RunTo(address))

    def next_event(self, kinds: Collection[str] | None = None) -> Frame:
        """To just behind the next event of one of ``kinds`` (None: of any)."""
        return self._do(p.NextEvent(None if kinds is None else frozenset(kinds)))

    def previous_event(self, kinds: Collection[str] | None = None) -> Frame:
        """To just behind the last event before the cursor of one of ``kinds``; else to the start."""
        return self._do(p.PreviousEvent(None if kinds is None else frozenset(kinds)))

    def run(
        self,
        max_steps: int | None = None,
        max_instructions: int | None = None,
        seconds: float | None = None,
    ) -> Frame:
        """On from the cursor until the end, a breakpoint, a caught event or a bound.

        ``max_instructions`` counts from the start of the run, ``max_steps`` from the cursor; ``seconds`` are
        of real time.
        """
        self.advance(max_steps, max_instructions, seconds)
        return self.frame()

    def advance(
        self,
        max_steps: int | None = None,
        max_instructions: int | None = None,
        seconds: float | None = None,
    ) -> None:
        """As ``run``, without making a frame."""
        timeline, controls = self.timeline, self._controls
        limit = None if max_steps is None else timeline.cursor + max_steps
        deadline = None if seconds is None else time.monotonic() + seconds
        while not timeline.at_end and (deadline is None or time.monotonic() < deadline):
            before = timeline.cursor
            done = timeline.forward(limit, max_instructions, controls.held())
            found = controls.caught(before, timeline.cursor)
            if found is not None:
                timeline.seek(found.position + 1)
                return
            if done:
                return

    def feed(self, source: str, *data: str | bool | bytes) -> None:
        """Something comes from outside: the cursor goes to the end of the recording, where it is recorded.

        Raises:
            SessionError: a monitor runs the guest, whose yardstick would not get the same, or there is no
                such key.
        """
        if self.scenario.technique != "native":
            sentence = N_("only the bare machine takes input while it runs, not {technique}")
            raise SessionError(Message(sentence, {"technique": self.scenario.technique}))
        if source == KEYBOARD and data[0] not in KEYS:
            raise SessionError(Message(N_("there is no key {key}"), {"key": str(data[0])}))
        self.timeline.seek(self.timeline.end)
        self.machine.pc.feed(source, *data)

    def set_breakpoints(self, addresses: Collection[int]) -> None:
        """Stop where one of these linear addresses is about to execute in the guest."""
        self._controls.breakpoints = frozenset(addresses)

    def watch_details(self, names: Collection[str], address: int | None = None) -> None:
        """Put these details into every frame from now on; see ``session.details``."""
        self._watch = p.Watch(frozenset(names), address)

    def set_catchpoints(self, kinds: Collection[str]) -> None:
        """Stop behind events of these kinds while running."""
        self._controls.catchpoints = frozenset(kinds)

    def begin(self, command: p.Command) -> Motion | None:
        """What a command sets in motion; None if it is done at once."""
        if isinstance(command, p.Feed):
            self.feed(command.source, *command.data)
            return None
        if isinstance(command, p.Watch):
            self._watch = command
            return None
        return self._scoring() if isinstance(command, p.Score) else self._controls.begin(command)

    def frame(self, *, moving: bool = False) -> Frame:
        """The state at the cursor."""
        timeline = self.timeline
        before = self._one_step_earlier(cheaply=moving)
        now = self._seen = self._observer.look()
        return self._builder.build(
            now,
            before,
            end=self._recorder.end,
            stopped=timeline.stopped if timeline.at_end else None,
            scorecard=self.scorecard(),
            heat=self._recorder.heat,
            breakpoints=self._controls.breakpoints,
            moving=moving,
            details=self._details(),
        )

    def events(self, first: int = 0) -> EventBatch:
        """Recorded events from index ``first`` on."""
        return self.store.batch(first)

    def score(self) -> Scorecard:
        """Check equivalence for all that is recorded; a run that diverged is cut off where it did."""
        motion = self._scoring()
        while motion is not None and not motion.advance():
            pass
        return self.scorecard()

    @property
    def final_serial(self) -> str:
        """What the guest had sent over COM1 by the end of the recording."""
        cursor = self.timeline.cursor
        self.timeline.seek(self.timeline.end)
        text = serial_text(self.machine.monitor.devices)
        self.timeline.seek(cursor)
        return text

    def report(self) -> dict[str, Any]:
        """The JSON of ``vizapp run``, for the end of the recording."""
        self.timeline.seek(self.timeline.end)
        scored = self._asked or self._lockstep is not None
        return report(self.scenario, self.frame(), self.store, scored=scored)

    @property
    def port_logs(self) -> dict[int, bytes]:
        """What the guest has written to each port that the scenario logs."""
        return {port: b"".join(part for _, part in log) for port, log in self._taps.written.items()}

    @property
    def leaks(self) -> tuple[Leak, ...]:
        """What the guest reached though it is not its own, in the order in which it did."""
        return tuple(self._auditor.leaks)

    def progress(self) -> Progress:
        """How far the recording has come."""
        known = self._recorder.progress
        broken = self._scored is not None and self._scored.holds is False
        return known._replace(overhead_valid=False) if broken else known

    def scorecard(self) -> Scorecard:
        """Popek and Goldberg's three properties at the cursor."""
        position = self.timeline.cursor
        pc = self.machine.pc
        return replace(
            self._known_equivalence(),
            refused=self._auditor.refused(position),
            let_through=self._auditor.let_through(position),
            efficiency=Efficiency(pc.instructions - pc.emulated, 0, pc.emulated),
        )

    def _details(self) -> dict[str, Any]:
        pc, monitor, _, _ = self.machine
        subject = Subject(pc, monitor, self.store, self.timeline.cursor, 0, self._watch.address)
        return details_of(self._watch.details, subject)

    def _known_equivalence(self) -> Scorecard:
        claimed = self.machine.technique.claims_equivalence
        total = self.timeline.end_instruction
        if self.scenario.technique == "native":
            return Scorecard(claimed, True, total, total)
        if self._lockstep is not None:
            found = self._lockstep.first_difference
            return Scorecard(claimed, found is None, self._lockstep.compared, total, found)
        if self._scored is not None:
            return replace(self._scored, total=max(total, self._scored.total))
        return Scorecard(claimed, None, 0, total)

    def _scoring(self) -> Scoring | None:
        """What ``score`` has to do; None if it is known already, or cannot be."""
        scenario = self.scenario
        self._asked = True
        if self._lockstep is not None or scenario.technique == "native":
            return None
        if self._scored is not None and self._scored_to == self.timeline.end:
            return None
        if scenario.image.build == "native":
            return Scoring(self, Session(scenario, lockstep=True), self._adopt)
        if scenario.yardstick is None:
            return None
        native = replace(scenario, image=scenario.yardstick, technique="native", yardstick=None)
        return Scoring(self, Session(native), self._adopt)

    def _adopt(self, outcome: Scorecard, other: Session) -> None:
        """Take over what another run of the same scenario has found."""
        stopped = other.timeline.stopped
        if stopped is not None and stopped.reason == DIVERGED:
            self.timeline.seek(other.timeline.end)
            self._recorder.heat = other._recorder.heat
            self._recorder.cut(stopped)
            self.timeline.cut(stopped)
        self._scored, self._scored_to = outcome, self.timeline.end

    def _do(self, command: p.Command) -> Frame:
        motion = self.begin(command)
        while motion is not None and not motion.advance():
            pass
        return self.frame()

    def _look(self) -> None:
        """See the machine where the cursor passes, one step before it arrives."""
        self._before = self._observer.look()

    def _one_step_earlier(self, *, cheaply: bool) -> Observation | None:
        """The machine one step before the cursor: sentences tell what the last step did.

        It means going back and forth; ``cheaply`` only if it was just seen.
        """
        wanted = self.timeline.cursor - 1
        for known in (self._seen, self._before):
            if known is not None and known.moment.position == wanted:
                self._before = known
                return known
        if wanted < 0 or cheaply:
            return None
        self.timeline.seek(wanted)
        self._look()
        self.timeline.seek(wanted + 1)
        return self._before

    def _start_lockstep(self) -> Lockstep | None:
        pc, monitor, technique, processor = self.machine
        if not technique.claims_equivalence or technique.name == "native":
            return None
        bare = build(replace(self.scenario, technique="native", virtualizable=False), processor)
        return Lockstep(pc, monitor, bare.pc, bare.monitor, self._instruction_at)

    def _instruction_at(self, address: int) -> tuple[str, Instruction | None]:
        """Text and decoded form of the guest's instruction at an address."""
        code = self._observer.code(address)
        if code is None:
            return "", None
        return self._listing.disassemble(address, code, self.scenario.image.bits)
