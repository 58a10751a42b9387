"""Watches a run for journeys while it is recorded; each follower knows one way of doing I/O.

Adding one takes a module that looks at events and at the machine, its routes in ``routes``, and a line in
``FOLLOWERS``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from vizapp.machine import events as ev
from vizapp.machine.events import Event
from vizapp.session.journeys.emulated import EmulatedFollower
from vizapp.session.journeys.hosted import HostedFollower
from vizapp.session.journeys.journey import Journeys, check_sequence
from vizapp.session.journeys.split import SplitFollower
from vizapp.session.journeys.vmkernel import VmkernelFollower

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vizapp.isa.addresses import Linear
    from vizapp.machine.board import Board
    from vizapp.machine.pc import Pc
    from vizapp.vmm.base import Monitor


class Follower(Protocol):
    """Turns what happens into stages of journeys."""

    kinds: frozenset[str]
    ports: frozenset[int]

    def take(self, event: Event) -> None:
        """An event of one of ``kinds``; the machine stands where it happened."""

    def port(self, port: int, write: bool, value: int, vm: int) -> None:
        """One of ``ports`` was accessed, of the board of virtual machine ``vm`` (-1: of the PC itself)."""


FOLLOWERS: Final[tuple[Callable[[Pc, Monitor, Mapping[str, Linear], Journeys], Follower | None], ...]] = (
    SplitFollower.of,
    HostedFollower.of,
    VmkernelFollower.of,
    EmulatedFollower.of,
)
"""Makers; the first that knows how this machine does its I/O follows it."""


class JourneyBook:
    """The journeys of one recording.

    Attributes:
        journeys: all of them.
        kinds: of which events it has to be told.
    """

    def __init__(self, pc: Pc, monitor: Monitor, symbols: Mapping[str, Linear]) -> None:
        self.journeys = Journeys()
        made = (make(pc, monitor, symbols, self.journeys) for make in FOLLOWERS)
        self._follower = next((follower for follower in made if follower is not None), None)
        self.kinds: frozenset[str] = frozenset() if self._follower is None else self._follower.kinds
        self._ports = frozenset() if self._follower is None else self._follower.ports

    def take(self, event: Event) -> None:
        """An event was recorded."""
        if self._follower is not None and event.kind in self.kinds:
            self._follower.take(event)

    def port(self, port: int, write: bool, value: int, vm: int) -> None:
        """A port was accessed, of the board of virtual machine ``vm`` (-1: of the PC itself)."""
        if self._follower is not None and port in self._ports:
            self._follower.port(port, write, value, vm)


def watch_devices(board: Board, vm: int, tell: Callable[[str, str, dict[str, int | str]], None]) -> None:
    """Have ``tell`` told (kind, cause, payload) of frames and blocks that a board's devices move.

    ``vm`` is whose devices they are, -1: the PC's own.
    """
    devices = board.peripherals
    if devices is None:
        return
    whose: dict[str, int | str] = {} if vm < 0 else {"vm": vm}

    def moved(sent: bool, address: int, frame: bytes) -> None:
        payload: dict[str, int | str] = {
            "bytes": len(frame), "check": check_sequence(frame), "address": address, **whose,
        }  # fmt: skip
        tell(ev.FRAME_SENT if sent else ev.FRAME_RECEIVED, "frame", payload)

    def asked(write: bool, block: int, count: int) -> None:
        payload: dict[str, int | str] = {"block": block, "count": count, **whose}
        tell(ev.BLOCKS_ASKED, "write" if write else "read", payload)

    if devices.network is not None:
        devices.network.on_frame = moved
    for drive in () if devices.ide is None else devices.ide.drives:
        drive.on_transfer = asked
