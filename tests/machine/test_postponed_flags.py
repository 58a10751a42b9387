"""Flags that a block has only promised are what they would have been, wherever the block is left."""

from __future__ import annotations

import pytest

from tests.machine.bench import Bench
from tests.machine.test_blocks import bench_of, compile_soon, in_blocks, state, stepped

FIRST, LAST = 30, 80

# Loads of 4 bytes at 0x20ffd.. and #DE leave a block in the middle, with what it has promised until then.
LOOPS = {
    "carried past a load that fails": """
        mov esi, 0x20ff6
    .1: mov eax, [esi]
        mov bl, [esi + 2]
        inc esi
        lea edx, [esi + eax]
        cmp esi, 0x21010
        jb .1
        hlt
    """,
    "carried past one that changes what they are made of": """
        mov esi, 0x20ff6
        xor eax, eax
    .1: mov eax, [esi + eax]
        and eax, 7
        inc esi
        cmp eax, esi
        jb .1
        hlt
    """,
    "read in the next pass": """
        mov ecx, 60
        mov esi, 0x20ff6
    .1: adc eax, [esi]
        mov edx, eax
        inc esi
        cmp eax, 0x70000000
        setl bl
        loop .1
        hlt
    """,
    "left in the next pass before they are replaced": """
        mov ecx, 60
    .1: js .2
        mov ebx, [ecx + 0x20fc6]
        dec eax
        and eax, 0x7f
        cmp ecx, eax
        jmp .1
    .2: test ecx, 1
        dec ecx
        jnz .1
        hlt
    """,
    "of a variable that changes while they are wanted": """
        mov esi, 0x20ff6
        mov ecx, 60
    .1: cmp esi, ecx
        mov edi, esi
        lea esi, [esi + 1]
        mov ecx, [esi]
        pushf
        pop edx
        sub ecx, edx
        mov ecx, [esi + 3]
        jmp .1
    """,
    "of a division that faults": """
        mov ecx, 60
    .1: mov eax, ecx
        mov edx, 0
        mov ebx, ecx
        and ebx, 3
        div ebx
        test ecx, eax
        lea ecx, [ecx - 1]
        jnz .1
        sub eax, 3
        jmp .1
    """,
    "in one of two branches": """
        mov ecx, 60
        mov esi, 0x20ff6
    .1: mov edx, ecx
        cmp edx, 9
        shl edx, cl
        mov eax, [esi]
        inc esi
        rol eax, cl
        jc .2
        sub edx, eax
    .2: mov ebx, [esi + 1]
        dec ecx
        jnz .1
        hlt
    """,
}


@pytest.fixture(autouse=True)
def compile_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short loops are to be long."""
    compile_soon(monkeypatch)


@pytest.mark.parametrize("name", LOOPS)
def test_wherever_it_stops(name: str) -> None:
    slow, compiled = bench_of(LOOPS[name]), 0
    stepped(slow, FIRST - 1)
    for stop in range(FIRST, LAST):
        stepped(slow, 1)
        fast: Bench = bench_of(LOOPS[name])
        fast.pc.run(max_steps=stop)
        compiled += in_blocks(fast)
        assert state(fast) == state(slow), stop
    assert compiled
