"""Far jumps, calls and returns, call gates, IRET, SYSENTER and SYSEXIT, by the SDM's pseudocode."""

import pytest

from tests.machine.bench import (
    CODE,
    FREE,
    STACKS,
    TSS,
    TSS_INDEX,
    Bench,
    code_selector,
    data_selector,
)
from vizapp.isa import descriptors as d
from vizapp.isa import vectors as v
from vizapp.isa.registers import CS, DS, EFLAGS_AC, EFLAGS_IF, EFLAGS_NT, EFLAGS_RF, ES, FS, GS, SS

SELECTOR = FREE * 8
GATE = (FREE + 1) * 8
TARGET = 0x1_8000
FLAT = 0xFFFF_FFFF


def code(dpl=0, kind=d.CODE_READ, limit=FLAT, present=True):
    made = d.segment(0, limit, kind, dpl)
    return made if present else made._replace(access=made.access & ~d.AR_P)


CONFORMING = d.CODE_READ | d.TYPE_CONFORMING

DIRECT = [
    (0, 0, None, (v.GP, 0)),
    (0, 0x80, None, (v.GP, 0x80)),
    (0, SELECTOR, code(), None),
    (3, SELECTOR | 3, code(3), None),
    (3, SELECTOR, code(3), None),  # RPL below CPL does not matter
    (0, SELECTOR | 3, code(), (v.GP, SELECTOR)),  # RPL > CPL
    (3, SELECTOR | 3, code(0), (v.GP, SELECTOR)),
    (0, SELECTOR, code(3), (v.GP, SELECTOR)),  # DPL > CPL
    (3, SELECTOR | 3, code(0, CONFORMING), None),
    (0, SELECTOR, code(3, CONFORMING), (v.GP, SELECTOR)),
    (0, SELECTOR, code(present=False), (v.NP, SELECTOR)),
    (0, SELECTOR, code(limit=0xFFF), (v.GP, 0)),  # target beyond the limit
    (0, SELECTOR, d.segment(0, FLAT, d.DATA_READ_WRITE), (v.GP, SELECTOR)),
    (0, SELECTOR, d.system_segment(0, 0x7F, d.LDT), (v.GP, SELECTOR)),
]


@pytest.mark.parametrize(("ring", "selector", "descriptor", "expected"), DIRECT)
@pytest.mark.parametrize("name", ["jmp", "call"])
def test_direct_transfers(name, ring, selector, descriptor, expected):
    bench = Bench(f"{name} {selector:#x}:{TARGET:#x}", ring)
    if descriptor is not None:
        bench.descriptor(FREE, descriptor)
    esp = bench.cpu.esp
    assert bench.fault() == expected
    if expected is None:
        assert bench.cpu.eip == TARGET
        assert bench.cpu.segments[CS].selector == selector & ~3 | ring
        assert bench.cpu.cpl == ring
        if name == "call":
            assert bench.cpu.esp == esp - 8
            assert bench.stack(2) == [CODE + 7, code_selector(ring)]
    else:
        assert bench.delivered().eip == CODE


def test_a_transfer_through_memory():
    bench = Bench("jmp far [0x20000]")
    bench.memory.write(0x20000, 4, TARGET)
    bench.memory.write(0x20004, 2, code_selector(0))
    bench.step()
    assert bench.cpu.eip == TARGET


def test_a_call_with_no_room_on_the_stack():
    bench = Bench(f"call {code_selector(0):#x}:{TARGET:#x}", 3)
    bench.assemble(f"call {code_selector(3):#x}:{TARGET:#x}")
    stack = bench.cpu.segments[SS]
    bench.segment(SS, type(stack)(stack.selector, 0, 0xFFF, stack.access))
    assert bench.fault() == (v.SS, 0)


def gated(ring, *, gate_dpl=3, target=0, parameters=0, kind=d.CALL_GATE_32, present=True, name="call"):
    bench = Bench(f"{name} {GATE | ring:#x}:0", ring)
    gate = d.Gate(code_selector(target) & ~3, TARGET, kind, gate_dpl, present, parameters)
    bench.raw_gate(FREE + 1, gate)
    return bench


def test_a_call_gate_to_an_inner_ring_copies_parameters():
    bench = gated(3, target=1, parameters=2)
    cpu = bench.cpu
    cpu.esp -= 8
    bench.memory.write(cpu.esp, 4, 0x1111)
    bench.memory.write(cpu.esp + 4, 4, 0x2222)
    esp = cpu.esp
    bench.step()
    assert (cpu.cpl, cpu.eip) == (1, TARGET)
    assert cpu.segments[CS].selector == code_selector(1)
    assert cpu.segments[SS].selector == data_selector(1)
    assert cpu.esp == STACKS + 0x1000 - 24
    assert bench.stack(6) == [CODE + 7, code_selector(3), 0x1111, 0x2222, esp, data_selector(3)]
    event = bench.events[-1]
    assert (event.kind, event.source.ring, event.target.ring) == ("GateCalled", 3, 1)


def test_a_call_gate_and_the_return_through_it():
    bench = gated(3, parameters=2)
    bench.assemble("retf 8", TARGET)
    bench.cpu.esp -= 8
    bench.step(2)
    assert (bench.cpu.cpl, bench.cpu.eip, bench.cpu.esp) == (3, CODE + 7, STACKS + 0x3000)
    assert bench.events[-1].kind == "Returned"


def test_a_gate_to_the_same_ring_keeps_the_stack():
    bench = gated(0)
    bench.step()
    assert bench.cpu.esp == STACKS - 8
    assert bench.stack(2) == [CODE + 7, code_selector(0)]


def test_a_16_bit_call_gate_pushes_words():
    bench = gated(3, kind=d.CALL_GATE_16)
    bench.step()
    assert (bench.cpu.eip, bench.cpu.esp) == (TARGET & 0xFFFF, STACKS - 8)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"ring": 3, "gate_dpl": 2}, (v.GP, GATE)),
        ({"ring": 3, "present": False}, (v.NP, GATE)),
        ({"ring": 0, "target": 3}, (v.GP, code_selector(3) & ~3)),  # outwards
        ({"ring": 3, "name": "jmp"}, (v.GP, code_selector(0))),  # JMP never changes the ring
        ({"ring": 0, "name": "jmp"}, None),
    ],
)
def test_privilege_of_call_gates(options, expected):
    bench = gated(**options)
    assert bench.fault() == expected


def test_a_bad_inner_stack_of_a_call_gate():
    bench = gated(3)
    bench.memory.write(TSS + d.TSS_SS0, 4, 0)
    bench.gate(v.TS, d.Gate(code_selector(3), 0x8000 + 16 * v.TS, d.INTERRUPT_GATE_32, 3, True))
    assert bench.fault() == (v.TS, 0)


def test_a_busy_tss_is_no_target():
    bench = Bench(f"jmp {TSS_INDEX * 8:#x}:0")
    assert bench.fault() == (v.GP, TSS_INDEX * 8)


def push_frame(bench, *words):
    """Words as they will be popped."""
    bench.cpu.esp -= 4 * len(words)
    for index, word in enumerate(words):
        bench.memory.write(bench.cpu.esp + 4 * index, 4, word)


RETURNS = [
    ((TARGET, code_selector(3)), (STACKS + 0x2F00, data_selector(3)), None),
    ((TARGET, 0), (STACKS, data_selector(3)), (v.GP, 0)),
    ((TARGET, 0x83), (STACKS, data_selector(3)), (v.GP, 0x80)),
    ((TARGET, data_selector(3)), (STACKS, data_selector(3)), (v.GP, data_selector(3) & ~3)),
    ((TARGET, code_selector(2) | 3), (STACKS, data_selector(3)), (v.GP, code_selector(2) & ~3)),
    ((TARGET, code_selector(3)), (STACKS, 0), (v.GP, 0)),
    ((TARGET, code_selector(3)), (STACKS, 3), (v.GP, 0)),
    ((TARGET, code_selector(3)), (STACKS, data_selector(2)), (v.GP, data_selector(2) & ~3)),
    ((TARGET, code_selector(3)), (STACKS, code_selector(3)), (v.GP, code_selector(3) & ~3)),
    ((TARGET, code_selector(3)), (STACKS, 0x83), (v.GP, 0x80)),
]


@pytest.mark.parametrize(("to", "stack", "expected"), RETURNS)
@pytest.mark.parametrize("name", ["iretd", "retf"])
def test_returns_to_an_outer_ring(name, to, stack, expected):
    bench = Bench(name)
    words = (*to, 2 | EFLAGS_IF) if name == "iretd" else to
    push_frame(bench, *words, *stack)
    assert bench.fault() == expected
    if expected is None:
        cpu = bench.cpu
        assert (cpu.eip, cpu.cpl, cpu.esp) == (TARGET, 3, stack[0])
        assert cpu.segments[SS].selector == stack[1]
        assert [cpu.segments[index].selector for index in (ES, DS, FS, GS)] == [0, 0, 0, 0]
        assert bool(cpu.eflags & EFLAGS_IF) == (name == "iretd")
        assert bench.events[-1].kind == "Returned"


def test_segments_that_the_outer_ring_may_use_stay():
    bench = Bench("iretd")
    bench.descriptor(FREE, code(0, CONFORMING))
    push_frame(bench, TARGET, code_selector(3), 2, STACKS, data_selector(3))
    bench.cpu.eax = data_selector(3)
    bench.assemble(f"mov ds, ax\nmov ax, {SELECTOR}\nmov es, ax\niretd")
    bench.step(4)
    assert bench.cpu.segments[DS].selector == data_selector(3)
    assert bench.cpu.segments[ES].selector == SELECTOR
    assert bench.cpu.segments[FS].selector == 0


@pytest.mark.parametrize("name", ["iretd", "retf"])
def test_returns_never_lead_inwards(name):
    bench = Bench(name, 3)
    push_frame(bench, TARGET, code_selector(0), 2)
    assert bench.fault() == (v.GP, code_selector(0))


def test_a_return_to_an_absent_segment():
    bench = Bench("iretd")
    bench.descriptor(FREE, code(present=False))
    push_frame(bench, TARGET, SELECTOR, 2)
    assert bench.fault() == (v.NP, SELECTOR)


@pytest.mark.parametrize(
    ("ring", "iopl", "interrupts", "level"),
    [
        (0, 0, True, True),
        (1, 0, False, False),
        (1, 1, True, False),
        (3, 0, False, False),
        (3, 3, True, False),
    ],
)
def test_which_flags_iret_loads(ring, iopl, interrupts, level):
    """IF needs CPL <= IOPL, IOPL needs CPL 0; everything else is loaded in any ring, silently."""
    bench = Bench("iretd", ring, iopl=iopl)
    wanted = 2 | EFLAGS_IF | (3 if iopl != 3 else 0) << 12 | EFLAGS_NT | EFLAGS_AC | 1
    push_frame(bench, TARGET, code_selector(ring), wanted)
    assert bench.fault() is None
    flags = bench.cpu.eflags
    assert bool(flags & EFLAGS_IF) == interrupts
    assert (flags >> 12 & 3 == wanted >> 12 & 3) == level
    assert flags & (EFLAGS_NT | EFLAGS_AC | 1) == EFLAGS_NT | EFLAGS_AC | 1


def test_rf_does_not_outlive_the_return():
    bench = Bench("iretd")
    push_frame(bench, TARGET, code_selector(0), 2 | EFLAGS_RF)
    bench.step()
    assert not bench.cpu.eflags & EFLAGS_RF


def test_a_16_bit_iret():
    bench = Bench("iretw")
    bench.cpu.esp -= 6
    for index, word in enumerate((0x1234, code_selector(0), 0x0202)):
        bench.memory.write(bench.cpu.esp + 2 * index, 2, word)
    bench.step()
    assert (bench.cpu.eip, bench.cpu.esp) == (0x1234, STACKS)
    assert bench.cpu.eflags & EFLAGS_IF


def test_sysenter_and_sysexit():
    bench = Bench("sysenter", 3)
    cpu = bench.cpu
    assert bench.fault() == (v.GP, 0)  # no MSR, no SYSENTER
    bench = Bench("sysenter", 3)
    cpu = bench.cpu
    cpu.sysenter = [code_selector(0), STACKS - 0x100, TARGET]
    cpu.eflags |= EFLAGS_IF
    bench.assemble(f"mov edx, {CODE + 2}\nmov ecx, {STACKS + 0x2F00}\nsysexit", TARGET)
    bench.step()
    assert (cpu.cpl, cpu.eip, cpu.esp) == (0, TARGET, STACKS - 0x100)
    assert not cpu.eflags & EFLAGS_IF
    assert [cpu.segments[index].selector for index in (CS, SS)] == [0x08, 0x10]
    bench.step(3)
    assert (cpu.cpl, cpu.eip, cpu.esp) == (3, CODE + 2, STACKS + 0x2F00)
    assert [cpu.segments[index].selector for index in (CS, SS)] == [0x1B, 0x23]


def test_sysexit_outside_ring_0():
    assert Bench("sysexit", 3).fault() == (v.GP, 0)
