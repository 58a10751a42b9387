"""A session: one scenario, its recording, and the cursor in it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vizapp.errors import SessionError
from vizapp.guest.port import changed_lines, porting_diff
from vizapp.machine.devices.scan_codes import KEYS
from vizapp.machine.input_log import KEYBOARD, InputLog
from vizapp.messages import N_, Message
from vizapp.session import protocol as p
from vizapp.session.auditor import Auditor
from vizapp.session.builder import build, techniques_of
from vizapp.session.checkpoints import Checkpoints
from vizapp.session.controls import Controls
from vizapp.session.details.registry import Subject, details_of
from vizapp.session.domain_scoring import DomainScoring, has_domains
from vizapp.session.frames import DIVERGED, Scorecard, Stage
from vizapp.session.journeys.book import JourneyBook
from vizapp.session.listing import Listing
from vizapp.session.locksteps import start_lockstep
from vizapp.session.observe import Observer
from vizapp.session.port_taps import PortTaps
from vizapp.session.recorder import EventStore
from vizapp.session.recording import Recorder
from vizapp.session.report import report, vm_report
from vizapp.session.run_states import RunStates
from vizapp.session.scorecards import Scorecards
from vizapp.session.scoring import Scoring
from vizapp.session.timeline import Timeline
from vizapp.session.view import FrameBuilder, serial_text
from vizapp.vmm import registry

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
        self._listings = [
            Listing(vm.image, technique_name, scenario.virtualizable)
            for vm, technique_name in zip(scenario.machines, techniques_of(scenario), strict=True)
        ]
        self._observer = Observer(pc, monitor, [listing.disassemble for listing in self._listings])
        self._auditor = Auditor(monitor.ownership, pc.memory.frames)
        self._lockstep = start_lockstep(scenario, self.machine, self._instruction_at) if lockstep else None
        self._taps = PortTaps(pc, scenario)
        self._recorder = Recorder(
            pc,
            scenario.technique,
            self.store,
            self._auditor,
            self._lockstep,
            monitor.devices.board,
            self._taps,
            JourneyBook(pc, monitor, scenario.image.symbols),
            RunStates(monitor),
            first_guest=int(has_domains(scenario)),
        )
        self._recorder.watch_boards([guest.hardware.board for guest in monitor.vms])
        self.timeline = Timeline(pc, self._recorder, Checkpoints(weigh=pc.weigh))
        native = scenario.yardstick
        self._porting = () if native is None else porting_diff(native, scenario.image)
        self._builder = FrameBuilder(
            scenario,
            pc,
            monitor.vms,
            self._listings,
            self._observer,
            self.store,
            ported=changed_lines(self._porting),
        )
        self._before: Observation | None = None
        self._controls = Controls(
            pc, self.timeline, self.store, self._observer, catch=self._recorder.catch, look=self._look
        )
        self._seen: Observation | None = None
        self._cards = Scorecards(self.machine, self.timeline, self._auditor, self._lockstep)
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

    def feed(self, source: str, *data: str | bool | bytes, vm: int = 0) -> None:
        """Something comes from outside: the cursor goes to the end of the recording, where it is recorded.

        Raises:
            SessionError: the guest has no device for it, or there is no such key or virtual machine.
        """
        if not registry.maker(self.scenario.technique).abilities.inputs:
            sentence = N_("a guest takes no input while it runs under {technique}")
            raise SessionError(Message(sentence, {"technique": self.scenario.technique}))
        if source == KEYBOARD and data[0] not in KEYS:
            raise SessionError(Message(N_("there is no key {key}"), {"key": str(data[0])}))
        self._check_vm(vm)
        self.timeline.seek(self.timeline.end)
        self.machine.pc.feed(source, *data, vm=vm)

    @property
    def attended(self) -> bool:
        """Whether somebody is there to ``feed`` a guest that waits for it: it has not halted for good."""
        return self.machine.pc.attended

    @attended.setter
    def attended(self, attended: bool) -> None:
        self.machine.pc.attended = attended

    def select(self, vm: int | None) -> None:
        """Show virtual machine ``vm`` in frames from now on; None: whichever has the processor.

        Raises:
            SessionError: there is none of that number.
        """
        if vm is not None:
            self._check_vm(vm)
        self._observer.vm = vm
        self._before = self._seen = None

    def _check_vm(self, vm: int) -> None:
        count = len(self.machine.monitor.vms)
        if not 0 <= vm < count:
            raise SessionError(
                Message(
                    N_("there is no virtual machine {number}; there are {count}, from 0 on"),
                    {"number": vm, "count": count},
                )
            )

    def set_breakpoints(self, addresses: Collection[int]) -> None:
        """Stop where one of these linear addresses is about to execute in the guest."""
        self._controls.breakpoints = frozenset(addresses)

    def watch_details(self, names: Collection[str], address: int | None = None) -> None:
        """Put these details into every frame from now on; see ``session.details``."""
        self._watch = p.Watch(frozenset(names), {} if address is None else dict.fromkeys(names, address))

    def set_catchpoints(self, kinds: Collection[str]) -> None:
        """Stop behind events of these kinds while running."""
        self._controls.catchpoints = frozenset(kinds)

    def begin(self, command: p.Command) -> Motion | None:
        """What a command sets in motion; None if it is done at once."""
        if isinstance(command, p.Feed):
            self.feed(command.source, *command.data, vm=command.vm)
            return None
        if isinstance(command, p.SelectVm):
            self.select(command.vm)
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
            awaited=self.machine.pc.awaits if timeline.waits else (),
            scorecard=self.scorecard(),
            heat=self._recorder.heats[now.vm],
            way=self._recorder.ways.of(now.vm),
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
        shown, self._observer.vm = self._observer.vm, 0
        found = report(self.scenario, self.frame(), self.store, scored=scored) | self._recorder.start_told
        guests = self.machine.monitor.vms
        if len(guests) > 1:
            found["vms"] = []
            for vm, guest in enumerate(guests):
                self._observer.vm = vm
                card, frame = self._cards.of(vm), self.frame()
                found["vms"].append(vm_report(self.scenario, guest, frame, card, self.store, scored=scored))
        self.select(shown)
        return found

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
        broken = self._cards.scored is not None and self._cards.scored.holds is False
        return known._replace(overhead_valid=False) if broken else known

    def scorecard(self) -> Scorecard:
        """Popek and Goldberg's three properties at the cursor."""
        return self._cards.whole()

    def _details(self) -> dict[str, Any]:
        pc, monitor, _, _ = self.machine
        vm, seen = self._observer.shown, self._recorder
        subject = Subject(
            pc, monitor, self.store, self.timeline.cursor, vm, None, seen.heats[vm], self._porting,
            self.scenario.image.symbols, seen.book.journeys, seen.run_states.all, seen.ways.of(vm),
        )  # fmt: skip
        return details_of(self._watch, subject)

    def _scoring(self) -> Scoring | DomainScoring | None:
        """What ``score`` has to do; None if it is known already, or cannot be."""
        scenario = self.scenario
        self._asked = True
        if self._lockstep is not None or scenario.technique == "native":
            return None
        if self._cards.up_to_date:
            return None
        if has_domains(scenario):
            return DomainScoring(self, Session, self._cards.adopt_each)
        if not scenario.compared_by_result:
            again = Session(scenario, lockstep=True)
            again.machine.pc.inputs = InputLog(self.machine.pc.inputs.entries)
            return Scoring(self, again, self._adopt)
        image = scenario.yardstick or scenario.image
        if image.build != "native":
            return None
        native = replace(
            scenario, image=image, technique="native", yardstick=None, io="bare-metal", host=None
        )
        return Scoring(self, Session(native), self._adopt)

    def _adopt(self, outcome: Scorecard, other: Session) -> None:
        """Take over what another run of the same scenario has found."""
        stopped = other.timeline.stopped
        if stopped is not None and stopped.reason == DIVERGED:
            self.timeline.seek(other.timeline.end)
            self._recorder.adopt(other._recorder)
            self._recorder.cut(stopped)
            self.timeline.cut(stopped)
        self._cards.adopt(outcome, other._cards)

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

    def _instruction_at(self, address: int, vm: int) -> tuple[str, Instruction | None]:
        """Text and decoded form of a guest's instruction at an address."""
        code = self._observer.code(address, vm)
        if code is None:
            return "", None
        return self._listings[vm].disassemble(address, code, self.scenario.machines[vm].image.bits)
