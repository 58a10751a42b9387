"""Random kernel programs with loops, calls, code that changes and interrupts: as on the bare machine."""

from __future__ import annotations

import random
from itertools import zip_longest

import pytest
from test_trap_equivalence import states
from test_trap_interrupts import TIMER
from vmm_support import Run, small_image

from tests.lengths import FULL
from vizapp.session.scenario import Scenario
from vizapp.session.session import Session
from vizapp.vmm.binary_translation.technique import BinaryTranslation
from vizapp.vmm.native import Native

SEEDS = 100 if FULL else 2
INSTRUCTIONS = 4000

_TO_16 = """
    mov dword [gdt + 0x38], 0x0000FFFF; mov dword [gdt + 0x3C], 0x00009A10; mov dword [gdt + 0x40], 0xFFFF;
    mov dword [gdt + 0x44], 0x00009212; jmp 0x38:(start - $$); bits 16; start: mov ax, 0x40; mov ss, ax;
    mov sp, 0xF000;
"""
_REGISTERS = {32: ("eax", "ebx", "edx", "esi", "edi"), 16: ("ax", "bx", "dx", "si", "di")}
_OPERATIONS = ("add", "sub", "adc", "sbb", "and", "or", "xor", "cmp", "mov", "test", "imul", "xchg")
_ALONE = (
    "cli",
    "sti",
    "pushfw; pop bp",
    "pushfd; pop ebp",
    "cbw",
    "cdq",
    "stc",
    "cmc",
    "clc",
    "sti; cli",
    "lahf",
    "sahf",
    "std; cld",
)
_BRANCHES = ("jc", "jnc", "jz", "jnz", "js", "jns", "jo", "jp", "jl", "jg", "ja", "jbe")


class Program:
    """Source of a program that ends: loops count down, branches go forward, functions call later ones."""

    def __init__(self, seed: int, bits: int) -> None:
        self._choose = random.Random(f"{seed}/{bits}")
        self._bits = bits
        self._labels = 0
        functions = [f"f{number}" for number in range(4)]
        self._released = {name: self._choose.choice(("", " 4")) for name in functions}
        main = self._block(functions, depth=2)
        bodies = [
            f"{name}: {self._block(functions[number + 1 :], depth=1)}; ret{self._released[name]}"
            for number, name in enumerate(functions)
        ]
        end = "jmp dword 8:done" if bits == 16 else "jmp done"
        before = _TO_16 if bits == 16 else ""
        self.source = before + "; ".join((main, end, *bodies, "bits 32; done: cli; nop"))

    def _block(self, functions: list[str], depth: int) -> str:
        return "; ".join(self._statement(functions, depth) for _ in range(self._choose.randrange(4, 9)))

    def _memory(self) -> str:
        address = self._choose.randrange(0x12_5000, 0x12_5040)
        if self._bits == 16 or not self._choose.randrange(3):
            return f"[dword {address:#x}]"
        return f"[{address:#x}]"

    def _label(self) -> str:
        self._labels += 1
        return f"l{self._labels}"

    def _statement(self, functions: list[str], depth: int) -> str:
        choose = self._choose
        kind = choose.randrange(13)
        if kind == 0:
            return choose.choice(_ALONE)
        if kind == 1:
            register = choose.choice(_REGISTERS[self._bits])
            return f"push {register}; popf" if not choose.randrange(4) else "pushfd; popfd"
        if kind == 2:
            return f"{choose.choice(('inc', 'dec', 'not', 'neg'))} dword {self._memory()}"
        if kind == 3:
            label = self._label()
            skipped = self._simple()
            return f"{choose.choice(_BRANCHES)} {label}; {skipped}; {label}: nop"
        if kind == 4 and depth:
            label = self._label()
            body = self._block([], depth - 1)
            times = choose.randrange(1, 5)
            return f"mov ecx, {times}; {label}: push ecx; {body}; pop ecx; dec ecx; jnz near {label}"
        if kind == 5 and functions:
            name = choose.choice(functions)
            after = "" if self._released[name] else "; pop ebp"
            if choose.randrange(2):
                return f"push dword 7; call {name}{after}"
            target = f"mov esi, {name}; call esi" if self._bits == 32 else f"mov si, {name} - $$; call si"
            return f"push dword 7; {target}{after}"
        if kind == 6:
            label = self._label()
            return f"inc byte [dword {label} + 1]; {label}: mov al, {choose.randrange(200)}"
        if kind == 7:
            label, crossing = self._label(), choose.randrange(1, 8)
            place = f"times (0x2000 - {crossing} - ($ - $$)) & 0xFFF nop"
            value = choose.randrange(1 << 32)
            return f"jmp near {label}; {place}; {label}: mov dword [dword 0x125020], {value:#x}"
        return self._simple()

    def _simple(self) -> str:
        choose = self._choose
        size = choose.choice((16, 32))
        first, second = (choose.choice(_REGISTERS[size]) for _ in range(2))
        operation = choose.choice(_OPERATIONS)
        if operation == "xchg" or choose.randrange(3):
            return f"{operation} {first}, {second}"
        return f"{operation} {first}, {self._memory()}"


@pytest.mark.oracle
@pytest.mark.parametrize("size", [1 << 18, 1 << 10])
@pytest.mark.parametrize("prologue", ["", "PAGING; "])
@pytest.mark.parametrize("bits", [32, 16])
def test_random_programs(bits: int, prologue: str, size: int) -> None:
    for seed in range(SEEDS):
        guest = small_image(prologue + Program(seed, bits).source)
        native, run = Run(guest, Native()), Run(guest, BinaryTranslation(size))
        both = zip_longest(states(native, INSTRUCTIONS), states(run, INSTRUCTIONS))
        for count, (expected, found) in enumerate(both):
            assert found == expected, f"seed {seed}, instruction {count}"
        assert run.ending() == native.ending()


@pytest.mark.oracle
@pytest.mark.parametrize("bits", [32, 16])
def test_interrupts_at_random_points(bits: int) -> None:
    injected = 0
    for seed in range(SEEDS // 2):
        timer = TIMER.replace("mov al, 40", f"mov al, {10 + seed}")
        body = Program(seed, bits).source.replace("cli", "nop")
        body = body.replace("; popf;", "; pop ebp;" if bits == 32 else "; pop bp;")  # no TF, no IF
        body = body.replace("done: nop", "done: dec dword [0x126000]; jnz near again; cli")
        body = "sti; mov dword [0x126000], 100; again: " + body
        session = Session(Scenario(small_image(timer + body), "binary-translation"), lockstep=True)
        session.advance(max_instructions=20_000)
        card = session.scorecard()
        assert card.first_difference is None, f"seed {seed}: {card.first_difference}"
        injected += session.report()["events"].get("inject", 0)
    assert injected
