"""The 8042 and its keyboard against IBM's references: commands, answers, translation, A20 and reset."""

from __future__ import annotations

import pytest

from vizapp.machine.devices.a20 import A20Gate
from vizapp.machine.devices.keyboard_controller import KeyboardController
from vizapp.machine.devices.scan_codes import KEYS, TRANSLATION, key_codes, keys_of


class Machine:
    def __init__(self, open_at_start: bool = False) -> None:
        self.levels: list[bool] = []
        self.a20: list[bool] = []
        self.resets = 0
        self.gate = A20Gate(self.a20.append, self.reset, open_at_start)
        self.controller = KeyboardController(self.levels.append, self.gate)

    def reset(self) -> None:
        self.resets += 1

    def command(self, *values: int) -> None:
        self.controller.write_port(0x64, values[0])
        for value in values[1:]:
            self.controller.write_port(0x60, value)

    def send(self, *values: int) -> bytes:
        for value in values:
            self.controller.write_port(0x60, value)
        return self.drain()

    def drain(self) -> bytes:
        received = bytearray()
        while self.controller.read_port(0x64) & 1:
            received.append(self.controller.read_port(0x60))
        return bytes(received)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.mark.parametrize(
    ("command", "answer"), [(0xAA, 0x55), (0xAB, 0), (0xA9, 0), (0xA4, 0xF1), (0xC0, 0xB0), (0x20, 0x65)]
)
def test_the_controller_answers(machine, command, answer):
    machine.command(command)
    assert machine.controller.read_port(0x64) & 0x0D == 0x0D
    assert machine.drain() == bytes([answer])


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ((0xFF,), "FA AA"),
        ((0xF3, 0x20), "FA FA"),
        ((0xF4,), "FA"),
        ((0xF5,), "FA"),
        ((0xED, 0x05), "FA FA"),
        ((0xEE,), "EE"),
        ((0xF2,), "FA AB 83"),
        ((0xF0, 0), "FA FA 02"),
        ((0xF0, 1), "FA FA"),
        ((0xF0, 7), "FA FE"),
        ((0xE7,), "FE"),
        ((0xED, 0xF4), "FA FA"),
        ((0xF2, 0xFE), "FA AB 83 83"),
    ],
)
def test_the_keyboard_answers(machine, command, answer):
    machine.command(0x60, 0x05)  # no translation
    received = b""
    for value in command:
        received += machine.send(value)
    assert received == bytes.fromhex(answer)


def test_the_lights(machine):
    machine.send(0xED, 0x05)
    assert machine.controller.keyboard.leds == 5


def test_keys_arrive_translated_each_with_an_edge(machine):
    machine.controller.key("a", True)
    machine.controller.key("a", False)
    assert machine.levels == [True]
    assert machine.drain() == b"\x1e\x9e"
    assert machine.levels == [True, False, True, False]


@pytest.mark.parametrize(
    ("key", "set_2", "set_1"),
    [
        ("a", "1C F01C", "1E 9E"),
        ("enter", "5A F05A", "1C 9C"),
        ("up", "E075 E0F075", "E048 E0C8"),
        ("delete", "E071 E0F071", "E053 E0D3"),
        ("f7", "83 F083", "41 C1"),
        ("f12", "07 F007", "58 D8"),
        ("right-shift", "59 F059", "36 B6"),
        ("keypad-/", "E04A E0F04A", "E035 E0B5"),
        ("pause", "E11477E1F014F077", "E11D45E19DC5"),
        ("\\", "5D F05D", "2B AB"),
    ],
)
def test_codes_of_both_sets(machine, key, set_2, set_1):
    assert key_codes(key, True) + key_codes(key, False) == bytes.fromhex(set_2)
    for down in (True, False):
        machine.controller.key(key, down)
    assert machine.drain() == bytes.fromhex(set_1)
    machine.command(0x60, 0x05)
    machine.send(0xF0, 0x01)  # the keyboard itself in set 1
    for down in (True, False):
        machine.controller.key(key, down)
    assert machine.drain() == bytes.fromhex(set_1)


def test_every_key_has_its_own_codes():
    assert len({key_codes(key, True) for key in KEYS}) == len(KEYS) == 104
    assert TRANSLATION[0x1C] == 0x1E
    assert len(TRANSLATION) == 256


def test_characters_are_typed_with_the_right_keys():
    assert keys_of("a") == ("a",)
    assert keys_of("A") == ("shift", "a")
    assert keys_of("?") == ("shift", "/")
    assert keys_of("\n") == ("enter",)
    assert keys_of("é") == ()
    assert all(keys_of(chr(code)) for code in range(32, 127))


def test_a_disabled_keyboard_keeps_its_keys(machine):
    machine.command(0xAD)
    machine.controller.key("x", True)
    assert machine.drain() == b""
    machine.command(0xAE)
    assert machine.drain() == b"\x2d"


def test_scanning_can_be_switched_off(machine):
    assert machine.send(0xF5) == b"\xfa"
    machine.controller.key("x", True)
    assert machine.drain() == b""
    machine.send(0xF4)
    machine.controller.key("x", True)
    assert machine.drain() == b"\x2d"


def test_a_buffer_that_is_full_says_so(machine):
    machine.command(0xAD)
    for _ in range(30):
        machine.controller.key("x", True)
    machine.command(0x60, 0x01)
    received = machine.drain()
    assert received == b"\x22" * 15 + b"\x00"


def test_no_interrupt_without_its_bit(machine):
    machine.command(0x60, 0x64)
    machine.controller.key("x", True)
    assert machine.levels == []
    assert machine.controller.read_port(0x64) & 1


def test_d2_and_d3_and_d4(machine):
    machine.command(0xD2, 0x42)
    assert machine.levels == [True]
    assert machine.drain() == b"\x42"
    machine.command(0xD3, 0x43)
    assert machine.controller.read_port(0x64) & 0x21 == 0x21
    assert machine.drain() == b"\x43"
    machine.command(0xD4, 0xFF)
    assert machine.controller.read_port(0x64) & 0x61 == 0x61
    assert machine.drain() == b"\xfe"


def test_a20_and_reset_by_the_output_port(machine):
    assert machine.a20 == [False]
    machine.command(0xD1, 0xDF)
    assert machine.a20 == [False, True]
    machine.command(0xD0)
    assert machine.drain()[0] & 3 == 3
    machine.command(0xD1, 0xDD)
    assert not machine.gate.line
    assert machine.resets == 0
    machine.command(0xFE)
    assert machine.resets == 1
    machine.command(0xFF)
    assert machine.resets == 1


def test_a20_and_reset_by_port_92(machine):
    machine.gate.write_port(0x92, 2)
    assert machine.gate.line
    machine.command(0xD1, 0xDD)
    assert machine.gate.line  # one is enough
    machine.gate.write_port(0x92, 0)
    assert not machine.gate.line
    machine.gate.write_port(0x92, 3)
    machine.gate.write_port(0x92, 3)
    assert machine.resets == 1
    assert machine.gate.read_port(0x92) == 3


def test_what_is_loaded_goes_on_as_what_was_saved(machine):
    machine.controller.key("up", True)
    machine.controller.read_port(0x60)
    machine.send(0xED)
    machine.controller.key("up", False)
    saved, gate = machine.controller.save(), machine.gate.save()
    expected = machine.drain()
    other = Machine(open_at_start=True)
    other.controller.load(saved)
    other.gate.load(gate)
    assert other.drain() == expected
    assert other.gate.line == machine.gate.line
