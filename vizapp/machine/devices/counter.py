"""One of the three counters of an 8254, as a function of the clock pulses since it was loaded.

    mode  OUT, for a count of N loaded at pulse 0             counting
    0     low, high from pulse N on                           N N-1 ... 0 FFFF ...
    1     low from the trigger for N pulses                   the same; GATE's rising edge loads
    2     low at each pulse where the count is 1              N N-1 ... 2 1 N ...
    3     high for (N+1)/2 pulses, low for N/2, rounded down  by twos, from N or, if odd, N-1
    4     low at pulse N only                                 as mode 0
    5     low at pulse N only                                 as mode 1

A count written at one pulse is loaded at the next. BCD counters count in decimal; only reading and writing
them shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

TERMINAL_COUNT, ONE_SHOT, RATE, SQUARE, SOFTWARE_STROBE, HARDWARE_STROBE = range(6)
PERIODIC = (RATE, SQUARE)
TRIGGERED = (ONE_SHOT, HARDWARE_STROBE)
STROBES = (SOFTWARE_STROBE, HARDWARE_STROBE)
LOW_BYTE, HIGH_BYTE, BOTH_BYTES = 1, 2, 3

STATUS_OUT = 1 << 7
STATUS_NULL = 1 << 6  # the count written last is not loaded yet

Saved: TypeAlias = Mapping[str, int | None]


class Counter:
    """One counter, its latches and its gate. Ticks are clock pulses since power-on."""

    _STATE = (
        "_control", "_gate", "_n", "_start", "_before", "_held", "_next_n", "_next_start", "_switch",
        "_register", "_first_byte", "_second_read", "_shown", "_latched", "_status",
    )  # fmt: skip

    def __init__(self) -> None:
        self._control = BOTH_BYTES << 4 | SQUARE << 1  # access, mode and BCD as last written
        self._gate = True
        self._n = 0x10000  # what the counting element was loaded with
        self._start: int | None = None  # the tick at which it was; None: waiting for a count or a trigger
        self._before = True  # OUT until then
        self._held: int | None = None  # pulses counted when the gate stopped it
        # A new count of a periodic mode waits for the end of the (half) period, at tick _switch.
        self._next_n: int | None = None
        self._next_start = 0
        self._switch = 0
        self._register: int | None = None  # the count as written, for triggers to load
        self._first_byte: int | None = None
        self._second_read = False
        self._shown = 0
        self._latched: int | None = None
        self._status: int | None = None

    @property
    def mode(self) -> int:
        """0 to 5; modes 6 and 7 are 2 and 3."""
        mode = self._control >> 1 & 7
        return mode & 3 if mode > 5 else mode

    @property
    def holds_count(self) -> bool:
        """Whether a count is latched, so that a further latch command changes nothing."""
        return self._latched is not None

    @property
    def shows_latched(self) -> bool:
        """Whether the next read shows something latched, not the running count."""
        return self._latched is not None or self._status is not None

    def control(self, word: int) -> None:
        """Program the counter: access, mode and BCD, the low six bits of a control word. OUT is reset."""
        self._control = word
        self._start = self._held = self._next_n = self._register = None
        self._first_byte = self._latched = self._status = None
        self._before, self._second_read = self.mode != TERMINAL_COUNT, False

    def write(self, value: int, tick: int) -> None:
        """A byte of the count."""
        access = self._control >> 4
        if access == BOTH_BYTES and self._first_byte is None:
            self._first_byte = value
            if self.mode == TERMINAL_COUNT:
                self._start, self._before = None, False  # the first byte stops the count, and OUT goes low
            return
        low = value if access == LOW_BYTE else 0 if access == HIGH_BYTE else self._first_byte or 0
        self._first_byte = None
        self._set_count(low if access == LOW_BYTE else low | value << 8, tick)

    def set_gate(self, gate: bool, tick: int) -> None:
        """Drive GATE; a rising edge is a trigger."""
        if gate == self._gate:
            return
        self._settle(tick)
        if not gate:
            if self.mode not in TRIGGERED and self._start is not None:
                self._held = max(0, tick - self._start)
        elif self.mode in TRIGGERED or self.mode in PERIODIC:
            if self._register is not None:
                self._load(self._register, tick)
        elif self._held is not None and self._start is not None:
            self._start, self._held = max(self._start, tick - self._held), None
        self._gate = gate

    def out(self, tick: int) -> bool:
        """The level of OUT."""
        self._settle(tick)
        mode, pulses = self.mode, self._pulses(tick)
        if pulses is None or pulses < 0:
            return self._before
        if mode in (TERMINAL_COUNT, ONE_SHOT):
            return pulses >= self._n
        if mode in STROBES:
            return pulses != self._n
        if not self._gate:
            return True
        phase = pulses % self._n
        return phase < self._high() if mode == SQUARE else phase < self._n - 1 or self._n == 1

    def next_edge(self, tick: int) -> int | None:
        """The first tick after ``tick`` at which OUT changes, None if it never does by itself."""
        self._settle(tick)
        mode, start = self.mode, self._start
        if start is None or self._held is not None or (not self._gate and mode in PERIODIC):
            return None
        if mode in PERIODIC:
            return self._next_periodic_edge(tick, start)
        if tick < start and self.out(start) != self._before:
            return start
        end = start + self._n
        if tick < end:
            return end
        return end + 1 if mode in STROBES and tick == end else None

    def count(self, tick: int) -> int:
        """The 16 bits that reading the counter gives, in BCD if it counts so."""
        self._settle(tick)
        pulses = self._pulses(tick)
        value = self._n if pulses is None or pulses < 0 else self._count_after(pulses)
        return self._encode(value % self._base())

    def status(self, tick: int) -> int:
        """The status byte: OUT, null count and the control word."""
        loaded = self._start is not None and tick >= self._start and self._next_n is None
        return (STATUS_OUT if self.out(tick) else 0) | (0 if loaded else STATUS_NULL) | self._control

    def latch(self, count: int) -> None:
        """Hold ``count`` until it has been read."""
        self._latched = count
        self._second_read = False

    def latch_status(self, status: int) -> None:
        """Hold ``status`` until it has been read, before any count; one already held stays."""
        if self._status is None:
            self._status = status

    def show(self, count: int) -> None:
        """Give the count that ``read`` sees where nothing is latched."""
        self._shown = count

    def read(self) -> int:
        """A byte of the status, of the latched count or of the running one, in this order."""
        if self._status is not None:
            status, self._status = self._status, None
            return status
        access = self._control >> 4
        value = self._shown if self._latched is None else self._latched
        high = access == HIGH_BYTE or (access == BOTH_BYTES and self._second_read)
        if access == BOTH_BYTES:
            self._second_read = not self._second_read
        if not self._second_read:
            self._latched = None
        return value >> 8 if high else value & 0xFF

    def save(self) -> dict[str, int | None]:
        """All registers, as plain data."""
        return {name: getattr(self, name) for name in self._STATE}

    def load(self, saved: Saved) -> None:
        """Take up where ``save`` left off."""
        for name in self._STATE:
            setattr(self, name, saved[name])

    def _base(self) -> int:
        return 10_000 if self._control & 1 else 0x10000

    def _high(self) -> int:
        return self._n + 1 >> 1

    def _encode(self, value: int) -> int:
        return int(str(value), 16) if self._control & 1 else value

    def _decode(self, written: int) -> int:
        """The count that was written: 0 stands for the largest."""
        digits = (written >> shift & 0xF for shift in (12, 8, 4, 0))
        thousands, hundreds, tens, ones = digits
        decimal = ((thousands * 10 + hundreds) * 10 + tens) * 10 + ones
        return (decimal if self._control & 1 else written) or self._base()

    def _pulses(self, tick: int) -> int | None:
        """Clock pulses since the counter was loaded: -1 just before that, None if it waits."""
        if self._held is not None:
            return self._held
        return None if self._start is None else tick - self._start

    def _count_after(self, pulses: int) -> int:
        if self.mode == RATE:
            return self._n - pulses % self._n
        if self.mode == SQUARE:
            phase = pulses % self._n
            return (self._n & ~1) - 2 * (phase if phase < self._high() else phase - self._high())
        return self._n - pulses

    def _set_count(self, written: int, tick: int) -> None:
        self._settle(tick)
        self._register = self._decode(written)
        if self.mode in TRIGGERED:
            return
        if self.mode in PERIODIC and self._start is not None and tick >= self._start:
            self._next_n = self._register
            self._plan_switch(tick - self._start, self._start)
        else:
            self._load(self._register, tick)
            if not self._gate:
                self._held = 0

    def _load(self, count: int, tick: int) -> None:
        self._before = self.mode != TERMINAL_COUNT and self.out(tick)
        self._n, self._start, self._held, self._next_n = count, tick + 1, None, None

    def _plan_switch(self, pulses: int, start: int) -> None:
        """Take the new count at the end of the period, in mode 3 of the half period."""
        assert self._next_n is not None
        phase = pulses % self._n
        period_start = start + pulses - phase
        if self.mode == SQUARE and phase < self._high():
            # The low half is the next: as if a period of the new count had begun its own high half ago.
            self._switch = period_start + self._high()
            self._next_start = self._switch - (self._next_n + 1 >> 1)
        else:
            self._switch = self._next_start = period_start + self._n

    def _settle(self, tick: int) -> None:
        if self._next_n is not None and tick >= self._switch and self._held is None:
            self._n, self._start, self._next_n = self._next_n, self._next_start, None

    def _next_periodic_edge(self, tick: int, start: int) -> int | None:
        if self._n == 1:
            return None
        # The falling edge comes at this phase, the rising one at the end of the period.
        falling = self._high() if self.mode == SQUARE else self._n - 1
        if tick < start:
            return start + falling
        phase = (tick - start) % self._n
        return tick - phase + (falling if phase < falling else self._n)
