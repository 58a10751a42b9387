"""A station on the simulated switch that is no PC: it takes, sends and returns frames as a guest asks it to.

It answers at once, and what it does depends on nothing but the frames that it got from the same sender. All
numbers are little-endian, so that a guest on an x86 reads them as they are:

      0  target   6  source   12  type 88B5h (IEEE 802: for local experiments)
     14  operation, a word
     16  number    of this frame, or of the first frame that is asked for
     20  count     frames asked for                   in a report: received
     24  size      of each of them, in bytes                       checksum of these
     28  data                                         in a report: sent, checksum of these (+32)

    SEND    the station adds the frame to its checksum, and says nothing
    FETCH   it sends ``count`` frames, as DATA; byte i of frame n is n + i
    REPORT  it tells what it has received (SEND) and sent (DATA)
    ECHO    it returns the frame
"""

from __future__ import annotations

from functools import reduce
from struct import iter_unpack, pack, unpack_from
from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.isa.addresses import M32
from vizapp.machine.devices.network import SHORTEST_FRAME

if TYPE_CHECKING:
    from collections.abc import Mapping

STATION_MAC: Final = bytes.fromhex("0200000000fe")
STATION_TYPE: Final = bytes.fromhex("88b5")
SEND, FETCH, REPORT, ECHO = range(1, 5)
ANSWER: Final = 0x8000  # added to the operation that is answered
HEADER_BYTES: Final = 14
DATA_AT: Final = 28
LONGEST_FRAME: Final = 1514
MOST_FRAMES: Final = 64  # for one FETCH
_FNV_BASIS, _FNV_PRIME = 2166136261, 16777619
_PATTERN = bytes(range(256)) * (LONGEST_FRAME // 256 + 2)


def checksum(total: int, frame: bytes) -> int:
    """``total`` with all of a frame behind its type added: FNV-1a, a doubleword at a time."""
    data = frame[HEADER_BYTES:]
    for (word,) in iter_unpack("<I", data.ljust(-(-len(data) // 4) * 4, b"\0")):
        total = (total ^ word) * _FNV_PRIME & M32
    return total


class _Book(NamedTuple):
    """What passed between the station and one other: frames and their checksum, each way."""

    received: int = 0
    received_sum: int = _FNV_BASIS
    sent: int = 0
    sent_sum: int = _FNV_BASIS


_NOTHING: Final = _Book()


class Station:
    """The station, with ``mac`` as its address."""

    def __init__(self, mac: bytes = STATION_MAC) -> None:
        self._mac = mac
        self._books: dict[bytes, _Book] = {}  # by the address of who it is with

    def answer(self, frame: bytes) -> list[bytes]:
        """What it sends, in this order, when it has received ``frame``."""
        target, source = frame[:6], frame[6:12]
        if target != self._mac or frame[12:14] != STATION_TYPE or len(frame) < SHORTEST_FRAME:
            return []
        operation, number, count, size = unpack_from("<HIII", frame, HEADER_BYTES)
        head = source + self._mac + STATION_TYPE
        book = self._books.get(source, _NOTHING)
        if operation == SEND:
            total = checksum(book.received_sum, frame)
            self._books[source] = book._replace(received=book.received + 1, received_sum=total)
        elif operation == FETCH:
            frames = [_data(head, number + index & M32, size) for index in range(min(count, MOST_FRAMES))]
            total = reduce(checksum, frames, book.sent_sum)
            self._books[source] = book._replace(sent=book.sent + len(frames), sent_sum=total)
            return frames
        elif operation == REPORT:
            return [(head + pack("<H5I", ANSWER + REPORT, number, *book)).ljust(SHORTEST_FRAME, b"\0")]
        elif operation == ECHO:
            return [head + pack("<H", ANSWER + ECHO) + frame[HEADER_BYTES + 2 :]]
        return []

    def save(self) -> dict[bytes, tuple[int, ...]]:
        """Its counts and checksums, by the address of who they are about."""
        return {source: tuple(book) for source, book in self._books.items()}

    def load(self, saved: Mapping[bytes, tuple[int, ...]]) -> None:
        """Take up where ``save`` left off."""
        self._books = {source: _Book(*book) for source, book in saved.items()}


def _data(head: bytes, number: int, size: int) -> bytes:
    size = max(SHORTEST_FRAME, min(size, LONGEST_FRAME))
    first = number & 0xFF
    body = pack("<H3I", ANSWER + FETCH, number, 0, size)
    return head + body + _PATTERN[first + DATA_AT : first + size]
