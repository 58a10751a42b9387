"""Running compiled blocks is the same as stepping: at every stop, in every respect that can be seen."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.controllers import START_CONTROLLER
from tests.machine.bench import CODE, DATA, HANDLERS, Bench, code_selector, data_selector
from vizapp.isa import descriptors as d
from vizapp.isa.addresses import HostPhysical, Linear
from vizapp.isa.registers import DS, ES, SS
from vizapp.isa.vectors import GP, PF
from vizapp.machine import hot_blocks
from vizapp.machine.segments import state_of

COUNT = 0xFFFF_FFFF
DEVICE = 0x30000


def compile_soon(monkeypatch: pytest.MonkeyPatch, *, arrivals: int = 2, loop: int = 40) -> None:
    """Small programs are to be compiled and joined too, and short loops are to be long."""
    monkeypatch.setattr(hot_blocks, "ARRIVALS", arrivals)
    monkeypatch.setattr(hot_blocks, "EXITS", 3)
    monkeypatch.setattr(hot_blocks, "LOOP", loop)


@pytest.fixture(autouse=True)
def compile_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everywhere here."""
    compile_soon(monkeypatch)


def state(bench: Bench) -> dict[str, Any]:
    """Everything that a step leaves behind."""
    saved = bench.pc.save()
    saved["memory"] = bench.memory.digest()
    saved["rows"] = bench.pc.meter.rows()
    saved["eflags"] = bench.cpu.eflags
    saved["events"] = list(bench.events)
    return saved


def in_blocks(bench: Bench) -> int:
    """How many compiled blocks there are."""
    frames = bench.pc.blocks._frames.values()
    return sum(compiled is not None for blocks in frames for compiled in blocks.values())


def stepped(bench: Bench, steps: int) -> None:
    """The reference: one at a time."""
    for _ in range(steps):
        bench.pc.step()


def in_stretches(fast: Bench, slow: Bench, chance: random.Random, steps: int, most: int) -> Iterator[None]:
    """Run one in stretches beside one that is stepped, to the end or ``steps``; after each they are alike."""
    position = 0
    while position < steps and fast.pc.stopped is None:
        position += chance.randrange(1, most)
        fast.pc.run(max_steps=position - fast.pc.position)
        while slow.pc.position < position and slow.pc.stopped is None:
            slow.pc.step()
        assert state(fast) == state(slow)
        yield


def compare(make: Callable[[], Bench], total: int, seed: int = 1, parts: int = 12) -> Bench:
    """Run ``make`` in stretches of random length beside one that is stepped."""
    chance = random.Random(seed)
    fast, slow = make(), make()
    stops = sorted(chance.randrange(1, total) for _ in range(parts))
    for stop in [*stops, total]:
        fast.pc.run(max_steps=stop - fast.pc.position)
        stepped(slow, stop - slow.pc.position)
        assert state(fast) == state(slow)
    return fast


PROGRAMS = {
    "a loop in registers": """
        mov ecx, 400
    .1: add eax, ecx
        xor edx, eax
        adc ebx, edx
        lea esi, [eax + edx * 2 + 4]
        dec ecx
        jnz .1
        hlt
    """,
    "copying bytes, words and double words": """
        mov esi, 0x20000
        mov edi, 0x30001
        mov ecx, 300
    .1: mov al, [esi]
        mov [edi], al
        mov bx, [esi + 1]
        add [edi + 3], bx
        mov edx, [esi + ecx]
        xor [edi + ecx * 4], edx
        inc esi
        add edi, 5
        dec ecx
        jnz .1
        hlt
    """,
    "across pages": """
        mov esi, 0x20f00
        mov ecx, 400
    .1: add dword [esi], 0x01020304
        mov ax, [esi + 0x1001]
        push dword [esi + 2]
        pop ebx
        inc esi
        loop .1
        hlt
    """,
    "procedures that return, and now and then elsewhere": """
        mov ecx, 300
    .1: push ecx
        call .two
        add eax, ecx
    .2: pop edx
        dec ecx
        jnz .1
        hlt
    .two:
        call .leaf
        add ebx, eax
        test cl, 7
        jnz .3
        mov dword [esp], .2
    .3: ret
    .leaf:
        mov eax, [esp + 8]
        xor eax, ebx
        push .4
        ret
    .4: ret
    """,
    "calls": """
        mov ecx, 9
    .1: mov eax, 7
        call .fib
        dec ecx
        jnz .1
        hlt
    .fib:
        cmp eax, 2
        jb .end
        push eax
        dec eax
        call .fib
        xchg eax, [esp]
        sub eax, 2
        call .fib
        pop edx
        add eax, edx
    .end:
        ret
    """,
    "flags that live on": """
        mov ecx, 500
    .1: mov eax, ecx
        shl eax, cl
        rcr eax, 3
        inc eax
        setc bl
        cmovo edx, eax
        bt eax, 3
        adc esi, 0
        cmp eax, 0x4000
        jle .2
        neg eax
        sar al, 1
    .2: sbb edi, eax
        add edi, edi
        adc edi, edi
        pushf
        pop ebp
        mul ecx
        test al, 5
        jpe .3
        pushf
        pop ebp
    .3: loop .1
        hlt
    """,
    "faults in the middle": """
        mov ecx, 300
    .1: mov eax, ecx
        mov edx, 0
        mov ebx, ecx
        and ebx, 7
        div ebx
        add esi, eax
        dec ecx
        jnz .1
        hlt
    """,
    "changing itself": """
        mov ecx, 300
    .1: add eax, 1
        inc byte [.1 + 2]
        test cl, 15
        jnz .2
        nop
    .2: add ebx, eax
        dec ecx
        jnz .1
        hlt
    """,
    "data beside code": """
        mov ecx, 300
    .1: add [.data], ecx
        mov eax, [.data]
        dec ecx
        jnz .1
        hlt
    .data: dd 0
    """,
    "strings": """
        mov edx, 60
    .1: mov esi, 0x20000
        mov edi, 0x21000
        mov ecx, 13
        rep movsb
        std
        lodsb
        stosw
        scasd
        cmpsb
        cld
        dec edx
        jnz .1
        hlt
    """,
    "long strings": """
        mov edx, 60
    .1: mov esi, 0x20003
        mov edi, 0x22000
        mov ecx, 1500
        rep movsd
        mov edi, 0x20800
        mov ecx, 2500
        rep stosb
        mov esi, 0x24000
        lea edi, [esi + 6]
        mov ecx, 900
        rep movsw
        mov esi, 0x25100
        lea edi, [esi - 3]
        mov ecx, 700
        rep movsb
        std
        mov ecx, 200
        rep movsb
        cld
        dec edx
        jnz .1
        hlt
    """,
    "strings beside code, and over it": """
        mov edx, 40
    .1: mov edi, .data
        mov ecx, 300
        mov al, dl
        rep stosb
        mov esi, .data
        lea edi, [esi + 5]
        mov ecx, 90
        rep movsd
        mov edi, .2 - 20
        mov eax, 0x90909090
        mov ecx, 5
        test dl, 7
        jnz .3
        rep stosd
    .3: sub edi, ebx
        times 24 nop
    .2: dec edx
        jnz .1
        hlt
    .data:
        times 700 db 0
    """,
    "16-bit parts": """
        mov cx, 500
    .1: add ax, cx
        mov bh, al
        add bl, ah
        xchg al, bh
        movzx edx, bx
        movsx esi, bl
        o16 push si
        o16 pop di
        pusha
        popa
        dec cx
        jnz .1
        hlt
    """,
    "the timer": (
        START_CONTROLLER
        + """
        mov al, 0
        out 0x21, al
        mov al, 0x34
        out 0x43, al
        mov al, 37
        out 0x40, al
        mov al, 0
        out 0x40, al
        sti
        mov ecx, 3000
    .1: add eax, ecx
        mov [0x20000 + ecx], al
        dec ecx
        jnz .1
        cli
        hlt
    """
    ),
}


MAKE_PRESENT = """
    push eax
    mov eax, cr2
    shr eax, 12
    or dword [0x6000 + eax * 4], 7
    shl eax, 12
    invlpg [eax]
    pop eax
    add esp, 4
    iret
"""


def bench_of(source: str, ring: int = 0) -> Bench:
    """With handlers that return: of #DE to behind the division, of the timer with an end of interrupt."""
    bench = Bench("start:\n" + source, ring)
    bench.memory.load(HostPhysical(DATA), bytes(range(256)) * 16)
    bench.memory.load(HostPhysical(HANDLERS), bytes.fromhex("83 04 24 02 cf"))  # add dword [esp], 2; iret
    bench.memory.load(HostPhysical(HANDLERS + 16 * 0x20), bytes.fromhex("50 b0 20 e6 20 58 cf"))
    return bench


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("seed", [1, 2])
def test_blocks_are_the_same_as_steps(name: str, seed: int) -> None:
    fast = compare(lambda: bench_of(PROGRAMS[name]), 9000 if name == "long strings" else 2400, seed)
    assert bool(in_blocks(fast)) == (name not in ("changing itself", "long strings"))


def test_the_meter_adds_up_while_blocks_run() -> None:
    bench = bench_of(PROGRAMS["a loop in registers"])
    bench.pc.run(max_steps=1000)
    assert in_blocks(bench)
    assert sum(row.times for row in bench.pc.meter.rows()) == bench.pc.meter.cycles == 1000
    assert sum(bench.pc.meter.by_purpose().values()) == 1000


def test_a_saved_machine_goes_on_alike() -> None:
    bench = bench_of(PROGRAMS["calls"])
    bench.pc.run(max_steps=700)
    saved, count = bench.pc.save(), len(bench.events)
    bench.pc.run(max_steps=700)
    first = state(bench)
    bench.pc.load(saved)
    del bench.events[count:]
    bench.pc.run(max_steps=700)
    assert state(bench) == first


def test_no_block_survives_other_bytes() -> None:
    bench = bench_of(PROGRAMS["a loop in registers"])
    saved = bench.pc.save()
    bench.pc.run(max_steps=500)
    bench.assemble("start: sub eax, ecx\n jmp start")
    bench.cpu.eip = CODE
    before = bench.cpu.eax
    bench.pc.run(max_steps=1)
    assert bench.cpu.eax == before - bench.cpu.ecx & COUNT
    bench.pc.load(saved)
    assert bench.pc.position == 0
    bench.pc.run(max_steps=500)
    other = bench_of(PROGRAMS["a loop in registers"])
    stepped(other, 500)
    assert bench.cpu.eax == other.cpu.eax


def test_page_faults_and_marks_of_use_come_where_they_do_in_steps() -> None:
    source = """
        mov ecx, 900
        mov esi, 0x20000
    .1: add [esi], ecx
        mov eax, [esi + 0x800]
        add esi, 64
        cmp esi, 0x30000
        jb .2
        mov esi, 0x20000
    .2: dec ecx
        jnz .1
        hlt
    """

    def make() -> Bench:
        bench = bench_of(source, 3)
        bench.turn_on_paging()
        bench.page(0x23000, 5)  # not to be written
        bench.page(0x27000, 6)  # absent
        bench.assemble("jmp 0xa000", HANDLERS + 16 * PF)
        bench.assemble(MAKE_PRESENT, 0xA000)
        return bench

    fast = compare(make, 3000)
    assert in_blocks(fast)
    assert any(event.kind == "ExceptionDelivered" for event in fast.events)


def test_loads_of_cr3_and_evictions_change_nothing() -> None:
    """Every pass flushes the translation buffer, and touches more pages than it holds every few."""
    source = """
        mov ecx, 300
        mov esi, 0x20000
        mov ebx, cr3
    .1: mov edx, 9
    .2: add [esi], edx
        add esi, 0x1000
        and esi, 0x7ffff
        or esi, 0x20000
        dec edx
        jnz .2
        test cl, 3
        jnz .3
        mov cr3, ebx
    .3: dec ecx
        jnz .1
        hlt
    """

    def make() -> Bench:
        bench = bench_of(source)
        bench.turn_on_paging()
        return bench

    assert in_blocks(compare(make, 6000))


def test_a_short_segment_is_kept_to() -> None:
    """A ring-1 kernel below a monitor's pages: the last byte is in reach, the next one is #GP or #SS."""
    source = """
        mov ecx, 500
    .1: mov eax, ecx
        and eax, 63
        mov esi, [0x3ffc0 + eax]
        push eax
        pop ebx
        dec ecx
        jnz .1
    """

    def make() -> Bench:
        bench = Bench("start:\n" + source, 1)
        short = state_of(data_selector(1), d.segment(0, 0x3FFFF, d.DATA_READ_WRITE, 1))
        for index in (ES, SS, DS):
            bench.cpu.set_segment(index, short)
        bench.cpu.esp = 0x3F000
        # The handler, in ring 0, returns behind the load.
        bench.assemble("jmp 0xa000", HANDLERS + 16 * GP)
        bench.assemble("mov eax, [0x40000]\n add esp, 4\n add dword [esp], 6\n iret", 0xA000)
        return bench

    fast = compare(make, 2500)
    assert in_blocks(fast)
    assert sum(event.kind == "ExceptionDelivered" for event in fast.events) > 10


def test_16_bit_code_wraps_where_it_does_in_steps() -> None:
    source = """
        bits 16
        mov cx, 500
    .1: mov bx, cx
        shl bx, 7
        mov ax, [bx + 0x7ff]
        add [bx - 2], ax
        push ax
        push cx
        pop dx
        pop word [0x300]
        mov eax, [esp + 2]
        sub sp, 6
        call .2
        loop .1
        jmp $
    .2: ret
    """

    def make() -> Bench:
        bench = bench_of(source)
        real = state_of(data_selector(0), d.segment(0, 0xFFFF, d.DATA_READ_WRITE, big=False))
        for index in (ES, SS, DS):
            bench.cpu.set_segment(index, real)
        code = state_of(code_selector(0), d.segment(CODE, 0xFFFF, d.CODE_READ, big=False))
        bench.cpu.set_code_segment(code, 0)
        bench.cpu.eip, bench.cpu.esp = 0, 0x9000
        bench.assemble("jmp 0xa000", HANDLERS + 16 * GP)
        bench.assemble("add esp, 4\n add dword [esp], 4\n iret", 0xA000)
        return bench

    assert in_blocks(compare(make, 3000))


def test_marks_are_passed_where_they_stand() -> None:
    def make() -> Bench:
        bench = bench_of(PROGRAMS["a loop in registers"])
        bench.pc.marks = {Linear(CODE + 7): "xor"}
        return bench

    fast = compare(make, 1500)
    assert sum(event.kind == "MarkPassed" for event in fast.events) > 200


@pytest.mark.parametrize("name", PROGRAMS)
def test_arrivals_are_counted_as_by_watching(name: str) -> None:
    fast, slow = bench_of(PROGRAMS[name]), bench_of(PROGRAMS[name])
    counted: dict[int, int] = {}
    watched: Counter[int] = Counter()
    slow.pc.on_retired = lambda: watched.update((slow.pc.cpu.eip,))
    fast.pc.heat = counted
    for stop in (200, 333, 1500, 2000):
        for bench in (fast, slow):
            bench.pc.run(max_steps=stop - bench.pc.position)
    fast.pc.heat = None
    assert counted == watched


def test_whoever_watches_instructions_sees_each() -> None:
    bench = bench_of(PROGRAMS["calls"])
    bench.pc.run(max_steps=500)
    seen: list[int] = []
    bench.pc.on_retired = lambda: seen.append(bench.pc.position)
    bench.pc.run(max_steps=50)
    assert seen == list(range(500, 550))


def test_a_device_that_is_read_and_written_is_asked_each_time() -> None:
    source = """
        mov ecx, 100
    .1: mov eax, [0x30000]
        add edx, eax
        mov [0x30004], edx
        dec ecx
        jnz .1
        hlt
    """

    class Asked:
        def __init__(self) -> None:
            self.seen: list[int] = []

        def read(self, address: int, size: int) -> int:
            self.seen.append(address)
            return len(self.seen)

        def write(self, address: int, size: int, value: int) -> None:
            self.seen.append(value)

    def make() -> Bench:
        bench = Bench("start:\n" + source)
        bench.pc.mmu.mmio.register(HostPhysical(DEVICE), 0x1000, Asked())
        return bench

    compare(make, 400)
