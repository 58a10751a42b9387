"""The VGA's registers in mode 3, its retrace, and what attributes mean."""

from __future__ import annotations

import pytest

from vizapp.machine.clock import Clock
from vizapp.machine.devices.text_attributes import text_attribute
from vizapp.machine.devices.vga import COLOR_NAMES, DOT_HERTZ, DOTS, LINES, Vga


class Machine:
    def __init__(self) -> None:
        self.cycles = 0
        self.vga = Vga(Clock(DOT_HERTZ, lambda: self.cycles))
        self.read, self.write = self.vga.read_port, self.vga.write_port


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.mark.parametrize(
    ("line", "dot", "status"),
    [(0, 0, 0), (0, 719, 0), (0, 720, 1), (399, 0, 0), (400, 0, 1), (412, 5, 9), (414, 0, 1)],
)
def test_the_retrace(machine, line, dot, status):
    machine.cycles = 7 * LINES * DOTS + line * DOTS + dot
    assert machine.read(0x3DA) == status


def test_the_retrace_comes_70_times_a_second(machine):
    rises, before = 0, 0
    for line in range(70 * LINES):
        machine.cycles = line * DOTS
        now = machine.read(0x3DA) & 8
        rises += now > before
        before = now
    assert rises == 70
    assert DOT_HERTZ // (LINES * DOTS) == 70


def test_the_attribute_registers_share_a_port(machine):
    machine.read(0x3DA)
    machine.write(0x3C0, 0x30)
    assert machine.read(0x3C1) == 0x0C
    assert machine.vga.blinks
    machine.write(0x3C0, 0x04)
    assert not machine.vga.blinks
    machine.write(0x3C0, 0x12)  # an index again
    assert machine.read(0x3C0) == 0x12


def test_indexed_registers(machine):
    for index, data, register, value in ((0x3C4, 0x3C5, 2, 0x0F), (0x3CE, 0x3CF, 5, 0x40)):
        machine.write(index, register)
        machine.write(data, value)
        assert (machine.read(index), machine.read(data)) == (register, value)
        machine.write(index, 0x77)
        machine.write(data, 1)
        assert machine.read(data) == 0
    assert machine.read(0x3CC) == 0x67


def test_the_sixteen_colours(machine):
    colors = dict(zip(COLOR_NAMES, map(machine.vga.color, range(16)), strict=True))
    assert colors["black"] == (0, 0, 0)
    assert colors["light gray"] == (0xAA, 0xAA, 0xAA)
    assert colors["brown"] == (0xAA, 0x55, 0)
    assert colors["light blue"] == (0x55, 0x55, 0xFF)
    assert colors["white"] == (0xFF, 0xFF, 0xFF)


def test_the_palette_can_be_loaded(machine):
    machine.write(0x3C8, 7)
    for gun in (63, 0, 31, 1, 2, 3):
        machine.write(0x3C9, gun)
    assert machine.vga.color(7) == (255, 0, 125)
    machine.write(0x3C7, 8)
    assert [machine.read(0x3C9) for _ in range(3)] == [1, 2, 3]


def test_attributes():
    assert text_attribute(0x1E).names == ("yellow", "blue")
    assert text_attribute(0x9E) == (14, 1, True)
    assert text_attribute(0x9E, blinks=False) == (14, 9, False)


def test_what_is_loaded_is_what_was_saved(machine):
    machine.write(0x3C4, 3)
    machine.write(0x3C0, 0x10)
    saved = machine.vga.save()
    machine.write(0x3C0, 0)
    machine.write(0x3C4, 1)
    machine.vga.load(saved)
    machine.write(0x3C0, 0x04)
    assert machine.read(0x3C4) == 3
    assert not machine.vga.blinks
