"""From specification to function: sharing by shape, the language's errors, and the commit rule."""

import ast

import pytest

from vizapp.isa.addresses import Linear
from vizapp.isa.decode import decode
from vizapp.isa.opcodes import OPCODES
from vizapp.isa.registers import SS
from vizapp.isa.vectors import UD
from vizapp.machine.engine.commitment import CommitError
from vizapp.machine.engine.expansion import SpecificationError
from vizapp.machine.engine.generator import expand, template
from vizapp.machine.engine.shapes import (
    ImmediateShape,
    MemoryShape,
    RegisterShape,
    Shape,
    describe,
    meaning_of,
    number_names,
)
from vizapp.machine.faults import Fault
from vizapp.machine.semantics import INSTRUCTIONS
from vizapp.machine.semantics.declare import restartable
from vizapp.machine.system import HANDLERS

EAX, EBX = RegisterShape(0, 4), RegisterShape(3, 4)
IN_MEMORY = MemoryShape(3, 3, None, 1, 4, 4, displaced=True, bit_offset=None)
IMMEDIATE = ImmediateShape(4)


def described(code: str):
    instruction = decode(bytes.fromhex(code), Linear(0))
    meaning = meaning_of(instruction)
    assert meaning is not None
    return describe(instruction, meaning)


def source(meaning, *operands) -> str:
    shape = Shape("test", operands, 4, 4)
    return "\n".join(ast.unparse(statement) for statement in expand(meaning, shape))


def test_instructions_that_differ_in_numbers_share_their_code():
    one, two = described("81 83 10000000 05000000"), described("81 83 90FFFFFF 07000000")
    assert one[0] == two[0]
    assert one[1] == (10, 0x10, 5)
    assert two[1] == (10, 0xFFFF_FF90, 7)
    first, second = template(one[0]).bind(one[1]), template(two[0]).bind(two[1])
    assert first.__code__ is second.__code__


def test_registers_sizes_and_an_absent_displacement_make_other_shapes():
    shapes = [described(code)[0] for code in ("01D8", "01D9", "6601D8", "0118", "014308", "67014308")]
    assert len(set(shapes)) == len(shapes)


def test_the_numbers_come_in_the_order_of_their_names():
    shape, numbers = described("C744240864000000")  # mov dword [esp + 8], 100
    assert dict(zip(number_names(shape), numbers, strict=True)) == {
        "_length": 8,
        "_number0": 8,
        "_number1": 100,
    }


def test_an_addition_is_expanded_as_the_documentation_shows_it():
    assert source(INSTRUCTIONS["add"], EBX, IMMEDIATE).splitlines() == [
        "a = cpu.ebx",
        "r = a + _number1 & 4294967295",
        "cpu.ebx = r",
        "cpu.flag_kind = ADD4",
        "cpu.flag_result = r",
        "cpu.flag_x = r",
        "cpu.flag_y = a",
        "cpu.eip = cpu.eip + _length & 4294967295",
    ]


def test_what_is_read_and_written_in_memory_is_checked_for_writing_first():
    text = source(INSTRUCTIONS["add"], IN_MEMORY, EAX)
    assert text.startswith("_address0 = cpu.ebx + _number0 & 4294967295\na = cpu.modify4(3, _address0)")
    assert "cpu.store4(3, _address0, r)" in text


def test_every_operation_of_the_opcode_table_has_semantics_or_a_handler():
    variants = {"imul_two", "imul_three", "ret_and_drop", "pop_memory"}
    operations = {opcode.operation for opcode in OPCODES}
    assert operations - set(INSTRUCTIONS) - set(HANDLERS) == set()
    strings = {name for name in INSTRUCTIONS if name.startswith(("rep_", "repne_"))}
    assert set(INSTRUCTIONS) - operations == variants | strings


# Specifications that must be refused. Assigning to a parameter writes the operand.
def register_before_load(dst, src):
    dst = 0  # noqa: F841
    cpu.eax = src  # noqa: F821


def flags_before_store(dst, src):
    flags(LOGIC, src, 0, 0)  # noqa: F821
    dst = 1  # noqa: F841


def two_stores():
    store(SS, cpu.esp, 1)  # noqa: F821
    store(SS, cpu.ebp, 2)  # noqa: F821


def fault_after_a_register():
    cpu.eax = 1  # noqa: F821
    raise Fault(UD)


def register_on_one_path(dst, src):
    if cpu.ecx:  # noqa: F821
        cpu.eax = 1  # noqa: F821
    value = src
    cpu.edx = value  # noqa: F821


def register_in_a_loop():
    n = 3
    while n:
        n = load(SS, n)  # noqa: F821
        cpu.eax = n  # noqa: F821


def jump_after_a_register(dst):
    cpu.sp = 0  # noqa: F821
    check_branch(dst)  # noqa: F821


def flags_before_store_by_bits(dst, src):
    change_flags(1, src)  # noqa: F821
    dst = 1  # noqa: F841


@pytest.mark.parametrize(
    ("bad", "operands"),
    [
        (register_before_load, (EBX, IN_MEMORY)),
        (flags_before_store, (IN_MEMORY, EAX)),
        (two_stores, ()),
        (fault_after_a_register, ()),
        (register_on_one_path, (EBX, IN_MEMORY)),
        (register_in_a_loop, ()),
        (jump_after_a_register, (EAX,)),
        (flags_before_store_by_bits, (IN_MEMORY, EAX)),
    ],
)
def test_a_specification_that_may_fault_after_a_change_is_refused(bad, operands):
    with pytest.raises(CommitError, match="may fault after"):
        source(bad, *operands)


def test_the_same_order_is_right_where_nothing_can_fault():
    source(register_before_load, EBX, EAX)


@restartable
def two_stores_again():
    store(SS, cpu.esp, 1)  # noqa: F821
    store(SS, cpu.ebp, 2)  # noqa: F821


def test_a_restartable_specification_may_store_twice():
    source(two_stores_again)


def modified_then_changed(dst):
    a = dst
    cpu.eax = a  # noqa: F821
    dst = a


def test_a_store_to_what_was_checked_for_writing_may_come_last():
    source(modified_then_changed, IN_MEMORY)


def unknown_word(dst, src):
    dst = src + FROBNICATE  # noqa: F821, F841


def unknown_register(dst, src):
    cpu.cr3 = src  # noqa: F821


def underscore(dst, src):
    _length = src


def unknown_statement(dst, src):
    print(dst)


@pytest.mark.parametrize("bad", [unknown_word, unknown_register, underscore, unknown_statement])
def test_what_is_not_in_the_language_is_refused(bad):
    with pytest.raises(SpecificationError):
        source(bad, EBX, EAX)


def read_twice(dst, src):
    dst = src + src  # noqa: F841


def test_an_operand_in_memory_is_read_once():
    with pytest.raises(SpecificationError, match="reads memory twice"):
        source(read_twice, EBX, IN_MEMORY)
    source(read_twice, EBX, EAX)


def test_a_wrong_number_of_operands_is_refused():
    with pytest.raises(SpecificationError, match="does not take 1 operands"):
        source(INSTRUCTIONS["add"], EBX)
