"""An 8254 interval timer as in the PC/AT (Intel 8254 datasheet), and system control port B at 61h.

    channel 0  OUT ──▶ IRQ0
    channel 1  OUT ──▶ memory refresh, bit 4 of port 61h toggles with it
    channel 2  OUT ──▶ bit 5 of port 61h and the speaker; GATE ◀── bit 0 of port 61h

The counters do not tick: a counter remembers the clock pulse at which it was loaded, and its value and its
output are worked out from the pulses since then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from vizapp.machine.clock import Clock
from vizapp.machine.devices.counter import Counter

PIT_HERTZ = 1_193_182
PIT_PORTS = range(0x40, 0x44)
CONTROL_PORT = 0x43
PORT_B = 0x61
REFRESH_PULSES = 18  # what the firmware loads into channel 1: a row is refreshed each 15 us

# Control word: SC1 SC0 RW1 RW0 | M2 M1 M0 BCD
READ_BACK = 3  # in SC
READ_BACK_NO_COUNT = 1 << 5
READ_BACK_NO_STATUS = 1 << 4
# Port 61h: parity checks, refresh, timer
PORT_B_GATE2 = 1 << 0
PORT_B_WRITABLE = 0x0F
PORT_B_REFRESH = 1 << 4
PORT_B_OUT2 = 1 << 5

ReadTime: TypeAlias = Callable[[str, int], int]


class Pit:
    """Three counters on one clock. A port device and a timed device; registers itself with ``clock``.

    ``irq`` is called with the level of channel 0's output at each change. Every value that depends on time
    goes through ``read_time(source, value)``, whose answer the guest gets instead: a recorder or a replayer.
    Sources are ``pit0`` to ``pit2`` for a count, ``pit0-status`` and so on, and ``port-61``.
    """

    def __init__(self, clock: Clock, irq: Callable[[bool], None], read_time: ReadTime | None = None) -> None:
        self.read_time = read_time
        self._clock = clock
        self._irq = irq
        self._counters = tuple(Counter() for _ in range(3))
        self._port_b = PORT_B_GATE2
        self._seen = 0  # the clock pulse up to which channel 0's output has been driven
        self._out = True  # that output then
        clock.register(self)

    @property
    def output(self) -> bool:
        """The level of channel 0's output, as it was last driven."""
        return self._out

    def read_port(self, port: int) -> int:
        """IN from 40h-43h or 61h; the control register cannot be read."""
        self.advance(self._clock.now())
        tick = self._tick()
        if port == PORT_B:
            return self._read_port_b(tick)
        if port == CONTROL_PORT:
            return 0xFF
        channel = port - PIT_PORTS.start
        counter = self._counters[channel]
        if not counter.shows_latched:
            counter.show(self._timed(f"pit{channel}", counter.count(tick)))
        return counter.read()

    def write_port(self, port: int, value: int) -> None:
        """OUT to 40h-43h or 61h."""
        self.advance(self._clock.now())
        tick = self._tick()
        if port == PORT_B:
            self._port_b = value & PORT_B_WRITABLE
            self._counters[2].set_gate(bool(value & PORT_B_GATE2), tick)
        elif port == CONTROL_PORT:
            self._write_control(value, tick)
        else:
            self._counters[port - PIT_PORTS.start].write(value, tick)
        self._drive(self._counters[0].out(tick))
        self._clock.refresh()

    def next_event(self, cycles: int) -> int | None:
        """The first cycle after ``cycles`` at which channel 0's output changes, None if it stays."""
        tick = self._counters[0].next_edge(self._clock.ticks(cycles, PIT_HERTZ))
        return None if tick is None else self._clock.cycle_of(tick, PIT_HERTZ)

    def advance(self, cycles: int) -> None:
        """Drive IRQ0 as channel 0's output went up to ``cycles``; several pulses merge into one."""
        tick = self._clock.ticks(cycles, PIT_HERTZ)
        edge = self._counters[0].next_edge(self._seen)
        self._seen = tick
        if edge is not None and edge <= tick:
            self._drive(False)
            self._drive(self._counters[0].out(tick))

    def save(self) -> dict[str, object]:
        """The three counters and port 61h, as plain data."""
        return {
            "counters": tuple(counter.save() for counter in self._counters),
            "port_b": self._port_b,
            "seen": self._seen,
            "out": self._out,
        }

    def load(self, saved: Mapping[str, object]) -> None:
        """Take up where ``save`` left off; the clock must already show the time of then."""
        counters, port_b, seen = saved["counters"], saved["port_b"], saved["seen"]
        assert isinstance(counters, tuple)
        assert isinstance(port_b, int)
        assert isinstance(seen, int)
        for counter, state in zip(self._counters, counters, strict=True):
            counter.load(state)
        self._port_b, self._seen, self._out = port_b, seen, bool(saved["out"])
        self._clock.refresh()

    def _tick(self) -> int:
        return self._clock.ticks(self._clock.now(), PIT_HERTZ)

    def _timed(self, source: str, value: int) -> int:
        return value if self.read_time is None else self.read_time(source, value)

    def _read_port_b(self, tick: int) -> int:
        refresh = PORT_B_REFRESH if tick // REFRESH_PULSES & 1 else 0
        timer = PORT_B_OUT2 if self._counters[2].out(tick) else 0
        return self._timed("port-61", self._port_b | refresh | timer)

    def _write_control(self, value: int, tick: int) -> None:
        channel = value >> 6
        if channel != READ_BACK:
            counter = self._counters[channel]
            if value >> 4 & 3:
                counter.control(value & 0x3F)
            elif not counter.holds_count:
                counter.latch(self._timed(f"pit{channel}", counter.count(tick)))
            return
        for number, counter in enumerate(self._counters):
            if not value >> number + 1 & 1:
                continue
            if not value & READ_BACK_NO_COUNT and not counter.holds_count:
                counter.latch(self._timed(f"pit{number}", counter.count(tick)))
            if not value & READ_BACK_NO_STATUS:
                counter.latch_status(self._timed(f"pit{number}-status", counter.status(tick)))

    def _drive(self, level: bool) -> None:
        if level != self._out:
            self._out = level
            self._irq(level)
