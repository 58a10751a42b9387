"""The frames that a driver has given to a LANCE: those in its transmit ring that are the chip's now."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vizapp.machine.devices.lance_rings import DESCRIPTOR_BYTES, ENP, OWN
from vizapp.session.journeys.journey import check_sequence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MOST = 128  # as many descriptors as a ring can have


class Given(NamedTuple):
    """A whole frame in one buffer: its descriptor's number, where it lies, its length and check sequence."""

    number: int
    address: int
    bytes: int
    check: int


def frames_given(read: Callable[[int, int], bytes], base: int, size: int, following: int) -> Iterator[Given]:
    """Frames from descriptor ``following`` on; ``read`` looks into the memory that the chip uses."""
    for index in range(min(size, _MOST)):
        number = (following + index) % size
        raw = read(base + DESCRIPTOR_BYTES * number, DESCRIPTOR_BYTES)
        if not raw[3] & OWN >> 8:
            return
        if not raw[3] & ENP >> 8:
            continue  # a part of a frame: the frame is known when it is on its way
        address = int.from_bytes(raw[:3], "little")
        length = -int.from_bytes(raw[4:6], "little") & 0xFFF
        yield Given(number, address, length, check_sequence(read(address, length)))
