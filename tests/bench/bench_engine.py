"""Headless instructions a second on small loops, ours and unicorn's.

Time is that of the process, not of the clock on the wall, so a machine shared with other work matters less.
Each figure is the median of some runs, each on a new machine; translation and caches are part of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from unicorn import UC_ARCH_X86, UC_MODE_32, Uc
from unicorn.x86_const import UC_X86_REG_ECX, UC_X86_REG_ESP

from tests.machine.bench import CODE, HANDLERS, STACKS, Bench
from vizapp.guest.assembler import assemble
from vizapp.isa.addresses import HostPhysical
from vizapp.isa.vectors import GP

MEMORY = 1 << 20


class Workload(NamedTuple):
    """A program that does ``count`` rounds, the number that it finds in ECX, and halts.

    ``oracle_rounds`` is how many times as many unicorn does, to last long enough; 0 where it cannot run it.
    """

    name: str
    source: str
    count: int
    oracle_rounds: int
    ring: int = 0


WORKLOADS = (
    Workload(
        "registers",
        """
        start:
        .loop:  add eax, ecx
                xor edx, eax
                lea ebx, [eax + edx * 2]
                dec ecx
                jnz .loop
                hlt
        """,
        60_000,
        200,
    ),
    Workload(
        "copy bytes",
        """
        start:
        .again: mov esi, 0x20000
                mov edi, 0x30000
                mov ebp, 0x24000
        .loop:  mov al, [esi]
                mov [edi], al
                inc esi
                inc edi
                cmp esi, ebp
                jb .loop
                dec ecx
                jnz .again
                hlt
        """,
        4,
        50,
    ),
    Workload(
        "sieve",
        """
        start:
        .again: mov edi, 0x20000
                xor eax, eax
        .clear: mov byte [edi + eax], 0
                inc eax
                cmp eax, 8192
                jb .clear
                mov ebx, 2
        .next:  cmp byte [edi + ebx], 0
                jne .composite
                lea eax, [ebx + ebx]
        .cross: cmp eax, 8192
                jae .composite
                mov byte [edi + eax], 1
                add eax, ebx
                jmp .cross
        .composite:
                inc ebx
                cmp ebx, 8192
                jb .next
                dec ecx
                jnz .again
                hlt
        """,
        2,
        50,
    ),
    Workload(
        "calls (Fibonacci)",
        """
        start:
        .again: mov eax, 17
                call fib
                dec ecx
                jnz .again
                hlt
        fib:    cmp eax, 2
                jb .end
                push eax
                dec eax
                call fib
                xchg eax, [esp]
                sub eax, 2
                call fib
                pop edx
                add eax, edx
        .end:   ret
        """,
        6,
        50,
    ),
    Workload(
        "strings (REP MOVSD)",
        """
        start:
        .again: mov ebx, ecx
                mov esi, 0x20000
                mov edi, 0x30000
                mov ecx, 0x1000
                rep movsd
                mov ecx, ebx
                dec ecx
                jnz .again
                hlt
        """,
        60,
        50,
    ),
    Workload(
        "ring 3 to 0 and back every 100",
        """
        start:
        .loop:  mov ebx, 32
        .work:  add eax, ebx
                dec ebx
                jnz .work
                int 0x80
                dec ecx
                jnz .loop
                hlt                     ; #GP at ring 3, whose handler halts
        """,
        1_500,
        0,
        ring=3,
    ),
)


def ours(workload: Workload, count: int) -> tuple[int, float]:
    """Steps done, one an instruction or an iteration of REP, and seconds of process time."""
    bench = Bench(workload.source, workload.ring)
    bench.memory.load(HostPhysical(HANDLERS + 16 * 0x80), b"\xcf")  # iret
    bench.memory.load(HostPhysical(HANDLERS + 16 * GP), b"\xf4")  # hlt
    bench.cpu.ecx = count
    start = time.process_time()
    bench.pc.run()
    elapsed = time.process_time() - start
    assert bench.cpu.ecx == 0, bench.pc.stopped
    return bench.pc.position, elapsed


def unicorns(workload: Workload, count: int) -> float:
    """Seconds of process time."""
    program = assemble(f"bits 32\norg {CODE:#x}\n{workload.source}\n").data
    uc = Uc(UC_ARCH_X86, UC_MODE_32)
    uc.mem_map(0, MEMORY)
    uc.mem_write(CODE, program)
    uc.reg_write(UC_X86_REG_ECX, count)
    uc.reg_write(UC_X86_REG_ESP, STACKS)
    start = time.process_time()
    uc.emu_start(CODE, CODE + len(program))
    elapsed = time.process_time() - start
    assert uc.reg_read(UC_X86_REG_ECX) == 0
    return elapsed


def rate(runs: int, once: Callable[[], tuple[int, float]]) -> float:
    """Millions of instructions a second, the median of some runs."""
    return median(steps / seconds / 1e6 for steps, seconds in (once() for _ in range(runs)))


def main(runs: int, scale: float) -> None:
    """Measure and print."""
    table = Table(title=f"millions of instructions a second of process time, median of {runs}")
    table.add_column("workload")
    for heading in ("vizapp", "unicorn", "unicorn / vizapp"):
        table.add_column(heading, justify="right")
    for workload in WORKLOADS:
        count = max(1, round(workload.count * scale))
        mine = rate(runs, lambda workload=workload, count=count: ours(workload, count))
        cells = [f"{mine:.2f}", "-", "-"]
        if workload.oracle_rounds:
            steps, _ = ours(workload, count)
            rounds = workload.oracle_rounds
            theirs = rate(
                runs,
                lambda workload=workload, count=count, rounds=rounds, steps=steps: (
                    steps * rounds,
                    unicorns(workload, count * rounds),
                ),
            )
            cells = [f"{mine:.2f}", f"{theirs:.0f}", f"{theirs / mine:.0f}"]
        table.add_row(workload.name, *cells)
    Console().print(table)
