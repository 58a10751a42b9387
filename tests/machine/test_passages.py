"""A change of ring that is remembered is the same as one that is checked."""

from __future__ import annotations

import pytest

from tests.machine.bench import (
    CODE,
    GDT,
    HANDLERS,
    IDT,
    STACKS,
    TSS,
    Bench,
    code_selector,
    data_selector,
)
from tests.machine.test_blocks import state
from tests.machine.test_blocks_random import TIMER
from vizapp.isa import descriptors as d
from vizapp.isa.addresses import PAGE_MASK, PAGE_SHIFT
from vizapp.isa.registers import DS, ES, FS, GS
from vizapp.isa.vectors import GP, NP, PF, TS
from vizapp.machine import hot_blocks
from vizapp.machine.dma import BusMaster
from vizapp.machine.places import Place

STEPS = 600
ACCESS = 5  # offset of the access byte in a descriptor
USER = """
    start:
    .1: int 0x80
        add eax, ecx
        {body}
        dec ecx
        jnz .1
        hlt
"""
# What ring 0 does every fourth time it is called.
CLEARED = "accessed bits are cleared"
CHANGES = {
    "nothing": "",
    "the inner stack moves": f"sub dword [{TSS + d.TSS_ESP0:#x}], 8",
    "the inner stack leaves its page": f"mov dword [{TSS + d.TSS_ESP0:#x}], {STACKS - 8:#x}",
    CLEARED: "\n".join(
        f"and byte [{GDT + (selector & 0xFFF8) + ACCESS:#x}], 0xfe"
        for ring in (0, 3)
        for selector in (code_selector(ring), data_selector(ring))
    ),
    "the gate leads elsewhere": f"xor byte [{IDT + 8 * 0x80:#x}], 0x40",
    "the gate is closed": f"mov byte [{IDT + 8 * 0x80 + 5:#x}], 0x8e",
    "the gate is absent": f"mov byte [{IDT + 8 * 0x80 + 5:#x}], 0x6e",
    "the gate becomes a trap gate": f"mov byte [{IDT + 8 * 0x80 + 5:#x}], 0xef",
    "the outer stack is absent": f"and byte [{GDT + (data_selector(3) & 0xFFF8) + ACCESS:#x}], 0x7f",
    "the outer code has a limit": f"mov word [{GDT + (code_selector(3) & 0xFFF8):#x}], 0x10\n"
    f"and byte [{GDT + (code_selector(3) & 0xFFF8) + 6:#x}], 0x40",
    "the inner stack is another": f"mov word [{TSS + d.TSS_SS0:#x}], {data_selector(1):#x}",
    "tables are loaded again": "sgdt [0x9800]\n lgdt [0x9800]\n sidt [0x9800]\n lidt [0x9800]",
    "the GDT is shorter": "sgdt [0x9800]\n mov word [0x9800], 0x30\n lgdt [0x9800]",
    "the IDT is elsewhere": "sidt [0x9800]\n inc dword [0x9802]\n lidt [0x9800]",
    "the local table is loaded": f"sldt ax\n lldt ax\n mov eax, {data_selector(0)}\n mov ds, ax\n mov es, ax",
    "an address space is loaded": "mov eax, cr3\n mov cr3, eax",
    "the tables' pages are read only": "and byte [0x6004], 0xfd\n invlpg [0x1000]",
    "the stack's page goes": f"invlpg [0x3fffc]\nand byte [{0x6000 + 4 * (STACKS - 1 >> 12):#x}], 0xfe",
    "flags of the system": "xor dword [esp + 20], 0x240000",
    "a trap after it": "xor dword [esp + 20], 0x100",
}


@pytest.fixture(autouse=True)
def compile_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Crossings lead from block to block."""
    monkeypatch.setattr(hot_blocks, "ARRIVALS", 1)
    monkeypatch.setattr(hot_blocks, "EXITS", 3)


def make(change: str, body: str, *, paging: bool, timer: bool, mask: int = 3) -> Bench:
    bench = Bench(USER.format(body=body), ring=3)
    handler = f"""
    start:
        push eax
        push edx
        inc dword [0x9000]
        test dword [0x9000], {mask}
        jnz .1
        {change}
    .1: pop edx
        pop eax
        iret
    """
    for vector in (0x80, 0x84):  # the gate of one leads to the other by 0x40 in its offset
        bench.assemble("jmp 0xa000", HANDLERS + 16 * vector)
    bench.assemble(handler, 0xA000)
    for vector in (GP, NP, TS, PF):
        bench.assemble("add esp, 4\n inc dword [esp]\n iret", HANDLERS + 16 * vector)
    bench.assemble("iret", HANDLERS + 16)
    bench.assemble("push eax\n mov al, 0x20\n out 0x20, al\n pop eax\n iret", HANDLERS + 16 * 0x20)
    if timer:
        data = bench.cpu.segments[DS]
        bench.enter(0)
        for index in (ES, DS, FS, GS):
            bench.segment(index, data)
        end = f"push dword {data_selector(3)}\n push dword {STACKS + 0x3000:#x}\n push dword 0x202\n"
        bench.assemble(f"{TIMER}\n {end} push dword {code_selector(3)}\n push dword {CODE:#x}\n iret", 0xB000)
        bench.cpu.eip = 0xB000
    bench.cpu.ecx = 200
    if paging:
        bench.turn_on_paging()
    return bench


@pytest.mark.parametrize("paging", [False, True])
@pytest.mark.parametrize(("change", "mask"), [*((change, 3) for change in CHANGES), (CLEARED, 0)])
@pytest.mark.parametrize("body", ["nop", "cli", "mov dword [0xfff00000], eax"])
def test_remembered_is_checked(change: str, mask: int, body: str, paging: bool) -> None:
    timer = body == "nop"
    if "mov dword" in body and not paging:
        body = "mov ds, ax"
    fast, slow = (make(CHANGES[change], body, paging=paging, timer=timer, mask=mask) for _ in range(2))
    slow.cpu.passages = None
    for _ in range(STEPS // 60):
        for bench in (fast, slow):
            bench.pc.run(max_steps=60)
        assert state(fast) == state(slow)


def test_it_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = make("", "cli", paging=True, timer=False)
    monkeypatch.setattr(bench.pc._crossings, "learn", lambda *_: None)
    bench.pc.run(max_steps=STEPS)
    passages = bench.cpu.passages
    assert passages is not None
    taken: list[object] = []
    push, pop = passages.push, passages.pop

    def noted(found: object) -> object:
        taken.append(found)
        return found

    passages.push = lambda *arguments: noted(push(*arguments))  # type: ignore[assignment, method-assign]
    passages.pop = lambda *arguments: noted(pop(*arguments))  # type: ignore[assignment, method-assign]
    bench.pc.run(max_steps=100)
    assert len(taken) > 20
    assert None not in taken


@pytest.mark.parametrize("listens", [False, True])
@pytest.mark.parametrize("paging", [False, True])
def test_crossings_are_taken(listens: bool, paging: bool) -> None:
    bench = make("", "nop", paging=paging, timer=False)
    if not listens:
        bench.pc.listener = None
    bench.pc.run(max_steps=STEPS)
    bench.cpu.passages = None
    events = len(bench.events)
    deliver = bench.pc.cpu.notify

    def refuse(*_: object) -> None:
        raise AssertionError("the long way was taken")

    bench.pc.cpu.notify = refuse
    bench.pc.run(max_steps=200)
    bench.pc.cpu.notify = deliver
    assert len(bench.events) - events > 20 or not listens


@pytest.mark.parametrize("heated", [False, True])
def test_crossings_keep_to_bounds(heated: bool) -> None:
    fast, slow = (make(CHANGES["flags of the system"], "nop", paging=True, timer=True) for _ in range(2))
    heats: list[dict[int, int]] = [{}, {}]
    if heated:
        fast.pc.heat, slow.pc.heat = heats
    for size in range(1, 90):
        fast.pc.run(until_instruction=fast.pc.instructions + size)
        while slow.pc.position < fast.pc.position:
            slow.pc.step()
        assert state(fast) == state(slow)
    fast.pc.heat = slow.pc.heat = None
    assert heats[0] == heats[1]


ALIAS = 0xF0000
TABLES = {
    "the gate": (IDT + 8 * 0x80, 0x40),  # the other handler, by its offset
    "the inner stack": (TSS + d.TSS_ESP0 + 1, 0x10),
    "the inner stack's segment": (TSS + d.TSS_SS0, 0x03),
    "the inner code": (GDT + (code_selector(0) & 0xFFF8) + ACCESS, 0x80),
    "the outer stack": (GDT + (data_selector(3) & 0xFFF8) + ACCESS, 0x80),
    "the outer code": (GDT + (code_selector(3) & 0xFFF8) + ACCESS, 0x80),
}


@pytest.mark.parametrize("paging", [False, True])
@pytest.mark.parametrize("table", TABLES)
def test_a_device_changes_a_table(table: str, paging: bool) -> None:
    """Between two stretches, as a transfer of a device that masters the bus does; then it is put back."""
    fast, slow = (make("", "nop", paging=paging, timer=False) for _ in range(2))
    slow.cpu.passages = None
    address, change = TABLES[table]
    for _ in range(4):
        for bench in (fast, slow):
            bench.pc.run(max_steps=STEPS // 4 + 1)
            master = BusMaster(bench.memory)
            master.write(address, bytes((master.read(address, 1)[0] ^ change,)))
        assert state(fast) == state(slow)


@pytest.mark.parametrize("table", TABLES)
def test_a_table_changes_at_another_address(table: str) -> None:
    address, change = TABLES[table]
    alias = ALIAS | address & PAGE_MASK
    fast, slow = (make(f"xor byte [{alias:#x}], {change}", "nop", paging=True, timer=False) for _ in range(2))
    slow.cpu.passages = None
    for bench in (fast, slow):
        bench.page(ALIAS, 7, address >> PAGE_SHIFT)
    for _ in range(STEPS // 60):
        for bench in (fast, slow):
            bench.pc.run(max_steps=60)
        assert state(fast) == state(slow)


@pytest.mark.parametrize("table", TABLES)
def test_a_table_is_restored(table: str) -> None:
    address, change = TABLES[table]
    bench = make("", "nop", paging=True, timer=False)
    bench.pc.run(max_steps=STEPS // 2)
    saved = bench.pc.save()
    bench.pc.run(max_steps=100)
    expected = state(bench)["memory"], bench.cpu.eip, bench.pc.meter.rows()
    bench.pc.load(saved)
    bench.memory.write(address, 1, bench.memory.read(address, 1) ^ change)
    bench.pc.run(max_steps=100)
    changed = bench.pc.save()
    bench.pc.load(saved)
    bench.pc.run(max_steps=100)
    assert (state(bench)["memory"], bench.cpu.eip, bench.pc.meter.rows()) == expected
    slow = make("", "nop", paging=True, timer=False)
    slow.cpu.passages = None
    slow.pc.load(changed)
    bench.pc.load(changed)
    for each in (bench, slow):
        each.events.clear()
        each.pc.run(max_steps=100)
    assert state(bench) == state(slow)


def test_the_place_is_the_monitors_to_say() -> None:
    """Where the inner ring's code runs may differ from one interrupt to the next."""
    fast, slow = (make("", "nop", paging=True, timer=False) for _ in range(2))
    slow.cpu.passages = None
    for bench in (fast, slow):
        places = [Place(ring=ring, vm=ring % 2) for ring in range(4)]
        bench.pc.place_of = lambda cpu, places=places: places[cpu.cpl]  # type: ignore[misc]
        for number in range(1, 8):
            bench.pc.run(max_steps=90)
            places[0] = Place(ring=0, vm=number % 3)
    assert state(fast) == state(slow)


def test_a_data_segment_of_the_inner_ring_is_dropped() -> None:
    bench = make(f"mov ds, [{GDT - 4:#x}]", "nop", paging=False, timer=False)
    bench.memory.write(GDT - 4, 2, data_selector(0))
    bench.pc.run(max_steps=STEPS)
    assert not bench.cpu.segments[DS].usable
