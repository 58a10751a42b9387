"""An AMD PCnet-ISA network adapter: an Am7990 LANCE with its address PROM (Am7990, Am79C960 datasheets).

base +0-F  address PROM     +10 RDP: the CSR that RAP selects    +12 RAP    +14 reset, by reading
                            +16 IDP: the bus configuration register that RAP selects

CSR0   | ERR BABL CERR MISS MERR RINT TINT IDON | INTR IENA RXON TXON TDMD STOP STRT INIT |
CSR1, CSR2  address of the initialization block   CSR3  interrupt masks   CSR15  mode

Of the machine's time it knows only the cycles at which it acts: those at which the processor uses its ports,
and those at which it reaches for memory by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from zlib import crc32

from vizapp.isa.addresses import M32
from vizapp.machine.clock import Clock
from vizapp.machine.devices.lance_rings import (
    ADDRESS_MASK,
    ENP,
    ERR,
    OWN,
    RECEIVE_BUFF,
    RECEIVE_OVERFLOW,
    STP,
    TRANSMIT_BUFF,
    TRANSMIT_NO_CARRIER,
    TRANSMIT_ONE,
    Block,
    Descriptor,
    Dma,
    Ring,
    read_block,
    read_descriptor,
    write_status,
)
from vizapp.machine.devices.network import LINE_RATE, SHORTEST_FRAME, Cable, line_time
from vizapp.machine.devices.pit import ReadTime
from vizapp.machine.input_log import NETWORK

LANCE_BASE = 0x300
LANCE_PORTS = range(LANCE_BASE, LANCE_BASE + 0x18)
LANCE_IRQ = 10
RDP, RAP, RESET, IDP = 0x10, 0x12, 0x14, 0x16

BABL, CERR, MISS, MERR, RINT, TINT, IDON = (1 << bit for bit in range(14, 7, -1))
INTR, IENA, RXON, TXON, TDMD, STOP, STRT, INIT = (1 << bit for bit in range(7, -1, -1))
_ERRORS = BABL | CERR | MISS | MERR
_CAUSES = BABL | MISS | MERR | RINT | TINT | IDON
_MASKS = 0x5F00  # of CSR3
MODE_PROMISCUOUS = 1 << 15
MODE_LOOP = 1 << 2
MODE_NO_TRANSMIT = 1 << 1
MODE_NO_RECEIVE = 1 << 0
AUTO_PAD = 1 << 11  # in CSR4
CHIP = {88: 0x3003, 89: 0x0000}
_BROADCAST = b"\xff" * 6
# How often the adapter looks whether it has been given a frame to send: 1.6 ms, in bit times.
_POLL_BITS = 16_000
_NO_BLOCK = Block(0, bytes(6), 0, Ring(), Ring())


def address_prom(mac: bytes) -> bytes:
    """The 16 bytes at the base: the address, and a checksum over it and the two letters at the end."""
    prom = bytearray(mac.ljust(14, b"\0") + b"WW")
    prom[12:14] = sum(prom).to_bytes(2, "little")
    return bytes(prom)


class Lance:
    """The adapter. A port device that takes words whole, and a timed device.

    ``irq`` is called with the level of its interrupt line, ``dma`` is its way to memory. Without a cable what
    it sends is lost, and it says so. The time of an access to its ports comes from ``read_time`` (source
    ``network``).

    Attributes:
        cable: what it is plugged into.
        on_act: told of each cycle at which it does something by itself; a replayer lets it ``act`` then.
        on_frame: told (whether it was sent, physical address of its first buffer, the frame without its check
            sequence) when a frame has been taken out of memory, or put into it.
    """

    _STATE: tuple[str, ...] = (
        "_csr0", "_csr1", "_csr2", "_csr3", "_csr4", "_rap", "_configuration", "_block", "_receive_at",
        "_transmit_at", "_sending", "_done_at", "_poll_at", "_line", "_now",
    )  # fmt: skip

    def __init__(
        self,
        clock: Clock,
        irq: Callable[[bool], None],
        dma: Dma,
        mac: bytes,
        read_time: ReadTime = lambda source, value: value,
    ) -> None:
        if len(mac) != 6:
            raise ValueError(f"a station has an address of 6 bytes, not {len(mac)}")
        self.cable: Cable | None = None
        self.on_act: Callable[[int], None] | None = None
        self.on_frame: Callable[[bool, int, bytes], None] | None = None
        self._clock = clock
        self._irq = irq
        self._dma = dma
        self._read_time = read_time
        self._prom = address_prom(mac)
        self._csr0 = STOP
        self._csr1 = self._csr2 = self._csr3 = self._csr4 = 0
        self._rap = 0
        self._configuration: tuple[int, ...] = (5, 5, 2, 0, 0, 0x84, 8, 0x90)
        self._block = _NO_BLOCK._replace(station=mac)
        self._receive_at = self._transmit_at = 0  # the descriptors that come next
        self._sending = 0  # descriptors of the frame that is on the line
        self._done_at = 0  # the cycle at which it has left
        self._poll_at = 0
        self._line = False
        self._now = 0  # the cycle at which it does what it does
        clock.register(self)

    @property
    def transmit_ring(self) -> tuple[int, int, int]:
        """Its physical address, how many descriptors it has, and which comes next."""
        ring = self._block.transmit
        return ring.base, ring.size, self._transmit_at

    def read_port(self, port: int) -> int:
        """IN of a byte: the PROM, or the low byte of a register."""
        offset = port - LANCE_BASE
        return self._prom[offset] if offset < RDP else self.read_wide(port, 2) & 0xFF

    def write_port(self, port: int, value: int) -> None:
        """OUT of a byte, which the adapter ignores."""

    def read_wide(self, port: int, size: int) -> int:
        """IN of a word."""
        self._access()
        offset = port - LANCE_BASE
        if offset < RDP:
            return int.from_bytes(self._prom[offset : offset + size], "little")
        match offset:
            case 0x10:
                value = self._read_csr(self._rap)
            case 0x12:
                value = self._rap
            case 0x14:
                self._stop()
                self._rap = value = 0
            case 0x16:
                value = self._configuration[self._rap] if self._rap < len(self._configuration) else 0
            case _:
                value = 0xFFFF
        self._update()
        return value

    def write_wide(self, port: int, size: int, value: int) -> None:
        """OUT of a word."""
        self._access()
        value &= 0xFFFF
        match port - LANCE_BASE:
            case 0x10:
                self._write_csr(self._rap, value)
            case 0x12:
                self._rap = value & 0x7F
            case 0x16 if self._rap < len(self._configuration):
                before, after = self._configuration[: self._rap], self._configuration[self._rap + 1 :]
                self._configuration = (*before, value, *after)
            case _:
                pass
        self._update()

    def next_event(self, cycles: int) -> int | None:
        """The cycle at which a frame has left or arrived, or at which it looks for one to send."""
        events = []
        if self._sending:
            events.append(self._done_at)
        elif self._csr0 & TXON:
            events.append(self._poll_at)
        arrival = None if self.cable is None else self.cable.next_arrival()
        if arrival is not None:
            events.append(arrival)
        return min(events, default=None)

    def advance(self, cycles: int) -> None:
        """Do what is due."""
        due = self.next_event(cycles)
        if due is not None and cycles >= due:
            if self.on_act is not None:
                self.on_act(cycles)
            self.act(cycles)

    def act(self, cycles: int) -> None:
        """Do what is due at a cycle, whatever the clock shows."""
        self._now = cycles
        if self._sending and cycles >= self._done_at:
            self._end_transmission()
            self._transmit()
        elif self._csr0 & TXON and not self._sending and cycles >= self._poll_at:
            self._transmit()
        if self.cable is not None:
            for frame in self.cable.receive(cycles):
                self._receive(frame)
        self._drive()

    def save(self) -> tuple[object, ...]:
        """All registers and what is on the line, as plain data; frames to come are the switch's."""
        return tuple(getattr(self, name) for name in self._STATE)

    def load(self, saved: tuple[object, ...]) -> None:
        """Take up where ``save`` left off, without driving the interrupt line."""
        for name, value in zip(self._STATE, saved, strict=True):
            setattr(self, name, value)
        self._clock.refresh()

    def _access(self) -> None:
        """The processor has come to its ports: what is due happens before."""
        self.act(self._read_time(NETWORK, self._clock.now()))

    def _read_csr(self, number: int) -> int:
        match number:
            case 0:
                errors = ERR << 1 if self._csr0 & _ERRORS else 0
                return self._csr0 | errors | (INTR if self._interrupts else 0)
            case 1:
                return self._csr1
            case 2:
                return self._csr2
            case 3:
                return self._csr3
            case 4:
                return self._csr4
            case 8 | 9 | 10 | 11:
                return self._block.filter >> 16 * (number - 8) & 0xFFFF
            case 12 | 13 | 14:
                at = 2 * (number - 12)
                return int.from_bytes(self._block.station[at : at + 2], "little")
            case 15:
                return self._block.mode
            case _:
                return CHIP.get(number, 0)

    def _write_csr(self, number: int, value: int) -> None:
        if number == 0:
            self._control(value)
        elif number == 4:
            self._csr4 = value
        elif self._csr0 & STOP:
            match number:
                case 1:
                    self._csr1 = value & 0xFFFE
                case 2:
                    self._csr2 = value & 0xFF
                case 3:
                    self._csr3 = value & (_MASKS | 7)
                case 15:
                    self._block = self._block._replace(mode=value)
                case _:
                    pass

    def _control(self, value: int) -> None:
        self._csr0 &= ~(value & (_ERRORS | RINT | TINT | IDON))
        if value & STOP:
            self._stop()
            return
        self._csr0 = self._csr0 & ~IENA | value & IENA
        if value & INIT and not self._csr0 & INIT:
            self._csr0 = self._csr0 & ~STOP | INIT
            self._block = read_block(self._dma, (self._csr2 << 16 | self._csr1) & ADDRESS_MASK)
            self._receive_at = self._transmit_at = 0
            self._csr0 |= IDON
        if value & STRT and not self._csr0 & STRT:
            self._csr0 = self._csr0 & ~STOP | STRT
            mode = self._block.mode
            self._csr0 |= (0 if mode & MODE_NO_RECEIVE else RXON) | (0 if mode & MODE_NO_TRANSMIT else TXON)
            self._poll_at = self._now + self._clock.cycle_of(_POLL_BITS, LINE_RATE)
        if value & TDMD and self._csr0 & TXON and not self._sending:
            self._transmit()

    def _stop(self) -> None:
        self._csr0 = STOP
        self._csr3 &= _MASKS
        self._sending = 0

    def _transmit(self) -> None:
        """Send the next frame that the driver has given, if there is one."""
        now = self._now
        self._poll_at = now + self._clock.cycle_of(_POLL_BITS, LINE_RATE)
        frame, count, first = b"", 0, 0
        ring = self._block.transmit
        while count < ring.size:
            descriptor = read_descriptor(self._dma, ring.address(self._transmit_at + count))
            if not descriptor.flags & OWN:
                if count:  # a frame without an end
                    self._give_back(count, ERR, TRANSMIT_BUFF)
                return
            if not count and not descriptor.flags & STP:
                self._give_back(1, 0, 0)
                continue
            if not count:
                first = descriptor.buffer
            frame += self._dma.read(descriptor.buffer, descriptor.length)
            count += 1
            if descriptor.flags & ENP:
                break
        if self._csr4 & AUTO_PAD:
            frame = frame.ljust(SHORTEST_FRAME, b"\0")
        if self.on_frame is not None:
            self.on_frame(True, first, frame)
        self._sending = count
        self._done_at = now + self._clock.cycle_of(line_time(frame), LINE_RATE)
        if self._block.mode & MODE_LOOP:
            self._receive(frame)
        else:
            self._put_on_line(frame)

    def _put_on_line(self, frame: bytes) -> None:
        if self.cable is not None:
            self._done_at = self.cable.send(self._now, frame)

    @property
    def _carrier(self) -> bool:
        """Whether there is anything at the other end."""
        return self.cable is not None

    def _end_transmission(self) -> None:
        count, self._sending = self._sending, 0
        if not self._carrier and not self._block.mode & MODE_LOOP:
            self._give_back(count, ERR, TRANSMIT_NO_CARRIER)
        else:
            self._give_back(count, 0, 0)

    def _give_back(self, count: int, flags: int, errors: int) -> None:
        ring = self._block.transmit
        for _ in range(count):
            address = ring.address(self._transmit_at)
            descriptor = read_descriptor(self._dma, address)
            kept = descriptor.flags & ~(OWN | ERR | TRANSMIT_ONE)
            write_status(self._dma, address, descriptor, kept | flags, errors)
            self._transmit_at = (self._transmit_at + 1) % ring.size
        self._csr0 |= TINT

    def _receive(self, frame: bytes) -> None:
        if not self._csr0 & RXON or not self._accepts(frame[:6]):
            return
        data = frame + crc32(frame).to_bytes(4, "little")
        ring, flags, done, first = self._block.receive, STP, 0, 0
        while True:
            address = ring.address(self._receive_at)
            descriptor = read_descriptor(self._dma, address)
            if not descriptor.flags & OWN:
                self._csr0 |= MISS  # only the first can be: the next one is looked at beforehand
                return
            self._receive_at = (self._receive_at + 1) % ring.size
            first = first or descriptor.buffer
            part = data[done : done + descriptor.length]
            self._dma.write(descriptor.buffer, part)
            done += len(part)
            if done >= len(data):
                write_status(self._dma, address, descriptor, flags | ENP, len(data))
                if self.on_frame is not None:
                    self.on_frame(False, first, frame)
                break
            if not self._next_is_free(ring):
                overflow = flags | ERR | RECEIVE_BUFF | RECEIVE_OVERFLOW
                write_status(self._dma, address, descriptor, overflow, 0)
                break
            write_status(self._dma, address, descriptor, flags, 0)
            flags = 0
        self._csr0 |= RINT

    def _next_is_free(self, ring: Ring) -> bool:
        following: Descriptor = read_descriptor(self._dma, ring.address(self._receive_at))
        return bool(following.flags & OWN)

    def _accepts(self, target: bytes) -> bool:
        block = self._block
        if block.mode & MODE_PROMISCUOUS or target in (_BROADCAST, block.station):
            return True
        # The filter has a bit for each value of the upper six bits of the address's check sequence.
        return bool(target[0] & 1 and block.filter >> ((crc32(target) ^ M32) >> 26) & 1)

    @property
    def _interrupts(self) -> bool:
        return bool(self._csr0 & _CAUSES & ~(self._csr3 & _MASKS))

    def _update(self) -> None:
        self._drive()
        self._clock.refresh()

    def _drive(self) -> None:
        line = self._interrupts and bool(self._csr0 & IENA)
        if line != self._line:
            self._line = line
            self._irq(line)
