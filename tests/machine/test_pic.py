"""Two 8259A against the datasheet: initialization, priorities, ends of interrupt, cascade, spurious."""

from __future__ import annotations

import json

import pytest

from vizapp.machine.devices.pic import Pic


def initialize(pic: Pic, icw4: int = 0x01, icw1: int = 0x11) -> None:
    for port, vector, wiring in ((0x20, 0x20, 0x04), (0xA0, 0x28, 0x02)):
        pic.write_port(port, icw1)
        pic.write_port(port + 1, vector)
        pic.write_port(port + 1, wiring)
        if icw1 & 1:
            pic.write_port(port + 1, icw4)


@pytest.fixture
def pic() -> Pic:
    pair = Pic()
    initialize(pair)
    return pair


def test_nobody_is_interrupted_before_initialization():
    pic = Pic()
    pic.raise_irq(0)
    assert not pic.intr


def test_a_request_is_acknowledged_with_its_vector_and_ended(pic):
    pic.raise_irq(1)
    assert pic.intr
    assert pic.read_port(0x20) == 0x02
    assert pic.acknowledge() == 0x21
    assert not pic.intr
    pic.write_port(0x20, 0x0B)
    assert pic.read_port(0x20) == 0x02
    pic.write_port(0x20, 0x20)
    assert pic.read_port(0x20) == 0
    pic.write_port(0x20, 0x0A)
    assert pic.read_port(0x20) == 0


def test_an_edge_is_needed_for_each_request(pic):
    pic.raise_irq(1)
    pic.acknowledge()
    pic.write_port(0x20, 0x20)
    pic.raise_irq(1)
    assert not pic.intr
    pic.lower_irq(1)
    pic.raise_irq(1)
    assert pic.intr


def test_initialization_forgets_a_line_that_was_already_high():
    pic = Pic()
    pic.raise_irq(3)
    initialize(pic)
    assert not pic.intr
    assert pic.read_port(0x21) == 0


def test_level_triggered_requests_last_as_long_as_the_line():
    pic = Pic()
    initialize(pic, icw1=0x19)
    pic.raise_irq(5)
    assert pic.acknowledge() == 0x25
    pic.write_port(0x20, 0x20)
    assert pic.intr
    pic.lower_irq(5)
    assert not pic.intr


def test_a_higher_priority_interrupts_and_a_lower_one_waits(pic):
    pic.raise_irq(4)
    assert pic.acknowledge() == 0x24
    pic.raise_irq(6)
    assert not pic.intr
    pic.raise_irq(0)
    assert pic.acknowledge() == 0x20
    pic.write_port(0x20, 0x20)  # ends IRQ0
    assert not pic.intr
    pic.write_port(0x20, 0x20)  # ends IRQ4
    assert pic.acknowledge() == 0x26


def test_the_mask_holds_back_without_forgetting(pic):
    pic.write_port(0x21, 0x01)
    pic.raise_irq(0)
    assert not pic.intr
    assert pic.read_port(0x21) == 0x01
    pic.write_port(0x21, 0)
    assert pic.acknowledge() == 0x20


def test_a_specific_end_of_interrupt_names_its_line(pic):
    for line in (4, 1):
        pic.raise_irq(line)
        pic.acknowledge()
    pic.write_port(0x20, 0x64)
    pic.write_port(0x20, 0x0B)
    assert pic.read_port(0x20) == 0x02


def test_the_slave_answers_through_the_master(pic):
    pic.raise_irq(8)
    pic.raise_irq(3)
    assert pic.acknowledge() == 0x28  # IR2 comes before IR3
    assert not pic.intr
    pic.raise_irq(9)
    pic.write_port(0xA0, 0x20)
    assert not pic.intr  # IR2 of the master is still in service
    pic.write_port(0x20, 0x62)
    assert pic.acknowledge() == 0x29


def test_in_special_fully_nested_mode_the_slave_interrupts_its_own_handlers():
    pic = Pic()
    initialize(pic, icw4=0x11)
    pic.raise_irq(12)
    assert pic.acknowledge() == 0x2C
    pic.raise_irq(3)
    assert not pic.intr
    pic.raise_irq(8)
    assert pic.acknowledge() == 0x28


@pytest.mark.parametrize(("line", "vector", "slave_in_service"), [(3, 0x27, 0), (12, 0x27, 0)])
def test_a_request_withdrawn_before_its_acknowledge_is_spurious(pic, line, vector, slave_in_service):
    pic.raise_irq(line)
    pic.lower_irq(line)
    assert not pic.intr
    assert pic.acknowledge() == vector
    pic.write_port(0x20, 0x0B)
    assert pic.read_port(0x20) == slave_in_service


def test_a_request_withdrawn_between_slave_and_master_is_irq15(pic):
    pic.raise_irq(12)
    # The slave's INT is latched by the master; then the slave masks its request.
    pic.slave.imr = 0xFF
    assert pic.acknowledge() == 0x2F
    pic.write_port(0x20, 0x0B)
    pic.write_port(0xA0, 0x0B)
    assert (pic.read_port(0x20), pic.read_port(0xA0)) == (0x04, 0)


def test_automatic_end_of_interrupt():
    pic = Pic()
    initialize(pic, icw4=0x03)
    for line in (5, 7):
        pic.raise_irq(line)
    assert [pic.acknowledge(), pic.acknowledge()] == [0x25, 0x27]
    pic.write_port(0x20, 0x0B)
    assert pic.read_port(0x20) == 0


def test_rotation_makes_the_line_just_served_the_lowest(pic):
    pic.raise_irq(1)
    pic.acknowledge()
    pic.write_port(0x20, 0xA0)  # rotate on non-specific EOI
    for line in (0, 1, 3):
        pic.lower_irq(line)
        pic.raise_irq(line)
    order = []
    while pic.intr:
        order.append(pic.acknowledge())
        pic.write_port(0x20, 0x20)
    assert order == [0x23, 0x20, 0x21]


def test_priority_is_set_and_rotated_by_name(pic):
    pic.write_port(0x20, 0xC4)  # IR4 lowest, so IR5 highest
    pic.raise_irq(0)
    pic.raise_irq(5)
    assert pic.acknowledge() == 0x25
    pic.write_port(0x20, 0xE5)  # rotate on specific EOI of IR5
    pic.raise_irq(6)
    assert pic.acknowledge() == 0x26


def test_rotation_in_automatic_mode():
    pic = Pic()
    initialize(pic, icw4=0x03)
    pic.write_port(0x20, 0x80)
    pic.raise_irq(0)
    pic.raise_irq(1)
    assert pic.acknowledge() == 0x20
    pic.lower_irq(0)
    pic.raise_irq(0)
    assert [pic.acknowledge(), pic.acknowledge()] == [0x21, 0x20]


def test_special_mask_mode_lets_lower_lines_through(pic):
    pic.raise_irq(3)
    pic.acknowledge()
    pic.raise_irq(6)
    assert not pic.intr
    pic.write_port(0x21, 0x08)
    pic.write_port(0x20, 0x68)
    assert pic.acknowledge() == 0x26
    pic.write_port(0x20, 0x20)  # must not end the masked IR3
    pic.write_port(0x20, 0x0B)
    assert pic.read_port(0x20) == 0x08


def test_polling_acknowledges(pic):
    pic.raise_irq(6)
    pic.write_port(0x20, 0x0C)
    assert pic.read_port(0x20) == 0x86
    assert not pic.intr
    pic.write_port(0x20, 0x0C)
    assert pic.read_port(0x20) == 0


def test_single_controllers_skip_icw3_and_may_skip_icw4(pic):
    pic.write_port(0x20, 0x12)
    pic.write_port(0x21, 0x40)
    pic.write_port(0x21, 0xFE)
    assert pic.read_port(0x21) == 0xFE
    pic.raise_irq(0)
    assert pic.acknowledge() == 0x40


def test_no_device_can_be_wired_to_the_cascade(pic):
    for line in (2, 16, -1):
        with pytest.raises(ValueError, match="IRQ"):
            pic.raise_irq(line)


def test_a_checkpoint_takes_up_in_the_middle_of_everything(pic):
    pic.raise_irq(12)
    pic.acknowledge()
    pic.raise_irq(0)
    pic.write_port(0xA0, 0x11)
    saved = json.loads(json.dumps(pic.save()))
    other = Pic()
    other.load(saved)
    assert other.intr
    for pair in (pic, other):
        pair.write_port(0xA1, 0x70)
        assert pair.acknowledge() == 0x20
    assert other.save() == pic.save()
