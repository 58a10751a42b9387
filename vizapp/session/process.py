"""A session in a process of its own, seen from the window: commands in, replies out, death reported.

``spawn`` and not ``fork``: it works the same on every system, and inherits no window.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from vizapp.errors import SessionError
from vizapp.messages import N_, Message
from vizapp.session.protocol import Close
from vizapp.session.recorder import EventColumns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from vizapp.session import worker
    from vizapp.session.protocol import Command, Reply
    from vizapp.session.scenario import Scenario


def _serve(pipe: worker.Pipe, scenario: Scenario, lockstep: bool) -> None:
    """Entry of the process: only there is the machine needed, for which a window need not wait."""
    from vizapp.session import worker

    worker.main(pipe, scenario, lockstep)


class SessionProcess:
    """One session elsewhere. Not for several threads at once.

    Attributes:
        connection: this end of the pipe, for ``multiprocessing.connection.wait``.
    """

    def __init__(self, scenario: Scenario, *, lockstep: bool = True) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe(duplex=True)
        self._process = context.Process(
            target=_serve,
            args=(theirs, scenario, lockstep),
            name=f"vizapp {scenario.technique}",
            daemon=True,
        )
        with _interrupts_ignored():
            self._process.start()
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Whether the process is there."""
        return self._process.is_alive()

    @property
    def pid(self) -> int | None:
        """The operating system's number of the process."""
        return self._process.pid

    def send(self, command: Command) -> None:
        """Send a command; its replies come in their own time.

        Raises:
            SessionError: the process is gone.
        """
        try:
            self.connection.send(command)
        except (OSError, ValueError) as error:
            raise self._death() from error

    def receive(self, timeout: float | None = None) -> Reply | None:
        """The next reply, or None if none comes within ``timeout`` seconds (None: wait for ever).

        Raises:
            SessionError: the process is gone, and everything it had sent has been received.
        """
        try:
            if not self.connection.poll(timeout):
                return None
            reply: Reply | EventColumns = self.connection.recv()
        except (EOFError, OSError) as error:
            raise self._death() from error
        return reply.batch() if isinstance(reply, EventColumns) else reply

    def replies(self) -> Iterator[Reply]:
        """Every reply that is there now, without waiting; raises as ``receive`` does."""
        while (reply := self.receive(0)) is not None:
            yield reply

    def close(self, patience: float = 2.0) -> None:
        """End the process: ask, take what is still on its way so that it can hear, then insist."""
        deadline = time.monotonic() + patience
        try:
            self.connection.send(Close())
            while time.monotonic() < deadline:
                if self.connection.poll(0.05):
                    self.connection.recv_bytes()
        except (EOFError, OSError, ValueError):
            pass
        self.connection.close()
        self._process.join(max(0.0, deadline - time.monotonic()))
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _death(self) -> SessionError:
        self._process.join(1.0)
        status = self._process.exitcode
        return SessionError(
            Message(
                N_("the session process ended unexpectedly (exit status {status})"),
                {"status": "?" if status is None else status},
            )
        )


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Start a child deaf to Ctrl-C from its first instruction on: an ignored signal stays ignored in it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)
