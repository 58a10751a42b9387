"""Loading segment registers and accessing memory through them, by the SDM's tables of faults."""

import pytest

from tests.machine.bench import CODE, DATA, FREE, LDT, Bench, code_selector, data_selector
from vizapp.isa import descriptors as d
from vizapp.isa import vectors as v
from vizapp.isa.registers import DS, ES, SS
from vizapp.machine.segments import SegmentState, state_of

SELECTOR = FREE * 8


def data(dpl=0, kind=d.DATA_READ_WRITE, limit=0xFFFF_FFFF, present=True, base=0, big=True):
    made = d.segment(base, limit, kind, dpl, big=big)
    return made if present else made._replace(access=made.access & ~d.AR_P)


@pytest.mark.parametrize(
    ("ring", "selector", "descriptor", "expected"),
    [
        (0, 0x00, None, None),  # null
        (3, 0x03, None, None),
        (0, 0x80, None, (v.GP, 0x80)),  # beyond the GDT
        (0, 0x87, None, (v.GP, 0x84)),  # beyond the LDT
        (3, SELECTOR | 3, data(3), None),
        (3, SELECTOR | 3, data(0), (v.GP, SELECTOR)),  # DPL < CPL
        (0, SELECTOR | 3, data(0), (v.GP, SELECTOR)),  # DPL < RPL
        (0, SELECTOR, data(3), None),
        (0, SELECTOR, data(3, present=False), (v.NP, SELECTOR)),
        (3, SELECTOR, data(0, present=False), (v.GP, SELECTOR)),  # privilege comes first
        (0, SELECTOR, data(0, d.TYPE_CODE), (v.GP, SELECTOR)),  # execute-only
        (3, SELECTOR | 3, data(0, d.CODE_READ | d.TYPE_CONFORMING), None),
        (0, SELECTOR, d.system_segment(0, 0x67, d.TSS_32), (v.GP, SELECTOR)),
    ],
)
def test_loading_a_data_segment(ring, selector, descriptor, expected):
    bench = Bench("mov ds, ax", ring)
    if descriptor is not None:
        bench.descriptor(FREE, descriptor)
    bench.cpu.eax = selector
    assert bench.fault() == expected
    if expected is None:
        assert bench.cpu.segments[DS].selector == selector
        assert bench.cpu.eip == CODE + 2


@pytest.mark.parametrize(
    ("ring", "selector", "descriptor", "expected"),
    [
        (0, 0, None, (v.GP, 0)),
        (3, 3, None, (v.GP, 0)),
        (0, 0x80, None, (v.GP, 0x80)),
        (3, SELECTOR | 3, data(3), None),
        (3, SELECTOR, data(3), (v.GP, SELECTOR)),  # RPL must be CPL
        (0, SELECTOR, data(3), (v.GP, SELECTOR)),  # and so must DPL
        (0, SELECTOR, data(0, 0), (v.GP, SELECTOR)),  # read-only
        (0, SELECTOR, data(0, d.CODE_READ), (v.GP, SELECTOR)),
        (0, SELECTOR, data(0, present=False), (v.SS, SELECTOR)),
    ],
)
def test_loading_the_stack_segment(ring, selector, descriptor, expected):
    bench = Bench("mov ss, ax", ring)
    if descriptor is not None:
        bench.descriptor(FREE, descriptor)
    bench.cpu.eax = selector
    assert bench.fault() == expected
    if expected is None:
        assert bench.cpu.shadow


def test_a_local_descriptor_and_the_accessed_bit():
    bench = Bench("mov es, ax")
    bench.descriptor(1, data(0), LDT)
    bench.cpu.eax = 0x0C
    bench.step()
    assert bench.cpu.segments[ES].selector == 0x0C
    assert bench.memory.read(LDT + 8 + 5, 1) & d.TYPE_ACCESSED


def test_without_an_ldt_its_selectors_are_beyond_the_limit():
    bench = Bench("mov es, ax")
    bench.cpu.ldtr = SegmentState(0)
    bench.cpu.eax = 0x0C
    assert bench.fault() == (v.GP, 0x0C)


@pytest.mark.parametrize(
    ("descriptor", "offset", "size", "allowed"),
    [
        (data(limit=0xFFF), 0xFFC, 4, True),
        (data(limit=0xFFF), 0xFFD, 4, False),
        (data(limit=0xFFF), 0xFFF, 1, True),
        (data(limit=0xFFF), 0x1000, 1, False),
        (data(), 0xFFFF_FFFD, 4, False),  # wraps round at 4 GB
        (data(kind=0), 0, 4, False),  # not writable
        (data(kind=d.CODE_READ), 0, 4, False),
        (data(kind=d.DATA_READ_WRITE | d.TYPE_EXPAND_DOWN, limit=0xFFF), 0x1000, 4, True),
        (data(kind=d.DATA_READ_WRITE | d.TYPE_EXPAND_DOWN, limit=0xFFF), 0xFFF, 1, False),
        (data(kind=d.DATA_READ_WRITE | d.TYPE_EXPAND_DOWN, limit=0xFFF, big=False), 0xFFFC, 4, True),
        (data(kind=d.DATA_READ_WRITE | d.TYPE_EXPAND_DOWN, limit=0xFFF, big=False), 0xFFFD, 4, False),
        (data(kind=d.DATA_READ_WRITE | d.TYPE_EXPAND_DOWN, limit=0xFFF, big=False), 0x10000, 1, False),
    ],
)
@pytest.mark.parametrize(("index", "vector"), [(DS, v.GP), (SS, v.SS)])
def test_limits_of_a_store(descriptor, offset, size, allowed, index, vector):
    register = {4: "eax", 2: "ax", 1: "al"}[size]
    prefix = "ss" if index == SS else "ds"
    bench = Bench(f"mov [{prefix}:ebx], {register}")
    bench.cpu.ebx = offset
    bench.segment(index, state_of(0x08, descriptor))
    if index == SS and not allowed:
        # The handler needs a stack: without one the processor would shut down.
        bench.pc.step()
        assert bench.pc.stopped is not None or bench.delivered().vector == vector
        return
    assert bench.fault() == (None if allowed else (vector, 0))


@pytest.mark.parametrize(("source", "vector"), [("mov eax, [ebx]", v.GP), ("mov [ebx], eax", v.GP)])
def test_a_null_segment_cannot_be_used(source, vector):
    bench = Bench(source)
    bench.segment(DS, SegmentState(0))
    assert bench.fault() == (vector, 0)


def test_an_execute_only_segment_cannot_be_read():
    bench = Bench("mov eax, [cs:ebx]")
    bench.cpu.set_code_segment(state_of(0x08, data(kind=d.TYPE_CODE)), 0)
    assert bench.fault() == (v.GP, 0)


def test_a_base_is_added_and_wraps():
    bench = Bench("mov eax, [ebx]")
    bench.segment(DS, state_of(0x10, data(base=0xFFFF_0000)))
    bench.cpu.ebx = DATA + 0x10000
    bench.memory.write(DATA, 4, 0x1234_5678)
    bench.step()
    assert bench.cpu.eax == 0x1234_5678


def test_a_16_bit_stack_wraps_in_sp():
    bench = Bench("push eax\npop ebx")
    bench.segment(SS, state_of(0x10, data(base=DATA, limit=0xFFFF, big=False)))
    bench.cpu.esp, bench.cpu.eax = 0xABCD_0000, 0x1234_5678
    bench.step()
    assert bench.cpu.esp == 0xABCD_FFFC
    assert bench.memory.read(DATA + 0xFFFC, 4) == 0x1234_5678
    bench.step()
    assert (bench.cpu.esp, bench.cpu.ebx) == (0xABCD_0000, 0x1234_5678)


@pytest.mark.parametrize(("name", "index"), [("lds", DS), ("les", ES), ("lss", SS)])
def test_far_pointers_load_both_halves(name, index):
    bench = Bench(f"{name} ebx, [{DATA}]")
    bench.memory.write(DATA, 4, 0x1111_2222)
    bench.memory.write(DATA + 4, 2, data_selector(0))
    bench.step()
    assert bench.cpu.ebx == 0x1111_2222
    assert bench.cpu.segments[index].selector == data_selector(0)


def test_a_far_pointer_with_a_bad_selector_changes_nothing():
    bench = Bench(f"lds ebx, [{DATA}]", 3)
    bench.memory.write(DATA + 4, 2, data_selector(0))
    assert bench.fault() == (v.GP, data_selector(0))
    assert bench.cpu.ebx == 0


def test_pop_of_a_segment_moves_esp_only_if_the_selector_is_good():
    bench = Bench("push dword 0xfff0\npop es")
    before = bench.cpu.esp
    assert bench.fault(2) == (v.GP, 0xFFF0)
    assert bench.cpu.esp == before - 4 - 16


def test_selectors_are_stored_zero_extended():
    bench = Bench("mov eax, cs\npush cs\nmov [0x20000], ss", 3)
    bench.cpu.eax = 0xFFFF_FFFF
    bench.memory.write(DATA, 4, 0xFFFF_FFFF)
    bench.step(3)
    assert bench.cpu.eax == code_selector(3)
    assert bench.stack(1) == [code_selector(3)]
    assert bench.memory.read(DATA, 4) == 0xFFFF_0000 | data_selector(3)
