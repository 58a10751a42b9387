"""Heads: an instruction made from the head of another is what decoding it from the start gives."""

import random

import pytest

from vizapp.isa.addresses import Linear
from vizapp.isa.decode import MAX_LENGTH, DecodeError, dissect
from vizapp.machine.decoded import instruction_of, prepared
from vizapp.machine.engine.generator import template
from vizapp.machine.engine.shapes import describe, meaning_of
from vizapp.machine.execute import executor

PREFIXES = (b"", b"", b"", b"\x66", b"\x67", b"\x64", b"\xf3", b"\xf0", b"\x66\x67")


def random_code(chance: random.Random) -> bytes:
    escape = b"\x0f" if chance.random() < 0.3 else b""
    return chance.choice(PREFIXES) + escape + chance.randbytes(MAX_LENGTH)


@pytest.mark.parametrize("bits", [16, 32])
def test_a_head_that_is_known_gives_the_same_as_the_instruction_decoded_alone(bits):
    chance = random.Random(bits)
    compared = 0
    for _ in range(4_000):
        code = random_code(chance)
        try:
            instruction, fields = dissect(code, Linear(0x100), bits)
        except DecodeError:
            continue
        prepared(code, bits)
        first = min((field.position for field in fields if field), default=len(instruction.raw))
        other = code[:first] + chance.randbytes(MAX_LENGTH)
        instruction, fields = dissect(other, Linear(0x200), bits)
        found = prepared(other, bits)
        run, _, _, raw, _ = found
        assert raw == instruction.raw
        assert instruction_of(found).operands == instruction.operands
        meaning = meaning_of(instruction)
        if meaning is not None:
            shape, numbers = describe(instruction, meaning, fields)
            assert run.__defaults__ == numbers
            assert run.__code__ == template(shape).code
            compared += 1
    assert compared > 1_000


def test_an_absent_number_and_one_of_zero_do_the_same():
    """[ebx + 0] with a byte for the 0 has a template of its own, which adds it."""
    short, long = prepared(bytes.fromhex("0103"), 32), prepared(bytes.fromhex("014300"), 32)
    assert short[0].__defaults__ == (2,)
    assert long[0].__defaults__ == (3, 0)
    assert executor(instruction_of(long)).__defaults__ == (3,)


def test_instructions_without_numbers_share_their_function():
    assert prepared(b"\x40", 32) is prepared(b"\x40\x41", 32)


def test_what_is_cut_off_is_truncated_even_if_its_head_is_known():
    prepared(bytes.fromhex("B801000000"), 32)
    with pytest.raises(DecodeError) as raised:
        prepared(bytes.fromhex("B80100"), 32)
    assert raised.value.kind == "truncated"
