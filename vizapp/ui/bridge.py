"""The bridge: the one class that turns the replies of a session process into Qt signals.

A reader thread blocks on the process's pipe and puts replies in a queue; one queued signal wakes the window,
which drains the queue. Of several frames that came meanwhile only the newest is handed on, so a busy window
falls behind in nothing but frames.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Protocol

from PySide6.QtCore import QObject, Qt, Signal

from vizapp.errors import SessionError
from vizapp.session.frames import EventBatch, Frame, Progress
from vizapp.session.protocol import Failed, Opened

if TYPE_CHECKING:
    from vizapp.session.protocol import Command, Reply

_PATIENCE = 0.05  # seconds that the reader waits before it looks whether it shall end


class Link(Protocol):
    """What the bridge needs of a session process."""

    def send(self, command: Command) -> None:
        """Pass a command on; ``SessionError`` if the process is gone."""

    def receive(self, timeout: float | None = None) -> Reply | None:
        """The next reply, None if none came in time, ``SessionError`` if the process is gone."""

    def close(self) -> None:
        """End the process and wait for its end."""


class Bridge(QObject):
    """Signals of one session process.

    Signals:
        opened: the session exists (Opened).
        frame: the newest state at the cursor (Frame).
        events: recorded events (EventBatch).
        progress: how far the run came (Progress).
        failed: a command could not be done (Message); the session goes on.
        died: the process is gone (Message).
    """

    opened = Signal(object)
    frame = Signal(object)
    events = Signal(object)
    progress = Signal(object)
    failed = Signal(object)
    died = Signal(object)
    _arrived = Signal()

    def __init__(self, link: Link, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._link = link
        self._closed = False
        self._lock = threading.Lock()
        self._replies: deque[Reply | SessionError] = deque()
        self._arrived.connect(self._drain, Qt.ConnectionType.QueuedConnection)
        self._reader = threading.Thread(target=self._read, name="session reader", daemon=True)
        self._reader.start()

    def send(self, command: Command) -> None:
        """Pass a command to the process; a dead one answers with ``died``."""
        try:
            self._link.send(command)
        except SessionError as error:
            self._put(error)

    def close(self) -> None:
        """End the process, without waiting for it; nothing is signalled any more."""
        self._closed = True

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return not self._reader.is_alive()

    def join(self) -> None:
        """Wait for the end of a process that was closed."""
        self._reader.join(timeout=5.0)

    def _read(self) -> None:
        """Run in the reader thread, which also ends the process: only one thread may read the pipe."""
        while not self._closed:
            try:
                reply = self._link.receive(_PATIENCE)
            except SessionError as error:
                self._put(error)
                break
            if reply is not None:
                self._put(reply)
        self._link.close()

    def _put(self, reply: Reply | SessionError) -> None:
        with self._lock:
            first = not self._replies
            self._replies.append(reply)
        if first and not self._closed:
            self._arrived.emit()

    def _drain(self) -> None:
        with self._lock:
            replies = list(self._replies)
            self._replies.clear()
        if self._closed:
            return
        newest = max((i for i, reply in enumerate(replies) if isinstance(reply, Frame)), default=-1)
        for index, reply in enumerate(replies):
            match reply:
                case Frame():
                    if index == newest:
                        self.frame.emit(reply)
                case EventBatch():
                    self.events.emit(reply)
                case Progress():
                    self.progress.emit(reply)
                case Opened():
                    self.opened.emit(reply)
                case Failed():
                    self.failed.emit(reply.message)
                case SessionError():
                    self.died.emit(reply.message)
            if self._closed:
                return
