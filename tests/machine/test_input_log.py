"""Inputs come again where they came first."""

from __future__ import annotations

import pytest

from vizapp.isa.addresses import HostPhysical
from vizapp.machine.clock import NEVER
from vizapp.machine.features import Features
from vizapp.machine.input_log import KEYBOARD, SERIAL, Input, InputLog
from vizapp.machine.inputs import NAMES
from vizapp.machine.pc import Pc

# in al, 0x60; out 0xE9, al; mov dx, 0x3F8; in al, dx; out 0xE9, al; jmp $-11
POLLING = bytes.fromhex("E460 E6E9 66BAF803 EC E6E9 EBF3")


@pytest.fixture
def pc() -> Pc:
    machine = Pc(dict.fromkeys(NAMES, 1), 4 << 20, 100_000_000, features=Features())
    machine.memory.load(HostPhysical(0x10_0000), POLLING)
    machine.cpu.eip = 0x10_0000
    return machine


def console(pc: Pc) -> bytes:
    assert pc.board.peripherals is not None
    return bytes(pc.board.peripherals.console.output)


def type_something(pc: Pc) -> None:
    pc.run(max_steps=13)
    pc.feed(KEYBOARD, "a", True)
    pc.run(max_steps=21)
    pc.feed(SERIAL, b"xy")
    pc.feed(KEYBOARD, "a", False)
    pc.run(max_steps=60)


def test_inputs_reach_the_devices(pc):
    type_something(pc)
    seen = console(pc)
    assert seen.count(b"\x1e") == 3
    assert b"x" in seen
    assert b"y" in seen
    assert 0x9E in seen[-2:]


@pytest.mark.parametrize("stretch", [1, 7, 1000])
def test_they_come_again_at_their_positions(pc, stretch):
    start = pc.save()
    type_something(pc)
    seen, position = console(pc), pc.position
    pc.load(start)
    while pc.position < position:
        pc.run(max_steps=min(stretch, position - pc.position))
    assert console(pc) == seen


def test_a_checkpoint_knows_what_had_come(pc):
    pc.run(max_steps=5)
    before = pc.save()
    pc.feed(KEYBOARD, "b", True)
    after = pc.save()
    pc.run(max_steps=20)
    seen = console(pc)
    for saved in (before, after):
        pc.load(saved)
        pc.run(max_steps=20)
        assert console(pc) == seen


def test_an_input_that_is_due_is_not_lost_to_the_next(pc):
    start = pc.save()
    pc.run(max_steps=5)
    pc.feed(KEYBOARD, "a", True)
    pc.load(start)
    pc.run(max_steps=5)
    pc.feed(KEYBOARD, "b", True)
    pc.run(max_steps=20)
    assert [entry.data[0] for entry in pc.inputs.entries] == ["a", "b"]
    assert b"\x1e" in console(pc)
    assert b"\x30" in console(pc)


def test_a_new_input_in_the_past_replaces_what_came_later():
    log = InputLog([Input(5, SERIAL, (b"a",)), Input(9, SERIAL, (b"b",))])
    assert log.due == 5
    assert [entry.position for entry in log.take(6)] == [5]
    log.add(Input(7, SERIAL, (b"c",)))
    assert [entry.position for entry in log.entries] == [5, 7]
    assert log.due == NEVER
    log.seek(0)
    assert [entry.position for entry in log.take(100)] == [5, 7]


def test_a_plain_pc_has_no_keyboard():
    plain = Pc(dict.fromkeys(NAMES, 1), 4 << 20, 100_000_000)
    plain.feed(KEYBOARD, "a", True)
    assert len(plain.inputs.entries) == 1
