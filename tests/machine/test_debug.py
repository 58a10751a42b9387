"""Debug registers, alignment and NMI: what stops where, and what DR6 says."""

from __future__ import annotations

import pytest

from tests.machine.bench import CODE, DATA, GDT, HANDLERS, STACKS, Bench, data_selector
from vizapp.isa import vectors as v
from vizapp.isa.registers import CR0_AM, CR4_DE, EFLAGS_AC, EFLAGS_IF, EFLAGS_RF, EFLAGS_TF
from vizapp.machine.debug import DR6_BD, DR6_BS, DR7_GD

EXECUTE, WRITE, PORT, ACCESS = range(4)
BYTE, WORD, DOUBLE = 0, 1, 3


def watch(bench: Bench, kind: int, address: int, length: int = BYTE, number: int = 0) -> None:
    """Set a breakpoint as MOV to the debug registers does."""
    bench.cpu.debug[number] = address
    bench.cpu.debug[7] |= 2 << 2 * number | (kind | length << 2) << 16 + 4 * number
    bench.cpu.mode_changed()


def test_an_instruction_breakpoint_stops_before_the_instruction():
    bench = Bench("nop\ninc eax\nnop")
    watch(bench, EXECUTE, CODE + 1)
    assert bench.fault(2) == (v.DB, None)
    found = bench.delivered()
    assert (found.eip, bench.cpu.eax, bench.cpu.debug[6] & 15) == (CODE + 1, 0, 1)
    assert not found.eflags & EFLAGS_RF


def test_rf_lets_the_instruction_pass_once():
    bench = Bench("inc eax\njmp $-1")
    bench.assemble("or dword [esp + 8], 0x10000\niretd", HANDLERS + 16 * v.DB)
    watch(bench, EXECUTE, CODE)
    bench.step(4)
    assert bench.cpu.eax == 1
    bench.step()
    assert bench.fault() == (v.DB, None)
    assert bench.cpu.eax == 1


@pytest.mark.parametrize(
    ("code", "kind", "length", "hit"),
    [
        ("mov [0x20000], al", WRITE, BYTE, True),
        ("mov al, [0x20000]", WRITE, BYTE, False),
        ("mov al, [0x20000]", ACCESS, BYTE, True),
        ("mov al, [0x20001]", ACCESS, BYTE, False),
        ("mov eax, [0x1FFFD]", ACCESS, BYTE, True),
        ("mov [0x20003], al", WRITE, DOUBLE, True),
        ("mov [0x20002], al", WRITE, WORD, False),
        ("inc byte [0x20000]", WRITE, BYTE, True),
        ("push dword [0x20000]", ACCESS, BYTE, True),
    ],
)
def test_a_data_breakpoint_traps_after_the_access(code, kind, length, hit):
    bench = Bench(code + "\nnop")
    watch(bench, kind, DATA, length, 2)
    bench.step()
    assert bench.delivered() is None
    assert bench.fault() == ((v.DB, None) if hit else None)
    assert bench.cpu.debug[6] & 15 == (4 if hit else 0)


def test_a_data_breakpoint_stops_a_repetition_between_elements():
    bench = Bench("rep stosb")
    bench.cpu.edi, bench.cpu.ecx = DATA - 2, 10
    watch(bench, WRITE, DATA)
    assert bench.fault(4) == (v.DB, None)
    assert (bench.cpu.ecx, bench.delivered().eip) == (7, CODE)


@pytest.mark.parametrize(("cr4", "expected"), [(0, None), (CR4_DE, (v.DB, None))])
def test_a_breakpoint_on_a_port_needs_de(cr4, expected):
    bench = Bench("in al, 0x60\nnop")
    bench.cpu.cr4 = cr4
    watch(bench, PORT, 0x60)
    assert bench.fault(2) == expected


def test_a_step_and_a_breakpoint_are_told_together():
    bench = Bench("mov [0x20000], al\nnop")
    bench.cpu.eflags |= EFLAGS_TF
    watch(bench, WRITE, DATA)
    assert bench.fault(2) == (v.DB, None)
    assert bench.cpu.debug[6] & (15 | DR6_BS) == 1 | DR6_BS


def test_general_detect_guards_the_registers_once():
    bench = Bench("mov eax, dr0")
    bench.cpu.debug[7] |= DR7_GD
    assert bench.fault() == (v.DB, None)
    assert bench.cpu.debug[6] & DR6_BD
    assert not bench.cpu.debug[7] & DR7_GD


def test_an_instruction_that_faults_reports_no_breakpoint():
    bench = Bench("mov al, [0x20000]\ndiv dword [0x20000]")
    bench.cpu.eip = CODE + 5
    watch(bench, ACCESS, DATA)
    assert bench.fault() == (v.DE, None)
    bench.step()
    assert bench.cpu.eip != HANDLERS + 16 * v.DB


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("mov eax, [0x20001]", (v.AC, 0)),
        ("mov ax, [0x20001]", (v.AC, 0)),
        ("mov eax, [0x20004]", None),
        ("mov al, [0x20001]", None),
        ("mov [0x20002], eax", (v.AC, 0)),
        ("add [0x20002], eax", (v.AC, 0)),
    ],
)
@pytest.mark.parametrize("ring", [0, 3])
def test_alignment_is_checked_at_cpl_3(code, expected, ring):
    bench = Bench(code, ring)
    bench.cpu.cr0 |= CR0_AM
    bench.cpu.eflags |= EFLAGS_AC
    bench.cpu.mode_changed()
    assert bench.fault() == (expected if ring == 3 else None)


def test_popf_turns_the_alignment_check_on_and_off():
    bench = Bench("popfd\nmov eax, [0x20001]\npopfd\nmov eax, [0x20001]", 3)
    bench.cpu.cr0 |= CR0_AM
    bench.memory.write(bench.cpu.esp, 4, 2)
    assert bench.fault(2) is None
    bench.memory.write(bench.cpu.esp, 4, EFLAGS_AC | 2)
    assert bench.fault(2) == (v.AC, 0)


def test_an_nmi_comes_whatever_if_says_and_blocks_the_next_until_iret():
    bench = Bench("nop\nnop\nnop")
    bench.assemble("nop\niretd", HANDLERS + 16 * v.NMI)
    bench.cpu.nmi_pending = True
    bench.step()
    assert bench.delivered().vector == v.NMI
    bench.cpu.nmi_pending = True
    bench.step(2)
    assert bench.cpu.eip == CODE
    bench.step()
    assert bench.delivered().vector == v.NMI
    assert not bench.cpu.eflags & EFLAGS_IF


def test_a_breakpoint_survives_a_checkpoint():
    bench = Bench("nop\nmov [0x20000], al\nnop")
    watch(bench, WRITE, DATA)
    bench.step()
    saved = bench.pc.save()
    bench.pc.load(saved)
    assert bench.fault(2) == (v.DB, None)


# As on Bochs, see tests.oracle.breakpoints.
@pytest.mark.parametrize(
    ("code", "kind", "at", "hit"),
    [
        ("mov ds, ax", ACCESS, 0, True),
        ("mov ds, ax", ACCESS, 8, False),
        ("mov ds, ax", WRITE, 4, True),
        ("lar edx, ax", ACCESS, 4, True),
        ("lar edx, ax", WRITE, 4, False),
        ("verr ax", ACCESS, 0, True),
    ],
)
def test_the_processors_own_accesses_meet_breakpoints(code, kind, at, hit):
    bench = Bench(code + "\nnop")
    bench.cpu.eax = data_selector(0)
    watch(bench, kind, GDT + (data_selector(0) & ~7) + at, DOUBLE)
    assert bench.fault(2) == ((v.DB, None) if hit else None)


@pytest.mark.parametrize("ring", [0, 3])
@pytest.mark.parametrize(("below", "hit"), [(4, True), (12, True), (24, False)])
def test_a_frame_that_meets_a_breakpoint_is_told_of_at_the_handler(ring, below, hit):
    bench = Bench("int 0x40", ring)
    watch(bench, WRITE, STACKS - below, DOUBLE)
    bench.step()
    assert bench.cpu.eip == HANDLERS + 16 * 0x40
    bench.step()
    assert (bench.cpu.eip == HANDLERS + 16 * v.DB) == hit


def test_what_the_processor_pushed_through_a_known_gate_is_met_too():
    bench = Bench("int 0x40\njmp $-2", 3)
    bench.assemble("iretd", HANDLERS + 16 * 0x40)
    bench.step(9)
    watch(bench, WRITE, STACKS - 4, DOUBLE)
    for _ in range(4):
        bench.step()
        if bench.cpu.eip == HANDLERS + 16 * v.DB:
            return
    pytest.fail("it has met nothing")


def test_a_load_of_ss_holds_a_breakpoint_back_for_one_instruction():
    bench = Bench("mov ss, ax\nnop\nnop")
    bench.cpu.eax = data_selector(0)
    watch(bench, ACCESS, GDT + (data_selector(0) & ~7), DOUBLE)
    assert bench.fault(3) == (v.DB, None)
    assert bench.delivered().eip == CODE + 3
