"""The opcode table: its indexes, classes and flags."""

from __future__ import annotations

import pickle

import pytest

from vizapp.isa import classes
from vizapp.isa import registers as r
from vizapp.isa.decode import decode
from vizapp.isa.opcodes import BY_MNEMONIC, ONE_BYTE, OPCODES, PAUSE, TWO_BYTE, VARIED, WITH_MODRM, Opcode
from vizapp.machine.inputs import NAMES

OPERATIONS = {opcode.operation for opcode in OPCODES}

# SDM Vol. 3, "Privileged Instructions", and Vol. 1, "I/O Privilege Level".
TRAPPING = {
    "0f0110", "0f0118", "0f00d0", "0f00d8", "0f20c0", "0f22c0", "0f21c0", "0f23c0", "0f01f0", "0f06", "0f08",
    "0f09", "0f0138", "f4", "0f32", "0f30", "0f33", "0f35", "fa", "fb", "e460", "e660", "ec", "ee", "6c",
    "6e",
}  # fmt: skip
# Robin and Irvine 2000, "Analysis of the Intel Pentium's Ability to Support a Secure Virtual Machine
# Monitor".
ROBIN_AND_IRVINE = {
    "sgdt": "0f0100", "sidt": "0f0108", "sldt": "0f00c0", "smsw": "0f01e0", "pushf": "9c", "popf": "9d",
    "lar": "0f02c1", "lsl": "0f03c1", "verr": "0f00e0", "verw": "0f00e8", "pop": "1f", "push": "0e",
    "call": "9a000000000800", "jmp": "ea000000000800", "int": "cd80", "ret": "cb", "str": "0f00c8",
    "mov": "8ed8",
}  # fmt: skip


def opcode_of(code: str) -> Opcode:
    return decode(bytes.fromhex(code), 0).opcode


@pytest.mark.parametrize("code", sorted(TRAPPING))
def test_what_traps_outside_its_privilege_is_privileged(code: str) -> None:
    assert opcode_of(code).privilege == "privileged"


@pytest.mark.parametrize("name", sorted(ROBIN_AND_IRVINE))
def test_the_seventeen_sensitive_instructions_of_the_pentium_are_sensitive(name: str) -> None:
    assert opcode_of(ROBIN_AND_IRVINE[name]).privilege == "sensitive"


@pytest.mark.parametrize("code", ["89d8", "b805000000", "e800000000", "c3", "0fa2", "0f31", "50", "f3a4"])
def test_the_rest_is_innocuous(code: str) -> None:
    assert opcode_of(code).privilege == "innocuous"


def test_classes_name_operations_that_exist() -> None:
    assert classes.PRIVILEGED | classes.SENSITIVE <= OPERATIONS
    assert not classes.PRIVILEGED & classes.SENSITIVE
    assert set(BY_MNEMONIC) >= classes.LOCKABLE | classes.STRINGS


def test_every_price_class_is_an_input_of_the_meter() -> None:
    for opcode in OPCODES:
        assert {opcode.cost, opcode.memory_cost} <= set(NAMES), opcode.mnemonic


@pytest.mark.parametrize(
    ("code", "price"),
    [
        ("01d8", "alu"), ("0108", "alu_rmw"), ("0308", "alu_load"), ("3908", "alu_load"),
        ("8908", "mov_store"), ("8b08", "mov_load"), ("0f9400", "alu_store"), ("8d08", "alu"),
        ("8708", "locked"), ("87d8", "alu"), ("f00108", "locked"), ("d120", "shift_rmw"),
        ("f720", "mul_load"), ("0fa308", "bit_load"), ("0fab08", "bit_rmw"), ("ff10", "call_indirect"),
        ("ff20", "branch_indirect"), ("eb00", "branch"), ("f3a4", "string_iteration"),
        ("8ed8", "segment_load"), ("8cd8", "segment_store"), ("a1000000ff", "mov_load"),
        ("a3000000ff", "mov_store"), ("60", "stack_many"), ("f4", "hlt"), ("0f22d8", "system_load"),
    ],
)  # fmt: skip
def test_price_by_the_form_of_the_operands(code: str, price: str) -> None:
    assert decode(bytes.fromhex(code), 0).price_class == price


def test_flags() -> None:
    adc, inc, popf = (BY_MNEMONIC[name][0] for name in ("adc", "inc", "popf"))
    assert adc.flags_read == r.EFLAGS_CF
    assert adc.flags_written == r.EFLAGS_ARITHMETIC
    assert inc.flags_written == r.EFLAGS_ARITHMETIC & ~r.EFLAGS_CF
    assert popf.flags_written & r.EFLAGS_IF
    assert BY_MNEMONIC["jle"][0].flags_read == r.EFLAGS_ZF | r.EFLAGS_SF | r.EFLAGS_OF
    assert BY_MNEMONIC["mov"][0].flags_written == 0
    for opcode in OPCODES:
        assert opcode.flags_undefined & ~opcode.flags_written == 0, opcode.mnemonic


def test_indexes_cover_the_table() -> None:
    reached: set[Opcode] = {PAUSE, *WITH_MODRM.values()}
    for slot in (*ONE_BYTE, *TWO_BYTE, *VARIED.values()):
        reached |= {slot} if isinstance(slot, Opcode) else set(slot or ())
    assert reached - {None} == set(OPCODES)


def test_an_opcode_survives_pickling_as_itself() -> None:
    instruction = decode(b"\x01\xd8", 0)
    assert pickle.loads(pickle.dumps(instruction)) == instruction
