"""The 16550 against its datasheet: interrupts and their priorities, FIFOs, loopback, modem status."""

from __future__ import annotations

import pytest

from vizapp.machine.devices.uart import Uart

DATA, IER, IIR, LCR, MCR, LSR, MSR, SCRATCH = range(0x3F8, 0x400)
FCR = IIR
OUT2 = 0x08


class Port:
    """A UART with the history of its interrupt line."""

    def __init__(self) -> None:
        self.levels: list[bool] = []
        self.uart = Uart(self.levels.append)
        self.read = self.uart.read_port

    def write(self, *writes: tuple[int, int]) -> None:
        for port, value in writes:
            self.uart.write_port(port, value)


@pytest.fixture
def com1() -> Port:
    port = Port()
    port.write((MCR, OUT2))
    return port


def test_what_is_written_leaves_at_once(com1):
    for byte in b"hi":
        assert com1.read(LSR) & 0x60 == 0x60
        com1.write((DATA, byte))
    assert com1.uart.output == b"hi"


def test_the_divisor_hides_behind_dlab(com1):
    com1.write((LCR, 0x83), (DATA, 0x0C), (IER, 0x01))
    assert (com1.read(DATA), com1.read(IER), com1.read(LCR)) == (0x0C, 0x01, 0x83)
    com1.write((LCR, 0x03))
    assert com1.read(IER) == 0
    assert com1.uart.output == b""


def test_the_scratch_register_is_memory(com1):
    com1.write((SCRATCH, 0xA5), (LSR, 0), (MSR, 0))
    assert com1.read(SCRATCH) == 0xA5
    assert com1.read(LSR) == 0x60


def test_received_data_wait_on_the_line_one_by_one(com1):
    com1.uart.receive(b"ab")
    assert com1.read(LSR) & 3 == 1
    assert [com1.read(DATA), com1.read(LSR) & 1, com1.read(DATA), com1.read(LSR) & 1] == [97, 1, 98, 0]
    assert com1.read(DATA) == 0


def test_each_character_is_an_edge_of_the_interrupt_line(com1):
    com1.write((IER, 1))
    com1.uart.receive(b"ab")
    assert com1.read(IIR) == 0x04
    com1.read(DATA)
    com1.read(DATA)
    assert com1.levels == [True, False, True, False]
    assert com1.read(IIR) == 0x01


def test_transmitter_empty_interrupts_when_enabled_after_each_byte_and_until_identified(com1):
    com1.write((IER, 2))
    assert com1.levels == [True]
    assert com1.read(IIR) == 0x02
    assert com1.levels == [True, False]
    assert com1.read(IIR) == 0x01
    com1.write((DATA, 0x41))
    com1.write((DATA, 0x42))
    assert com1.levels == [True, False, True, False, True]
    com1.write((IER, 2))
    assert com1.levels[-1]


def test_the_line_is_gated_by_out2():
    port = Port()
    port.write((IER, 2))
    assert port.levels == []
    assert port.read(IIR) == 0x02
    port.write((IER, 0), (IER, 2), (MCR, OUT2))
    assert port.levels == [True]


def test_interrupts_are_identified_in_order_of_priority(com1):
    com1.write((IER, 0x0F), (MCR, 0x10), (DATA, 1), (DATA, 2))  # loopback: overrun, data, empty, modem
    seen = []
    for cure in (LSR, DATA, None, MSR):
        seen.append(com1.read(IIR))
        if cure is not None:
            com1.read(cure)
    assert seen == [0x06, 0x04, 0x02, 0x00]
    assert com1.read(IIR) == 0x01


def test_fifos_interrupt_at_the_trigger_level_and_for_the_rest_by_time_out(com1):
    com1.write((FCR, 0x81), (IER, 1))  # trigger at 8
    com1.uart.receive(bytes(range(20)))
    assert com1.read(IIR) == 0xC4
    for expected in range(9):
        assert com1.read(DATA) == expected
    assert com1.read(IIR) == 0xCC
    assert [com1.read(DATA) for _ in range(11)] == list(range(9, 20))
    assert com1.read(IIR) == 0xC1
    assert com1.levels == [True, False, True, False]  # the second burst of four came when the FIFO was empty


def test_switching_or_clearing_fifos_drops_what_they_held(com1):
    com1.write((FCR, 1), (MCR, 0x10), (DATA, 1), (DATA, 2))
    assert com1.read(LSR) & 1
    com1.write((FCR, 3))
    assert not com1.read(LSR) & 1
    com1.write((DATA, 3), (FCR, 0))
    assert not com1.read(LSR) & 1
    assert com1.read(IIR) & 0xC0 == 0


def test_loopback_receives_what_is_sent_and_nothing_else(com1):
    com1.write((MCR, 0x10))
    com1.uart.receive(b"x")
    com1.write((DATA, 0x55))
    assert com1.read(DATA) == 0x55
    assert com1.uart.output == b""
    com1.write((MCR, OUT2))
    assert com1.read(DATA) == ord("x")


@pytest.mark.parametrize(("fifos", "count", "kept"), [(0, 2, [1]), (1, 17, list(range(16)))])
def test_an_overrun_loses_the_old_character_or_with_fifos_the_new_one(com1, fifos, count, kept):
    com1.write((FCR, fifos), (MCR, 0x10), *((DATA, value) for value in range(count)))
    assert com1.read(LSR) & 3 == 3
    assert com1.read(LSR) & 3 == 1
    assert [com1.read(DATA) for _ in kept] == kept
    assert not com1.read(LSR) & 1


def test_modem_status_follows_the_outputs_in_loopback_and_shows_what_changed(com1):
    assert com1.read(MSR) == 0xB0
    com1.write((MCR, 0x10))
    assert com1.read(MSR) == 0x0B
    for control, status in ((0x12, 0x11), (0x11, 0x23), (0x14, 0x42), (0x18, 0x8C)):
        com1.write((MCR, control))
        assert com1.read(MSR) == status, hex(control)
        assert com1.read(MSR) == status & 0xF0


def test_a_checkpoint_keeps_queues_registers_and_the_line(com1):
    com1.write((FCR, 0xC1), (IER, 3), (DATA, 0x21))
    com1.uart.receive(bytes(range(30)))
    com1.read(DATA)
    saved = com1.uart.save()
    other = Port()
    other.uart.load(saved)
    com1.levels.clear()
    for port in (com1, other):
        assert [port.read(DATA) for _ in range(29)] == list(range(1, 30))
        assert port.read(IIR) == 0xC2
    assert other.levels == com1.levels
    assert other.uart.save() == com1.uart.save()
