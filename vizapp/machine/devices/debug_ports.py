"""Ports that exist for whoever tests a program: a console, logs, and the way to end the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping

CONSOLE_PORT = 0xE9
POST_PORT = 0x80


class LoggedPort:
    """Remembers every byte written. It reads as ``answer``: the console of emulators as its own number.

    Attributes:
        output: what was written so far.
    """

    def __init__(self, answer: int = 0xFF) -> None:
        self.output = bytearray()
        self._answer = answer

    @property
    def constant(self) -> int:
        """What it reads as, always."""
        return self._answer

    def read_port(self, port: int) -> int:
        """IN: what tells software that the port is there."""
        return self._answer

    def write_port(self, port: int, value: int) -> None:
        """OUT: one byte more."""
        self.output.append(value)

    def save(self) -> dict[str, bytes]:
        """What was written, as plain data."""
        return {"output": bytes(self.output)}

    def load(self, saved: Mapping[str, bytes]) -> None:
        """Take up where ``save`` left off."""
        self.output = bytearray(saved["output"])


class ExitPort:
    """Ends the run: ``leave`` is called with each byte written. It reads as 0 and keeps nothing."""

    def __init__(self, leave: Callable[[int], None]) -> None:
        self._leave = leave

    def read_port(self, port: int) -> int:
        """IN."""
        return 0

    def write_port(self, port: int, value: int) -> None:
        """OUT: the end."""
        self._leave(value)
