"""The VMkernel's switch: which ports a frame leaves by.

    port of each virtual adapter ──┐
                                   ├── the machine's adapter, which takes every frame (promiscuous)
    port of each virtual adapter ──┘

A switch outside has to learn who is behind which port. This one knows: it has given the virtual adapters
their addresses. So no guest can draw another's frames to itself by pretending, nor hear them by listening.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.machine.devices.network import SHORTEST_FRAME
from vizapp.machine.devices.station import LONGEST_FRAME

if TYPE_CHECKING:
    from collections.abc import Sequence

UPLINK: Final = -1
"""The port of the machine's own adapter; the others have the numbers of the virtual machines."""
_GROUP: Final = 1


class Port(NamedTuple):
    """A virtual adapter's: ``given`` is the address in its PROM, ``station`` what its driver uses."""

    vm: int
    given: bytes
    station: bytes


def targets(frame: bytes, source: int, ports: Sequence[Port]) -> tuple[int, ...]:
    """The ports by which a frame leaves that came in by ``source``; what is no frame leaves by none."""
    if not SHORTEST_FRAME <= len(frame) <= LONGEST_FRAME:
        return ()
    target = frame[:6]
    if target[0] & _GROUP:
        return tuple(port for port in (*(port.vm for port in ports), UPLINK) if port != source)
    found = next((port.vm for port in ports if port.given == target), None)
    if found is None:
        found = next((port.vm for port in ports if port.station == target), UPLINK)
    return () if found == source else (found,)
