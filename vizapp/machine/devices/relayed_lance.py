"""A network adapter of which somebody else says what passes through it, and when.

A process of a host, or a monitor's own kernel, may model an adapter: what the guest gives it has then left as
soon as that has passed it on, which no line would say. The bare machine that is to do the same has this
adapter, which does nothing by itself. What the frames hold is not said: they come out of memory, and from the
other end. Only what comes from a station that the bare machine has not, another guest, is said whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from vizapp.machine.clock import NEVER
from vizapp.machine.devices.lance import MISS, Lance

LEFT: Final = "left"
CAME: Final = "came"
LOST: Final = "lost"


class RelayedLance(Lance):
    """An adapter that acts when it is told to.

    Two ways of telling there are. A process says after the fact how many descriptors it has emptied and
    filled (``relay``); who carries the frames themselves says of each that it goes: see ``take``.
    """

    def __init__(self, *arguments: Any) -> None:
        self._come: list[bytes] = []  # frames from the other end that have not been relayed
        super().__init__(*arguments)

    def next_event(self, cycles: int) -> int | None:
        """Never."""
        return None

    def act(self, cycles: int) -> None:
        """Do nothing by itself."""
        self._now = cycles

    def take(self, *said: str | bool | bytes | int) -> None:
        """Do what is said: (descriptors that left, descriptors filled, frames), see ``relay``, or one of

        (``LEFT``,)            the next frame leaves
        (``CAME``,)            one comes from the other end, ``(CAME, frame)`` from elsewhere
        (``LOST``, number)     that many have come and wait, and the one behind them is lost
        """
        match said:
            case (str(what),) if what == LEFT:
                self.leave()
            case (str(what),) if what == CAME:
                self._listen()
                if self._come:
                    self.come(self._come.pop(0))
            case (str(what), bytes(frame)) if what == CAME:
                self.come(frame)
            case (str(what), int(number)) if what == LOST:
                self._listen()
                del self._come[number : number + 1]
                self.lose()
            case (int(left), int(filled), *frames):
                self.relay(left, filled, [frame for frame in frames if isinstance(frame, bytes)])
            case _:
                raise ValueError(f"an adapter cannot be told {said}")

    def relay(self, left: int, filled: int, frames: Sequence[bytes] = ()) -> None:
        """Let the frames of ``left`` descriptors leave, and fill ``filled`` with such as have come.

        ``frames`` has those that are not from the other end, and b"" in the place of each that is; where it
        ends all are.
        """
        while left > 0:
            super()._transmit()
            if not self._sending:
                break
            left -= self._sending
            self._end_transmission()
        self._listen()
        size = self._block.receive.size
        elsewhere = iter(frames)
        while filled > 0:
            frame = next(elsewhere, b"") or (self._come.pop(0) if self._come else b"")
            if not frame:
                break
            before = self._receive_at
            self._receive(frame)
            filled -= (self._receive_at - before) % size or size
        self._drive()

    def leave(self) -> None:
        """Let the next frame leave that the driver has given; its descriptors are the driver's again."""
        super()._transmit()
        if self._sending:
            self._end_transmission()
        self._drive()

    def come(self, frame: bytes) -> None:
        """Store a frame, if the adapter takes such and the driver has left it room."""
        self._receive(frame)
        self._drive()

    def lose(self) -> None:
        """A frame has come for which there was no room any more."""
        self._csr0 |= MISS
        self._drive()

    def _listen(self) -> None:
        if self.cable is not None:
            self._come += self.cable.receive(NEVER)

    def _access(self) -> None:
        """The processor has come to its ports, which changes nothing."""

    def _transmit(self) -> None:
        """The driver says that there is something to send; it leaves when it is relayed."""
