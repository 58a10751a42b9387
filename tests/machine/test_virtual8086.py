"""Virtual-8086 tasks: the way in by IRETD, what IOPL guards, and the way out through ring 0."""

from __future__ import annotations

import pytest

from tests.machine.bench import CODE, HANDLERS, STACKS, TSS, Bench, code_selector, data_selector
from tests.machine.real import ORIGIN, assemble
from vizapp.isa import descriptors as d
from vizapp.isa import vectors as v
from vizapp.isa.addresses import HostPhysical
from vizapp.isa.registers import CS, DS, EFLAGS_IF, EFLAGS_IOPL, EFLAGS_VM, ES, FS, GS, SS

BASE = 0xC000  # 0C00:1000 is where the code of ``real.assemble`` is put
SELECTORS = {ES: 0x1100, CS: BASE >> 4, SS: 0x2000, DS: 0x3000, FS: 0x4000, GS: 0x5000}
STACK = 0x0800


def task(source: str, iopl: int = 0, flags: int = 0) -> Bench:
    """A machine that has just entered a virtual-8086 task at ``source``."""
    bench = Bench("iretd")
    bench.memory.load(HostPhysical(BASE + ORIGIN), assemble(source))
    eflags = EFLAGS_VM | 2 | iopl << 12 | flags
    order = (CS, None, SS, ES, DS, FS, GS)
    words = [ORIGIN, SELECTORS[CS], eflags, STACK] + [SELECTORS[i] for i in order[2:] if i is not None]
    bench.cpu.esp -= 4 * len(words)
    for index, word in enumerate(words):
        bench.memory.write(bench.cpu.esp + 4 * index, 4, word)
    bench.step()
    assert bench.cpu.virtual_8086
    return bench


def test_iretd_loads_every_segment_as_a_paragraph():
    bench = task("nop")
    assert (bench.cpu.cpl, bench.cpu.eip, bench.cpu.esp) == (3, ORIGIN, STACK)
    for index, selector in SELECTORS.items():
        state = bench.cpu.segments[index]
        assert (state.selector, state.base, state.limit) == (selector, selector << 4, 0xFFFF)
        assert not state.big


@pytest.mark.parametrize("iopl", [0, 3])
@pytest.mark.parametrize("code", ["pushf", "popf", "cli", "sti", "int 0x80", "iret", "pushfd", "popfd"])
def test_iopl_guards_what_touches_if(code, iopl):
    bench = task(code, iopl)
    expected = (v.GP, 0) if iopl < 3 else (0x80, None) if code.startswith("int ") else None
    assert bench.fault() == expected


@pytest.mark.parametrize("code", ["int3", "into"])
def test_int3_and_into_ask_for_no_iopl(code):
    bench = task(code, 0, 1 << 11)
    assert bench.fault()[0] == (v.BP if code == "int3" else v.OF)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("lldt ax", (v.UD, None)),
        ("ltr ax", (v.UD, None)),
        ("sldt ax", (v.UD, None)),
        ("str ax", (v.UD, None)),
        ("lar ax, bx", (v.UD, None)),
        ("verw ax", (v.UD, None)),
        ("arpl ax, bx", (v.UD, None)),
        ("hlt", (v.GP, 0)),
        ("mov eax, cr0", (v.GP, 0)),
        ("lgdt [0]", (v.GP, 0)),
        ("clts", (v.GP, 0)),
        ("mov ax, [0xFFFF]", (v.GP, 0)),
        ("mov bp, 0xFFFF\npush word [bp]", None),
    ],
)
def test_privilege_and_limits(code, expected):
    bench = task(code, 3)
    assert bench.fault() == expected


def test_the_way_out_pushes_all_segments_and_leaves_them_null():
    bench = task("mov ax, 0x1234\nmov ds, ax\nint 0x80", 3, EFLAGS_IF)
    bench.step(3)
    cpu = bench.cpu
    assert (cpu.cpl, cpu.eip, cpu.esp) == (0, HANDLERS + 16 * 0x80, STACKS - 36)
    assert not cpu.virtual_8086
    words = bench.stack(9)
    assert words[0] == ORIGIN + 7
    assert words[1] == SELECTORS[CS]
    assert words[2] & (EFLAGS_VM | EFLAGS_IOPL) == EFLAGS_VM | EFLAGS_IOPL
    assert words[3:] == [STACK, SELECTORS[SS], SELECTORS[ES], 0x1234, SELECTORS[FS], SELECTORS[GS]]
    assert all(not cpu.segments[index].usable for index in (DS, ES, FS, GS))


@pytest.mark.parametrize(
    ("ring", "kind"), [(3, d.CODE_READ), (1, d.CODE_READ), (0, d.CODE_READ | d.TYPE_CONFORMING)]
)
def test_only_ring_0_can_be_reached(ring, kind):
    bench = task("int 0x80", 3)
    index = code_selector(ring) >> 3
    bench.descriptor(index, d.segment(0, 0xFFFF_FFFF, kind, ring))
    bench.gate(0x80, d.Gate(code_selector(ring), HANDLERS, d.INTERRUPT_GATE_32, 3, True))
    if kind != d.CODE_READ:
        # The handler of #GP shares the segment; give it the one that is left.
        bench.descriptor(20, d.segment(0, 0xFFFF_FFFF, d.CODE_READ, 0))
        bench.cpu.gdtr = bench.cpu.gdtr._replace(limit=0xFF)
        bench.gate(v.GP, d.Gate(20 * 8, HANDLERS + 16 * v.GP, d.INTERRUPT_GATE_32, 0, True))
    assert bench.fault() == (v.GP, code_selector(ring) & ~3)


def test_far_calls_and_returns_stay_in_the_task():
    bench = task(f"call {BASE >> 4:#x}:sub\nnop\nsub: retf")
    bench.step()
    assert bench.cpu.esp == STACK - 4
    bench.step()
    assert (bench.cpu.eip, bench.cpu.esp, bench.cpu.segments[CS].selector) == (ORIGIN + 5, STACK, BASE >> 4)


def test_iret_with_iopl_3_keeps_iopl_and_the_mode():
    bench = task(f"push word 0x0202\npush word {BASE >> 4:#x}\npush word next\niret\nnext: nop", 3)
    bench.step(4)
    assert bench.cpu.eflags & (EFLAGS_VM | EFLAGS_IOPL | EFLAGS_IF) == EFLAGS_VM | EFLAGS_IOPL | EFLAGS_IF


@pytest.mark.parametrize("iopl", [0, 3])
@pytest.mark.parametrize(("bits", "expected"), [(0, None), (1 << 1, (v.GP, 0))])
def test_ports_are_the_bitmaps_business_whatever_iopl_says(iopl, bits, expected):
    bench = task("in al, 0x21", iopl)
    bench.memory.write(TSS + d.TSS_BYTES + 4, 2, bits)
    bench.memory.write(TSS + d.TSS_BYTES + 6, 1, 0xFF)
    bench.cpu.tr = bench.cpu.tr.__class__(bench.cpu.tr.selector, TSS, d.TSS_BYTES + 6, bench.cpu.tr.access)
    assert bench.fault() == expected


def test_a_far_return_to_ring_0_code_is_only_another_paragraph():
    bench = task(f"push word {code_selector(0)}\npush word 0\nretf")
    bench.step(3)
    assert (bench.cpu.cpl, bench.cpu.segments[CS].base) == (3, code_selector(0) << 4)


def test_iretd_from_ring_3_cannot_set_vm():
    bench = Bench("iretd", 3)
    words = [CODE, code_selector(3), EFLAGS_VM | 2, 0, data_selector(3)]
    bench.cpu.esp -= 4 * len(words)
    for index, word in enumerate(words):
        bench.memory.write(bench.cpu.esp + 4 * index, 4, word)
    bench.step()
    assert not bench.cpu.virtual_8086
    assert bench.cpu.eip == CODE
