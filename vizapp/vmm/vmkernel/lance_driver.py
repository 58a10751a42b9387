"""The VMkernel's driver of the machine's network adapter, a LANCE (AMD Am7990, Am79C960 datasheets).

    page 0      +0 initialization block   +40 receive ring   +140 transmit ring
    from page 1 on the buffers, two a page: first those of the receive ring, then those of the transmit ring

All of it lies in the lowest frames that the monitor has, for the adapter's addresses have 24 bits. RAP stays
at CSR0, so that an access to RDP is one to CSR0.
"""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING, Any, Final

from vizapp.isa.addresses import PAGE_SHIFT, PAGE_SIZE, HostPhysical
from vizapp.machine.devices.lance import (
    BABL,
    IDON,
    IENA,
    INIT,
    INTR,
    LANCE_BASE,
    MERR,
    MISS,
    MODE_PROMISCUOUS,
    RAP,
    RDP,
    RESET,
    RINT,
    STRT,
    TDMD,
    TINT,
)
from vizapp.machine.devices.lance_rings import DESCRIPTOR_BYTES, ENP, OWN, STP
from vizapp.machine.meter import Purpose
from vizapp.vmm import ring0

if TYPE_CHECKING:
    from vizapp.machine.pc import Pc
    from vizapp.vmm.bill import Bill
    from vizapp.vmm.frame_allocator import FrameAllocator

OWNER: Final = "vmkernel"
RECEIVE_BITS, TRANSMIT_BITS = 5, 4
RECEIVE, TRANSMIT = 1 << RECEIVE_BITS, 1 << TRANSMIT_BITS  # descriptors
BUFFER: Final = 2048
PAGES: Final = 1 + (RECEIVE + TRANSMIT) * BUFFER // PAGE_SIZE
_RECEIVE_RING: Final = 0x40
_TRANSMIT_RING: Final = _RECEIVE_RING + RECEIVE * DESCRIPTOR_BYTES
_CAUSES: Final = BABL | MISS | MERR | RINT | TINT | IDON
_CHECK_SEQUENCE: Final = 4
_WHOLE: Final = STP | ENP


class LanceDriver:
    """The driver; ``start`` is for the loader, all else for phases, which pay for it.

    Attributes:
        in_flight: frames given to the adapter whose descriptors it has not given back.
    """

    def __init__(self, pc: Pc, frames: FrameAllocator, bill: Bill) -> None:
        self._pc = pc
        self._bill = bill
        self._base = frames.allocate(OWNER, PAGES) << PAGE_SHIFT
        self._received = 0  # the descriptor that is filled next
        self._sent = 0  # the one that is given to the adapter next
        self.in_flight = 0

    @property
    def room(self) -> bool:
        """Whether another frame can be sent."""
        return self.in_flight < TRANSMIT

    def start(self) -> None:
        """Lay out the rings and let the adapter run, before the clock does."""
        board, memory = self._pc.board, self._pc.memory
        board.read(LANCE_BASE + RESET, 2)
        station = bytes(board.read(LANCE_BASE + index, 1) for index in range(6))
        rings = (
            (self._base + _RECEIVE_RING) | RECEIVE_BITS << 29,
            (self._base + _TRANSMIT_RING) | TRANSMIT_BITS << 29,
        )
        memory.load(HostPhysical(self._base), pack("<H6s8x2I", MODE_PROMISCUOUS, station, *rings))
        for index in range(RECEIVE):
            memory.load(self._descriptor(_RECEIVE_RING, index), self._empty(index))
        for index in range(TRANSMIT):
            memory.load(self._descriptor(_TRANSMIT_RING, index), bytes(DESCRIPTOR_BYTES))
        for number, value in ((1, self._base & 0xFFFF), (2, self._base >> 16), (3, 0), (0, INIT)):
            board.write(LANCE_BASE + RAP, 2, number)
            board.write(LANCE_BASE + RDP, 2, value)
        board.write(LANCE_BASE + RDP, 2, IDON | STRT | IENA)

    def acknowledge(self) -> int:
        """Why the adapter interrupts, as bits of CSR0; it is told that we know."""
        causes = 0
        while (status := ring0.inw(self._pc, LANCE_BASE + RDP, Purpose.IO)) & INTR:
            causes |= status & _CAUSES
            ring0.outw(self._pc, LANCE_BASE + RDP, status & _CAUSES | IENA, Purpose.IO)
        return causes

    def reclaim(self) -> int:
        """Take back the descriptors of frames that have left: how many."""
        before = self.in_flight
        while self.in_flight:
            oldest = (self._sent - self.in_flight) % TRANSMIT
            if self._flags(_TRANSMIT_RING, oldest) & OWN:
                break
            self.in_flight -= 1
        return before - self.in_flight

    def send(self, frame: bytes) -> None:
        """Copy a frame into a buffer and tell the adapter; there is room."""
        index, self._sent = self._sent, (self._sent + 1) % TRANSMIT
        buffer = self._buffer(RECEIVE + index)
        self._pc.memory.load(buffer, frame)
        self._pc.memory.load(
            self._descriptor(_TRANSMIT_RING, index),
            pack("<I2H", buffer | (OWN | _WHOLE) << 16, -len(frame) & 0xFFFF, 0),
        )
        self._bill.charge("mon_memory_reference", copying(len(frame)) + 3)
        self.in_flight += 1
        ring0.outw(self._pc, LANCE_BASE + RDP, TDMD | IENA, Purpose.IO)

    def fetch(self) -> bytes | None:
        """The oldest frame that has come, without its check sequence; None if there is none.

        Who copies it pays for that.
        One that did not fit into a buffer is dropped: it comes as no bytes.
        """
        index = self._received
        flags = self._flags(_RECEIVE_RING, index)
        if flags & OWN:
            return None
        self._received = (index + 1) % RECEIVE
        at = self._descriptor(_RECEIVE_RING, index)
        count = self._pc.memory.read(at + 6, 2) & 0x0FFF
        whole = flags & _WHOLE == _WHOLE and _CHECK_SEQUENCE <= count <= BUFFER
        frame = self._pc.memory.dump(self._buffer(index), count - _CHECK_SEQUENCE) if whole else b""
        self._pc.memory.load(at, self._empty(index))
        self._bill.charge("mon_memory_reference", 4)
        return frame

    def save(self) -> Any:
        """What is not in memory, as plain data."""
        return self._received, self._sent, self.in_flight

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        self._received, self._sent, self.in_flight = saved

    def _descriptor(self, ring: int, index: int) -> HostPhysical:
        return HostPhysical(self._base + ring + index * DESCRIPTOR_BYTES)

    def _buffer(self, number: int) -> HostPhysical:
        return HostPhysical(self._base + PAGE_SIZE + number * BUFFER)

    def _empty(self, index: int) -> bytes:
        return pack("<I2H", self._buffer(index) | OWN << 16, -BUFFER & 0xFFFF, 0)

    def _flags(self, ring: int, index: int) -> int:
        self._bill.charge("mon_memory_reference")
        return self._pc.memory.read(self._descriptor(ring, index) + 2, 2) & 0xFF00


def copying(count: int) -> int:
    """Memory references that copying ``count`` bytes takes: a load and a store for each double word."""
    return 2 * (-(-count // 4))
