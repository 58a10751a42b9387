"""A monitor and its guest, stepped or run, saved in the middle and taken up again: always the same."""

from __future__ import annotations

import pytest

from tests.machine.vmx.guest_bench import HOST_EXIT, GuestBench
from vizapp.machine.vmx import fields as f

GUEST = """
mov edi, 0x30000
again:
mov eax, 1
cpuid
add ecx, eax
push ecx
pop edx
mov [edi], ecx
in al, 0x70
mov ecx, 4
rep stosb
sub edi, 4
sti
nop
cli
jmp again
"""
# Skip the instruction that exited, count, go back.
HOST = f"""
mov eax, {f.EXIT_LENGTH}
vmread ebx, eax
mov eax, {f.GUEST_RIP}
vmread ecx, eax
add ecx, ebx
vmwrite eax, ecx
inc dword [0x50000]
vmresume
"""
CONTROLS = {"primary_controls__or": 1 << 24 | 1 << 2, "guest_rflags": 2}


def bench_with_ept(ept: bool) -> GuestBench:
    bench = GuestBench(GUEST, **CONTROLS)
    bench.assemble(HOST, HOST_EXIT)
    if ept:
        bench.map_ept()
        bench.set(secondary_controls__or=1 << 5, vpid=3)
    return bench


def state(bench: GuestBench) -> dict[str, object]:
    saved = bench.pc.save()
    saved["memory"] = bench.memory.digest()
    return saved


@pytest.mark.parametrize("ept", [False, True])
def test_stepping_and_running_are_the_same(ept: bool) -> None:
    stepped, run, chunks = bench_with_ept(ept), bench_with_ept(ept), bench_with_ept(ept)
    for _ in range(1200):
        stepped.pc.step()
    run.pc.run(max_steps=1200)
    while chunks.pc.position < 1200:
        chunks.pc.run(max_steps=min(29, 1200 - chunks.pc.position))
    assert stepped.memory.read(0x50000, 4) > 50
    assert {event.cause for event in stepped.events if event.kind == "VmExited"} == {
        "cpuid", "io-instruction", "interrupt-window",
    }  # fmt: skip
    assert state(stepped) == state(run) == state(chunks)
    assert stepped.events == run.events == chunks.events
    meter = stepped.pc.meter
    assert sum(row.times for row in meter.rows()) == meter.cycles


@pytest.mark.parametrize("ept", [False, True])
@pytest.mark.parametrize("at", [3, 4, 5, 6, 7, 11, 350, 351, 352, 353, 354])
def test_a_checkpoint_in_the_guest_or_its_monitor(ept: bool, at: int) -> None:
    bench, again = bench_with_ept(ept), bench_with_ept(ept)
    bench.pc.run(max_steps=at)
    saved = bench.pc.save()
    bench.pc.run(max_steps=300)
    end = state(bench)
    bench.pc.load(saved)
    bench.pc.run(max_steps=300)
    assert state(bench) == end
    again.pc.load(saved)
    again.pc.run(max_steps=300)
    assert state(again) == end
