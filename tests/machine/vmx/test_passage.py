"""Entries and exits: what is saved, what is loaded, what is told, and what it costs."""

from __future__ import annotations

import pytest

from tests.machine.vmx.guest_bench import GUEST_CODE, HOST_EXIT, GuestBench
from vizapp.isa.registers import CS, DS, SS
from vizapp.machine.vmx import fields as f


@pytest.mark.parametrize("generation", [2005, 2008, 2011])
def test_a_guest_runs_and_exits_to_its_host(generation: int) -> None:
    bench = GuestBench("mov eax, 5\ncpuid\nhlt", generation)
    assert bench.run_to_exit() == "cpuid"
    assert bench.exit() == {
        "reason": 10, "name": "cpuid", "qualification": 0, "address": GUEST_CODE + 5, "length": 2,
    }  # fmt: skip
    assert (bench.field("exit_reason"), bench.field("exit_instruction_length")) == (10, 2)
    assert bench.field("guest_rip") == GUEST_CODE + 5
    assert bench.cpu.eip == HOST_EXIT
    assert bench.cpu.eax == 5
    assert bench.vmcs.launched
    assert bench.cpu.guest_mode is None


def test_the_host_state_is_flat() -> None:
    bench = GuestBench("cpuid")
    bench.run_to_exit()
    cpu = bench.cpu
    assert (cpu.esp, cpu.eflags, cpu.cpl) == (0x50000, 2, 0)
    assert (cpu.gdtr.limit, cpu.idtr.limit) == (0xFFFF, 0xFFFF)
    for index in (CS, SS, DS):
        state = cpu.segments[index]
        assert (state.base, state.limit, state.dpl, state.big) == (0, 0xFFFF_FFFF, 0, True)
    assert (cpu.tr.limit, cpu.tr.access) == (0x67, 0x8B)
    assert not cpu.ldtr.usable


def test_resume_goes_on_where_the_vmcs_says() -> None:
    bench = GuestBench("cpuid\nmov ebx, 7\ncpuid")
    bench.run_to_exit()
    bench.vmcs.write(f.GUEST_RIP, GUEST_CODE + 2)
    assert bench.run_to_exit() == "cpuid"
    assert bench.events[0].kind == "VmEntered"
    assert bench.events[0].cause == "vmresume"
    assert bench.cpu.ebx == 7
    assert bench.field("guest_rip") == GUEST_CODE + 7


def test_the_ledger_sums_to_the_clock() -> None:
    bench = GuestBench("cpuid")
    bench.run_to_exit()
    meter = bench.pc.meter
    rows = meter.rows()
    assert sum(row.times for row in rows) == meter.cycles
    assert {"vm_entry", "vm_exit", "vmcs_switch"} <= {row.input for row in rows}
