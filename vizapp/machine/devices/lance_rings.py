"""What a LANCE has in memory: its initialization block and its rings of descriptors (AMD Am7990 datasheet).

+0  address 15-0
+2  | OWN ERR . . . . STP ENP | address 23-16 |
+4  | 1 1 1 1 | minus the buffer's length |          receive  ERR FRAM OFLO CRC BUFF STP ENP
+6  receive: the message's length                    transmit ERR . MORE ONE DEF STP ENP, +6 errors
"""

from __future__ import annotations

from struct import pack, unpack
from typing import NamedTuple, Protocol

BLOCK_BYTES = 24
DESCRIPTOR_BYTES = 8
OWN, ERR, STP, ENP = 1 << 15, 1 << 14, 1 << 9, 1 << 8
RECEIVE_OVERFLOW = 1 << 12
RECEIVE_BUFF = 1 << 10
TRANSMIT_ONE = 1 << 11
TRANSMIT_NO_CARRIER = 1 << 11  # in the last word
TRANSMIT_BUFF = 1 << 15
ADDRESS_MASK = 0xFF_FFFF


class Readable(Protocol):
    """Memory, for who only reads it."""

    def read(self, address: int, count: int) -> bytes:
        """``count`` bytes of memory."""
        ...


class Dma(Readable, Protocol):
    """The bus, mastered."""

    def write(self, address: int, data: bytes) -> None:
        """Store ``data``."""
        ...


class Ring(NamedTuple):
    """``size`` descriptors from ``base`` on."""

    base: int = 0
    size: int = 1

    def address(self, index: int) -> int:
        """Where a descriptor lies."""
        return self.base + index % self.size * DESCRIPTOR_BYTES & ADDRESS_MASK


class Block(NamedTuple):
    """The initialization block: mode, station address, logical address filter, rings."""

    mode: int
    station: bytes
    filter: int
    receive: Ring
    transmit: Ring


class Descriptor(NamedTuple):
    """One descriptor; ``flags`` are the high byte of the second word, in place."""

    buffer: int
    flags: int
    length: int
    last: int


def read_block(dma: Readable, address: int) -> Block:
    """The initialization block at a physical address."""
    mode, station, logical, *words = unpack("<H6sQ4H", dma.read(address, BLOCK_BYTES))
    rings = [
        Ring((high & 0xFF) << 16 | low & 0xFFF8, 1 << (high >> 13)) for low, high in (words[:2], words[2:])
    ]
    return Block(mode, station, logical, *rings)


def read_descriptor(dma: Readable, address: int) -> Descriptor:
    """The descriptor at a physical address."""
    low, high, count, last = unpack("<4H", dma.read(address, DESCRIPTOR_BYTES))
    return Descriptor((high & 0xFF) << 16 | low, high & 0xFF00, -count & 0x0FFF, last)


def write_status(dma: Dma, address: int, descriptor: Descriptor, flags: int, last: int) -> None:
    """Give a descriptor back with what has become of it; OWN, in ``flags`` if anywhere, is written last."""
    dma.write(address + 6, pack("<H", last))
    dma.write(address + 2, pack("<H", flags | descriptor.buffer >> 16))
