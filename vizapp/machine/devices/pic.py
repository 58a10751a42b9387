"""Two 8259A interrupt controllers in cascade, as in the PC/AT (Intel 8259A datasheet).

              master 20h, 21h                 slave A0h, A1h
    IRQ0 ──▶ IR0          INT ──▶ CPU   IRQ8  ──▶ IR0
    IRQ1 ──▶ IR1                        ...
             IR2 ◀──────────────────────────────── INT
    IRQ3 ──▶ IR3 ...                    IRQ15 ──▶ IR7

A request is latched by a rising edge and must stay until it is acknowledged: a line that falls before
withdraws it, and an acknowledge that then finds nothing answers with IR7, the spurious interrupt.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

CASCADE = 2
ALL = 0xFF
PIC_PORTS = (range(0x20, 0x22), range(0xA0, 0xA2))

# Initialization command word 1: 0 0 0 1 | LTIM ADI SNGL IC4
ICW1 = 1 << 4
ICW1_LTIM = 1 << 3  # level triggered
ICW1_SNGL = 1 << 1  # no ICW3
ICW1_IC4 = 1 << 0  # ICW4 follows
# Initialization command word 4: 0 0 0 SFNM | BUF M/S AEOI uPM
ICW4_SFNM = 1 << 4
ICW4_AEOI = 1 << 1
# Operation command word 2: R SL EOI 0 | 0 L2 L1 L0
OCW2_ROTATE = 1 << 7
OCW2_SPECIFIC = 1 << 6
OCW2_EOI = 1 << 5
# Operation command word 3: 0 ESMM SMM 0 | 1 P RR RIS
OCW3 = 1 << 3
OCW3_ESMM = 1 << 6
OCW3_SMM = 1 << 5
OCW3_POLL = 1 << 2
OCW3_RR = 1 << 1
OCW3_RIS = 1 << 0

Saved: TypeAlias = Mapping[str, int]


class Controller:
    """One 8259A. Lines are numbered 0-7; bit masks have bit n for line n. ``slaves`` are lines with one.

    Attributes:
        irr: requests not yet acknowledged.
        isr: requests acknowledged and not yet ended.
        imr: lines masked off.
        vector: vector of IR0, a multiple of 8.
    """

    _STATE = (
        "irr", "isr", "imr", "vector", "_lines", "_lowest", "_expected", "_needs_icw4", "_single", "_level",
        "_auto_eoi", "_rotate_on_auto_eoi", "_fully_nested", "_special_mask", "_read_isr", "_poll",
    )  # fmt: skip

    def __init__(self, slaves: int = 0) -> None:
        self._slaves = slaves
        self.irr = 0
        self.isr = 0
        self.imr = ALL  # a controller that nobody initialized interrupts nobody
        self.vector = 0
        self._lines = 0
        self._lowest = 7  # the line of lowest priority; the next one has the highest
        self._expected = 0  # the initialization command word awaited, 0 for none
        self._needs_icw4 = 0
        self._single = 0
        self._level = 0
        self._auto_eoi = 0
        self._rotate_on_auto_eoi = 0
        self._fully_nested = 0
        self._special_mask = 0
        self._read_isr = 0
        self._poll = 0

    def set_line(self, line: int, high: bool) -> None:
        """Drive an IR input."""
        bit = 1 << line
        if high:
            if self._level or not self._lines & bit:
                self.irr |= bit
            self._lines |= bit
        else:
            self._lines &= ~bit
            self.irr &= ~bit

    def request(self) -> int | None:
        """The line for which INT is raised now, None if INT is low."""
        requests = self.irr & ~self.imr
        if not requests:
            return None
        blocking = self.isr
        if self._special_mask:
            blocking &= ~self.imr
        # In special fully nested mode a slave itself decides which of its requests may interrupt its
        # handlers, so a line with a slave does not block itself.
        nesting = self._slaves if self._fully_nested else 0
        for line in self._by_priority():
            if requests & ~(blocking & ~nesting) & 1 << line:
                return line
            if blocking & 1 << line:
                return None
        return None

    def acknowledge(self) -> int | None:
        """Answer INTA: the line is now in service. None for a spurious interrupt."""
        line = self.request()
        if line is None:
            return None
        bit = 1 << line
        if not self._level:
            self.irr &= ~bit
        if not self._auto_eoi:
            self.isr |= bit
        elif self._rotate_on_auto_eoi:
            self._lowest = line
        return line

    @property
    def mask_to_read(self) -> int | None:
        """What the odd port reads as, where nothing comes of reading it."""
        return None if self._poll else self.imr

    def read(self, a0: int) -> int:
        """IN from the even (``a0`` 0) or odd port."""
        if self._poll:
            # Poll mode makes the next read an acknowledge: bit 7 tells whether there was a request.
            self._poll = 0
            line = self.acknowledge()
            return 0 if line is None else 0x80 | line
        if a0:
            return self.imr
        return self.isr if self._read_isr else self.irr

    def write(self, a0: int, value: int) -> None:
        """OUT to the even (``a0`` 0) or odd port."""
        if a0:
            self._write_odd(value)
        elif value & ICW1:
            self._write_icw1(value)
        elif value & OCW3:
            self._write_ocw3(value)
        else:
            self._write_ocw2(value)

    def save(self) -> dict[str, int]:
        """All registers, as plain data."""
        return {name: getattr(self, name) for name in self._STATE}

    def load(self, saved: Saved) -> None:
        """Take up where ``save`` left off."""
        for name in self._STATE:
            setattr(self, name, saved[name])

    def _by_priority(self) -> list[int]:
        return [self._lowest + step & 7 for step in range(1, 9)]

    def _write_icw1(self, value: int) -> None:
        # The edge sense circuit is reset: a line that is high already must fall and rise to be seen.
        self.irr = self.isr = self.imr = 0
        self._lowest = 7
        self._special_mask = self._read_isr = self._poll = 0
        self._auto_eoi = self._rotate_on_auto_eoi = self._fully_nested = 0
        self._level = int(bool(value & ICW1_LTIM))
        self._single = int(bool(value & ICW1_SNGL))
        self._needs_icw4 = value & ICW1_IC4
        self._expected = 2

    def _write_odd(self, value: int) -> None:
        match self._expected:
            case 2:
                self.vector = value & 0xF8
                self._expected = 3 if not self._single else 4 if self._needs_icw4 else 0
            case 3:
                # The cascade is wired, so which line has the slave (or the slave's number) changes nothing.
                self._expected = 4 if self._needs_icw4 else 0
            case 4:
                self._auto_eoi = int(bool(value & ICW4_AEOI))
                self._fully_nested = int(bool(value & ICW4_SFNM))
                self._expected = 0
            case _:
                self.imr = value

    def _write_ocw2(self, value: int) -> None:
        rotate, specific = bool(value & OCW2_ROTATE), bool(value & OCW2_SPECIFIC)
        line: int | None = value & 7
        if not value & OCW2_EOI:
            if rotate and specific:
                self._lowest = value & 7
            elif not specific:
                self._rotate_on_auto_eoi = int(rotate)
            return
        if not specific:
            line = self._highest_in_service()
        if line is not None:
            self.isr &= ~(1 << line)
            if rotate:
                self._lowest = line

    def _highest_in_service(self) -> int | None:
        # In special mask mode a masked line is not ended by a non-specific EOI.
        ending = self.isr & ~self.imr if self._special_mask else self.isr
        return next((line for line in self._by_priority() if ending >> line & 1), None)

    def _write_ocw3(self, value: int) -> None:
        if value & OCW3_ESMM:
            self._special_mask = int(bool(value & OCW3_SMM))
        if value & OCW3_POLL:
            self._poll = 1
        elif value & OCW3_RR:
            self._read_isr = value & OCW3_RIS


class Pic:
    """The pair: IRQ lines 0-15 in, one INT line and its vector out. A port device, see ``PIC_PORTS``.

    Attributes:
        intr: the INT line to the processor, for it to read between instructions.
    """

    def __init__(self) -> None:
        self.master = Controller(slaves=1 << CASCADE)
        self.slave = Controller()
        self.intr = False

    def raise_irq(self, line: int) -> None:
        """Drive IRQ ``line`` (0-15, not 2, which is the cascade) high."""
        self._set_line(line, True)

    def lower_irq(self, line: int) -> None:
        """Drive IRQ ``line`` low; an edge-triggered request not yet acknowledged is withdrawn."""
        self._set_line(line, False)

    def acknowledge(self) -> int:
        """Answer the processor's INTA with a vector.

        Without a request it is a spurious interrupt: vector of IRQ7 or, when the request vanished between
        slave and master, IRQ15, with no bit in service on the controller that answers.
        """
        line = self.master.acknowledge()
        if line is None:
            vector = self.master.vector + 7
        elif line == CASCADE:
            slave_line = self.slave.acknowledge()
            vector = self.slave.vector + (7 if slave_line is None else slave_line)
            # INT of the slave falls on INTA, so a further request of it is a new edge for the master.
            self.master.set_line(CASCADE, False)
        else:
            vector = self.master.vector + line
        self._update()
        return vector

    def read_port(self, port: int) -> int:
        """IN from 20h, 21h, A0h or A1h."""
        value = self._controller(port).read(port & 1)
        self._update()
        return value

    def write_port(self, port: int, value: int) -> None:
        """OUT to 20h, 21h, A0h or A1h."""
        self._controller(port).write(port & 1, value)
        self._update()

    def save(self) -> dict[str, dict[str, int]]:
        """Both controllers, as plain data."""
        return {"master": self.master.save(), "slave": self.slave.save()}

    def load(self, saved: Mapping[str, Saved]) -> None:
        """Take up where ``save`` left off."""
        self.master.load(saved["master"])
        self.slave.load(saved["slave"])
        self.intr = self.master.request() is not None

    def _controller(self, port: int) -> Controller:
        return self.slave if port & 0x80 else self.master

    def _set_line(self, line: int, high: bool) -> None:
        if line == CASCADE or not 0 <= line <= 15:
            raise ValueError(f"no device can be wired to IRQ {line}")
        (self.slave if line & 8 else self.master).set_line(line & 7, high)
        self._update()

    def _update(self) -> None:
        self.master.set_line(CASCADE, self.slave.request() is not None)
        self.intr = self.master.request() is not None
