"""Headless instructions a second on small loops, ours and unicorn's.

Time is that of the process, not of the clock on the wall, so a machine shared with other work matters less.
Each figure is the median of some runs, each on a new machine; translation and caches are part of it. How fast
this processor is just now is told by a loop of plain Python that does the work of the first one by hand.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from unicorn import UC_ARCH_X86, UC_MODE_32, Uc
from unicorn.x86_const import UC_X86_REG_ECX, UC_X86_REG_ESP

from tests.machine.bench import CODE, HANDLERS, STACKS, Bench, data_selector
from vizapp.guest.assembler import assemble
from vizapp.isa import descriptors as d
from vizapp.isa.addresses import M32, HostPhysical
from vizapp.isa.registers import DS, ES, SS
from vizapp.isa.vectors import GP
from vizapp.machine.segments import state_of

MEMORY = 1 << 20


class Workload(NamedTuple):
    """A program that does ``count`` rounds, the number that it finds in ECX, and halts.

    ``oracle_rounds`` is how many times as many unicorn does, to last long enough; 0 where it cannot run it.
    ``short`` ends the data segments below the last page of memory. ``goal`` is in millions of instructions a
    second on one free core of the 3.6 GHz class; 0: no goal of its own.
    """

    name: str
    source: str
    count: int
    oracle_rounds: int
    ring: int = 0
    paging: bool = False
    short: bool = False
    goal: int = 0


SYSTEM_CALLS = """
        start:
        .loop:  mov ebx, 32
        .work:  add eax, ebx
                dec ebx
                jnz .work
                int 0x80
                dec ecx
                jnz .loop
                hlt                     ; #GP outside ring 0, whose handler halts
        """
KERNEL = """
        start:
        .again: mov esi, 0x20000
        .loop:  mov eax, [esi]
                add [esi + 4], eax
                push eax
                call .sum
                pop edx
                add esi, 8
                cmp esi, 0x28000
                jb .loop
                dec ecx
                jnz .again
                hlt
        .sum:   mov eax, [esp + 4]
                add ebx, eax
                ret
        """
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
        600_000,
        20,
        goal=20,
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
        40,
        10,
        goal=10,
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
        20,
        10,
        goal=10,
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
        60,
        10,
        goal=6,
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
        600,
        10,
    ),
    Workload("ring 3 to 0 and back every 100", SYSTEM_CALLS, 15_000, 0, ring=3),
    Workload("the same with paging", SYSTEM_CALLS, 15_000, 0, ring=3, paging=True, goal=5),
    Workload("ring 1, flat", KERNEL, 40, 0, ring=1),
    Workload("ring 1, short segments", KERNEL, 40, 0, ring=1, short=True),
)


def ours(workload: Workload, count: int) -> tuple[int, float]:
    """Steps done, one an instruction or an iteration of REP, and seconds of process time."""
    bench = Bench(workload.source, workload.ring)
    if workload.paging:
        bench.turn_on_paging()
    if workload.short:
        data = state_of(data_selector(1), d.segment(0, MEMORY - 0x1001, d.DATA_READ_WRITE, 1))
        for index in (ES, SS, DS):
            bench.segment(index, data)
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


def by_hand(passes: int) -> float:
    """Millions of instructions a second of the first workload's loop, written in Python."""
    eax = edx = ebx = 0
    ecx = passes
    start = time.process_time()
    while ecx:
        eax = eax + ecx & M32
        edx ^= eax
        ebx = eax + edx * 2 & M32
        ecx = ecx - 1 & M32
    elapsed = time.process_time() - start
    assert ebx <= M32
    return 5 * passes / elapsed / 1e6


def cold(count: int) -> float:
    """Thousands of instructions a second, each executed once."""
    chance = random.Random(1)
    registers = ("eax", "ebx", "edx", "esi", "edi", "ebp")
    lines = []
    for _ in range(count):
        one, other = chance.choice(registers), chance.choice(registers)
        name = chance.choice(("add", "sub", "mov", "xor", "cmp", "test"))
        operand = chance.choice(
            (other, f"[{chance.randrange(0x40000, 0x41000)}]", str(chance.randrange(1 << 31)))
        )
        lines.append(f"{name} {one}, {operand}")
    bench = Bench("\n".join((*lines, "hlt")))
    gc.collect()  # what assembling has left behind is not the engine's
    start = time.process_time()
    bench.pc.run()
    elapsed = time.process_time() - start
    assert bench.pc.position == count + 2
    return bench.pc.position / elapsed / 1e3


def single_steps(count: int) -> float:
    """Thousands of single steps a second, all registers and EFLAGS read after each, events kept."""
    bench = Bench(SYSTEM_CALLS, 3)
    bench.memory.load(HostPhysical(HANDLERS + 16 * 0x80), b"\xcf")  # iret
    cpu = bench.cpu
    cpu.ecx = count
    seen = []
    start = time.process_time()
    for _ in range(count):
        bench.pc.step()
        seen.append(
            (cpu.eip, cpu.eax, cpu.ecx, cpu.edx, cpu.ebx, cpu.esp, cpu.ebp, cpu.esi, cpu.edi, cpu.eflags)
        )
    return count / (time.process_time() - start) / 1e3


def main(runs: int, scale: float) -> None:
    """Measure and print."""
    first = cold(round(8_000 * scale))  # before anything else has made a template
    table = Table(title=f"millions of instructions a second of process time, median of {runs}")
    table.add_column("workload")
    for heading in ("goal", "vizapp", "unicorn", "unicorn / vizapp"):
        table.add_column(heading, justify="right")
    found = {}
    for workload in WORKLOADS:
        count = max(1, round(workload.count * scale))
        mine = found[workload.name] = rate(runs, lambda workload=workload, count=count: ours(workload, count))
        goal = str(workload.goal) if workload.goal else ""
        cells = [goal, f"{mine:.2f}", "-", "-"]
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
            cells = [goal, f"{mine:.2f}", f"{theirs:.0f}", f"{theirs / mine:.0f}"]
        table.add_row(workload.name, *cells)
    Console().print(table)
    others = Table("work", "goal", "")
    hand = median(by_hand(round(400_000 * scale)) for _ in range(runs))
    others.add_row("registers, by hand in Python: how fast this processor is now", "", f"{hand:.1f} M/s")
    slower = 100 * (1 - found["ring 1, short segments"] / found["ring 1, flat"])
    others.add_row("ring 1 under short segments is slower by", "20 %", f"{slower:.0f} %")
    others.add_row("code executed once, in a new process", "50 k/s", f"{first:.0f} k/s")
    again = median(cold(round(8_000 * scale)) for _ in range(runs))
    others.add_row("code executed once, of shapes met before", "50 k/s", f"{again:.0f} k/s")
    steps = median(single_steps(round(20_000 * scale)) for _ in range(runs))
    others.add_row("single steps with registers and events", "200 k/s", f"{steps:.0f} k/s")
    Console().print(others)
    Console().print(
        "Goals are for one free core of the 3.6 GHz class.\n"
        "For comparison, not measured here: RARS 2.5 M/s, QtRvSim 2.6 M/s, spim 20 M/s."
    )
