"""Random loops run in blocks as they do in steps, with a timer, vanishing pages and changing code."""

from __future__ import annotations

import random

import pytest

from tests.controllers import START_CONTROLLER
from tests.lengths import FULL
from tests.machine.bench import CODE, DATA, HANDLERS, Bench
from tests.machine.test_blocks import MAKE_PRESENT, compile_soon, in_blocks, in_stretches
from vizapp.isa.addresses import HostPhysical
from vizapp.isa.vectors import DE, PF

SEEDS = 400 if FULL else 24
STEPS = 1200
WIDE = ("eax", "ebx", "edx", "ebp")
NARROW = {"byte": ("al", "ah", "bl", "bh", "dl", "dh"), "word": ("ax", "bx", "dx", "bp"), "dword": WIDE}
CONDITIONS = ("o", "no", "b", "ae", "z", "nz", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g")
ALONE = ("cbw", "cwde", "cdq", "clc", "stc", "cmc", "cld", "lahf", "sahf", "daa", "aaa", "bswap eax")
SHIFTS = ("shl", "shr", "sar", "rol", "ror", "rcl", "rcr")
BITS = ("bt", "bts", "btr", "btc")
STRINGS = ("lodsb", "stosd", "movsw", "scasb", "cmpsd", "push ecx\n mov ecx, 70\n rep movsd\n pop ecx")
TIMER = (
    START_CONTROLLER
    + """
        mov al, 0
        out 0x21, al
        mov al, 0x34
        out 0x43, al
        mov al, 23
        out 0x40, al
        mov al, 0
        out 0x40, al
        sti
"""
)


class Programmer:
    """Writes a loop of instructions whose memory operands stay in a few pages of data."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.labels = 0

    def memory(self) -> str:
        displacement = self.chance.choice((0, 4, 0x7C, 0x101, 0xFFC, 0xFFD, 0xFFE, 0xFFF, 0x1FFE))
        register = self.chance.choice(("esi", "edi"))
        return f"[{register} + {displacement}]"

    def operands(self) -> str:
        pick = self.chance.choice
        size = pick(tuple(NARROW))
        register = pick(NARROW[size])
        other = pick((pick(NARROW[size]), str(self.chance.randrange(128)), f"{size} {self.memory()}"))
        if self.chance.random() < 0.3:
            return f"{size} {self.memory()}, {register}"
        return f"{register}, {other}"

    def one(self) -> str:
        pick = self.chance.choice
        wide = pick(WIDE)
        size = pick(tuple(NARROW))
        single = pick((pick(NARROW[size]), f"{size} {self.memory()}"))
        self.labels += 1
        return pick(
            (
                f"{pick(('add', 'sub', 'adc', 'sbb', 'and', 'or', 'xor', 'cmp', 'mov'))} {self.operands()}",
                f"{pick(('inc', 'dec', 'neg', 'not'))} {single}",
                f"{pick(SHIFTS)} {single}, {pick(('1', '5', 'cl'))}",
                f"lea {wide}, [{pick(WIDE)} + {pick(WIDE)} * {pick((1, 2, 4, 8))} + 5]",
                f"set{pick(CONDITIONS)} {pick(NARROW['byte'])}",
                f"cmov{pick(CONDITIONS)} {wide}, {pick((pick(WIDE), self.memory()))}",
                f"j{pick(CONDITIONS)} .l{self.labels}\n add {self.operands()}\n.l{self.labels}: nop",
                f"push {pick((wide, 'dword ' + self.memory()))}\n pop {pick((wide, 'dword [esi]'))}",
                f"xchg {wide}, {pick((pick(WIDE), self.memory()))}",
                f"movzx {wide}, byte {self.memory()}",
                f"movsx {wide}, word {self.memory()}",
                f"imul {wide}, {pick(WIDE)}",
                f"mul {pick(WIDE)}",
                f"{pick(BITS)} {pick((wide, 'dword ' + self.memory()))}, {pick((3, 31))}",
                f"{pick(('bsf', 'bsr'))} {wide}, {pick(WIDE)}",
                f"shld {wide}, {pick(WIDE)}, cl",
                f"call .f{pick((1, 2))}",
                pick(ALONE),
                f"{pick(STRINGS)}\n and esi, ~0x3000\n and edi, ~0x3000",
                f"xadd {self.memory()}, {wide}",
                "div ebx",
                "pusha\n popa",
                f"inc byte [{CODE + self.chance.randrange(0x60, 0x200)}]" if pick(range(8)) == 0 else "nop",
                "mov eax, cr3\n mov cr3, eax" if pick(range(4)) == 0 else "cpuid",
                "pushf\n pop ebp",
            )
        )

    def program(self) -> str:
        body = "\n".join(self.one() for _ in range(self.chance.randrange(3, 14)))
        return f"""
        start:
        {TIMER if self.chance.random() < 0.6 else ""}
        mov esi, {DATA:#x}
        mov edi, {DATA + 0x8000:#x}
        mov ecx, 3000
        jmp .loop
        .f1: add eax, [esp]
        ret
        .f2: push ebx
        call .f1
        pop edx
        ret 0
        .loop:
        {body}
        dec ecx
        jnz near .loop
        hlt
        """


compiled: list[bool] = []


def make(seed: int) -> Bench:
    bench = Bench(Programmer(seed).program())
    bench.memory.load(HostPhysical(DATA), random.Random(seed).randbytes(0x10000))
    bench.assemble("add dword [esp], 2\n iret", HANDLERS + 16 * DE)
    bench.assemble("push eax\n mov al, 0x20\n out 0x20, al\n pop eax\n iret", HANDLERS + 16 * 0x20)
    bench.assemble("jmp 0xa000", HANDLERS + 16 * PF)
    bench.assemble(MAKE_PRESENT, 0xA000)
    if seed % 3:
        bench.turn_on_paging()
    return bench


@pytest.mark.oracle
@pytest.mark.parametrize("seed", range(SEEDS))
def test_random_loops(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_soon(monkeypatch, arrivals=1, loop=100)
    chance = random.Random(seed)
    fast, slow = make(seed), make(seed)
    for _ in in_stretches(fast, slow, chance, STEPS, 200):
        if seed % 3 == 1:
            page = DATA + 0x1000 * chance.randrange(16)
            flags = chance.choice((4, 5, 7))
            for bench in (fast, slow):
                bench.page(page, flags)
                bench.pc.mmu.invalidate(page)
    compiled.append(in_blocks(fast) > 0)
    assert sum(compiled) * 2 > len(compiled) - 4  # the others have nothing but what runs by itself
