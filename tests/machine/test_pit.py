"""The 8254: each mode against a model that ticks as the datasheet tells, and the port protocol."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vizapp.machine.clock import Clock
from vizapp.machine.devices.counter import Counter
from vizapp.machine.devices.pit import PIT_HERTZ, Pit


class TickingCounter:
    """The datasheet's mode definitions, one clock pulse at a time."""

    def __init__(self, mode: int, base: int) -> None:
        self.mode, self.base = mode, base
        self.register: int | None = None
        self.element: int | None = None
        self.load = self.counting = self.armed = False
        self.gate, self.out = True, mode != 0
        self.odd = False

    def write(self, count: int) -> None:
        self.register = count or self.base
        if self.mode == 0:
            self.out = False
        if self.mode in (0, 4) or (self.mode in (2, 3) and not self.counting):
            self.load = True

    def set_gate(self, gate: bool) -> None:
        rising = gate and not self.gate
        self.gate = gate
        if self.mode in (2, 3) and not gate:
            self.out = True
        if rising and self.mode in (1, 2, 3, 5) and self.register is not None:
            self.load = True

    def clock(self) -> None:
        if self.load:
            self._reload()
            self.load, self.counting, self.armed = False, True, True
            self.out = self.mode not in (0, 1)
        elif self.counting and (self.gate or self.mode in (1, 5)):
            getattr(self, f"_count_{'strobe' if self.mode > 3 else self.mode}")()

    def _reload(self) -> None:
        self.element, self.odd = self.register, bool(self.register & 1)
        if self.mode == 3:
            self.element &= ~1

    def _count_0(self) -> None:
        self.element = (self.element - 1) % self.base
        self.out = self.out or self.element == 0

    _count_1 = _count_0

    def _count_2(self) -> None:
        if self.element == 1:
            self._reload()
        else:
            self.element -= 1
        self.out = self.element != 1

    def _count_3(self) -> None:
        if self.element == (0 if self.out and self.odd else 2):
            self.out = not self.out
            self._reload()
        else:
            self.element -= 2

    def _count_strobe(self) -> None:
        self.element = (self.element - 1) % self.base
        self.out = not (self.armed and self.element == 0)
        self.armed = self.armed and self.element != 0


deeds = st.lists(
    st.one_of(st.none(), st.none(), st.none(), st.integers(2, 9), st.sampled_from(["gate off", "gate on"])),
    max_size=40,
)


@pytest.mark.parametrize("bcd", [0, 1])
@pytest.mark.parametrize("mode", range(6))
@settings(max_examples=40)
@given(script=deeds)
def test_a_counter_does_what_ticking_would_do(mode, bcd, script):
    counter, model = Counter(), TickingCounter(mode, 10_000 if bcd else 0x10000)
    counter.control(0b01_0000 | mode << 1 | bcd)
    for tick, deed in enumerate(script):
        edge = counter.next_edge(tick - 1)
        assert edge is None or edge >= tick
        if isinstance(deed, int):
            counter.write(deed, tick)
            model.write(deed)
        elif deed is not None and mode != 4:
            counter.set_gate(deed == "gate on", tick)
            model.set_gate(deed == "gate on")
        assert counter.out(tick) == model.out
        if model.counting and not model.load:
            shown = counter.count(tick)
            assert (int(f"{shown:x}") if bcd else shown) == model.element % model.base
        predicted, before = counter.next_edge(tick), model.out
        model.clock()
        if tick + 1 < len(script):
            assert (predicted == tick + 1) == (model.out != before)


class Bench:
    """A timer on a clock that the test turns, with what it did to IRQ0."""

    def __init__(self, hertz: int = 10 * PIT_HERTZ, read_time=None) -> None:
        self.cycles = 0
        self.levels: list[tuple[int, bool]] = []
        self.clock = Clock(hertz, lambda: self.cycles)
        self.pit = Pit(self.clock, lambda level: self.levels.append((self.cycles, level)), read_time)

    def out(self, *writes: tuple[int, int]) -> None:
        for port, value in writes:
            self.pit.write_port(port, value)

    def run(self, until: int) -> None:
        """To each deadline in turn, as the processor does."""
        while (due := self.clock.deadline()) is not None and due <= until:
            self.cycles = due
            self.clock.advance()
        self.cycles = until

    def read(self, port: int, count: int = 1) -> list[int]:
        return [self.pit.read_port(port) for _ in range(count)]


def test_an_unprogrammed_timer_never_acts():
    bench = Bench()
    assert bench.clock.deadline() is None
    bench.run(10**9)
    assert bench.levels == []


def test_mode_2_interrupts_each_n_pulses():
    bench = Bench()
    bench.out((0x43, 0x34), (0x40, 4), (0x40, 0))
    bench.run(100)
    rises = [cycle for cycle, level in bench.levels if level]
    assert rises == [50, 90]  # loaded at the pulse of cycle 10, then each 4 pulses of 10 cycles
    assert [cycle for cycle, level in bench.levels if not level] == [40, 80]


def test_mode_3_is_a_square_wave():
    bench = Bench()
    bench.out((0x43, 0x36), (0x40, 5), (0x40, 0))
    bench.run(120)
    assert bench.levels == [(40, False), (60, True), (90, False), (110, True)]


def test_mode_0_interrupts_once_and_again_when_rearmed():
    bench = Bench()
    bench.out((0x43, 0x30), (0x40, 3), (0x40, 0))
    bench.run(1000)
    bench.out((0x40, 2), (0x40, 0))
    bench.run(2000)
    assert bench.levels == [(0, False), (40, True), (1000, False), (1030, True)]


def test_time_does_not_drift_over_an_hour():
    bench = Bench(hertz=3_800_000_000)
    bench.out((0x43, 0x34), (0x40, 0xFF), (0x40, 0xFF))
    hour = 3600 * 3_800_000_000
    bench.cycles = hour
    bench.clock.advance()
    pulses = 3600 * PIT_HERTZ
    expected = 0xFFFF - (pulses - 1) % 0xFFFF
    bench.out((0x43, 0x00))
    low, high = bench.read(0x40, 2)
    assert low | high << 8 == expected


def test_pulses_missed_while_nobody_looked_merge_into_one():
    bench = Bench()
    bench.out((0x43, 0x34), (0x40, 4), (0x40, 0))
    bench.cycles = 55
    bench.clock.advance()
    bench.cycles = 1015
    bench.clock.advance()
    assert bench.levels == [(55, False), (55, True), (1015, False), (1015, True)]


def test_a_latched_count_stays_while_the_counter_runs():
    bench = Bench()
    bench.out((0x43, 0xB4), (0x42, 0x34), (0x42, 0x12))
    bench.cycles = 10 + 0x35 * 10
    bench.out((0x43, 0x80))
    bench.cycles += 1000
    bench.out((0x43, 0x80))  # a second latch command changes nothing
    assert bench.read(0x42, 2) == [0xFF, 0x11]
    low, high = bench.read(0x42, 2)
    assert low | high << 8 == 0x11FF - 100


def test_read_back_gives_status_before_count():
    bench = Bench()
    bench.out((0x43, 0xB6), (0x42, 100))
    bench.out((0x43, 0xE8))
    assert bench.read(0x42) == [0b1111_0110]  # OUT high, count not written whole
    bench.out((0x42, 0))
    bench.cycles = 10 + 60 * 10
    bench.out((0x43, 0xC8))
    assert bench.read(0x42, 3) == [0b0011_0110, 80, 0]  # OUT low, counting by twos in the second half


def test_access_modes_read_and_write_one_byte():
    bench = Bench()
    bench.out((0x43, 0x94), (0x42, 200))
    bench.cycles = 10
    assert bench.read(0x42, 2) == [200, 200]
    bench.out((0x43, 0xA4), (0x42, 2))
    bench.cycles = 20
    assert bench.read(0x42, 2) == [2, 2]
    assert bench.read(0x43) == [0xFF]


def test_bcd_counts_in_decimal():
    bench = Bench()
    bench.out((0x43, 0xB5), (0x42, 0x00), (0x42, 0x10))
    bench.cycles = 20
    assert bench.read(0x42, 2) == [0x99, 0x09]
    bench.out((0x43, 0xB5), (0x42, 0), (0x42, 0))
    bench.cycles = 40
    assert bench.read(0x42, 2) == [0x99, 0x99]


def test_port_61_gates_channel_2_and_shows_its_output():
    bench = Bench()
    bench.out((0x61, 0), (0x43, 0xB0), (0x42, 3), (0x42, 0))
    bench.cycles = 1000
    assert bench.read(0x61)[0] & 0x2F == 0
    bench.out((0x61, 3))
    bench.cycles = 1020
    assert bench.read(0x61)[0] & 0x2F == 0x03
    bench.cycles = 1030
    assert bench.read(0x61)[0] & 0x2F == 0x23


def test_the_refresh_bit_toggles_each_18_pulses():
    bench = Bench()
    seen = []
    for bench.cycles in (0, 170, 180, 350, 360):
        seen.append(bench.read(0x61)[0] >> 4 & 1)
    assert seen == [0, 0, 1, 1, 0]


def test_every_time_valued_read_goes_through_the_hook():
    asked = []

    def replayed(source: str, value: int) -> int:
        asked.append((source, value))
        return 0x1234 if source in ("pit0", "pit1", "pit2") else 0x56

    bench = Bench(read_time=replayed)
    bench.out((0x43, 0x34), (0x40, 10), (0x40, 0))
    bench.cycles = 30
    bench.out((0x43, 0xC2))
    assert bench.read(0x40, 3) == [0x56, 0x34, 0x12]
    bench.out((0x43, 0x00))
    bench.out((0x43, 0x00))
    assert bench.read(0x40, 2) == [0x34, 0x12]
    bench.read(0x40)
    bench.read(0x61)
    assert [source for source, _ in asked] == ["pit0", "pit0-status", "pit0", "pit0", "port-61"]
    assert asked[0] == ("pit0", 8)


def test_a_new_count_waits_for_the_end_of_the_period_also_when_read():
    bench = Bench()
    bench.out((0x43, 0x34), (0x40, 4), (0x40, 0))
    bench.cycles = 20
    bench.out((0x40, 6), (0x40, 0))
    bench.cycles = 55
    bench.read(0x40, 2)  # past the switch, before the clock was asked to act
    bench.run(120)
    assert [cycle for cycle, level in bench.levels if level] == [55, 110]


def test_a_checkpoint_takes_up_where_it_left_off():
    bench = Bench()
    bench.out((0x43, 0x36), (0x40, 7), (0x40, 0), (0x43, 0xB0), (0x42, 9))
    bench.run(33)
    bench.out((0x40, 4), (0x40, 0), (0x43, 0x00))
    saved = bench.pit.save()
    assert json.loads(json.dumps(saved))["seen"] == 3
    other = Bench()
    other.cycles = 33
    other.pit.load(saved)
    bench.levels.clear()
    for one in (bench, other):
        one.run(300)
    assert other.levels == bench.levels
    assert other.levels
    assert other.read(0x40, 4) == bench.read(0x40, 4)
    assert other.pit.save() == bench.pit.save()
