"""The player: cursor, speed and run state; it owns the sessions and is the only one that commands them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from vizapp.errors import VizappError
from vizapp.session.protocol import (
    Back,
    Feed,
    NextEvent,
    Over,
    Pause,
    PreviousEvent,
    Run,
    Score,
    Seek,
    SeekInstruction,
    SetBreakpoints,
    Step,
)
from vizapp.ui.panel import RunState
from vizapp.ui.race import Race
from vizapp.ui.selection import PORTED, TRAP_KINDS, Selection, racers, racing

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.session.frames import Frame
    from vizapp.session.protocol import Command, Opened
    from vizapp.session.scenario import Scenario
    from vizapp.ui.bridge import Bridge

_RACE_DELAY = 150  # ms after the first frame: that one has the processor for itself


class Player(QObject):
    """Runs one session for the active technique and, beside it, one for each technique in the overhead race.

    Signals:
        selected: another guest, technique or processor (Selection), before its session begins.
        opened: the session exists (Opened).
        frame_changed: the state at the cursor (Frame).
        events_changed: recorded events (EventBatch).
        race_started: the techniques that race (tuple of names).
        race_progress: how far one of them came (Progress).
        race_opened, race_frame, race_events: the same of a racing technique (str, object).
        race_failed: a technique that cannot run this guest, and why (str, Message).
        run_changed: RunState.
        steered: a person, and not a lesson, moves the cursor or the run (no argument).
        failed: a command could not be done (Message).
        died: the active session's process is gone (Message).
    """

    selected = Signal(object)
    opened = Signal(object)
    frame_changed = Signal(object)
    events_changed = Signal(object)
    race_started = Signal(object)
    race_progress = Signal(object)
    race_opened = Signal(str, object)
    race_frame = Signal(str, object)
    race_events = Signal(str, object)
    race_failed = Signal(str, object)
    run_changed = Signal(object)
    steered = Signal()
    failed = Signal(object)
    died = Signal(object)

    def __init__(
        self,
        make_scenario: Callable[[Selection], Scenario],
        make_bridge: Callable[[Scenario, bool], Bridge],
        parent: QObject | None = None,
    ) -> None:
        """``make_bridge`` is told whether the run shall be checked for equivalence while it goes."""
        super().__init__(parent)
        self._make_scenario = make_scenario
        self._make_bridge = make_bridge
        self.selection = Selection()
        self.scenario: Scenario | None = None
        self.run_state = RunState()
        self.breakpoints: frozenset[int] = frozenset()
        self._bridge: Bridge | None = None
        self._ending: list[Bridge] = []  # closed, their processes not yet gone
        self._frame: Frame | None = None
        self._awaiting = False
        self._queued: Command | None = None
        self._opening: list[Command] = []
        self._waiting = False  # a run is kept up by the guest, which waits for an input
        self._raced = False
        self._race = Race(make_bridge, self._end, self)
        self._race.started.connect(self.race_started)
        self._race.opened.connect(self.race_opened)
        self._race.frame.connect(self.race_frame)
        self._race.events.connect(self.race_events)
        self._race.progress.connect(self.race_progress)
        self._race.failed.connect(self.race_failed)
        self._race_timer = QTimer(self)
        self._race_timer.setSingleShot(True)
        self._race_timer.setInterval(_RACE_DELAY)
        self._race_timer.timeout.connect(self.race)

    # Sessions.

    def open(self, selection: Selection, opening: tuple[Command, ...] = (), *, checked: bool = True) -> None:
        """Begin a session; the commands of ``opening`` move its cursor to where the window shall open.

        A session that is ``checked`` stops where it is no longer what the bare machine does.
        """
        self._end_session()
        if racing(selection) != racing(self.selection):
            self._race.forget()
            self._raced = False
        self.selection = selection
        self.breakpoints = frozenset()
        self.selected.emit(selection)
        self.scenario = None
        try:
            self.scenario = self._make_scenario(selection)
            bridge = self._make_bridge(self.scenario, checked)
        except VizappError as error:
            self.died.emit(error.message)
            return
        self._bridge = bridge
        bridge.opened.connect(self._take_opened)
        bridge.frame.connect(self._take_frame)
        bridge.events.connect(self.events_changed)
        bridge.failed.connect(self._take_failure)
        bridge.died.connect(self._take_death)
        self._opening = list(opening)

    def replace(self, selection: Selection, opening: tuple[Command, ...] = ()) -> None:
        """Begin a session as ``open`` does; the present one goes on if that cannot be.

        Raises:
            VizappError: there is no such guest, or it cannot be made.
        """
        self._make_scenario(selection)
        self.open(selection, opening)

    def switch(self, selection: Selection) -> None:
        """Another technique or guest; the same bytes go on at the same instruction."""
        frame, former = self._frame, self.selection
        same_bytes = former.guest == selection.guest and not {former.technique, selection.technique} & PORTED
        if frame is not None and same_bytes and frame.instruction:
            self.open(selection, (SeekInstruction(frame.instruction),))
        else:
            self.open(selection)

    def restart(self) -> None:
        """Begin the same session anew, at the start."""
        self.open(self.selection)

    def close(self) -> None:
        """End every session."""
        self._race.stop()
        self._end_session()

    def _end_session(self) -> None:
        self._race_timer.stop()
        if self._bridge is not None:
            self._end(self._bridge)
        self._bridge = None
        self._frame = None
        self._awaiting = False
        self._queued = None
        self._set_running(False)

    def race(self) -> None:
        """Run the guest under every technique, each in its own process, from the start."""
        runners = racers(self.selection)
        self._race.start(tuple(runners), lambda technique: self._make_scenario(runners[technique]))

    # What a person wants.

    def move(self, command: Command) -> None:
        """Send a move, or keep it until the one under way is answered: keys repeat faster than far seeks."""
        self.steered.emit()
        self._send_move(command)

    def _send_move(self, command: Command) -> None:
        if self._bridge is None:
            return
        self._set_running(False)
        self._opening = []
        if not self._awaiting:
            self._command(command)
            return
        match self._queued, command:
            case Step(count=already), Step(count=more):
                self._queued = Step(already + more)
            case Back(count=already), Back(count=more):
                self._queued = Back(already + more)
            case _:
                self._queued = command

    def step(self) -> None:
        """One step forward."""
        self.move(Step())

    def back(self) -> None:
        """One step back."""
        self.move(Back())

    def over(self) -> None:
        """Past the instruction at the cursor and all that it causes."""
        self.move(Over())

    def next_trap(self) -> None:
        """To the next passage into ring 0."""
        self.move(NextEvent(TRAP_KINDS))

    def previous_trap(self) -> None:
        """Back to the last passage into ring 0."""
        self.move(PreviousEvent(TRAP_KINDS))

    def next_event(self) -> None:
        """To the next event of any kind."""
        self.move(NextEvent())

    def previous_event(self) -> None:
        """Back to the last event of any kind."""
        self.move(PreviousEvent())

    def to_start(self) -> None:
        """To the first instruction."""
        self.move(Seek(0))

    def to_end(self) -> None:
        """To the end of what is recorded."""
        if self._frame is not None:
            self.move(Seek(self._frame.last_position))

    def seek(self, position: int) -> None:
        """To a position."""
        self.move(Seek(position))

    def seek_instruction(self, instruction: int) -> None:
        """To where a guest instruction is about to execute."""
        self.move(SeekInstruction(instruction))

    def toggle_run(self) -> None:
        """Run, or pause."""
        if self.run_state.running:
            self.pause()
        else:
            self.run()

    def run(self) -> None:
        """Run from the cursor on at the speed set."""
        if self._bridge is None or self.run_state.running:
            return
        self.steered.emit()
        self._set_running(True)
        if self._awaiting:
            self._queued = Run(self.run_state.speed)
        else:
            self._command(Run(self.run_state.speed))

    def pause(self) -> None:
        """Stop running."""
        if self._bridge is not None and self.run_state.running:
            self.steered.emit()
            self._queued = None
            self._set_running(False)
            self._command(Pause())

    def feed(self, feed: Feed) -> None:
        """Give the machine something from outside; a run goes on with it."""
        if self._bridge is not None:
            self.steered.emit()
            self._opening = []
            self._bridge.send(feed)

    def tell(self, command: Command) -> None:
        """Send what moves nothing, whatever is under way."""
        if self._bridge is not None:
            self._bridge.send(command)

    def set_speed(self, speed: float | None) -> None:
        """Set the speed in steps a second; None is as fast as it goes. Takes hold while running too."""
        self.run_state = replace_speed(self.run_state, speed)
        self.run_changed.emit(self.run_state)
        if self._bridge is not None and (self.run_state.running or self._waiting):
            self._bridge.send(Run(speed))

    def toggle_breakpoint(self, address: int) -> None:
        """Set a breakpoint at an address, or take it away."""
        self.breakpoints = self.breakpoints ^ {address}
        self.tell(SetBreakpoints(self.breakpoints))
        self._show_breakpoints()

    def score(self) -> None:
        """Check equivalence by replay for what is recorded."""
        self.move(Score())

    def join(self) -> None:
        """Wait for the processes of sessions that were closed; before the program ends."""
        for bridge in self._ending:
            bridge.join()
        self._ending = []

    # What a lesson wants.

    @property
    def busy(self) -> bool:
        """Whether an answer is due, so that the newest frame is not the one that a command will lead to."""
        return self._awaiting or self._queued is not None or self.run_state.running

    def perform(self, command: Command) -> None:
        """Send a command that a lesson, and not a person, wants."""
        if isinstance(command, Run):
            if self._bridge is not None:
                self._set_running(True)
                self._command(command)
        else:
            self._send_move(command)

    def interrupt(self) -> None:
        """End whatever is under way, however long it would take."""
        if self._bridge is not None:
            self._queued = None
            self._set_running(False)
            self._command(Pause())

    # Inside.

    def _end(self, bridge: Bridge) -> None:
        bridge.close()
        self._ending = [other for other in self._ending if not other.ended]
        self._ending.append(bridge)

    def _command(self, command: Command) -> None:
        if self._bridge is not None:
            # A run is answered all the time; only other commands wait for their one answer.
            self._awaiting = not isinstance(command, Run)
            self._bridge.send(command)

    def _take_opened(self, opened: Opened) -> None:
        self.opened.emit(opened)

    def _take_frame(self, frame: Frame) -> None:
        self._frame = self._with_breakpoints(frame)
        answered, self._awaiting = self._awaiting, False
        if self._opening and not frame.moving:
            # A far move that is replaced by another would not arrive: one at a time, the first frame unasked.
            self._command(self._opening.pop(0))
        elif self._queued is not None:
            queued, self._queued = self._queued, None
            self._command(queued)
        elif self.run_state.running and not answered and not frame.moving:
            self._set_running(False, waiting=frame.waiting is not None)
        elif self._waiting and frame.moving:
            self._set_running(True)
        self.frame_changed.emit(self._frame)
        if not self._raced and not self._opening and not frame.moving:
            self._raced = True
            self._race_timer.start()

    def _take_failure(self, message: object) -> None:
        self._awaiting = False
        self._queued = None
        self._set_running(False)
        self.failed.emit(message)

    def _take_death(self, message: object) -> None:
        bridge, self._bridge = self._bridge, None
        if bridge is not None:
            self._end(bridge)
        self._awaiting = False
        self._queued = None
        self._set_running(False)
        self.died.emit(message)

    def _set_running(self, running: bool, *, waiting: bool = False) -> None:
        self._waiting = waiting
        if running != self.run_state.running:
            self.run_state = self.run_state._replace(running=running)
            self.run_changed.emit(self.run_state)

    def _with_breakpoints(self, frame: Frame) -> Frame:
        """The frame with the breakpoints of now, which may be newer than it."""
        if all(line.breakpoint == (line.address in self.breakpoints) for line in frame.code):
            return frame
        code = tuple(line._replace(breakpoint=line.address in self.breakpoints) for line in frame.code)
        return replace(frame, code=code)

    def _show_breakpoints(self) -> None:
        if self._frame is not None:
            self._frame = self._with_breakpoints(self._frame)
            self.frame_changed.emit(self._frame)


def replace_speed(state: RunState, speed: float | None) -> RunState:
    """The state at another speed; never slower than one step in ten seconds."""
    return state._replace(speed=None if speed is None else max(0.1, speed))
