"""An MC146818 real-time clock with the PC/AT's battery-backed memory at ports 70h and 71h.

    00 seconds   02 minutes   04 hours     06 day of the week   0A A   UIP DV2 DV1 DV0 | RS3 RS2 RS1 RS0
    01 alarm     03 alarm     05 alarm     07 day of the month  0B B   SET PIE AIE UIE | SQWE DM 24/12 DSE
    32 century                             08 month  09 year    0C C   IRQF PF AF UF   | 0
                                                                0D D   VRT 0 0 0       | 0

Motorola MC146818 datasheet; the meaning of the bytes from 10h on is IBM's, PC/AT Technical Reference. The
clock does not tick: it remembers the date at one moment and works out from the cycle counter what it shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from vizapp.machine.clock import Clock
from vizapp.machine.devices import cmos
from vizapp.machine.devices.calendar import DAY, Calendar, next_alarm
from vizapp.machine.devices.pit import ReadTime

RTC_PORTS = range(0x70, 0x72)
RTC_IRQ = 8
CRYSTAL_HERTZ = 32_768
# An update lasts 1984 us, and UIP rises 244 us before it; it ends with the second.
UPDATE_PULSES = 65 + 8

REGISTER_A, REGISTER_B, REGISTER_C, REGISTER_D = range(0x0A, 0x0E)
A_UIP = 1 << 7
A_DIVIDER = 0x70
A_DIVIDER_ON = 0x20  # a crystal of 32 768 Hz
A_RATE = 0x0F
B_SET = 1 << 7
B_PIE = 1 << 6
B_AIE = 1 << 5
B_UIE = 1 << 4
B_DM = 1 << 2  # binary, not BCD
B_24 = 1 << 1
C_IRQF = 1 << 7
C_PF = 1 << 6
C_AF = 1 << 5
C_UF = 1 << 4
D_VRT = 1 << 7
NMI_MASK = 1 << 7  # in port 70h
DONT_CARE = 0xC0
PM = 0x80  # in an hour of twelve


class Rtc:
    """The clock and its memory. A port device and a timed device; registers itself with ``clock``.

    ``irq`` is called with the level of IRQ8 at each change, and what depends on time goes through
    ``read_time`` (sources ``rtc-00`` to ``rtc-32``, hexadecimal). ``start`` is the date at power-on,
    ``memory_bytes`` what the firmware found.

    Attributes:
        nmi_enabled: whether bit 7 of port 70h lets NMI through.
    """

    def __init__(
        self,
        clock: Clock,
        irq: Callable[[bool], None],
        start: datetime,
        memory_bytes: int,
        read_time: ReadTime | None = None,
    ) -> None:
        self.nmi_enabled = True
        self._clock = clock
        self._irq = irq
        self._read_time = read_time
        self._index = 0
        self._memory = cmos.firmware_memory(memory_bytes)
        self._a = A_DIVIDER_ON | 6
        self._b = B_24
        self._c = 0
        self._alarm: tuple[int, ...] = (0, 0, 0)  # hours, minutes, seconds as written
        self._calendar = Calendar.of(start)
        self._origin = 0  # the crystal's pulse at which the second of _calendar began
        self._seen = 0  # the pulse up to which the flags are known
        self._line = False
        clock.register(self)

    def read_port(self, port: int) -> int:
        """IN from 71h; the index cannot be read."""
        if not port & 1:
            return 0xFF
        self.advance(self._clock.now())
        value = self._read(self._index)
        if self._index <= REGISTER_C or self._index == cmos.CENTURY:
            if self._read_time is not None:
                value = self._read_time(f"rtc-{self._index:02x}", value)
            if self._index == REGISTER_C:
                self._c = 0
                self._drive()
        self._clock.refresh()
        return value

    def write_port(self, port: int, value: int) -> None:
        """OUT to the index at 70h or to the register at 71h."""
        if not port & 1:
            self._index = value & ~NMI_MASK
            self.nmi_enabled = not value & NMI_MASK
            return
        self.advance(self._clock.now())
        self._write(self._index, value)
        self._drive()
        self._clock.refresh()

    def next_event(self, cycles: int) -> int | None:
        """The cycle at which an enabled interrupt next sets its flag, None if none will."""
        pulse = self._clock.ticks(cycles, CRYSTAL_HERTZ)
        pulses = []
        if self._b & B_PIE and not self._c & C_PF and self._period:
            pulses.append((pulse // self._period + 1) * self._period)
        if self._runs:
            second = (pulse - self._origin) // CRYSTAL_HERTZ
            if self._b & B_UIE and not self._c & C_UF:
                pulses.append(self._origin + (second + 1) * CRYSTAL_HERTZ)
            if self._b & B_AIE and not self._c & C_AF:
                wait = self._until_alarm(second)
                if wait is not None:
                    pulses.append(self._origin + (second + wait) * CRYSTAL_HERTZ)
        return self._clock.cycle_of(min(pulses), CRYSTAL_HERTZ) if pulses else None

    def advance(self, cycles: int) -> None:
        """Set the flags of what happened up to ``cycles``."""
        pulse = self._clock.ticks(cycles, CRYSTAL_HERTZ)
        before, self._seen = self._seen, pulse
        if pulse <= before:
            return
        if self._period and pulse // self._period > before // self._period:
            self._c |= C_PF
        if self._runs:
            old = (before - self._origin) // CRYSTAL_HERTZ
            new = (pulse - self._origin) // CRYSTAL_HERTZ
            if new > old:
                self._c |= C_UF
                wait = self._until_alarm(old)
                if wait is not None and wait <= new - old:
                    self._c |= C_AF
        self._drive()

    def store(self, index: int, value: int) -> None:
        """Write a byte of the memory (0Eh-7Fh) as the firmware does, the checksum with it."""
        self._memory[index] = value
        cmos.set_checksum(self._memory)

    def save(self) -> dict[str, object]:
        """Registers, memory and the moment that they are from, as plain data."""
        return {
            "memory": bytes(self._memory),
            "registers": (self._index, self.nmi_enabled, self._a, self._b, self._c, self._line),
            "alarm": self._alarm,
            "calendar": tuple(self._calendar),
            "origin": self._origin,
            "seen": self._seen,
        }

    def load(self, saved: Mapping[str, object]) -> None:
        """Take up where ``save`` left off, without driving the interrupt line."""
        names = ("memory", "registers", "alarm", "calendar", "origin", "seen")
        memory, registers, alarm, calendar, origin, seen = (saved[name] for name in names)
        assert isinstance(memory, bytes)
        assert isinstance(registers, tuple)
        assert isinstance(alarm, tuple)
        assert isinstance(calendar, tuple)
        assert isinstance(origin, int)
        assert isinstance(seen, int)
        self._memory = bytearray(memory)
        self._index, self.nmi_enabled, self._a, self._b, self._c, self._line = registers
        self._alarm = alarm
        self._calendar = Calendar(*calendar)
        self._origin, self._seen = origin, seen
        self._clock.refresh()

    @property
    def _runs(self) -> bool:
        return self._a & A_DIVIDER == A_DIVIDER_ON and not self._b & B_SET

    @property
    def _period(self) -> int:
        """Pulses between periodic interrupts, 0 for none; the two fastest rates are those of 8 and 9."""
        rate = self._a & A_RATE
        if not rate or self._a & A_DIVIDER != A_DIVIDER_ON:
            return 0
        return 1 << (rate + 6 if rate <= 2 else rate - 1)

    def _read(self, index: int) -> int:
        if index in (1, 3, 5):
            return self._alarm[(5 - index) >> 1]
        if index == REGISTER_A:
            phase = (self._seen - self._origin) % CRYSTAL_HERTZ
            updating = self._runs and phase >= CRYSTAL_HERTZ - UPDATE_PULSES
            return self._a | (A_UIP if updating else 0)
        if index == REGISTER_B:
            return self._b
        if index == REGISTER_C:
            return self._c
        if index == REGISTER_D:
            return D_VRT
        if index < REGISTER_A or index == cmos.CENTURY:
            return self._shown(index)
        return self._memory[index]

    def _write(self, index: int, value: int) -> None:
        if index in (1, 3, 5):
            place = (5 - index) >> 1
            self._alarm = (*self._alarm[:place], value, *self._alarm[place + 1 :])
        elif index == REGISTER_A:
            self._settle()
            started = self._a & A_DIVIDER != A_DIVIDER_ON and value & A_DIVIDER == A_DIVIDER_ON
            self._a = value & ~A_UIP
            if started:  # the first update comes half a second after the divider is released
                self._origin = self._seen - CRYSTAL_HERTZ // 2
        elif index == REGISTER_B:
            self._settle()
            # SET also clears the enabling of the update-ended interrupt.
            self._b = value & ~B_UIE if value & B_SET else value
        elif index < REGISTER_A or index == cmos.CENTURY:
            self._settle()
            self._calendar = self._calendar.with_register(index, self._decoded(index, value))
        elif index not in (REGISTER_C, REGISTER_D):
            self._memory[index] = value

    def _settle(self) -> None:
        """Make the calendar that of the present second; its fields can then be changed or stand still."""
        seconds = (self._seen - self._origin) // CRYSTAL_HERTZ
        if self._runs:
            self._calendar = self._calendar.after(seconds)
        self._origin += seconds * CRYSTAL_HERTZ

    def _until_alarm(self, second: int) -> int | None:
        """Seconds from that second of the calendar to the next alarm."""
        wanted = [
            None if value >= DONT_CARE else self._decoded(index, value)
            for index, value in zip((4, 2, 0), self._alarm, strict=True)
        ]
        return next_alarm((self._calendar.time_of_day + second) % DAY, *wanted)

    def _shown(self, index: int) -> int:
        calendar = self._calendar
        if self._runs:
            calendar = calendar.after((self._seen - self._origin) // CRYSTAL_HERTZ)
        value = calendar.register(index)
        if index != 4 or self._b & B_24:
            return self._encoded(value)
        return self._encoded(value % 12 or 12) | (PM if value >= 12 else 0)

    def _encoded(self, value: int) -> int:
        return value if self._b & B_DM else value // 10 << 4 | value % 10

    def _decoded(self, index: int, value: int) -> int:
        afternoon = index == 4 and not self._b & B_24 and value & PM
        if index == 4 and not self._b & B_24:
            value &= ~PM
        number = value if self._b & B_DM else 10 * (value >> 4) + (value & 0x0F)
        if index == 4 and not self._b & B_24:
            number = number % 12 + (12 if afternoon else 0)
        return number

    def _drive(self) -> None:
        line = bool(self._c & self._b & (C_PF | C_AF | C_UF))
        self._c = self._c & ~C_IRQF | (C_IRQF if line else 0)
        if line != self._line:
            self._line = line
            self._irq(line)
