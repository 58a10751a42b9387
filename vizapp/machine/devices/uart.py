"""A 16550 serial port (National Semiconductor PC16550D datasheet) on a line that is infinitely fast.

A character leaves the moment it is written; a waiting one arrives the moment that there is room for it, so
nothing is ever lost on the line. The interrupt line passes the PC's gate: modem control bit OUT2.

    offset  DLAB=0 read / write     DLAB=1
    0       RBR / THR               divisor, low
    1       IER                     divisor, high
    2       IIR / FCR
    3 LCR   4 MCR   5 LSR   6 MSR   7 scratch
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

COM1_PORTS = range(0x3F8, 0x400)
COM1_IRQ = 4
FIFO_SIZE = 16
TRIGGER_LEVELS = (1, 4, 8, 14)

IER_ERBFI = 1 << 0  # received data
IER_ETBEI = 1 << 1  # transmitter empty
IER_ELSI = 1 << 2  # line status
IER_EDSSI = 1 << 3  # modem status
# Interrupt identification, in order of priority.
IIR_LINE_STATUS = 0x06
IIR_DATA = 0x04
IIR_TIMEOUT = 0x0C
IIR_TRANSMITTER = 0x02
IIR_MODEM_STATUS = 0x00
IIR_NONE = 0x01
IIR_FIFOS = 0xC0
FCR_ENABLE = 1 << 0
FCR_CLEAR_RECEIVER = 1 << 1
LCR_DLAB = 1 << 7
MCR_DTR = 1 << 0
MCR_RTS = 1 << 1
MCR_OUT1 = 1 << 2
MCR_OUT2 = 1 << 3
MCR_LOOP = 1 << 4
LSR_DR = 1 << 0
LSR_OE = 1 << 1
LSR_THRE = 1 << 5
LSR_TEMT = 1 << 6
MSR_TERI = 1 << 2
MSR_CTS = 1 << 4
MSR_DSR = 1 << 5
MSR_RI = 1 << 6
MSR_DCD = 1 << 7


class Uart:
    """One port. ``irq`` is called with the level of the interrupt line at each change.

    Attributes:
        output: every byte sent so far.
        on_sent: told of each byte when it is sent; where the other end of the line is.
    """

    _STATE = (
        "_ier", "_lcr", "_mcr", "_msr", "_scratch", "_divisor", "_fifos", "_trigger", "_overrun", "_empty",
        "_line",
    )  # fmt: skip

    def __init__(self, irq: Callable[[bool], None], first_port: int = COM1_PORTS.start) -> None:
        self.output = bytearray()
        self.on_sent: Callable[[int], None] | None = None
        self._irq = irq
        self._first_port = first_port
        self._waiting: deque[int] = deque()  # on the line, not yet received
        self._received: deque[int] = deque()
        self._ier = 0
        self._lcr = 0
        self._mcr = 0
        self._msr = self._modem_lines()
        self._scratch = 0
        self._divisor = 1
        self._fifos = 0
        self._trigger = 1
        self._overrun = 0
        self._empty = 0  # a transmitter-empty interrupt is pending
        self._line = 0  # level of the interrupt line

    def receive(self, data: bytes) -> None:
        """Send ``data`` to the guest."""
        self._waiting.extend(data)
        self._refill()
        self._update()

    def read_port(self, port: int) -> int:
        """IN from one of the eight ports."""
        match port - self._first_port:
            case 0:
                return self._divisor & 0xFF if self._lcr & LCR_DLAB else self._read_data()
            case 1:
                return self._divisor >> 8 if self._lcr & LCR_DLAB else self._ier
            case 2:
                return self._read_identification()
            case 3:
                return self._lcr
            case 4:
                return self._mcr
            case 5:
                return self._read_line_status()
            case 6:
                value, self._msr = self._msr, self._msr & 0xF0
                self._update()
                return value
            case _:
                return self._scratch

    def write_port(self, port: int, value: int) -> None:
        """OUT to one of the eight ports."""
        match port - self._first_port:
            case 0 if self._lcr & LCR_DLAB:
                self._divisor = self._divisor & 0xFF00 | value
            case 1 if self._lcr & LCR_DLAB:
                self._divisor = self._divisor & 0xFF | value << 8
            case 0:
                self._transmit(value)
            case 1:
                if value & ~self._ier & IER_ETBEI:
                    self._empty = 1  # enabling it with the transmitter empty interrupts at once
                self._ier = value & 0x0F
            case 2:
                self._control_fifos(value)
            case 3:
                self._lcr = value
            case 4:
                self._mcr = value & 0x1F
                self._set_modem_status(self._modem_lines())
            case 7:
                self._scratch = value
            case _:
                pass  # line and modem status are for reading
        self._update()

    def save(self) -> dict[str, object]:
        """Registers, queues and everything sent, as plain data."""
        return {
            "output": bytes(self.output),
            "waiting": bytes(self._waiting),
            "received": bytes(self._received),
            "registers": tuple(getattr(self, name) for name in self._STATE),
        }

    def load(self, saved: Mapping[str, object]) -> None:
        """Take up where ``save`` left off, without driving the interrupt line."""
        output, waiting, received, registers = (
            saved[name] for name in ("output", "waiting", "received", "registers")
        )
        assert isinstance(output, bytes)
        assert isinstance(waiting, bytes)
        assert isinstance(received, bytes)
        assert isinstance(registers, tuple)
        self.output = bytearray(output)
        self._waiting, self._received = deque(waiting), deque(received)
        for name, value in zip(self._STATE, registers, strict=True):
            setattr(self, name, value)

    def _read_data(self) -> int:
        value = self._received.popleft() if self._received else 0
        if not self._received:
            # The line falls between two characters, which an edge-triggered controller must see.
            self._update()
            self._refill()
        self._update()
        return value

    def _read_identification(self) -> int:
        source = self._source()
        if source == IIR_TRANSMITTER:
            self._empty = 0
            self._update()
        return source | (IIR_FIFOS if self._fifos else 0)

    def _read_line_status(self) -> int:
        value = LSR_THRE | LSR_TEMT | (LSR_DR if self._received else 0) | (LSR_OE if self._overrun else 0)
        self._overrun = 0
        self._update()
        return value

    def _transmit(self, value: int) -> None:
        # The holding register fills and empties again: the interrupt goes and comes back.
        self._empty = 0
        self._update()
        self._empty = 1
        if not self._mcr & MCR_LOOP:
            self.output.append(value)
            if self.on_sent is not None:
                self.on_sent(value)
        elif len(self._received) < self._room():
            self._received.append(value)
        else:
            self._overrun = 1
            if not self._fifos:
                self._received[-1] = value  # the holding register is overwritten, a full FIFO is not

    def _control_fifos(self, value: int) -> None:
        enable = value & FCR_ENABLE
        if enable != self._fifos or (enable and value & FCR_CLEAR_RECEIVER):
            self._received.clear()
        self._fifos = enable
        self._trigger = TRIGGER_LEVELS[value >> 6] if enable else 1
        self._update()
        self._refill()

    def _room(self) -> int:
        return FIFO_SIZE if self._fifos else 1

    def _refill(self) -> None:
        if self._mcr & MCR_LOOP:
            return  # the receiver is cut off from the line
        while self._waiting and len(self._received) < self._room():
            self._received.append(self._waiting.popleft())

    def _modem_lines(self) -> int:
        """Modem status: our own outputs in loopback, otherwise a peer that is there and ready."""
        if not self._mcr & MCR_LOOP:
            return MSR_CTS | MSR_DSR | MSR_DCD
        wires = ((MCR_RTS, MSR_CTS), (MCR_DTR, MSR_DSR), (MCR_OUT1, MSR_RI), (MCR_OUT2, MSR_DCD))
        return sum(status for control, status in wires if self._mcr & control)

    def _set_modem_status(self, lines: int) -> None:
        changed = (lines ^ self._msr) & 0xF0
        deltas = changed >> 4
        if changed & MSR_RI and lines & MSR_RI:
            deltas &= ~MSR_TERI  # only the trailing edge of RI counts
        self._msr = lines | self._msr & 0x0F | deltas
        self._refill()

    def _source(self) -> int:
        """The pending interrupt of highest priority, as IIR shows it."""
        if self._ier & IER_ELSI and self._overrun:
            return IIR_LINE_STATUS
        if self._ier & IER_ERBFI and self._received:
            # Fewer than the trigger level, and no more to come: the time-out that ends a burst.
            return IIR_DATA if len(self._received) >= self._trigger else IIR_TIMEOUT
        if self._ier & IER_ETBEI and self._empty:
            return IIR_TRANSMITTER
        if self._ier & IER_EDSSI and self._msr & 0x0F:
            return IIR_MODEM_STATUS
        return IIR_NONE

    def _update(self) -> None:
        # Loopback drives the modem control outputs inactive, OUT2 with them.
        gate = self._mcr & MCR_OUT2 and not self._mcr & MCR_LOOP
        line = int(bool(gate) and self._source() != IIR_NONE)
        if line != self._line:
            self._line = line
            self._irq(bool(line))
