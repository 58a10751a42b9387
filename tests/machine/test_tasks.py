"""Task switches: what is saved, what is loaded, busy bits, NT, and what a fault leaves behind."""

from __future__ import annotations

import pytest

from tests.machine.bench import CODE, FREE, GDT, STACKS, TSS, TSS_INDEX, Bench, code_selector, data_selector
from vizapp.isa import descriptors as d
from vizapp.isa import vectors as v
from vizapp.isa.registers import CR0_TS, CS, DS, EFLAGS_NT, GENERAL
from vizapp.machine.cpu_state import save_cpu
from vizapp.machine.debug import DR6_BT

OTHER = 0x3800
SELECTOR = FREE * 8
GATE = (FREE + 1) * 8
ENTRY = 0x1_8000
STACK = 0x7_0000
FIELDS = {
    d.TSS_EIP: ENTRY, d.TSS_EFLAGS: 0x2, d.TSS_EAX: 1, d.TSS_EAX + 4: 2, d.TSS_EAX + 8: 3, d.TSS_EAX + 12: 4,
    d.TSS_EAX + 16: STACK, d.TSS_EAX + 20: 6, d.TSS_EAX + 24: 7, d.TSS_EAX + 28: 8, d.TSS_LDT: 0,
}  # fmt: skip


def tasked(source: str, ring: int = 0, *, kind: int = d.TSS_32, dpl: int = 3, limit: int = 0x67) -> Bench:
    """A machine with another task, which runs ring 0 code."""
    bench = Bench(source, ring)
    bench.descriptor(FREE, d.system_segment(OTHER, limit, kind, dpl))
    for offset, value in FIELDS.items():
        bench.memory.write(OTHER + offset, 4, value)
    for index in range(6):
        selector = code_selector(0) if index == CS else data_selector(0)
        bench.memory.write(OTHER + d.TSS_ES + 4 * index, 4, selector)
    bench.assemble("inc eax\niretd", ENTRY)
    return bench


def kind_of(bench: Bench, selector: int) -> int:
    return bench.memory.read(GDT + selector + 5, 1) & 15


@pytest.mark.parametrize(
    ("source", "old", "nested"),
    [(f"jmp {SELECTOR}:0", d.TSS_32, False), (f"call {SELECTOR}:0", d.TSS_32_BUSY, True)],
)
def test_a_switch_saves_one_task_and_loads_the_other(source, old, nested):
    bench = tasked(source)
    bench.cpu.eax, bench.cpu.edi = 0xAAAA, 0xDDDD
    bench.step()
    cpu, read = bench.cpu, bench.memory.read
    assert [getattr(cpu, name) for name in GENERAL] == [1, 2, 3, 4, STACK, 6, 7, 8]
    assert (cpu.eip, cpu.tr.selector, bool(cpu.eflags & EFLAGS_NT)) == (ENTRY, SELECTOR, nested)
    assert cpu.cr0 & CR0_TS
    assert kind_of(bench, TSS_INDEX * 8) == old
    assert kind_of(bench, SELECTOR) == d.TSS_32_BUSY
    assert read(OTHER, 2) == (TSS_INDEX * 8 if nested else 0)
    assert (read(TSS + d.TSS_EAX, 4), read(TSS + d.TSS_EAX + 28, 4)) == (0xAAAA, 0xDDDD)
    assert read(TSS + d.TSS_EIP, 4) == CODE + 7
    assert read(TSS + d.TSS_ES + 4 * CS, 2) == code_selector(0)


def test_iret_returns_to_the_task_that_called():
    bench = tasked(f"call {SELECTOR}:0\nnop")
    bench.cpu.ebx = 77
    bench.step(3)
    assert (bench.cpu.ebx, bench.cpu.eip, bench.cpu.tr.selector) == (77, CODE + 7, TSS_INDEX * 8)
    assert kind_of(bench, SELECTOR) == d.TSS_32
    assert not bench.memory.read(OTHER + d.TSS_EFLAGS, 4) & EFLAGS_NT
    assert bench.memory.read(OTHER + d.TSS_EAX, 4) == 2


def test_an_exception_through_a_task_gate_pushes_its_error_code():
    bench = tasked("mov ax, 0x7F8\nmov ds, ax", 3)
    bench.gate(v.GP, d.Gate(SELECTOR, 0, d.TASK_GATE, 0, True))
    bench.step(2)
    assert (bench.cpu.eip, bench.cpu.esp, bench.cpu.cpl) == (ENTRY, STACK - 4, 0)
    assert bench.memory.read(STACK - 4, 4) == 0x7F8
    assert bench.memory.read(TSS + d.TSS_EIP, 4) == CODE + 4


@pytest.mark.parametrize(
    ("kind", "dpl", "limit", "expected"),
    [
        (d.TSS_32_BUSY, 3, 0x67, (v.GP, SELECTOR)),
        (d.TSS_32, 0, 0x67, (v.GP, SELECTOR)),
        (d.TSS_32, 3, 0x66, (v.TS, SELECTOR)),
        (d.TSS_16, 3, 0x2A, (v.TS, SELECTOR)),
        (d.LDT, 3, 0x67, (v.GP, SELECTOR)),
    ],
)
@pytest.mark.parametrize("name", ["jmp", "call"])
def test_a_task_that_cannot_be_entered_changes_nothing(name, kind, dpl, limit, expected):
    bench = tasked(f"{name} {SELECTOR}:0", 3, kind=kind, dpl=dpl, limit=limit)
    before = save_cpu(bench.cpu)
    assert bench.fault() == expected
    found = bench.delivered()
    assert (found.eip, found.old_esp) == (CODE, STACKS + 0x3000)
    after = save_cpu(bench.cpu)
    assert after.tr == before.tr
    assert after.general[:4] == before.general[:4]
    assert kind_of(bench, TSS_INDEX * 8) == d.TSS_32_BUSY


def test_an_absent_task():
    bench = tasked(f"jmp {SELECTOR}:0")
    bench.memory.write(GDT + SELECTOR + 5, 1, 0x69)
    assert bench.fault() == (v.NP, SELECTOR)


@pytest.mark.parametrize(
    ("offset", "value", "expected"),
    [
        (d.TSS_ES + 4 * CS, 0, (v.TS, 0)),
        (d.TSS_ES + 4 * CS, data_selector(0), (v.TS, data_selector(0))),
        (d.TSS_ES + 4 * DS, 0x7F8, (v.TS, 0x7F8)),
        (d.TSS_ES + 4 * DS, TSS_INDEX * 8, (v.TS, TSS_INDEX * 8)),
        (d.TSS_LDT, data_selector(0), (v.TS, data_selector(0))),
    ],
)
def test_what_is_wrong_with_a_tasks_segments_is_its_own_fault(offset, value, expected):
    """#TS comes through a task gate here, since the incoming task has perhaps no stack."""
    bench = tasked(f"call {SELECTOR}:0")
    third = 0x3C00
    bench.memory.load(third, bench.memory.dump(OTHER, 0x68))
    bench.descriptor(FREE + 2, d.system_segment(third, 0x67, d.TSS_32))
    bench.cpu.gdtr = bench.cpu.gdtr._replace(limit=0xFF)
    bench.gate(v.TS, d.Gate((FREE + 2) * 8, 0, d.TASK_GATE, 0, True))
    bench.memory.write(OTHER + offset, 4, value)
    bench.step(2)
    assert bench.cpu.tr.selector == (FREE + 2) * 8
    assert bench.memory.read(bench.cpu.esp, 4) == expected[1]
    assert bench.memory.read(third, 2) == SELECTOR  # the incoming task was already the present one
    assert bench.memory.read(OTHER + d.TSS_EIP, 4) == ENTRY


def test_a_link_that_is_no_busy_task():
    bench = tasked("iretd")
    bench.cpu.eflags |= EFLAGS_NT
    bench.memory.write(TSS, 2, SELECTOR)  # available
    assert bench.fault() == (v.TS, SELECTOR)


def test_the_t_bit_traps_before_the_first_instruction():
    bench = tasked(f"jmp {SELECTOR}:0")
    bench.memory.write(OTHER + d.TSS_TRAP, 2, 1)
    bench.step()
    assert bench.fault() == (v.DB, None)
    assert bench.delivered().eip == ENTRY
    assert bench.cpu.debug[6] & DR6_BT


def test_a_page_fault_on_the_way_comes_before_any_change():
    bench = tasked(f"jmp {SELECTOR}:0")
    bench.turn_on_paging()
    moved = 0x9_0000
    bench.descriptor(FREE, d.system_segment(moved + 0xFC0, 0x67, d.TSS_32))
    bench.memory.load(moved + 0xFC0, bench.memory.dump(OTHER, 0x68))
    bench.page(moved + 0x1000, 0)
    assert bench.fault() == (v.PF, 0)
    assert bench.delivered().eip == CODE
    assert bench.cpu.tr.selector == TSS_INDEX * 8
    assert kind_of(bench, SELECTOR) == d.TSS_32


def test_a_user_may_not_go_through_a_gate_of_ring_0():
    bench = tasked(f"call {GATE}:0", 3)
    bench.raw_gate(FREE + 1, d.Gate(SELECTOR, 0, d.TASK_GATE, 0, True))
    assert bench.fault() == (v.GP, GATE)


def test_through_a_gate_the_dpl_of_the_tss_does_not_matter():
    bench = tasked(f"call {GATE}:0", 3, dpl=0)
    bench.raw_gate(FREE + 1, d.Gate(SELECTOR, 0, d.TASK_GATE, 3, True))
    bench.step()
    assert bench.cpu.eip == ENTRY
