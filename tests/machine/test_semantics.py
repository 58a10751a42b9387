"""What a random comparison rarely meets: stacks of both sizes, limits, repetition, and faults of value."""

import pytest

from tests.machine.window import NoPorts, Window
from vizapp.guest.assembler import assemble
from vizapp.isa import descriptors as d
from vizapp.isa.addresses import Linear
from vizapp.isa.decode import decode
from vizapp.isa.instruction import Instruction
from vizapp.isa.registers import CS, DS, EFLAGS_DF, EFLAGS_ZF, ES, FS, SS
from vizapp.isa.vectors import BR, DE, GP, UD
from vizapp.isa.vectors import SS as STACK_FAULT
from vizapp.machine.cpu import Cpu
from vizapp.machine.faults import Fault
from vizapp.machine.segments import SegmentState

START = 0x1000


def machine(**registers: int) -> Cpu:
    cpu = Cpu(Window(), NoPorts())
    cpu.eip, cpu.esp = START, 0x8000
    for name, value in registers.items():
        setattr(cpu, name, value)
    return cpu


def instruction(text: str, bits: int = 32) -> Instruction:
    code = assemble(f"bits {bits}\norg {START}\n{text}\n").data
    return decode(code, Linear(START), bits)


def run(cpu: Cpu, text: str, bits: int = 32) -> None:
    cpu.execute(instruction(text, bits))


def fault_of(cpu: Cpu, text: str) -> Fault:
    with pytest.raises(Fault) as raised:
        run(cpu, text)
    return raised.value


def memory(cpu: Cpu, address: int, size: int = 4) -> int:
    return cpu.space.read(address, size, False)


def data(base: int, limit: int, *, big: bool = True) -> SegmentState:
    descriptor = d.segment(base, limit, d.DATA_READ_WRITE)
    access = descriptor.access if big else descriptor.access & ~d.AR_DB
    return SegmentState(0x10, descriptor.base, descriptor.limit, access)


def test_push_esp_pushes_the_value_before():
    cpu = machine()
    run(cpu, "push esp")
    assert (memory(cpu, 0x7FFC), cpu.esp) == (0x8000, 0x7FFC)


def test_pop_esp_leaves_the_value_popped():
    cpu = machine()
    cpu.space.write(0x8000, 4, 0x1234, False)
    run(cpu, "pop esp")
    assert cpu.esp == 0x1234


def test_an_address_made_from_esp_uses_esp_after_the_pop():
    cpu = machine()
    cpu.space.write(0x8000, 4, 0x1234, False)
    run(cpu, "pop dword [esp + 4]")
    assert (memory(cpu, 0x8008), cpu.esp) == (0x1234, 0x8004)


def test_a_16_bit_stack_wraps_and_keeps_the_upper_half_of_esp():
    cpu = machine(esp=0xABCD_0002, eax=0x1122_3344)
    cpu.set_segment(SS, data(0, 0xFFFF, big=False))
    run(cpu, "push ax")
    assert (cpu.esp, memory(cpu, 0, 2)) == (0xABCD_0000, 0x3344)
    run(cpu, "push ax")
    assert (cpu.esp, memory(cpu, 0xFFFE, 2)) == (0xABCD_FFFE, 0x3344)
    run(cpu, "pop bx")
    run(cpu, "pop cx")
    assert (cpu.esp, cpu.ebx, cpu.ecx) == (0xABCD_0002, 0x3344, 0x3344)


def test_a_push_below_the_limit_of_an_expand_down_stack_is_a_stack_fault():
    cpu = machine(esp=0x2002)
    descriptor = d.segment(0, 0x1FFF, d.DATA_READ_WRITE | d.TYPE_EXPAND_DOWN)
    cpu.set_segment(SS, SegmentState(0x10, descriptor.base, descriptor.limit, descriptor.access))
    fault = fault_of(cpu, "push eax")
    assert (fault.vector, fault.error, cpu.esp) == (STACK_FAULT, 0, 0x2002)


def test_enter_copies_the_frames_that_enclose_it():
    cpu = machine(esp=0x8000, ebp=0x9000)
    for index in (1, 2):
        cpu.space.write(0x9000 - 4 * index, 4, 0x1111 * index, False)
    run(cpu, "enter 0x20, 3")
    stack = [memory(cpu, 0x7FFC - 4 * index) for index in range(4)]
    assert stack == [0x9000, 0x1111, 0x2222, 0x7FFC]
    assert (cpu.ebp, cpu.esp) == (0x7FFC, 0x7FFC - 12 - 0x20)
    run(cpu, "leave")
    assert (cpu.ebp, cpu.esp) == (0x9000, 0x8000)


def test_pusha_pushes_esp_as_it_was_and_popa_pops_by_the_operand_size():
    cpu = machine(eax=1, ecx=2, edx=3, ebx=4, ebp=5, esi=6, edi=7)
    run(cpu, "pushad")
    assert [memory(cpu, cpu.esp + 4 * index) for index in range(8)] == [7, 6, 5, 0x8000, 4, 3, 2, 1]
    for name in ("eax", "ecx", "edx", "ebx", "ebp", "esi", "edi"):
        setattr(cpu, name, 0xFFFF_FFFF)
    run(cpu, "popaw")
    assert (cpu.edi, cpu.eax, cpu.esp) == (0xFFFF_0007, 0xFFFF_0000, 0x8000 - 16)


@pytest.mark.parametrize(
    "text", ["jmp 0x3000", "call 0x3000", "jmp eax", "call eax", "jecxz 0x1060", "loop 0x1060"]
)
def test_a_branch_beyond_the_limit_of_cs_faults_where_it_stands(text):
    cpu = machine(eax=0x3000, ecx=2 if text.startswith("loop") else 0)
    limit = 0x1050 if "0x1060" in text else 0x2000
    code = d.segment(0, limit, d.CODE_READ)
    cpu.set_code_segment(SegmentState(8, code.base, code.limit, code.access), 0)
    ecx = cpu.ecx
    fault = fault_of(cpu, text)
    assert (fault.vector, fault.error) == (GP, 0)
    assert (cpu.eip, cpu.esp, cpu.ecx) == (START, 0x8000, ecx)


def test_eip_counts_from_the_base_of_cs():
    cpu = machine(eip=0x10)
    code = d.segment(0x1000, 0xFFFF, d.CODE_READ)
    cpu.set_code_segment(SegmentState(8, code.base, code.limit, code.access), 0)
    cpu.execute(decode(b"\xeb\x05", Linear(0x10)))
    assert cpu.eip == 0x17


def test_a_16_bit_branch_clears_the_upper_half_of_eip():
    cpu = machine(eip=0x12_FFF0)
    cpu.execute(decode(bytes.fromhex("66 E9 20 00"), Linear(0)))
    assert cpu.eip == 0x0014


def test_one_execution_of_a_repetition_is_one_iteration():
    cpu = machine(ecx=3, esi=0x2000, edi=0x3000)
    cpu.space.write(0x2000, 4, 0x0403_0201, False)
    progress = []
    for _ in range(3):
        run(cpu, "rep movsb")
        progress.append((cpu.ecx, cpu.esi, cpu.edi, cpu.eip))
    assert progress == [
        (2, 0x2001, 0x3001, START),
        (1, 0x2002, 0x3002, START),
        (0, 0x2003, 0x3003, START + 2),
    ]
    assert memory(cpu, 0x3000) == 0x0003_0201


def test_a_repetition_of_none_only_goes_on():
    cpu = machine(ecx=0, edi=0xFFFF_FFFF)
    run(cpu, "rep stosd")
    assert (cpu.edi, cpu.eip) == (0xFFFF_FFFF, START + 2)


def test_a_comparison_repeats_while_its_prefix_says():
    cpu = machine(ecx=5, edi=0x2000, eax=7)
    cpu.space.write(0x2000, 4, 0x0707_0907, False)
    cpu.eflags |= EFLAGS_ZF
    run(cpu, "repe scasb")
    assert (cpu.eip, cpu.ecx, cpu.zf) == (START, 4, True)
    run(cpu, "repe scasb")
    assert (cpu.eip, cpu.ecx, cpu.zf) == (START + 2, 3, False)
    cpu.eip = START
    run(cpu, "repne scasb")
    assert (cpu.eip, cpu.ecx, cpu.zf) == (START + 2, 2, True)


def test_strings_go_down_and_wrap_by_the_address_size():
    cpu = machine(ecx=0x1_0002, esi=0xABC_0000, edi=0x3001)
    cpu.eflags |= EFLAGS_DF
    run(cpu, "a16 rep movsb")
    assert (cpu.ecx, cpu.esi, cpu.edi) == (0x1_0001, 0xABC_FFFF, 0x3000)


def test_a_segment_prefix_changes_the_source_of_a_string_only():
    cpu = machine(esi=0x10, edi=0x20)
    cpu.set_segment(FS, data(0x2000, 0xFFFF))
    cpu.set_segment(DS, data(0x3000, 0xFFFF))
    cpu.set_segment(ES, data(0x4000, 0xFFFF))
    cpu.space.write(0x2010, 4, 0x55, False)
    cpu.execute(decode(bytes.fromhex("64 A5"), Linear(0)))
    assert memory(cpu, 0x4020) == 0x55


@pytest.mark.parametrize(
    ("text", "registers"),
    [
        ("div ebx", {"eax": 1, "ebx": 0}),
        ("div ebx", {"edx": 2, "ebx": 2}),
        ("idiv ebx", {"eax": 1, "ebx": 0}),
        ("idiv ebx", {"edx": 0xFFFF_FFFF, "eax": 0x8000_0000, "ebx": 0xFFFF_FFFF}),
        ("idiv bl", {"eax": 0x80, "ebx": 1}),
        ("aam 0", {"eax": 5}),
    ],
)
def test_a_quotient_that_does_not_fit_is_a_divide_error(text, registers):
    cpu = machine(**registers)
    before = (cpu.eax, cpu.edx, cpu.eflags, cpu.eip)
    assert fault_of(cpu, text).vector == DE
    assert (cpu.eax, cpu.edx, cpu.eflags, cpu.eip) == before


def test_idiv_rounds_towards_zero():
    cpu = machine(eax=0xFFFF_FFF9, edx=0xFFFF_FFFF, ebx=2)
    run(cpu, "idiv ebx")
    assert (cpu.eax, cpu.edx) == (0xFFFF_FFFD, 0xFFFF_FFFF)


@pytest.mark.parametrize(("index", "inside"), [(-3, True), (5, True), (-4, False), (6, False)])
def test_bound_compares_signed_numbers(index, inside):
    cpu = machine(eax=index & 0xFFFF_FFFF)
    cpu.space.write(0x2000, 4, -3 & 0xFFFF_FFFF, False)
    cpu.space.write(0x2004, 4, 5, False)
    if inside:
        run(cpu, "bound eax, [0x2000]")
        assert cpu.eip == START + 6
    else:
        assert fault_of(cpu, "bound eax, [0x2000]").vector == BR


def test_ud2_is_undefined():
    assert fault_of(machine(), "ud2").vector == UD


def test_a_bit_offset_in_a_register_is_signed_and_reaches_beyond_the_operand():
    cpu = machine(ebx=0x2000, eax=-33 & 0xFFFF_FFFF)
    cpu.space.write(0x1FF8, 4, 0, False)
    run(cpu, "bts [ebx], eax")
    assert memory(cpu, 0x1FF8) == 1 << 31


def test_cmpxchg8b_changes_only_zf():
    cpu = machine(eax=1, edx=2, ebx=3, ecx=4)
    cpu.eflags |= 0x8D5 & ~EFLAGS_ZF
    before = cpu.eflags
    cpu.space.write(0x2000, 8, 2 << 32 | 1, False)
    run(cpu, "lock cmpxchg8b [0x2000]")
    assert (memory(cpu, 0x2000), memory(cpu, 0x2004), cpu.eflags) == (3, 4, before | EFLAGS_ZF)
    run(cpu, "cmpxchg8b [0x2000]")
    assert (cpu.eax, cpu.edx, cpu.eflags) == (3, 4, before)


def test_a_write_through_a_code_segment_is_a_protection_fault():
    cpu = machine(ebx=0x2000)
    fault = fault_of(cpu, "add dword [cs:ebx], 1")
    assert (fault.vector, fault.error) == (GP, 0)
    assert cpu.segments[CS].limit == 0xFFFF_FFFF
