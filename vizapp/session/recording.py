"""Watches a run while it happens for the first time: events, heat, marks, leaks, equivalence.

While the cursor moves in the recorded past nothing here listens, so nothing is counted twice.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from vizapp.machine import events as ev
from vizapp.machine.events import Event
from vizapp.machine.meter import Purpose
from vizapp.machine.places import GUEST_COMPONENTS, TRANSLATION_CACHE, VMM_WORLD
from vizapp.session.auditor import AUDITED
from vizapp.session.frames import DIVERGED, Progress, Stopped
from vizapp.session.journeys.book import watch_devices
from vizapp.session.run_states import LOOKED_AT
from vizapp.session.ways import TELLING, Ways

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vizapp.machine.board import Board
    from vizapp.machine.events import Payload
    from vizapp.machine.pc import Pc
    from vizapp.machine.places import Place
    from vizapp.session.auditor import Auditor
    from vizapp.session.equivalence import Lockstep
    from vizapp.session.journeys.book import JourneyBook
    from vizapp.session.locksteps import Locksteps
    from vizapp.session.port_taps import PortTaps
    from vizapp.session.recorder import EventStore
    from vizapp.session.run_states import RunStates

_DELIVERED = frozenset({ev.EXCEPTION_DELIVERED, ev.INTERRUPT_DELIVERED})
_RING_MARK = "mark_ring_"  # where a driver looks after a ring: no progress of a guest's
# Ways out of an instruction of the guest's, the first two of which leave it to be executed again; and back.
_PASSAGES = frozenset({*_DELIVERED, ev.SOFTWARE_INTERRUPT_DELIVERED, ev.GATE_CALLED, ev.RETURNED})


class Recorder:
    """Attached to a PC for each stretch beyond the end of its recording.

    Attributes:
        heats: how often execution arrived at each guest instruction, by virtual machine and address.
        ways: how each has run.
        start: cycles by purpose before the guest's own first instruction, where a host or a domain 0 comes
            first: to start them is not the guest's doing. Empty where nothing does.
        end: position, guest instruction and cycle of the end of the recording.
        progress: the last point of the overhead graph.
        book: packets and blocks followed.
        run_states: what each virtual machine did.
        watcher: told after each guest instruction that the processor retired, while recording.
    """

    def __init__(
        self,
        pc: Pc,
        technique: str,
        store: EventStore,
        auditor: Auditor,
        lockstep: Lockstep | Locksteps | None,
        guest_board: Board | None,
        taps: PortTaps,
        book: JourneyBook,
        run_states: RunStates,
        first_guest: int = 0,
    ) -> None:
        self.heats: defaultdict[int, Counter[int]] = defaultdict(Counter)
        self.ways = Ways(self.heats)
        self._vm = 0  # which virtual machine has the processor
        self._last_arrivals: dict[int, int] = {}  # where a fault comes back to is not counted again
        self._arrivals: list[tuple[int, int]] = []  # in this stretch, if it may be cut
        self._numbers: list[int] = []  # guest instructions retired at each
        self._pc = pc
        self._technique = technique
        self._store = store
        self._auditor = auditor
        self._lockstep = lockstep
        self.watcher: Callable[[Pc], None] | None = None
        self._marks = 0
        self._catch: frozenset[str] | None = frozenset()
        self._taps = taps
        self.book = book
        self.run_states = run_states
        self._first_guest = first_guest
        self.start: dict[str, int] = {}
        self._starting = True
        self._attached = False
        self._fresh: list[Event] = []  # of this stretch
        pc.on_access = self._access
        if guest_board is not None:
            guest_board.on_port = taps.access
        self._guest_is_bare = guest_board is pc.board
        pc.on_port = self._port
        self._measure(None)

    @property
    def start_told(self) -> dict[str, dict[str, int | dict[str, int]]]:
        """``start`` as the JSON of a run has it."""
        by_purpose = {purpose.value: self.start.get(purpose.value, 0) for purpose in Purpose}
        return {"start": {"cycles": sum(by_purpose.values()), "by_purpose": by_purpose}}

    def watch_boards(self, boards: Sequence[Board | None]) -> None:
        """Listen at the PC's board, and at those of the virtual machines in their order."""
        self._watch_devices(-1, self._pc.board)
        if self._pc.board not in boards:
            self._watch_dma(-1, self._pc.board)
        for number, board in enumerate(boards):
            if board is None:
                continue
            if number:
                board.on_port = self._taps.access
            self._watch_dma(number, board)
            if board is not self._pc.board:
                self._watch_devices(number, board)

    def _watch_dma(self, vm: int, board: Board) -> None:
        """Tell the auditor what devices do to memory by themselves: a virtual machine's, or the PC's (-1)."""

        def tell(frame: int, write: bool) -> None:
            if self._attached:
                self._auditor.dma(self._pc.position, vm, frame, write)

        board.watch_dma(tell)

    def _watch_devices(self, vm: int, board: Board) -> None:
        """Record what the devices of a board move by themselves; ``vm`` is whose they are, -1: the PC's."""

        def tell(kind: str, cause: str, payload: Payload) -> None:
            if self._attached:
                pc, place = self._pc, self._pc.meter.place
                self._event(Event(pc.position, pc.meter.cycles, kind, place, place, cause, payload))

        watch_devices(board, vm, tell)
        listen = board.on_port
        if vm < 0 or listen is None:
            return

        def access(place: Place, port: int, size: int, write: bool, value: int) -> None:
            listen(place, port, size, write, value)
            if self._attached:
                self.book.port(port, write, value, vm)

        board.on_port = access

    def catch(self, kinds: frozenset[str] | None) -> None:
        """In the next stretch pause behind an event of one of these kinds (None: of any)."""
        self._catch = kinds

    def begin(self) -> None:
        """Attach."""
        self._attached = self._taps.recording = True
        self._pc.listener = self._event
        if self._lockstep is None:
            self._pc.heat = self.heats[self._vm]
        if self._lockstep is not None or self.watcher is not None:
            self._pc.on_retired = self._retired
        if self._lockstep is not None:
            self._lockstep.begin()

    def finish(self) -> Stopped | None:
        """Detach, and say whether the run ends here: because it stopped, or because it diverged."""
        pc = self._pc
        pc.listener = pc.on_retired = pc.heat = None
        self._attached = self._taps.recording = False
        self._catch = frozenset()
        self._store.extend(self._fresh)
        self._fresh.clear()
        stopped = None if pc.stopped is None else Stopped(*pc.stopped)
        if self._lockstep is not None:
            difference = self._lockstep.finish()
            if difference is not None:
                del self._arrivals[bisect_right(self._numbers, pc.instructions) :]
                stopped = Stopped(DIVERGED, difference)
        for vm, address in self._arrivals:
            self.heats[vm][address] += 1
        self._arrivals.clear()
        self._numbers.clear()
        if stopped is not None and stopped.reason == DIVERGED:
            self.cut(stopped)
        else:
            self._measure(stopped)
        return stopped

    def adopt(self, other: Recorder) -> None:
        """Take over what another run of the same scenario has seen of the guest's instructions."""
        self.heats, self.ways, self.start = other.heats, other.ways, other.start

    def cut(self, stopped: Stopped) -> None:
        """The run ends at the cursor because it diverged: what was recorded behind it did not happen."""
        pc = self._pc
        position = pc.position
        self._store.truncate(self._store.before(position))
        self._auditor.drop_after(position)
        self.book.journeys.drop_after(position)
        self.run_states.drop_after(position)
        self._taps.drop_after(position)
        self._marks = self._store.counts(position).get(ev.MARK_PASSED, 0)
        place = pc.meter.place
        self._store.extend([Event(position - 1, pc.meter.cycles, ev.DIVERGED, place, place, DIVERGED, {})])
        self._measure(stopped)

    def _measure(self, stopped: Stopped | None) -> None:
        pc = self._pc
        equivalent = self._lockstep is None or self._lockstep.first_difference is None
        self.end = (pc.position, pc.instructions, pc.meter.cycles)
        self.progress = Progress(
            technique=self._technique,
            instructions=pc.instructions,
            marks=self._marks,
            cycles=pc.meter.cycles,
            purposes={purpose.value: cycles for purpose, cycles in pc.meter.by_purpose().items()},
            start=dict(self.start),
            stopped=stopped,
            overhead_valid=equivalent and (stopped is None or stopped.reason != DIVERGED),
        )

    def _retired(self) -> None:
        pc = self._pc
        if self._lockstep is not None:
            self._arrived(self._guest_eip(pc.cpu.eip))
            self._lockstep.trace.retired(pc)
        if self.watcher is not None:
            self.watcher(pc)

    def _arrived(self, eip: int) -> None:
        """Execution has arrived at a guest instruction."""
        self._last_arrivals[self._vm] = eip
        if self._lockstep is None:
            self.heats[self._vm][eip] += 1
        else:
            self._arrivals.append((self._vm, eip))
            self._numbers.append(self._pc.instructions)

    def _guest_eip(self, eip: int) -> int:
        """Where the guest is, whose translation may be what the processor runs."""
        return eip if self._pc.guest_address is None else self._pc.guest_address(eip)

    def _event(self, event: Event) -> None:
        self._fresh.append(event)
        kind = event.kind
        if self._starting and event.target.is_guest and event.target.vm >= self._first_guest:
            self._starting = False
            if self._first_guest or event.target.world == VMM_WORLD:  # a domain 0 came first, or a host
                spent = self._pc.meter.by_purpose()
                self.start = {purpose.value: cycles for purpose, cycles in spent.items()}
        if kind in _PASSAGES:
            self._passed(event)
        elif kind == ev.VM_SCHEDULED:
            self._vm = int(event.payload["vm"])
            if self._pc.heat is not None:
                self._pc.heat = self.heats[self._vm]
        elif kind == ev.MARK_PASSED and self._counts(event):
            self._marks += 1
        if kind in AUDITED:
            self._auditor.event(event)
        if kind in self.book.kinds:
            self.book.take(event)
        if kind in TELLING:
            self.ways.take(self._vm, event)
        if kind in LOOKED_AT:
            self.run_states.take(event)
        if self._lockstep is not None:
            self._lockstep.event(event)
        if self._catch is None or (self._catch and {kind, f"{kind}:{event.cause}"} & self._catch):
            self._pc.pause_requested = True

    def _counts(self, mark: Event) -> bool:
        """Whether a mark is progress of a guest's, and not of its drivers or of who makes the guests."""
        whose = int(mark.payload.get("vm", self._first_guest))
        return whose >= self._first_guest and not mark.cause.startswith(_RING_MARK)

    def _passed(self, event: Event) -> None:
        """Note the instruction that a passage leaves, or arrives at without the one before having retired."""
        kind, component = event.kind, event.source.component
        if kind == ev.RETURNED:
            arrives = component not in GUEST_COMPONENTS
        else:
            arrives = kind in _DELIVERED
            if component in GUEST_COMPONENTS:
                # A translation's own INT calls the monitor and leaves nothing of the guest's behind it.
                again = arrives or component == TRANSLATION_CACHE
                left = self._guest_eip(int(event.payload["address"])) if again else -1
                self._last_arrivals[self._vm] = left
        if arrives and event.target.component in GUEST_COMPONENTS:
            here = self._guest_eip(self._pc.cpu.eip)
            if here != self._last_arrivals.get(self._vm, -1):
                self._arrived(here)

    def _access(self, place: Place, linear: int, frame: int, write: bool) -> None:
        if self._attached:
            self._auditor.access(self._pc.position, place, frame, write)

    def _port(self, place: Place, port: int, size: int, write: bool, value: int) -> None:
        if self._guest_is_bare:
            self._taps.access(place, port, size, write, value)
        if self._attached:
            self._auditor.port(self._pc.position, place, port, write)
            self.book.port(port, write, value, -1)
