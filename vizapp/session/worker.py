"""The session process: takes commands, moves the session in short stretches, sends frames and events.

A movement is done a stretch (about 20 ms) at a time, and the pipe is looked at between two of them, so
that Pause and Close are answered at once however long the movement is.
"""

from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING, TypeAlias

from vizapp.errors import VizappError
from vizapp.messages import N_, Message
from vizapp.session.protocol import (
    FRAMES_PER_SECOND,
    Close,
    Failed,
    Feed,
    Opened,
    Run,
    SelectVm,
    SetBreakpoints,
    SetCatchpoints,
    Watch,
)
from vizapp.session.recorder import EventColumns
from vizapp.session.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from vizapp.session.frames import Frame, Progress
    from vizapp.session.motion import Motion
    from vizapp.session.protocol import Command
    from vizapp.session.scenario import Scenario

    Pipe: TypeAlias = "Connection[Wire, Command]"

Wire: TypeAlias = "Opened | Frame | EventColumns | Progress | Failed"
BATCH = 20_000  # events in one message
LONG = 0.25  # seconds after which a move counts as long


class Worker:
    """Serves one session over a pipe until Close or until the other end is gone."""

    def __init__(self, pipe: Pipe, session: Session) -> None:
        self._pipe = pipe
        self._session = session
        self._motion: Motion | None = None
        self._run: Run | None = None  # under way, or kept up by a guest that waits for an input
        session.attended = True
        self._sent_events = 0
        self._sent_at = self._began = 0.0

    def serve(self) -> None:
        """Answer commands until the end."""
        session = self._session
        self._pipe.send(Opened(session.scenario.technique, session.title, session.stage))
        self._publish()
        while True:
            if self._pipe.poll(self._patience()):
                command = self._pipe.recv()
                if isinstance(command, Close):
                    return
                self._guarded(lambda command=command: self._obey(command))  # type: ignore[misc]
            elif self._motion is not None:
                self._guarded(self._advance)

    def _patience(self) -> float | None:
        """How long to wait for a command, in seconds: for ever when there is nothing else to do."""
        return None if self._motion is None else self._motion.delay()

    def _guarded(self, action: Callable[[], None]) -> None:
        """Do something; whatever is wrong with it becomes an answer, and the session goes on."""
        try:
            action()
        except VizappError as error:
            self._pipe.send(Failed(error.message))
        except (EOFError, OSError):
            raise
        except Exception as error:  # a defect of ours must not cost the recording
            text = f"{type(error).__name__}: {error}"
            self._pipe.send(Failed(Message(N_("the session could not do that: {error}"), {"error": text})))

    def _obey(self, command: Command) -> None:
        session = self._session
        if isinstance(command, Run):
            session.attended = command.attended
        motion = session.begin(command)
        if isinstance(command, Feed) and self._motion is None and self._run is not None:
            self._motion = session.begin(self._run)
            self._began = time.monotonic()
        elif not isinstance(command, SetBreakpoints | SetCatchpoints | Watch | Feed | SelectVm):
            self._run = command if isinstance(command, Run) else None
            self._motion = motion
            self._began = time.monotonic()
        if motion is None:
            self._publish()

    def _advance(self) -> None:
        motion, self._motion = self._motion, None
        assert motion is not None
        if motion.advance():
            if not self._session.timeline.waits:
                self._run = None
            self._publish()
            return
        self._motion = motion  # a motion that failed is not tried again
        # A short move shows where it ends only; of a long one the way is shown too.
        now = time.monotonic()
        shown = motion.visible or now - self._began >= LONG
        if shown and now - self._sent_at >= 1 / FRAMES_PER_SECOND:
            self._publish()

    def _publish(self) -> None:
        session = self._session
        frame = session.frame(moving=self._motion is not None)
        store = session.store
        self._sent_events = min(self._sent_events, store.truncated)
        store.truncated = sys.maxsize
        while self._sent_events < len(store):
            columns = store.columns(self._sent_events, self._sent_events + BATCH)
            self._sent_events += len(columns.positions)
            self._pipe.send(columns)
        self._pipe.send(session.progress())
        self._pipe.send(frame)
        self._sent_at = time.monotonic()


def main(pipe: Pipe, scenario: Scenario, lockstep: bool) -> None:
    """Entry of the process. Ctrl-C is the window's to handle: this end leaves when the pipe does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pipe:
            try:
                session = Session(scenario, lockstep=lockstep)
            except VizappError as error:
                pipe.send(Failed(error.message))
                return
            Worker(pipe, session).serve()
    except (EOFError, OSError):
        return
