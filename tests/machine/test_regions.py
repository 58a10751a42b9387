"""Blocks that lead to one another run together as they do in steps, wherever that is stopped."""

from __future__ import annotations

import random

import pytest

from tests.controllers import START_CONTROLLER
from tests.lengths import FULL
from tests.machine.bench import CODE, DATA, HANDLERS, Bench
from tests.machine.test_blocks import (
    MAKE_PRESENT,
    bench_of,
    compare,
    compile_soon,
    in_stretches,
    state,
    stepped,
)
from tests.machine.test_blocks import PROGRAMS as BLOCKS
from tests.machine.test_blocks_random import CONDITIONS, Programmer
from vizapp.isa.addresses import HostPhysical
from vizapp.isa.vectors import PF
from vizapp.machine import linked_blocks

SEEDS = 300 if FULL else 16
STEPS = 1500

PROGRAMS = {
    "recursion": BLOCKS["calls"],
    "loops in loops": """
        mov ecx, 60
    .1: mov ebx, ecx
        and ebx, 15
    .2: add eax, ebx
        dec ebx
        jns .2
        test al, 3
        jz .3
        xor edx, eax
        test dl, 1
        jnz .4
    .3: add esi, edx
    .4: dec ecx
        jnz .1
        hlt
    """,
    "a fault in a piece": """
        mov ecx, 300
    .1: mov edx, 0
        mov eax, ecx
        mov ebx, ecx
        and ebx, 7
        test cl, 1
        jz .2
        div ebx
        jmp .3
    .2: test ebx, ebx
        jz .3
        sub esi, eax
    .3: dec ecx
        jnz .1
        hlt
    """,
    "accesses across pages": """
        mov esi, 0x20f80
        mov ecx, 400
    .1: mov eax, [esi]
        test al, 1
        jz .2
        add [esi + 2], eax
        inc esi
        loop .1
        hlt
    .2: lea esi, [esi + 3]
        cmp esi, 0x21f00
        jb .3
        mov esi, 0x20f80
    .3: push eax
        pop edx
        loop .1
        hlt
    """,
    "flags that cross from piece to piece": """
        mov ecx, 500
    .1: add eax, 0x23456789
        jns .2
        adc ebx, eax
        jmp .3
    .2: rcl ebx, 1
        setc dl
    .3: pushf
        pop ebp
        cmp ecx, ebx
        ja .4
        inc edi
        jz .4
        sbb esi, ebp
    .4: lea ecx, [ecx - 1]
        jecxz .5
        jmp .1
    .5: hlt
    """,
    "a jump through a table": """
        mov ecx, 400
        mov dword [0x20000], .a
        mov dword [0x20004], .b
        mov dword [0x20008], .c
        mov dword [0x2000c], .a
    .1: mov eax, ecx
        and eax, 3
        jmp [0x20000 + eax * 4]
    .a: inc ebx
        jmp .2
    .b: add ebx, ecx
        jmp .2
    .c: shl ebx, 1
    .2: dec ecx
        jnz .1
        hlt
    """,
    "code that changes a piece": """
        mov ecx, 400
    .1: test cl, 1
        jz .2
        add eax, ecx
    .2: test cl, 127
        jnz .3
        xor byte [.4 + 2], 3
    .3: test cl, 2
        jz .5
    .4: add eax, 1
    .5: dec ecx
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
        mov al, 41
        out 0x40, al
        mov al, 0
        out 0x40, al
        sti
        mov ecx, 3000
    .1: add eax, ecx
        test al, 4
        jz .2
        mov [0x20000 + ecx], al
    .2: dec ecx
        jnz .1
        cli
        hlt
    """
    ),
}


@pytest.fixture(autouse=True)
def join_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small programs are to have regions too."""
    compile_soon(monkeypatch)


def regions(bench: Bench) -> int:
    """How many regions there are."""
    return len([*bench.pc.blocks._regions])


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("seed", [1, 2])
def test_regions_are_the_same_as_steps(name: str, seed: int) -> None:
    fast = compare(lambda: bench_of(PROGRAMS[name]), 2400, seed)
    assert regions(fast) or name == "code that changes a piece"


@pytest.mark.parametrize("name", PROGRAMS)
def test_wherever_it_stops(name: str) -> None:
    fast, slow = bench_of(PROGRAMS[name]), bench_of(PROGRAMS[name])
    fast.pc.run(max_steps=400)
    stepped(slow, 400)
    saved = fast.pc.save()
    for steps in range(1, 90):
        stepped(slow, 1)
        fast.pc.load(saved)
        fast.events.clear()
        fast.pc.run(max_steps=steps)
        assert {**state(fast), "events": []} == {**state(slow), "events": []}, steps


class Wanderer(Programmer):
    """Writes pieces that lead to one another by chance: ahead, back, through procedures and tables."""

    def program(self) -> str:
        count = self.chance.randrange(3, 8)
        return "\n".join(
            (
                f"start: mov esi, {DATA:#x}\n mov edi, {DATA + 0x8000:#x}\n mov ecx, 77",
                *(self.piece(number, count) for number in range(count)),
                "jmp .n0\n.f1: add eax, [esp]\n ret\n.f2: push ebx\n call .f1\n pop edx\n ret 0",
            )
        )

    def piece(self, number: int, count: int) -> str:
        pick = self.chance.choice
        if number == count - 1:
            return f".n{number}: jmp near .n0"
        body = "\n".join(self.one() for _ in range(self.chance.randrange(4)))
        there = f".n{pick(range(count))}"
        toss = f"imul ebp, ebp, 69069\n inc ebp\n test ebp, {1 << self.chance.randrange(8, 24)}"
        way = pick(
            (
                f"{toss}\n jz near {there}",
                f"{toss}\n jnz near {there}",
                f"j{pick(CONDITIONS)} near .n{min(number + 2, count - 1)}",
                f"and ecx, 15\n.d{number}: add edx, ecx\n dec ecx\n jns .d{number}",
                f"{toss}\n jz near .n{number}",
                "",
            )
        )
        return f".n{number}:\n{body}\n{way}"

    def one(self) -> str:
        """Mostly what blocks have, and what leaves EBP alone."""
        while True:
            line = super().one()
            rare = ("cpuid", "cr3", "div", "byte [", "popf", "ebp", "rep", "bp", "pusha")
            if not any(word in line for word in rare) or self.chance.random() < 0.03:
                return line


def make(seed: int) -> Bench:
    bench = Bench(Wanderer(seed).program())
    bench.memory.load(HostPhysical(DATA), random.Random(seed).randbytes(0x10000))
    for vector in range(32):
        bench.assemble("jmp 0x9000", HANDLERS + 16 * vector)
    # What faults is begun anew elsewhere, with another stack.
    bench.assemble(f"mov esp, 0x8ff0\n inc ebx\n and ebx, 0xffff\n jmp {CODE:#x}", 0x9000)
    bench.assemble("jmp 0xa000", HANDLERS + 16 * PF)
    bench.assemble(MAKE_PRESENT, 0xA000)
    if seed % 3:
        bench.turn_on_paging()
    return bench


joined: list[bool] = []


@pytest.mark.oracle
@pytest.mark.parametrize("seed", range(SEEDS))
def test_random_ways(seed: int) -> None:
    chance = random.Random(seed)
    fast, slow = make(seed), make(seed)
    for _ in in_stretches(fast, slow, chance, STEPS, 400):
        pass
    joined.append(regions(fast) > 0)
    assert sum(joined) * 3 > len(joined) - 6


def test_a_region_that_is_left_soon_is_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linked_blocks, "_ENTRIES", 8)
    source = """
        mov ecx, 4000
    .1: test cl, 1
        jz .2
        inc eax
    .2: dec ecx
        jz .3
        cpuid
        mov ecx, esi
        dec esi
        jmp .1
    .3: hlt
    """
    bench = bench_of(source)
    bench.pc.run(max_steps=300)
    assert regions(bench)
    bench.pc.run(max_steps=3000)
    assert not regions(bench)


def test_a_region_survives_a_checkpoint_only_if_its_code_does() -> None:
    bench = bench_of(PROGRAMS["loops in loops"])
    saved = bench.pc.save()
    bench.pc.run(max_steps=900)
    after = bench.pc.save()
    assert regions(bench)
    bench.memory.load(HostPhysical(CODE + 16), b"\x90")
    bench.pc.load(after)
    bench.pc.run(max_steps=100)
    slow = bench_of(PROGRAMS["loops in loops"])
    slow.pc.load(saved)
    stepped(slow, 1000)
    assert state(bench)["cpu"] == state(slow)["cpu"]
