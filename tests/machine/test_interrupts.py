"""Gates, stack switches, error codes, double and triple faults: SDM Vol. 2, INT n, and Vol. 3, chapter 6."""

import pytest

from tests.machine.bench import (
    CODE,
    FREE,
    GDT,
    HANDLERS,
    IDT,
    STACKS,
    TSS,
    TSS_INDEX,
    Bench,
    code_selector,
    data_selector,
)
from vizapp.isa import descriptors as d
from vizapp.isa import vectors as v
from vizapp.isa.registers import CS, EFLAGS_IF, EFLAGS_NT, EFLAGS_RF, EFLAGS_TF, SS
from vizapp.machine.segments import TableRegister

VECTOR = 0x40
IDT_ERROR = VECTOR * 8 + 2


def gate(selector=0x08, kind=d.INTERRUPT_GATE_32, dpl=3, present=True):
    return d.Gate(selector, HANDLERS + 16 * VECTOR, kind, dpl, present)


@pytest.mark.parametrize("ring", [0, 1, 2, 3])
def test_int_n_switches_to_the_stack_of_the_tss(ring):
    bench = Bench(f"int {VECTOR}", ring)
    bench.cpu.eflags |= EFLAGS_IF
    esp = bench.cpu.esp
    bench.step()
    found = bench.delivered()
    assert (found.vector, found.eip, found.cs) == (VECTOR, CODE + 2, code_selector(ring))
    assert bench.cpu.cpl == 0
    assert bench.cpu.segments[SS].selector == data_selector(0)
    if ring:
        assert (found.old_esp, found.old_ss) == (esp, data_selector(ring))
        assert bench.cpu.esp == STACKS - 20
    else:
        assert bench.cpu.esp == esp - 12
    assert found.eflags & EFLAGS_IF
    assert not bench.cpu.eflags & EFLAGS_IF
    event = bench.events[-1]
    assert (event.kind, event.cause) == ("SoftwareInterruptDelivered", "int 0x40")
    assert (event.source.ring, event.target.ring) == (ring, 0)


def test_a_gate_to_ring_1_takes_the_stack_of_ring_1():
    bench = Bench(f"int {VECTOR}", 3)
    bench.gate(VECTOR, gate(code_selector(1)))
    bench.step()
    assert bench.cpu.cpl == 1
    assert bench.cpu.segments[CS].selector == code_selector(1)
    assert bench.cpu.esp == STACKS + 0x1000 - 20


def test_a_trap_gate_leaves_if_alone_and_both_clear_tf_and_nt():
    bench = Bench(f"int {VECTOR}")
    bench.gate(VECTOR, gate(kind=d.TRAP_GATE_32))
    bench.cpu.eflags = 2 | EFLAGS_IF | EFLAGS_TF | EFLAGS_NT
    bench.step()
    assert bench.cpu.eflags & (EFLAGS_IF | EFLAGS_TF | EFLAGS_NT) == EFLAGS_IF
    assert bench.delivered().eflags & EFLAGS_TF
    bench.step()
    assert bench.cpu.eip != HANDLERS + 16 * v.DB  # the trap of single stepping died with TF


def test_a_16_bit_gate_pushes_words():
    bench = Bench(f"int {VECTOR}")
    bench.gate(VECTOR, gate(kind=d.INTERRUPT_GATE_16))
    esp = bench.cpu.esp
    bench.step()
    assert bench.cpu.esp == esp - 6
    assert bench.cpu.eip == (HANDLERS + 16 * VECTOR) & 0xFFFF
    assert bench.memory.read(bench.cpu.esp, 2) == (CODE + 2) & 0xFFFF


@pytest.mark.parametrize(
    ("ring", "changed", "expected"),
    [
        (3, gate(dpl=0), (v.GP, IDT_ERROR)),  # INT n looks at the gate's DPL
        (0, gate(dpl=0), None),
        (0, gate(kind=d.CALL_GATE_32), (v.GP, IDT_ERROR)),
        (0, gate(kind=d.TSS_32), (v.GP, IDT_ERROR)),
        (0, gate(present=False), (v.NP, IDT_ERROR)),
        (3, gate(dpl=0, present=False), (v.GP, IDT_ERROR)),
        (0, gate(selector=0), (v.GP, 0)),
        (0, gate(selector=0x80), (v.GP, 0x80)),
        (0, gate(selector=data_selector(0)), (v.GP, data_selector(0))),
        (0, gate(selector=code_selector(3)), (v.GP, code_selector(3) & ~3)),  # DPL > CPL
    ],
)
def test_a_bad_gate_is_a_fault_of_the_int_itself(ring, changed, expected):
    bench = Bench(f"int {VECTOR}", ring)
    bench.gate(VECTOR, changed)
    assert bench.fault() == ((VECTOR, None) if expected is None else expected)
    if expected is not None:
        assert bench.delivered().eip == CODE


def test_a_vector_beyond_the_idt():
    bench = Bench(f"int {VECTOR}")
    bench.cpu.idtr = TableRegister(IDT, VECTOR * 8 + 6)
    assert bench.fault() == (v.GP, IDT_ERROR)


def not_present_code(bench):
    code = d.segment(0, 0xFFFF_FFFF, d.CODE_READ)
    bench.descriptor(FREE, code._replace(access=code.access & ~d.AR_P))


def test_an_absent_code_segment():
    bench = Bench(f"int {VECTOR}")
    not_present_code(bench)
    bench.gate(VECTOR, gate(selector=FREE * 8))
    assert bench.fault() == (v.NP, FREE * 8)


@pytest.mark.parametrize(
    ("ss", "descriptor", "expected"),
    [
        (0, None, (v.TS, 0)),
        (0x80, None, (v.TS, 0x80)),
        (data_selector(2), None, (v.TS, data_selector(2) & ~3)),
        (FREE * 8, d.segment(0, 0xFFFF_FFFF, 0), (v.TS, FREE * 8)),  # read-only
        (FREE * 8, d.segment(0, 0xFFFF_FFFF, 2)._replace(access=0xC012), (v.SS, FREE * 8)),  # absent
        (FREE * 8, d.segment(0, 0xFFF, 2), (v.SS, FREE * 8)),  # no room
    ],
)
def test_a_bad_inner_stack(ss, descriptor, expected):
    """The exception of the bad stack of ring 1 goes to ring 0, whose stack is good."""
    bench = Bench(f"int {VECTOR}", 3)
    bench.gate(VECTOR, gate(code_selector(1)))
    if descriptor is not None:
        if descriptor.dpl == 0:
            descriptor = descriptor._replace(access=descriptor.access | 1 << 5)
        bench.descriptor(FREE, descriptor)
        ss |= 1
    bench.memory.write(TSS + d.TSS_SS0 + 8, 4, ss)
    assert bench.fault() == expected
    assert bench.delivered().old_esp == STACKS + 0x3000


def test_a_tss_too_short_for_the_stack():
    bench = Bench(f"int {VECTOR}", 3)
    bench.gate(VECTOR, gate(code_selector(1)))
    tss = bench.cpu.tr
    bench.cpu.tr = type(tss)(tss.selector, tss.base, 0x0B, tss.access)
    assert bench.fault() == (v.TS, TSS_INDEX * 8)


@pytest.mark.parametrize(("source", "vector", "length"), [("int3", v.BP, 1), ("into", v.OF, 1)])
def test_int3_and_into_are_software_interrupts(source, vector, length):
    bench = Bench(source, 3)
    bench.cpu.eflags |= 1 << 11
    bench.step()
    assert (bench.delivered().vector, bench.delivered().eip) == (vector, CODE + length)
    refused = Bench(source, 3, gate_dpl=0)
    refused.cpu.eflags |= 1 << 11
    assert refused.fault() == (v.GP, vector * 8 + 2)


def test_into_without_overflow_goes_on():
    bench = Bench("into", 3)
    assert bench.fault() is None
    assert bench.cpu.eip == CODE + 1


def test_a_fault_pushes_its_own_address_and_rf():
    bench = Bench("nop\nud2", 3)
    assert bench.fault(2) == (v.UD, None)
    assert bench.delivered().eip == CODE + 1
    assert bench.delivered().eflags & EFLAGS_RF
    assert bench.events[-1].payload == {"vector": v.UD, "address": CODE + 1}


def test_an_exception_does_not_look_at_the_dpl_of_its_gate():
    assert Bench("ud2", 3, gate_dpl=0).fault() == (v.UD, None)


def test_exceptions_carry_ext_in_faults_of_their_delivery():
    bench = Bench("ud2")
    bench.gate(v.UD, d.Gate(0x08, 0, d.INTERRUPT_GATE_32, 0, False))
    assert bench.fault() == (v.NP, v.UD * 8 + 2 + 1)


# What happens when ``second`` hits the delivery of ``first``.
@pytest.mark.parametrize(
    ("source", "first", "double"),
    [
        ("ud2", v.UD, False),  # benign: the second one is delivered
        ("int3", v.BP, False),
        ("div cl", v.DE, True),
        ("mov [fs:0], eax", v.GP, True),
    ],
)
def test_the_table_of_double_faults(source, first, double):
    bench = Bench(source)
    bench.cpu.set_segment(4, type(bench.cpu.segments[4])(0))
    bench.gate(first, d.Gate(0x08, 0, d.INTERRUPT_GATE_32, 3, False))
    external = 0 if source == "int3" else 1
    if double:
        assert bench.fault() == (v.DF, 0)
        assert bench.delivered().eip == CODE
    else:
        assert bench.fault() == (v.NP, first * 8 + 2 + external)


@pytest.mark.parametrize("second", ["page", "gate"])
def test_after_a_page_fault_another_is_double(second):
    bench = Bench(f"mov eax, [{0x30000}]")
    bench.turn_on_paging()
    bench.page(0x30000, 0)
    if second == "page":
        bench.memory.write(IDT + 8 * v.PF + 4, 4, 0x0009_8E00)
        bench.cpu.idtr = TableRegister(0x70000, 0x7FF)
        bench.memory.load(0x70000, bench.memory.dump(IDT, 0x800))
        bench.page(0x71000, 0)
        bench.cpu.idtr = TableRegister(0x71000 - 8 * v.PF, 0x7FF)
        bench.memory.load(0x71000 - 8 * v.PF, bench.memory.dump(IDT, 8 * v.PF))
    else:
        bench.gate(v.PF, d.Gate(0x08, 0, d.INTERRUPT_GATE_32, 0, False))
    bench.step()
    assert bench.delivered().vector == v.DF
    assert bench.cpu.cr2 == (0x71000 if second == "page" else 0x30000)


def test_a_triple_fault_shuts_down_with_a_sentence():
    bench = Bench("ud2")
    bench.cpu.idtr = TableRegister(0, 0)
    bench.step()
    reason, message = bench.pc.stopped
    assert reason == "shutdown"
    text = message.in_english()
    assert f"{CODE:#010x}" in text
    assert "0f 0b" in text
    assert "#UD, #GP(0x33), #GP(0x6b), #GP(0x43)" in text
    position = bench.pc.position
    bench.step()
    assert bench.pc.position == position


def test_single_stepping_traps_after_each_instruction():
    bench = Bench("nop\nnop")
    bench.cpu.eflags |= EFLAGS_TF
    bench.step()
    assert bench.cpu.eip == CODE + 1
    assert bench.fault() == (v.DB, None)
    found = bench.delivered()
    assert found.eip == CODE + 1
    assert found.eflags & EFLAGS_TF
    assert not found.eflags & EFLAGS_RF
    assert bench.cpu.debug[6] & 1 << 14


def test_the_gate_is_read_from_the_idt_each_time():
    bench = Bench("ud2")
    bench.memory.write(IDT + 8 * v.UD, 2, 0x1234)
    bench.step()
    assert bench.cpu.eip & 0xFFFF == 0x1234


def test_the_code_descriptor_becomes_accessed():
    bench = Bench("ud2")
    bench.step()
    assert bench.memory.read(GDT + 8 + 5, 1) & d.TYPE_ACCESSED
