"""The encoder: round trips through the decoder, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from vizapp.isa.decode import DecodeError, decode
from vizapp.isa.encode import EncodeError, encode, reencode
from vizapp.isa.instruction import FarPointer, Immediate, Instruction, Memory, Operand, Register, Relative
from vizapp.isa.registers import DS, EAX, EBP, EBX, ECX, ES, ESP, SS

EAX4, ECX4, AX, AL = Register(EAX, 4), Register(ECX, 4), Register(EAX, 2), Register(EAX, 1)
UNSIZED = Memory(DS, EBX, None, 1, 0, 0)

HEADS = st.sampled_from(
    [b"", b"", b"\x0f", b"\x66", b"\x67", b"\x66\x0f", b"\x66\x67", b"\xf3", b"\xf0", b"\x26"]
)


def meaning(instruction: Instruction) -> tuple[Any, ...]:
    mnemonic, operands = instruction.mnemonic, instruction.operands
    if mnemonic == "xchg":
        operands = tuple(sorted(operands, key=repr))  # the same either way round
        if operands in ((AX, AX), (EAX4, EAX4)):
            mnemonic, operands = "nop", ()
    return (
        mnemonic,
        operands,
        instruction.operand_size,
        instruction.address_size,
        instruction.repeat,
        instruction.lock,
    )


@settings(max_examples=300, deadline=None)
@example(b"", b"\x86\xca" + bytes(13), 16)
@example(b"", b"\x87\xc0" + bytes(13), 32)
@given(HEADS, st.binary(min_size=15, max_size=15), st.sampled_from([16, 32]))
def test_what_is_decoded_encodes_to_the_same_meaning(head: bytes, tail: bytes, bits: int) -> None:
    try:
        first = decode((head + tail)[:15], 0, bits)
    except DecodeError:
        assume(False)
    code = reencode(first, bits)
    second = decode(code, 0, bits)
    assert meaning(second) == meaning(first)
    assert len(code) <= first.length
    assert reencode(second, bits) == code


@pytest.mark.parametrize(
    ("mnemonic", "operands", "options", "code"),
    [
        ("add", (EAX4, Immediate(5, 0)), {}, "83c005"),
        ("add", (EAX4, Immediate(5, 0)), {"wide": (1,)}, "0505000000"),
        ("add", (EAX4, Immediate(-1, 0)), {}, "83c0ff"),
        ("add", (EAX4, Immediate(0x1234, 0)), {}, "0534120000"),
        ("mov", (EAX4, Memory(DS, None, None, 1, 0x1000, 4)), {}, "a100100000"),
        ("mov", (ECX4, Memory(SS, EBP, None, 1, 0, 4)), {}, "8b4d00"),
        ("mov", (ECX4, Memory(DS, EBP, None, 1, 0, 4)), {}, "3e8b4d00"),
        ("mov", (ECX4, Memory(DS, EBX, None, 1, 0, 4)), {"segment": DS}, "3e8b0b"),
        ("mov", (ECX4, Memory(ES, EBX, None, 1, 0, 4)), {}, "268b0b"),
        ("mov", (ECX4, Memory(DS, EBX, None, 1, 4, 4)), {"displacement_size": 4}, "8b8b04000000"),
        ("jmp", (Relative(-2),), {}, "ebfe"),
        ("jmp", (Relative(300),), {}, "e92c010000"),
        ("jmp", (Immediate(0x1000, 0),), {"address": 0x1000}, "ebfe"),
        ("jmp", (Immediate(0x1000, 0),), {"address": 0x1000, "wide": (0,)}, "e9fbffffff"),
        ("jz", (Immediate(0x2000, 0),), {"address": 0x1000}, "0f84fa0f0000"),
        ("jmp far", (FarPointer(8, 0x1234),), {"operand_size": 2}, "66ea34120800"),
        ("iret", (), {"operand_size": 2}, "66cf"),
        ("jcxz", (Relative(-3),), {"address_size": 2}, "67e3fd"),
        ("ret", (), {}, "c3"),
        ("nop", (), {"repeat": "rep"}, "f390"),
    ],
)
def test_choices(mnemonic: str, operands: tuple[Operand, ...], options: dict[str, Any], code: str) -> None:
    assert encode(mnemonic, operands, **options).hex() == code


@pytest.mark.parametrize(
    ("mnemonic", "operands", "text"),
    [
        ("inc", (UNSIZED,), "the size of the operand in memory is not told"),
        ("mov", (UNSIZED, Immediate(5, 0)), "the size of the operand in memory is not told"),
        ("mov", (AL, Immediate(0x1FF, 0)), "0x1ff does not fit in 8 bits"),
        ("mov", (EAX4, AX), "mov does not take these operands"),
        ("lgdt", (EAX4,), "lgdt does not take these operands"),
        ("frobnicate", (), "frobnicate does not take these operands"),
        ("loop", (Immediate(0x1000, 0),), "the target is out of a short jump's reach"),
        ("mov", (EAX4, Memory(DS, EAX, ESP, 2, 0, 4)), "these registers do not make an address"),
    ],
)
def test_refusals(mnemonic: str, operands: tuple[Operand, ...], text: str) -> None:
    with pytest.raises(EncodeError) as caught:
        encode(mnemonic, operands)
    assert caught.value.message.in_english() == text


@pytest.mark.parametrize(
    ("mnemonic", "operands", "position"),
    [
        ("mov", (AL, Immediate(0x1FF, 0)), 1),
        ("enter", (Immediate(8, 0), Immediate(0x300, 0)), 1),
        ("int", (Immediate(0x100, 0),), 0),
    ],
)
def test_a_number_that_does_not_fit_is_pointed_at(
    mnemonic: str, operands: tuple[Operand, ...], position: int
) -> None:
    with pytest.raises(EncodeError) as caught:
        encode(mnemonic, operands)
    assert caught.value.position == position
