"""VME and PVI by the manuals' tables: what takes VIF for IF, and which INT n stays in its task."""

from __future__ import annotations

import pytest

from tests.machine.bench import CODE, HANDLERS, STACKS, TSS, Bench, code_selector, data_selector
from tests.machine.real import ORIGIN
from tests.machine.test_virtual8086 import BASE, SELECTORS, STACK, task
from vizapp.isa import descriptors as d
from vizapp.isa import vectors as v
from vizapp.isa.addresses import M32, Linear
from vizapp.isa.decode import decode
from vizapp.isa.registers import (
    CR4_PVI,
    CR4_TSD,
    CR4_VME,
    CS,
    EFLAGS_AC,
    EFLAGS_IF,
    EFLAGS_IOPL,
    EFLAGS_NT,
    EFLAGS_RF,
    EFLAGS_TF,
    EFLAGS_VIF,
    EFLAGS_VIP,
    EFLAGS_VM,
    SS,
)
from vizapp.machine.faults import Fault
from vizapp.machine.guest_mode import SOFTWARE_EXCEPTION, SOFTWARE_INTERRUPT, Delivery
from vizapp.machine.identity import PENTIUM_4, Identity
from vizapp.machine.interrupts import inject
from vizapp.machine.segments import system_state

MAP = TSS + d.TSS_BYTES  # of the interrupts; that of the ports follows
PORTS = MAP + 32
HANDLER = 0x0340  # 0C00:0340, for every vector
GP0 = (v.GP, 0)
BOTH = EFLAGS_VIF | EFLAGS_VIP


def with_map(
    bench: Bench, stays: bool = True, *, limit: int = PORTS - TSS, kind: int = d.TSS_32_BUSY
) -> Bench:
    """VME on, a TSS with a map in which every vector is alike, and the task's own table at 0."""
    for address in range(MAP, PORTS, 4):
        bench.memory.write(address, 4, 0 if stays else M32)
    bench.memory.write(TSS + d.TSS_IO_MAP, 2, PORTS - TSS)
    bench.cpu.tr = system_state(bench.cpu.tr.selector, d.system_segment(TSS, limit, kind))
    for vector in range(256):
        bench.memory.write(4 * vector, 4, SELECTORS[CS] << 16 | HANDLER)
    bench.cpu.cr4 |= CR4_VME
    bench.cpu.mode_changed()
    return bench


def in_task(code: str, iopl: int, flags: int = 0, *, stays: bool = True, vme: bool = True) -> Bench:
    bench = with_map(task(code, iopl, flags), stays)
    if not vme:
        bench.cpu.cr4 = 0
        bench.cpu.mode_changed()
    return bench


def pushed(bench: Bench, count: int) -> list[int]:
    """Words on the stack of a task."""
    base = bench.cpu.segments[SS].base + bench.cpu.esp
    return [bench.memory.read(base + 2 * index, 2) for index in range(count)]


# SDM Vol. 3, "Software Interrupt Handling Methods While in Virtual-8086 Mode": VME, IOPL, the bit, and to
# whose handler the interrupt goes: the IDT's, that of #GP, or the program's own. AMD-K5 Processor Technical
# Reference Manual (18524C), Table 3-6, says the same.
METHODS = {
    1: (False, (3,), (0, 1), "idt"),
    2: (False, (0, 1, 2), (0, 1), "gp"),
    3: (True, (0, 1, 2), (1,), "gp"),
    4: (True, (3,), (1,), "idt"),
    5: (True, (3,), (0,), "own"),
    6: (True, (0, 1, 2), (0,), "own"),
}


@pytest.mark.parametrize("method", METHODS)
def test_the_six_methods_of_handling_int_n(method):
    vme, levels, bits, where = METHODS[method]
    for iopl in levels:
        for bit in bits:
            for vif in (0, EFLAGS_VIF):
                flags = EFLAGS_IF | vif | EFLAGS_NT | EFLAGS_AC
                bench = in_task("int 0x41", iopl, flags, stays=not bit, vme=vme)
                before = bench.cpu.eflags
                if where != "own":
                    assert bench.fault() == ((0x41, None) if where == "idt" else GP0)
                    assert bench.stack(3 + (where == "gp"))[-1] & ~EFLAGS_RF == before
                    continue
                bench.step()
                cpu = bench.cpu
                shown = before & 0xFFFF
                if method == 6:
                    shown = shown & ~EFLAGS_IF | EFLAGS_IOPL | (EFLAGS_IF if vif else 0)
                assert pushed(bench, 3) == [ORIGIN + 2, SELECTORS[CS], shown]
                assert (cpu.esp, cpu.eip, cpu.segments[CS].base, cpu.cpl) == (STACK - 6, HANDLER, BASE, 3)
                assert cpu.eflags == before & ~(EFLAGS_IF if method == 5 else EFLAGS_VIF)
                assert bench.events[-1].cause == "int 0x41"


@pytest.mark.parametrize(("code", "vector"), [("int3", v.BP), ("into", v.OF)])
def test_the_map_is_for_int_n_alone(code, vector):
    assert in_task(code, 0, 1 << 11).fault() == (vector, None)


def test_exceptions_and_interrupts_do_not_ask_the_map():
    assert in_task("xor bx, bx\ndiv bx", 0).fault(2) == (v.DE, None)
    bench = in_task("nop", 0, EFLAGS_IF)
    bench.cpu.deliver(0x41, external=True)
    assert bench.delivered().vector == 0x41


# SDM Vol. 2, decision tables of CLI and STI, and for PVI with VIP Table 27 of AMD's "K86 Family BIOS and
# Software Tools Developers Guide" (21062E): (flags set, flags cleared), or #GP(0).
TABLE = [
    # mode, IOPL, VIP, instruction, outcome
    *(("vme", iopl, vip, "cli", (0, EFLAGS_VIF)) for iopl in (0, 1, 2) for vip in (0, 1)),
    *(("pvi", iopl, vip, "cli", (0, EFLAGS_VIF)) for iopl in (0, 1, 2) for vip in (0, 1)),
    *((mode, 3, vip, "cli", (0, EFLAGS_IF)) for mode in ("vme", "pvi") for vip in (0, 1)),
    *((mode, iopl, 0, "sti", (EFLAGS_VIF, 0)) for mode in ("vme", "pvi") for iopl in (0, 1, 2)),
    *((mode, iopl, 1, "sti", "gp") for mode in ("vme", "pvi") for iopl in (0, 1, 2)),
    *((mode, 3, vip, "sti", (EFLAGS_IF, 0)) for mode in ("vme", "pvi") for vip in (0, 1)),
    *(
        (mode, iopl, 0, code, "gp")
        for mode in ("8086", "ring 3", "ring 1")
        for iopl in (0,)
        for code in ("cli", "sti")
    ),
]


@pytest.mark.parametrize(("mode", "iopl", "vip", "code", "outcome"), TABLE)
def test_cli_and_sti(mode, iopl, vip, code, outcome):
    vif = EFLAGS_VIF if code == "cli" else 0
    set_before = vif | (EFLAGS_IF if code == "cli" else 0)
    if mode in ("vme", "8086"):
        bench = in_task(code, iopl, 0, vme=mode == "vme")
    else:
        bench = Bench(code, 1 if mode == "ring 1" else 3, iopl=iopl)
        bench.cpu.cr4 = 0 if mode == "ring 3" else CR4_PVI | CR4_VME
    if vif and vip:  # both set at the beginning would be #GP by itself
        set_before &= ~EFLAGS_VIF
    bench.cpu.eflags |= set_before | (EFLAGS_VIP if vip else 0)
    bench.cpu.mode_changed()
    before = bench.cpu.eflags
    if outcome == "gp":
        assert bench.fault() == GP0
        return
    ones, zeros = outcome
    bench.step()
    assert bench.cpu.eflags == (before | ones) & ~zeros
    assert bench.cpu.shadow == (ones == EFLAGS_IF)


@pytest.mark.parametrize("iopl", [0, 1, 2])
@pytest.mark.parametrize("vif", [0, EFLAGS_VIF])
@pytest.mark.parametrize("real", [0, EFLAGS_IF])
def test_pushf_shows_vif_and_iopl_3(iopl, vif, real):
    bench = in_task("pushf", iopl, vif | real)
    bench.step()
    shown = 2 | EFLAGS_IOPL | (EFLAGS_IF if vif else 0)
    assert pushed(bench, 1) == [shown]


@pytest.mark.parametrize("code", ["pushfd", "popfd", "iretd"])
@pytest.mark.parametrize("iopl", [0, 1, 2])
def test_the_32_bit_forms_fault_all_the_same(code, iopl):
    assert in_task(code, iopl, EFLAGS_VIF).fault() == GP0


IRET = f"push word {BASE >> 4:#x}\npush word next\niret\nnext: nop"


@pytest.mark.parametrize("code", ["popf", IRET])
@pytest.mark.parametrize("iopl", [0, 2, 3])
@pytest.mark.parametrize("vip", [0, EFLAGS_VIP])
@pytest.mark.parametrize("value", [0, EFLAGS_IF, EFLAGS_TF, EFLAGS_IF | EFLAGS_NT | 0x0CD5, EFLAGS_IOPL])
def test_popf_and_iret_take_if_for_vif(code, iopl, vip, value):
    bench = in_task(f"push word {value:#x}\n{code}", iopl, vip)
    steps = 1 + code.count("push")
    bench.step(steps)
    before = bench.cpu.eflags
    bench.step()
    if iopl < 3 and (value & EFLAGS_TF or (vip and value & EFLAGS_IF)):
        assert bench.delivered()[:2] == GP0
        assert bench.stack(4)[-1] == before | EFLAGS_RF
        return
    kept = before & (EFLAGS_VM | EFLAGS_VIP | EFLAGS_IOPL | 2)
    taken = value & (EFLAGS_TF | EFLAGS_NT | 0x0CD5)
    virtual = EFLAGS_VIF if iopl < 3 else EFLAGS_IF
    assert bench.cpu.eflags == kept | taken | (virtual if value & EFLAGS_IF else 0)


def test_pvi_is_for_cli_and_sti_alone():
    bench = Bench("pushfd\npop eax\nand eax, ~0x80000\nor eax, 0x100200\npush eax\npopfd\nnop", 3)
    bench.cpu.cr4 = CR4_PVI
    bench.cpu.eflags |= EFLAGS_VIF
    bench.step(6)
    assert bench.cpu.eax & BOTH == EFLAGS_VIP
    assert bench.cpu.eflags & (BOTH | EFLAGS_IF) == EFLAGS_VIF


@pytest.mark.parametrize(
    ("limit", "kind", "base"),
    [
        (d.TSS_BYTES - 2, d.TSS_32_BUSY, PORTS - TSS),
        (PORTS - TSS - 32 + (0x41 >> 3) - 1, d.TSS_32_BUSY, PORTS - TSS),
        (PORTS - TSS, d.TSS_16_BUSY, PORTS - TSS),
        (PORTS - TSS, d.TSS_32_BUSY, 0x10),
        (PORTS - TSS, d.TSS_32_BUSY, 0xFFFF),
    ],
)
def test_a_tss_without_room_for_the_map_is_gp(limit, kind, base):
    bench = with_map(task("int 0x41", 3), limit=limit, kind=kind)
    bench.memory.write(TSS + d.TSS_IO_MAP, 2, base)
    bench.cpu.cr4 |= CR4_VME
    cpu = bench.cpu
    with pytest.raises(Fault) as caught:
        cpu.execute(decode(b"\xcd\x41", Linear(cpu.eip), 16))
    assert (caught.value.vector, caught.value.error) == GP0


def test_the_last_byte_of_the_map_is_enough():
    bench = with_map(task("int 0x41", 3), limit=MAP - TSS + (0x41 >> 3))
    bench.step()
    assert bench.cpu.eip == HANDLER


@pytest.mark.parametrize("page", [0, TSS >> 12, (SELECTORS[SS] << 4) + STACK - 6 >> 12])
def test_a_page_fault_on_the_way_changes_nothing(page):
    bench = in_task("int 0x41", 0, EFLAGS_VIF)
    bench.turn_on_paging()
    bench.cpu.cr4 |= CR4_VME
    bench.page(page << 12, 6)
    bench.cpu.mode_changed()
    before = bench.cpu.eflags, bench.cpu.esp, bench.cpu.eip
    cpu = bench.cpu
    with pytest.raises(Fault) as caught:
        cpu.execute(decode(b"\xcd\x41", Linear(cpu.eip), 16))
    assert (caught.value.vector, caught.value.address >> 12) == (v.PF, page)
    assert (cpu.eflags, cpu.esp, cpu.eip) == before


def test_a_frame_across_the_end_of_the_stack_is_ss():
    bench = in_task("int 0x41", 0)
    bench.cpu.esp = 1
    assert bench.fault() == (v.SS, 0)


def _to_task(flags: int, cr4: int) -> Bench:
    bench = with_map(task("nop\nnop"))
    bench.cpu.eflags |= flags
    bench.cpu.cr4 = cr4
    bench.cpu.mode_changed()
    return bench


def _to_ring_3(flags: int, cr4: int) -> Bench:
    """By IRETD to ring 0 and RETF from there."""
    bench = Bench("iretd\nretf\nnop\ntimes 32 nop\nouter: nop\nnop", iopl=0)
    words = [
        CODE + 1,
        code_selector(0),
        flags | 2,
        CODE + 0x24,
        code_selector(3),
        STACKS + 0x3000,
        data_selector(3),
    ]
    bench.cpu.esp -= 4 * len(words)
    for index, word in enumerate(words):
        bench.memory.write(bench.cpu.esp + 4 * index, 4, word)
    bench.cpu.cr4 = cr4
    bench.cpu.mode_changed()
    bench.step(2)
    assert bench.cpu.cpl == 3
    return bench


@pytest.mark.parametrize(("enter", "bit"), [(_to_task, CR4_VME), (_to_ring_3, CR4_PVI)])
@pytest.mark.parametrize("iopl", [0, 2, 3])
@pytest.mark.parametrize("flags", [0, EFLAGS_VIF, EFLAGS_VIP, BOTH])
@pytest.mark.parametrize("other", [False, True])
def test_an_instruction_that_begins_with_vif_and_vip_is_gp(enter, bit, iopl, flags, other):
    bench = enter(flags | iopl << 12, (CR4_VME | CR4_PVI) ^ bit if other else bit)
    eip = bench.cpu.eip
    faults = flags == BOTH and iopl < 3 and not other
    assert bench.fault() == (GP0 if faults else None)
    if faults:
        delivered = bench.delivered()
        assert (delivered.eip, delivered.eflags & BOTH) == (eip, BOTH)
        assert not bench.cpu.watched
    else:
        assert bench.cpu.eip == eip + 1


def test_an_interrupt_comes_before_it_and_finds_both():
    bench = _to_task(BOTH | EFLAGS_IF, CR4_VME)
    bench.cpu.deliver(0x41, external=True)
    assert bench.delivered().eflags & BOTH == BOTH
    bench.assemble("iretd", HANDLERS + 16 * 0x41)
    bench.step()
    assert bench.fault() == GP0


@pytest.mark.parametrize("stays", [True, False])
@pytest.mark.parametrize("iopl", [0, 3])
def test_an_int_that_a_monitor_injects_asks_the_map_and_not_iopl(stays, iopl):
    bench = in_task("nop", iopl, EFLAGS_VIF, stays=stays)
    inject(bench.cpu, Delivery(0x41, SOFTWARE_INTERRUPT, None, 2), ORIGIN + 2)
    if stays:
        assert (bench.cpu.eip, pushed(bench, 1)) == (HANDLER, [ORIGIN + 2])
    else:
        assert (bench.delivered().vector, bench.delivered().eip) == (0x41, ORIGIN + 2)


def test_an_int3_that_a_monitor_injects_does_not():
    bench = in_task("nop", 0)
    inject(bench.cpu, Delivery(v.BP, SOFTWARE_EXCEPTION, None, 1), ORIGIN + 1)
    assert bench.delivered().vector == v.BP


LOOP = """
        mov cx, 400
again:  cli
        inc dx
        int 0x41
        sti
        pushf
        pop ax
        add si, ax
        push ax
        popf
        loop again
        int3
"""


def _loop() -> Bench:
    bench = in_task(LOOP, 0, EFLAGS_IF | EFLAGS_VIF)
    bench.memory.load(BASE + HANDLER, bytes.fromhex("47 fb fa cf"))  # inc di; sti; cli; iret
    return bench


def test_blocks_and_single_steps_do_the_same():
    stepped, run = _loop(), _loop()
    end = HANDLERS + 16 * v.BP
    while stepped.cpu.eip != end:
        stepped.step()
    run.pc.run(max_steps=stepped.pc.position - run.pc.position)
    names = ("eax", "ebx", "ecx", "edx", "esi", "edi", "esp", "eip", "eflags")
    assert [getattr(run.cpu, name) for name in names] == [getattr(stepped.cpu, name) for name in names]
    assert (run.cpu.edx, run.cpu.edi, run.pc.meter.cycles) == (400, 400, stepped.pc.meter.cycles)


def _without(identity: Identity) -> Identity:
    return identity._replace(cr4_bits=identity.cr4_bits & ~(CR4_VME | CR4_PVI))


@pytest.mark.parametrize(
    ("identity", "value", "expected"),
    [
        (PENTIUM_4, CR4_VME | CR4_PVI, None),
        (_without(PENTIUM_4), CR4_VME, GP0),
        (_without(PENTIUM_4), CR4_PVI, GP0),
        (_without(PENTIUM_4), CR4_TSD, None),
    ],
)
def test_cr4_has_the_bits_of_processors_that_have_them(identity, value, expected):
    bench = Bench(f"mov eax, {value}\nmov cr4, eax", identity=identity)
    assert bench.fault(2) == expected


def test_cpuid_tells_of_both_with_one_bit():
    assert PENTIUM_4.leaf(1).edx & 2
