"""The controls of a session: what each command sets in motion, and where running stops."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.errors import SessionError
from vizapp.isa.addresses import M32
from vizapp.isa.registers import CS
from vizapp.machine.places import TRANSLATION_CACHE
from vizapp.messages import N_, Message
from vizapp.session import protocol as p
from vizapp.session.motion import Running, ToInstruction, ToNextEvent, ToPosition, UntilHeld
from vizapp.session.over import Over

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.machine.events import Event
    from vizapp.machine.pc import Pc
    from vizapp.session.motion import Motion
    from vizapp.session.observe import Observer
    from vizapp.session.recorder import EventStore
    from vizapp.session.timeline import Timeline


class Controls:
    """Turns commands into motions of one timeline.

    ``catch`` asks the recording to pause behind events of some kinds; ``look`` is called one step before
    the cursor arrives.

    Attributes:
        breakpoints: linear addresses; running stops where the guest is about to execute at one.
        catchpoints: kinds of events behind which running stops.
    """

    def __init__(
        self,
        pc: Pc,
        timeline: Timeline,
        store: EventStore,
        observer: Observer,
        *,
        catch: Callable[[frozenset[str] | None], None],
        look: Callable[[], None],
    ) -> None:
        self.breakpoints: frozenset[int] = frozenset()
        self.catchpoints: frozenset[str] = frozenset()
        self._pc = pc
        self._timeline = timeline
        self._store = store
        self._observer = observer
        self._catch = catch
        self._look = look

    def held(self) -> Callable[[], bool] | None:
        """What running has to ask after each step; None while there are no breakpoints."""
        return self._at_breakpoint if self.breakpoints else None

    def caught(self, start: int, end: int) -> Event | None:
        """The first event to stop at among the steps from position ``start`` to ``end``."""
        if not self.catchpoints:
            return None
        event = self._store.following(start, self.catchpoints)
        return event if event is not None and event.position < end else None

    def begin(self, command: p.Command) -> Motion | None:
        """What a command that moves the cursor sets in motion; None if it is done at once.

        Raises:
            SessionError: no such command, or one that is not about the cursor.
        """
        timeline, cursor = self._timeline, self._timeline.cursor
        match command:
            case p.Step(count):
                return self._to(cursor + count)
            case p.Back(count):
                return self._to(cursor - count)
            case p.Over():
                return UntilHeld(timeline, Over(self._pc, self._observer))
            case p.NextEvent(kinds):
                return ToNextEvent(timeline, self._store, kinds, self._catch, self._look)
            case p.PreviousEvent(kinds):
                event = self._store.preceding(max(0, cursor - 1), kinds)
                return self._to(0 if event is None else event.position + 1)
            case p.Seek(position):
                return self._to(position)
            case p.SeekInstruction(instruction):
                return ToInstruction(timeline, instruction)
            case p.RunTo(address):
                return UntilHeld(timeline, lambda: self._about_to_execute(address))
            case p.Run(steps_per_second):
                return Running(timeline, steps_per_second, self.held, self.caught, self._look)
            case p.SetBreakpoints(addresses):
                self.breakpoints = addresses
            case p.SetCatchpoints(kinds):
                self.catchpoints = kinds
            case p.Pause():
                pass
            case _:
                raise SessionError(Message(N_("a session knows no such command")))
        return None

    def _to(self, position: int) -> Motion:
        return ToPosition(self._timeline, position, self._look)

    def _about_to_execute(self, address: int) -> bool:
        return self._next() == address and self._pc.meter.place.is_guest

    def _at_breakpoint(self) -> bool:
        return self._next() in self.breakpoints and self._pc.meter.place.is_guest

    def _next(self) -> int:
        """The linear address of the next instruction, as the listing shows it."""
        pc = self._pc
        if pc.guest_next is not None and pc.meter.place.component == TRANSLATION_CACHE:
            found = pc.guest_next()
            return -1 if found is None else found
        cpu = pc.cpu
        return cpu.segments[CS].base + cpu.eip & M32
