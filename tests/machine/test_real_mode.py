"""Real mode: reset, segments that keep their limits, the vector table, and the ways in and out."""

from __future__ import annotations

import pytest

from tests.machine.real import real_pc, run
from vizapp.isa.registers import CR0_PE, CS, DS, EFLAGS_AC, EFLAGS_IF, EFLAGS_TF
from vizapp.machine.identity import PENTIUM_4, with_fpu
from vizapp.machine.real_mode import power_on

FLAT_TABLE = """
        lgdt    [cs:pointer]
        mov     eax, cr0
        or      al, 1
        mov     cr0, eax
        mov     bx, 8
        mov     ds, bx
        and     al, 0xFE
        mov     cr0, eax
"""
TABLE_DATA = """
        align   8
table:  dd      0, 0
        dd      0x0000FFFF, 0x00CF9200
        dd      0x0000FFFF, 0x00009A00
pointer: dw     23
        dd      table
"""


def test_reset_leaves_the_processor_sixteen_bytes_below_the_top_of_memory():
    pc = real_pc("hlt")
    power_on(pc.cpu)
    code = pc.cpu.segments[CS]
    assert (code.selector, code.base, code.limit) == (0xF000, 0xFFFF_0000, 0xFFFF)
    assert (pc.cpu.eip, pc.cpu.eflags, pc.cpu.cr0) == (0xFFF0, 2, 0x6000_0010)
    assert not code.big
    assert pc.cpu.edx == PENTIUM_4.leaf(1).eax


def test_a_limit_that_protected_mode_left_serves_on():
    cpu = run(FLAT_TABLE + "mov ax, 0x10\nmov ds, ax\nmov dword [dword 0x8000], 5\nhlt" + TABLE_DATA)
    assert cpu.segments[DS].base == 0x100
    assert cpu.segments[DS].limit == 0xFFFF_FFFF
    high = run(FLAT_TABLE + "mov esi, 0x110000\nmov byte [esi], 7\nmov al, [esi]\nhlt" + TABLE_DATA)
    assert high.eax & 0xFF == 7


@pytest.mark.parametrize(
    ("code", "vector"),
    [
        ("mov ax, [0xFFFF]", 13),
        ("mov eax, [0xFFFD]", 13),
        ("mov bp, 0xFFFF\nmov ax, [bp]", 12),
        ("mov eax, [dword 0x10000]", 13),
        ("lldt ax", 6),
        ("str ax", 6),
        ("verr ax", 6),
        ("lar ax, bx", 6),
        ("arpl ax, bx", 6),
        ("sysenter", 13),
        ("ud2", 6),
        ("xor cx, cx\ndiv cx", 0),
        ("mov dword [far_pointer], 0x10000\njmp dword far [far_pointer]", 13),
    ],
)
def test_faults_go_through_the_vector_table_without_error_codes(code, vector):
    cpu = run(f"mov word [{vector} * 4], handler\n{code}\nhlt\nhandler: mov dx, sp\nmov bx, 0x600D\nhlt\n"
              "align 8\nfar_pointer: dd 0, 0")  # fmt: skip
    assert cpu.ebx & 0xFFFF == 0x600D


def test_an_interrupt_pushes_three_words_and_clears_if_and_tf():
    cpu = run(
        "mov word [0x21 * 4], handler\nsti\nint 0x21\nback: hlt\n"
        "handler: pushf\npop ax\nmov bp, sp\nmov bx, [bp]\nmov cx, [bp + 4]\nmov dx, back\nhlt"
    )
    assert not cpu.eax & (EFLAGS_IF | EFLAGS_TF)
    assert cpu.ebx == cpu.edx
    assert cpu.ecx & EFLAGS_IF


def test_iret_comes_back_with_the_flags():
    cpu = run("mov word [0x21 * 4], handler\nstc\nint 0x21\nmov bx, 5\nhlt\nhandler: clc\niret")
    assert (cpu.ebx, cpu.cf) == (5, 1)


def test_a_far_call_and_return_with_both_operand_sizes():
    cpu = run("call 0:sub\ncall dword 0:sub32\nhlt\nsub: inc bx\nretf\nsub32: inc bx\no32 retf")
    assert cpu.ebx == 2
    assert cpu.esp == 0x7000


def test_a_32_bit_iret_loads_ac_but_not_vm():
    cpu = run("pushfd\npop eax\nor eax, 0x60000\npush eax\npush dword 0\npush dword next\niretd\nnext: hlt")
    assert cpu.eflags & EFLAGS_AC
    assert not cpu.virtual_8086


def test_a_vector_beyond_the_limit_of_the_table_ends_in_shutdown():
    pc = real_pc("lidt [cs:pointer]\nud2\npointer: dw 0\ndd 0")
    pc.run(max_steps=10)
    assert pc.stopped[0] == "shutdown"


def test_protected_mode_and_back():
    cpu = run(
        "lgdt [cs:pointer]\nmov eax, cr0\ninc ax\nmov cr0, eax\njmp 0x10:inside\n"
        "inside: mov cx, cs\nstr dx\nmov eax, cr0\ndec ax\nmov cr0, eax\njmp 0:outside\n"
        "outside: mov [cs:scratch], cx\nmov bx, [scratch]\nhlt\nscratch: dw 0" + TABLE_DATA
    )
    assert (cpu.ecx, cpu.ebx, cpu.segments[CS].selector) == (0x10, 0x10, 0)
    assert not cpu.cr0 & CR0_PE


class TestFloatingPoint:
    def test_an_empty_socket_answers_nothing(self):
        cpu = run("mov ax, 0x5A5A\nfninit\nfnstsw ax\nfld1\nfwait\nhlt")
        assert cpu.eax == 0x5A5A

    @pytest.mark.parametrize(("bits", "code"), [(4, "fninit"), (8, "fld1"), (10, "fwait"), (4, "fnstsw ax")])
    def test_em_and_ts_trap(self, bits, code):
        setting = f"mov eax, cr0\nor al, {bits}\nmov cr0, eax"
        cpu = run(f"mov word [7 * 4], handler\n{setting}\n{code}\nhlt\nhandler: mov bx, 7\nhlt")
        assert cpu.ebx == 7

    def test_with_a_unit_its_control_state_works(self):
        pc = real_pc(
            "fninit\nfnstsw ax\nfnstcw [0x600]\nmov word [0x602], 0xF7F\nfldcw [0x602]\n"
            "fnstcw [0x604]\nfxsave [0x800]\nfninit\nfxrstor [0x800]\nfnstcw [0x606]\nhlt"
        )
        pc.cpu.identity = with_fpu(PENTIUM_4)
        pc.cpu.eax = 0x1234_5678
        pc.run(max_steps=30)
        assert pc.cpu.eax == 0x1234_0000
        assert [pc.memory.read(at, 2) for at in (0x600, 0x604, 0x606)] == [0x37F, 0xF7F, 0xF7F]

    def test_arithmetic_ends_the_run_with_a_sentence(self):
        pc = real_pc("fldpi\nhlt")
        pc.cpu.identity = with_fpu(PENTIUM_4)
        pc.run(max_steps=5)
        assert pc.stopped[0] == "crashed"
        assert "x87" in pc.stopped[1].in_english()
