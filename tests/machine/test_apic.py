"""The local APIC and the I/O APIC against Intel's manuals: priorities, messages, timer, redirection."""

from __future__ import annotations

import pytest

from vizapp.machine.clock import Clock
from vizapp.machine.devices.apic import LocalApic, Register
from vizapp.machine.devices.apic_timer import ApicTimer
from vizapp.machine.devices.ioapic import IoApic
from vizapp.machine.devices.vector_set import VectorSet

MASKED = 1 << 16
LEVEL = 1 << 15
REMOTE_IRR = 1 << 14


class Pics:
    intr = False

    def acknowledge(self) -> int:
        self.intr = False
        return 0x99


class Machine:
    def __init__(self) -> None:
        self.cycles = 0
        self.nmis = 0
        self.resets = 0
        self.clock = Clock(1_000_000_000, lambda: self.cycles)
        self.pics = Pics()
        self.timer = ApicTimer(self.clock)
        self.apic = LocalApic(self.pics, self.timer, self.nmi, self.initialize)
        self.io = IoApic(self.apic)

    def nmi(self) -> None:
        self.nmis += 1

    def initialize(self) -> None:
        self.resets += 1

    def read(self, register: int) -> int:
        return self.apic.read(register, 4)

    def write(self, register: int, value: int) -> None:
        self.apic.write(register, 4, value)

    def redirect(self, pin: int, value: int) -> None:
        for half in (0, 1):
            self.io.write(0x00, 4, 0x10 + 2 * pin + half)
            self.io.write(0x10, 4, value >> 32 * half & 0xFFFF_FFFF)

    def entry(self, pin: int) -> int:
        values = []
        for half in (0, 1):
            self.io.write(0x00, 4, 0x10 + 2 * pin + half)
            values.append(self.io.read(0x10, 4))
        return values[0] | values[1] << 32

    def at(self, cycles: int) -> None:
        self.cycles = cycles
        self.clock.advance()


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_what_firmware_leaves_behind(machine):
    assert machine.read(Register.ID) == 0
    assert machine.read(Register.VERSION) == 0x50014
    assert machine.read(Register.SVR) == 0x1FF
    assert machine.read(Register.DFR) == 0xFFFF_FFFF
    assert machine.read(Register.LVT_TIMER) == MASKED
    assert machine.read(Register.LVT_LINT0) == 0x8700
    assert machine.read(Register.LVT_LINT1) == 0x8400


def test_virtual_wire_passes_the_8259s_through(machine):
    machine.pics.intr = True
    assert machine.apic.intr
    assert machine.apic.acknowledge() == 0x99
    assert not machine.apic.intr
    machine.pics.intr = True
    machine.write(Register.LVT_LINT0, MASKED)
    assert not machine.apic.intr


def test_interrupts_go_by_class(machine):
    for vector in (0x41, 0x52, 0x53):
        machine.apic.accept(vector)
    assert machine.apic.acknowledge() == 0x53
    assert not machine.apic.intr  # 52h is of the same class
    machine.apic.accept(0x61)
    assert machine.apic.acknowledge() == 0x61
    assert machine.read(Register.PPR) == 0x60
    assert machine.read(0x100 + 0x20) == 1 << 0x13
    for expected in (0x52, 0x41):
        while not machine.apic.intr:
            machine.write(Register.EOI, 0)
        assert machine.apic.acknowledge() == expected


def test_the_task_priority_holds_interrupts_back(machine):
    machine.write(Register.TPR, 0x45)
    machine.apic.accept(0x4F)
    assert not machine.apic.intr
    assert machine.read(0x200 + 0x20) == 1 << 0x0F
    machine.write(Register.TPR, 0x3F)
    assert machine.apic.intr
    assert machine.read(Register.PPR) == 0x3F


def test_an_interrupt_that_is_gone_is_spurious(machine):
    machine.write(Register.SVR, 0x1EF)
    assert machine.apic.acknowledge() == 0xEF
    machine.write(Register.EOI, 0)
    assert machine.read(Register.PPR) == 0


def test_a_disabled_apic_masks_its_local_vectors(machine):
    machine.write(Register.LVT_TIMER, 0x20)
    machine.write(Register.SVR, 0xFF)
    assert machine.read(Register.LVT_TIMER) == MASKED | 0x20
    machine.write(Register.LVT_TIMER, 0x20)
    assert machine.read(Register.LVT_TIMER) & MASKED
    machine.apic.accept(0x50)
    assert not machine.apic.intr


@pytest.mark.parametrize(
    ("low", "high", "vector"),
    [
        (0x0004_0051, 0, 0x51),  # self
        (0x0008_0051, 0, 0x51),  # all
        (0x000C_0051, 0, None),  # all but self
        (0x0000_0051, 0, 0x51),  # physical, ID 0
        (0x0000_0051, 0x0100_0000, None),
        (0x0000_0051, 0xFF00_0000, 0x51),
        (0x0000_0951, 0x0200_0000, 0x51),  # logical, lowest priority
        (0x0000_0851, 0x0100_0000, None),
    ],
)
def test_messages(machine, low, high, vector):
    machine.write(Register.LDR, 0x0200_0000)
    machine.write(Register.ICR_HIGH, high)
    machine.write(Register.ICR, low)
    assert machine.read(Register.ICR) == low
    assert machine.apic.intr == (vector is not None)
    if vector is not None:
        assert machine.apic.acknowledge() == vector


def test_starting_other_processors_is_accepted(machine):
    machine.write(Register.ICR_HIGH, 0x0100_0000)
    for low in (0x0000_C500, 0x0000_8500, 0x0000_0608, 0x0008_8500):
        machine.write(Register.ICR, low)
        assert not machine.read(Register.ICR) & 1 << 12
    assert (machine.resets, machine.apic.intr) == (0, False)
    machine.write(Register.ICR, 0x0004_4500)
    machine.write(Register.ICR, 0x0004_4400)
    assert (machine.resets, machine.nmis) == (1, 1)


def test_the_cluster_model(machine):
    machine.write(Register.DFR, 0x0FFF_FFFF)
    machine.write(Register.LDR, 0x1200_0000)
    assert machine.apic.addressed(0x12, logical=True)
    assert machine.apic.addressed(0x1F, logical=True)
    assert not machine.apic.addressed(0x22, logical=True)
    assert not machine.apic.addressed(0x11, logical=True)


def test_errors_are_shown_when_esr_is_written(machine):
    machine.write(Register.LVT_ERROR, 0x33)
    machine.write(Register.ICR, 0x0004_0005)
    assert machine.read(Register.ESR) == 0
    assert machine.apic.acknowledge() == 0x33
    machine.write(Register.ESR, 0)
    assert machine.read(Register.ESR) == 0x20
    machine.write(Register.ESR, 0)
    assert machine.read(Register.ESR) == 0


@pytest.mark.parametrize(
    ("divide", "by"), [(0, 2), (1, 4), (2, 8), (3, 16), (8, 32), (9, 64), (10, 128), (11, 1)]
)
def test_the_timer_counts_divided_cycles(machine, divide, by):
    machine.write(Register.DIVIDE, divide)
    machine.write(Register.LVT_TIMER, 0x20)
    machine.write(Register.INITIAL, 100)
    assert machine.clock.due == 100 * by
    machine.at(10 * by)
    assert machine.read(Register.COUNT) == 90
    assert not machine.apic.intr
    machine.at(100 * by)
    assert machine.apic.acknowledge() == 0x20
    assert machine.read(Register.COUNT) == 0
    assert machine.clock.deadline() is None


def test_the_periodic_timer(machine):
    machine.write(Register.DIVIDE, 11)
    machine.write(Register.LVT_TIMER, 0x0002_0020)
    machine.write(Register.INITIAL, 100)
    for period in (1, 2, 3):
        assert machine.clock.due == 100 * period
        machine.at(100 * period)
        assert machine.apic.acknowledge() == 0x20
        machine.write(Register.EOI, 0)
    machine.at(1050)
    assert machine.read(Register.COUNT) == 50
    assert machine.clock.due == 1100
    machine.write(Register.INITIAL, 0)
    assert machine.clock.deadline() is None


def test_a_masked_timer_counts_in_silence(machine):
    machine.write(Register.LVT_TIMER, MASKED | 0x20)
    machine.write(Register.INITIAL, 100)
    machine.at(500)
    assert not machine.apic.intr


def test_lint1_is_nmi(machine):
    machine.apic.assert_nmi()
    machine.write(Register.LVT_LINT1, MASKED | 0x400)
    machine.apic.assert_nmi()
    assert machine.nmis == 1


def test_redirection_of_edges(machine):
    assert machine.entry(3) == MASKED
    machine.io.set_line(4, True)
    machine.redirect(4, 0x24)
    assert not machine.apic.intr  # the edge came while the entry was masked
    machine.io.set_line(4, False)
    machine.io.set_line(4, True)
    assert machine.apic.acknowledge() == 0x24
    machine.write(Register.EOI, 0)
    assert not machine.apic.intr


def test_redirection_of_levels(machine):
    machine.redirect(10, LEVEL | 0x35)
    machine.io.set_line(10, True)
    assert machine.entry(10) == LEVEL | REMOTE_IRR | 0x35
    assert machine.apic.acknowledge() == 0x35
    machine.write(Register.EOI, 0)
    assert machine.apic.intr  # it is still high
    machine.apic.acknowledge()
    machine.io.set_line(10, False)
    machine.write(Register.EOI, 0)
    assert not machine.apic.intr
    assert not machine.entry(10) & REMOTE_IRR


def test_redirection_by_destination_and_mode(machine):
    machine.redirect(1, 1 << 56 | 0x21)
    machine.io.set_line(1, True)
    machine.redirect(2, 0x0400)
    machine.io.set_line(2, True)
    assert (machine.apic.intr, machine.nmis) == (False, 1)


def test_the_io_apic_s_own_registers(machine):
    machine.io.write(0, 4, 1)
    assert machine.io.read(0x10, 4) == 0x0017_0011
    machine.io.write(0, 4, 0)
    assert machine.io.read(0x10, 4) == 1 << 24
    machine.io.write(0x10, 4, 0x0500_0000)
    assert machine.io.read(0x10, 4) == 5 << 24


def test_what_is_loaded_goes_on_as_what_was_saved(machine):
    machine.write(Register.LVT_TIMER, 0x0002_0020)
    machine.write(Register.INITIAL, 100)
    machine.redirect(4, LEVEL | 0x24)
    machine.io.set_line(4, True)
    machine.at(40)
    other = Machine()
    other.cycles = 40
    other.apic.load(machine.apic.save())
    other.io.load(machine.io.save())
    assert other.clock.due == machine.clock.due
    assert other.read(Register.COUNT) == machine.read(Register.COUNT)
    assert other.entry(4) == machine.entry(4)
    assert other.apic.acknowledge() == 0x24


def test_a_set_of_vectors():
    vectors = VectorSet()
    assert vectors.highest() is None
    for vector in (3, 255, 40):
        vectors.add(vector)
    assert (vectors.highest(), 40 in vectors, 41 in vectors) == (255, True, False)
    vectors.discard(255)
    assert [vectors.word(index) for index in range(8)] == [8, 1 << 8, 0, 0, 0, 0, 0, 0]
