"""What has come to a virtual adapter from another guest beside the same host.

Whoever lets one of the guests run alone has the stations on the line, but not its neighbours.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.machine.devices.lance_rings import ENP, ERR, STP, read_descriptor

if TYPE_CHECKING:
    from vizapp.vmm.guest_memory import GuestMemory

_LENGTH: Final = 0xFFF  # of a message, check sequence included
_CHECK_BYTES: Final = 4
_SOURCE: Final = slice(6, 12)


class _Looked(NamedTuple):
    """Guest memory for who only looks."""

    guest: GuestMemory

    def read(self, address: int, count: int) -> bytes:
        return self.guest.peek(address, count)


def frames_from(
    guest: GuestMemory, descriptors: Iterable[int], stations: Collection[bytes]
) -> tuple[bytes, ...]:
    """Of each frame in filled descriptors: the frame if it is from one of ``stations``, else nothing.

    ``descriptors`` are guest-physical addresses, in the order of the ring.
    """
    memory = _Looked(guest)
    frames: list[bytes] = []
    data = b""
    for address in descriptors:
        descriptor = read_descriptor(memory, address)
        if descriptor.flags & STP:
            data = b""
        data += memory.read(descriptor.buffer, descriptor.length)
        if descriptor.flags & ENP:
            frame = data[: (descriptor.last & _LENGTH) - _CHECK_BYTES]
            frames.append(frame if frame[_SOURCE] in stations else b"")
        elif descriptor.flags & ERR:
            frames.append(b"")
    return tuple(frames)
