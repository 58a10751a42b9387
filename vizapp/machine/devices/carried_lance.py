"""A virtual machine's network adapter, whose frames a monitor's kernel carries to a switch and to a line.

It does what the chip does in the guest's memory and to the guest's interrupt line, but nothing of that by
itself: it notes that its driver may have given it frames, as the chip does that is told or looks, and the
kernel comes for them.

    driver ──OUT──▶ asks ──take_frame──▶ the kernel's switch ──come──▶ the driver's ring, interrupt
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vizapp.machine.devices.lance import RXON, TXON
from vizapp.machine.devices.lance_rings import OWN, read_descriptor
from vizapp.machine.devices.network import LINE_RATE
from vizapp.machine.devices.relayed_lance import CAME, LEFT, LOST, RelayedLance

_LOOK_BITS = 16_000  # how often it looks whether there is a frame to send: 1.6 ms, as the chip


class CarriedLance(RelayedLance):
    """An adapter without a cable.

    Attributes:
        asks: there is a frame in its ring to be taken.
        touched: the driver has used its ports, or it has looked, since this was cleared: there may be room.
        on_carried: told what a ``RelayedLance`` has to be told to do the same, before it is done.
    """

    _STATE = (*RelayedLance._STATE, "asks", "touched")

    def __init__(self, *arguments: Any) -> None:
        self.asks = self.touched = False
        self.on_carried: Callable[[tuple[str | bytes | int, ...]], None] | None = None
        self._taken: bytes | None = None
        super().__init__(*arguments)

    @property
    def address(self) -> bytes:
        """The address in its PROM."""
        return self._prom[:6]

    @property
    def station(self) -> bytes:
        """The address that its driver has given it, or that of its PROM."""
        return self._block.station

    @property
    def room(self) -> bool:
        """Whether a frame may come: its ring has room, or it takes none now and drops it."""
        if not self._csr0 & RXON:
            return True
        ring = self._block.receive
        return bool(read_descriptor(self._dma, ring.address(self._receive_at)).flags & OWN)

    def next_event(self, cycles: int) -> int | None:
        """The cycle at which it looks into its rings."""
        return None if self.asks or not self._csr0 & (TXON | RXON) else self._poll_at

    def act(self, cycles: int) -> None:
        """Look, if it is time to."""
        self._now = cycles
        if self._csr0 & (TXON | RXON) and not self.asks and cycles >= self._poll_at:
            self._transmit()

    def take_frame(self) -> bytes | None:
        """The next frame that the driver has given, or None; its descriptors are the driver's again."""
        self._tell(LEFT)
        self._now = self._clock.now()
        self._taken = None
        self.leave()
        self.asks = self._given
        self._clock.refresh()
        taken, self._taken = self._taken, None
        return taken

    def give_frame(self, frame: bytes, *, local: bool) -> None:
        """A frame comes; ``local``: from another virtual machine of the same PC."""
        self._tell(CAME, *((frame,) if local else ()))
        self.come(frame)

    def miss_frame(self, waiting: int | None) -> None:
        """One is lost, behind ``waiting`` that came from the line; None: it was another machine's."""
        if waiting is not None:
            self._tell(LOST, waiting)
        else:
            self._tell(LOST, _NONE_WAITS)
        self.lose()

    def _tell(self, *said: str | bytes | int) -> None:
        if self.on_carried is not None:
            self.on_carried(said)

    @property
    def _given(self) -> bool:
        if not self._csr0 & TXON:
            return False
        ring = self._block.transmit
        return bool(read_descriptor(self._dma, ring.address(self._transmit_at)).flags & OWN)

    def _access(self) -> None:
        """The processor has come to its ports."""
        self._now = self._clock.now()
        self.touched = True

    def _transmit(self) -> None:
        """It is told, or it is time, to look for a frame."""
        self._poll_at = self._now + self._clock.cycle_of(_LOOK_BITS, LINE_RATE)
        self.touched = True
        self.asks = self._given

    def _put_on_line(self, frame: bytes) -> None:
        self._taken = frame

    @property
    def _carrier(self) -> bool:
        return True

    def _stop(self) -> None:
        super()._stop()
        self.asks = False


_NONE_WAITS = 1 << 30
"""As a number of frames that wait: the one behind them is none of those that the line brought."""
