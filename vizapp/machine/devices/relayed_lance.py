"""A network adapter of which somebody else says what passes through it, and when.

A process of a host may model an adapter: what the guest gives it has then left as soon as that process has
passed it on, which no line would say. The bare machine that is to do the same has this adapter, which does
nothing by itself. What the frames hold is not said: they come out of memory, and from the other end.
"""

from __future__ import annotations

from typing import Any

from vizapp.machine.clock import NEVER
from vizapp.machine.devices.lance import Lance


class RelayedLance(Lance):
    """An adapter that acts when it is told to ``relay``."""

    def __init__(self, *arguments: Any) -> None:
        self._come: list[bytes] = []  # frames from the other end that have not been relayed
        super().__init__(*arguments)

    def next_event(self, cycles: int) -> int | None:
        """Never."""
        return None

    def act(self, cycles: int) -> None:
        """Do nothing by itself."""
        self._now = cycles

    def relay(self, left: int, filled: int) -> None:
        """Let the frames of ``left`` descriptors leave, and fill ``filled`` with such as have come."""
        while left > 0:
            super()._transmit()
            if not self._sending:
                break
            left -= self._sending
            self._end_transmission()
        if self.cable is not None:
            self._come += self.cable.receive(NEVER)
        size = self._block.receive.size
        while filled > 0 and self._come:
            before = self._receive_at
            self._receive(self._come.pop(0))
            filled -= (self._receive_at - before) % size or size
        self._drive()

    def _access(self) -> None:
        """The processor has come to its ports, which changes nothing."""

    def _transmit(self) -> None:
        """The driver says that there is something to send; it leaves when it is relayed."""
