"""The MC146818 against its datasheet: formats, updates, alarms, rates, and the firmware's memory."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vizapp.machine.clock import Clock
from vizapp.machine.devices.calendar import Calendar, next_alarm
from vizapp.machine.devices.rtc import Rtc

HERTZ = 1_000_000
START = datetime(2008, 2, 28, 23, 59, 58)


class Machine:
    def __init__(self, start: datetime = START, memory: int = 64 << 20) -> None:
        self.cycles = 0
        self.levels: list[bool] = []
        self.clock = Clock(HERTZ, lambda: self.cycles)
        self.rtc = Rtc(self.clock, self.levels.append, start, memory)

    def read(self, index: int) -> int:
        self.rtc.write_port(0x70, index)
        return self.rtc.read_port(0x71)

    def write(self, index: int, value: int) -> None:
        self.rtc.write_port(0x70, index)
        self.rtc.write_port(0x71, value)

    def wait(self, seconds: float) -> None:
        end = self.cycles + round(seconds * HERTZ)
        while self.clock.due <= end:
            self.cycles = max(self.cycles, self.clock.due)
            self.clock.advance()
        self.cycles = end
        self.clock.advance()

    def date(self) -> tuple[int, ...]:
        return tuple(self.read(index) for index in (0x32, 9, 8, 7, 4, 2, 0))


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_the_date_is_bcd_and_leaps(machine):
    assert machine.date() == (0x20, 0x08, 0x02, 0x28, 0x23, 0x59, 0x58)
    assert machine.read(6) == 5  # a Thursday
    machine.wait(2)
    assert machine.date() == (0x20, 0x08, 0x02, 0x29, 0, 0, 0)
    assert machine.read(6) == 6


def test_binary_and_twelve_hours(machine):
    machine.write(0x0B, 0x04)
    assert (machine.read(4), machine.read(0)) == (0x80 | 11, 58)
    machine.write(0x0B, 0x00)
    assert machine.read(4) == 0x91
    machine.wait(2)
    assert machine.read(4) == 0x12  # midnight
    machine.write(4, 0x92)
    machine.write(0x0B, 0x02)
    assert machine.read(4) == 0x12  # noon


def test_set_stops_the_clock_until_it_is_set(machine):
    machine.write(0x0B, 0x82)
    for index, value in ((0, 0x30), (2, 0x15), (4, 0x10), (7, 0x31), (8, 0x12), (9, 0x99), (0x32, 0x19)):
        machine.write(index, value)
    machine.wait(5)
    assert machine.date() == (0x19, 0x99, 0x12, 0x31, 0x10, 0x15, 0x30)
    machine.write(0x0B, 0x02)
    machine.wait(1)
    assert machine.read(0) == 0x31
    machine.wait(14 * 3600)
    assert machine.date()[:4] == (0x20, 0, 0x01, 0x01)


def test_uip_announces_the_update_by_244_microseconds(machine):
    machine.wait(0.9976)
    assert not machine.read(0x0A) & 0x80
    machine.wait(0.0004)
    assert machine.read(0x0A) & 0x80
    machine.wait(0.002)
    assert not machine.read(0x0A) & 0x80
    assert machine.read(0) == 0x59


def test_the_divider_starts_with_half_a_second(machine):
    machine.write(0x0A, 0x76)
    machine.wait(3)
    assert machine.read(0) == 0x58
    machine.write(0x0A, 0x26)
    machine.wait(0.49)
    assert machine.read(0) == 0x58
    machine.wait(0.02)
    assert machine.read(0) == 0x59


@pytest.mark.parametrize(
    ("rate", "hertz"), [(1, 256), (2, 128), (3, 8192), (6, 1024), (9, 128), (13, 8), (15, 2)]
)
def test_periodic_interrupts(machine, rate, hertz):
    machine.write(0x0A, 0x20 | rate)
    machine.write(0x0B, 0x42)
    machine.read(0x0C)
    for count in (1, 2, 3):
        assert machine.clock.due == -(-count * HERTZ // hertz)
        machine.cycles = machine.clock.due
        machine.clock.advance()
        assert machine.levels[-1]
        assert machine.read(0x0C) & 0xC0 == 0xC0
        assert not machine.levels[-1]


def test_reading_c_is_what_ends_an_interrupt(machine):
    machine.write(0x0B, 0x42)
    machine.wait(0.5)
    assert machine.levels == [True]
    assert machine.read(0x0C) == 0xC0
    assert machine.read(0x0C) == 0


def test_flags_are_set_whether_they_interrupt_or_not(machine):
    machine.wait(1)
    assert machine.levels == []
    assert machine.read(0x0C) == 0x50
    machine.wait(1)
    machine.write(0x0B, 0x12)  # a flag that is set interrupts as soon as it is enabled
    assert machine.levels == [True]


def test_update_ended_comes_each_second_and_not_with_set(machine):
    machine.write(0x0B, 0x12)
    machine.read(0x0C)
    assert machine.clock.due == HERTZ
    machine.write(0x0B, 0x92)
    assert machine.read(0x0B) == 0x82


def test_the_alarm(machine):
    for index, value in ((5, 0x00), (3, 0x01), (1, 0x30)):
        machine.write(index, value)
    machine.write(0x0B, 0x22)
    machine.read(0x0C)
    assert machine.clock.due == 92 * HERTZ
    machine.wait(92)
    assert machine.levels == [True]
    assert machine.read(0x0C) & 0xA0 == 0xA0
    for index in (5, 3):
        machine.write(index, 0xFF)
    assert machine.clock.due == (92 + 60) * HERTZ


def test_an_alarm_that_names_no_time_never_comes(machine):
    machine.write(1, 0x75)
    machine.write(0x0B, 0x22)
    assert machine.clock.deadline() is None


def test_memory_sizes_and_their_checksum(machine):
    base = machine.read(0x15) | machine.read(0x16) << 8
    extended = machine.read(0x30) | machine.read(0x31) << 8
    high = machine.read(0x34) | machine.read(0x35) << 8
    assert (base, extended, high) == (640, 63 << 10, 48 << 4)
    total = sum(machine.read(index) for index in range(0x10, 0x2E))
    assert total == machine.read(0x2E) << 8 | machine.read(0x2F)
    assert machine.read(0x0D) == 0x80
    machine.write(0x40, 0xA5)
    assert machine.read(0x40) == 0xA5


def test_bit_7_of_the_index_masks_nmi(machine):
    machine.rtc.write_port(0x70, 0x8F)
    assert not machine.rtc.nmi_enabled
    machine.rtc.write_port(0x70, 0x0F)
    assert machine.rtc.nmi_enabled


def test_what_is_loaded_goes_on_as_what_was_saved(machine):
    machine.write(0x0B, 0x52)
    machine.wait(1.3)
    saved = machine.rtc.save()
    machine.wait(0.7)
    expected = (machine.date(), machine.read(0x0C), machine.clock.due)
    machine.cycles -= round(0.7 * HERTZ)
    machine.rtc.load(saved)
    machine.wait(0.7)
    assert (machine.date(), machine.read(0x0C), machine.clock.due) == expected


def test_times_pass_through_a_recorder():
    cycles = 0
    seen = []

    def replay(source: str, value: int) -> int:
        seen.append(source)
        return 0x42 if source == "rtc-00" else value

    rtc = Rtc(Clock(HERTZ, lambda: cycles), lambda level: None, START, 1 << 20, replay)
    rtc.write_port(0x70, 0)
    assert rtc.read_port(0x71) == 0x42
    rtc.write_port(0x70, 0x15)
    rtc.read_port(0x71)
    assert seen == ["rtc-00"]


@given(st.datetimes(datetime(1980, 1, 1), datetime(2079, 1, 1)), st.integers(1, 10**9))
def test_the_calendar_agrees_with_the_library_s(start, seconds):
    start = start.replace(microsecond=0)
    assert Calendar.of(start).after(seconds) == Calendar.of(start + timedelta(seconds=seconds))


@given(
    st.integers(0, 86399),
    st.none() | st.integers(0, 25),
    st.none() | st.integers(0, 61),
    st.none() | st.integers(0, 61),
)
def test_the_next_alarm_is_the_first_that_fits(now, hour, minute, second):
    wait = next_alarm(now, hour, minute, second)
    fields = [(hour, 3600, 24), (minute, 60, 60), (second, 1, 60)]
    if any(wanted is not None and wanted >= top for wanted, _, top in fields):
        assert wait is None
        return

    def fits(at: int) -> bool:
        return all(wanted is None or at % 86400 // unit % top == wanted for wanted, unit, top in fields)

    assert wait is not None
    assert fits(now + wait)
    assert not any(fits(at) for at in range(now + 1, now + min(wait, 3700)))
