"""Instructions decoded before they are reached: nobody can tell, whatever becomes of them meanwhile."""

from __future__ import annotations

import pytest

from tests.machine.bench import CODE, Bench, code_selector
from vizapp.isa import descriptors as d
from vizapp.isa.addresses import HostPhysical
from vizapp.isa.vectors import GP, PF, UD
from vizapp.machine import code_cache
from vizapp.machine.dma import BusMaster
from vizapp.machine.doors import Door
from vizapp.machine.segments import state_of

INC_EDX = 0x42
ALIAS = 0xF0000
# Each changes the INC EAX at .1 to INC EDX, right before it is executed.
STORES = {
    "a store": "mov byte [.1], 0x42",
    "a wide store": "mov dword [.1 - 2], 0xf4429090",
    "a store to another address": f"mov byte [.1 + {ALIAS - CODE}], 0x42",
    "a repeated store": "mov al, 0x42\n mov edi, .1\n mov ecx, 1\n rep stosb",
}


def ahead(bench: Bench) -> int:
    """How many instructions have a decoding."""
    return sum(map(len, bench.pc.code._frames.values()))


@pytest.mark.parametrize("store", STORES)
def test_a_store_to_the_next_instructions_is_seen(store: str) -> None:
    bench = Bench(f"start:\n xor edx, edx\n {STORES[store]}\n nop\n nop\n nop\n.1: inc eax\n hlt")
    bench.turn_on_paging()
    bench.page(ALIAS, 7, CODE >> 12)
    bench.pc.run(max_steps=20)
    assert bench.cpu.edx == 1


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_transfer_of_a_device_is_seen(steps: int) -> None:
    bench = Bench("start:\n nop\n nop\n nop\n inc eax\n hlt")
    bench.pc.run(max_steps=steps)
    assert ahead(bench) == 5
    BusMaster(bench.memory).write(CODE + 3, bytes((INC_EDX,)))
    bench.pc.run()
    assert (bench.cpu.eax, bench.cpu.edx) == (0, 1)


def test_a_restored_memory_is_seen() -> None:
    bench = Bench("start:\n nop\n nop\n inc eax\n hlt")
    saved = bench.pc.save()
    bench.memory.write(CODE + 2, 1, INC_EDX)
    bench.pc.run(max_steps=1)
    bench.pc.load(saved)
    bench.pc.run()
    assert (bench.cpu.eax, bench.cpu.edx) == (1, 0)


@pytest.mark.parametrize(
    ("source", "limit", "vector"),
    [
        ("nop\n nop\n ud2", 0xFFFFF, UD),
        ("nop\n nop\n mov eax, 1", CODE + 4, GP),
        ("nop\n nop\n mov eax, 1", CODE + 1, GP),
        (f"jmp {CODE + 0xFFD:#x}\n times 0xff8 nop\n nop\n nop\n mov eax, 1", 0xFFFFF, PF),
        (f"jmp {CODE + 0xFFD:#x}\n times 0xff8 nop\n nop\n nop\n nop\n nop", 0xFFFFF, PF),
    ],
)
def test_a_fault_comes_when_it_is_reached(source: str, limit: int, vector: int) -> None:
    bench = Bench(f"start:\n {source}")
    bench.turn_on_paging()
    bench.page(CODE + 0x1000, 0)
    code = state_of(code_selector(0), d.segment(0, limit, d.CODE_READ, 0))
    bench.cpu.set_code_segment(code, 0)
    slow = 0
    while not bench.events:
        before = bench.cpu.eip
        bench.step()
        slow += 1
    (event,) = bench.events
    assert (event.payload["vector"], event.payload["address"]) == (vector, before)
    assert slow == (4 if "jmp" in source else 3) + source.endswith("nop\n nop")


def test_a_door_is_not_gone_through() -> None:
    bench = Bench("start:\n nop\n nop\n nop\n hlt")
    bench.pc.doors[HostPhysical(CODE + 2)] = Door(0, "phase")
    bench.pc.run(max_steps=1)
    assert set(bench.pc.code.hot) == {CODE, CODE + 1}


def test_it_goes_no_further_than_what_may_lead_elsewhere() -> None:
    bench = Bench("start:\n nop\n jz .1\n nop\n.1: nop\n jmp .2\n.2: nop\n cli\n nop\n hlt")
    bench.pc.run(max_steps=1)
    assert ahead(bench) == 2
    bench.pc.run(max_steps=2)
    assert ahead(bench) == 5
    bench.pc.run(max_steps=3)
    assert ahead(bench) == 7


def test_there_is_an_end_to_it() -> None:
    bench = Bench("start:\n times 200 nop\n hlt")
    bench.pc.run(max_steps=1)
    assert ahead(bench) == 1 + code_cache._AHEAD


def test_marks_are_passed() -> None:
    bench = Bench("start:\n nop\n nop\n inc eax\n hlt")
    bench.pc.marks = {CODE + 2: "mark_it"}  # type: ignore[dict-item]
    bench.pc.run()
    (event,) = (event for event in bench.events if event.kind == "MarkPassed")
    assert event.position == 2
