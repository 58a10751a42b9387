"""Checks on VM entry: what SDM Vol. 3, "VM Entries", refuses, and how it says so."""

from __future__ import annotations

import random
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.machine.bench import CODE
from tests.machine.vmx.guest_bench import GENERATIONS, HOST_EXIT, POINTERS, VMCS, GuestBench
from vizapp.isa.registers import EFLAGS_CF, EFLAGS_ZF
from vizapp.machine.vmx import fields as f

FAILED = CODE + 26  # the host's instruction after VMLAUNCH
VALID = 1 << 31
SECONDARY = {"primary_controls__or": 1 << 31}


def launch(generation: int = 2011, **fields: int) -> GuestBench:
    bench = GuestBench("vmcall", generation, **fields)
    bench.step(4)
    return bench


def test_the_default_vmcs_passes() -> None:
    for generation in GENERATIONS:
        bench = launch(generation)
        assert bench.events[-1].kind == "VmEntered"


def control(**fields: int) -> dict[str, int]:
    return fields


@pytest.mark.parametrize(
    ("generation", "fields"),
    [
        (2011, control(pin_based_controls=0)),
        (2011, control(pin_based_controls__or=1 << 6)),  # preemption timer
        (2011, control(primary_controls=0)),
        (2011, control(primary_controls__or=1 << 27)),  # monitor trap flag
        (2005, control(primary_controls__or=1 << 31)),
        (2005, control(pin_based_controls__or=1 << 5 | 1 << 3)),
        (2011, control(secondary_controls=1, **SECONDARY)),  # APIC accesses
        (2008, control(secondary_controls=1 << 7 | 1 << 1, ept_pointer=0x9001E, **SECONDARY)),
        (2011, control(exit_controls=0)),
        (2011, control(exit_controls__or=1 << 9)),
        (2011, control(entry_controls=0)),
        (2011, control(entry_controls__or=1 << 9)),
        (2011, control(cr3_target_count=5)),
        (2011, control(primary_controls__or=1 << 25, io_bitmap_a=0x62001)),
        (2011, control(primary_controls__or=1 << 25, io_bitmap_b=0x1_0006_3000)),
        (2011, control(primary_controls__or=1 << 28, msr_bitmap=0x800)),
        (2011, control(primary_controls__or=1 << 21, virtual_apic_address=0x10)),
        (2011, control(primary_controls__or=1 << 21, virtual_apic_address=0xA0000, tpr_threshold=0x10)),
        (2011, control(primary_controls__or=1 << 21, virtual_apic_address=0xA0000, tpr_threshold=1)),
        (2011, control(pin_based_controls__or=1 << 5)),
        (2011, control(primary_controls__or=1 << 22)),
        (2011, control(secondary_controls=1 << 5, **SECONDARY)),
        (2011, control(secondary_controls=1 << 1, ept_pointer=0x90006, **SECONDARY)),
        (2011, control(secondary_controls=1 << 1, ept_pointer=0x9001D, **SECONDARY)),
        (2011, control(secondary_controls=1 << 7, **SECONDARY)),
        (2011, control(exit_msr_store_count=1, exit_msr_store_address=8)),
        (2011, control(exit_msr_load_count=1, exit_msr_load_address=0xFFFF_FFFF_0000)),
        (2011, control(entry_msr_load_count=2, entry_msr_load_address=0xFFFF_FFF0)),
        (2011, control(entry_interruption_info=VALID | 1 << 8)),
        (2011, control(entry_interruption_info=VALID | 7 << 8)),
        (2011, control(entry_interruption_info=VALID | 2 << 8 | 3)),
        (2011, control(entry_interruption_info=VALID | 3 << 8 | 32)),
        (2011, control(entry_interruption_info=VALID | 3 << 8 | 13)),
        (2011, control(entry_interruption_info=VALID | 1 << 11 | 3 << 8 | 6)),
        (2011, control(entry_interruption_info=VALID | 1 << 12 | 0x20)),
        (2011, control(entry_interruption_info=VALID | 1 << 11 | 3 << 8 | 13, entry_exception_error=1 << 16)),
        (2011, control(entry_interruption_info=VALID | 4 << 8 | 0x80)),
        (2011, control(entry_interruption_info=VALID | 4 << 8 | 0x80, entry_instruction_length=16)),
    ],
)
def test_controls(generation: int, fields: dict[str, int]) -> None:
    bench = launch(generation, **fields)
    assert bench.field("vm_instruction_error") == 7
    assert bench.cpu.eip == FAILED
    assert bench.cpu.eflags & (EFLAGS_CF | EFLAGS_ZF) == EFLAGS_ZF
    assert bench.events[-1].kind == "VmEntryFailed"
    assert bench.cpu.guest_mode is None
    assert not bench.vmcs.launched


@pytest.mark.parametrize(
    "fields",
    [
        control(host_cr0=0x8000_0001),
        control(host_cr0=0x21),
        control(host_cr4=0),
        control(host_cr4=0x2000 | 1 << 14),
        control(host_cs_selector=0),
        control(host_ss_selector=0),
        control(host_tr_selector=0),
        control(host_cs_selector=9),
        control(host_ds_selector=0x14),
        control(host_fs_selector=1),
    ],
)
def test_host_state(fields: dict[str, int]) -> None:
    bench = launch(**fields)
    assert bench.field("vm_instruction_error") == 8
    assert bench.cpu.eip == FAILED


@pytest.mark.parametrize(
    ("qualification", "fields"),
    [
        (0, control(guest_cr0=0x21)),
        (0, control(guest_cr0=0x8000_0001)),
        (0, control(guest_cr4=0)),
        (0, control(guest_cr4=0x2000 | 1 << 20)),
        (0, control(guest_ia32_debugctl=1, entry_controls__or=4)),
        (0, control(guest_tr_selector=0x4C)),
        (0, control(guest_tr_access_rights=0x89)),
        (0, control(guest_tr_access_rights=0x1008B)),
        (0, control(guest_tr_access_rights=0xB)),
        (0, control(guest_tr_limit=0x10_0000)),
        (0, control(guest_ldtr_selector=4)),
        (0, control(guest_ldtr_access_rights=0x83)),
        (0, control(guest_cs_access_rights=0xC093)),
        (0, control(guest_cs_access_rights=0xC09A)),
        (0, control(guest_cs_access_rights=0xC0FB)),
        (0, control(guest_cs_limit=0xFFFF_FFFE)),
        (0, control(guest_ss_access_rights=0xC09B)),
        (0, control(guest_ss_access_rights=0xC0F3)),
        (0, control(guest_ss_selector=0x13)),
        (0, control(guest_ds_access_rights=0xC092)),
        (0, control(guest_ds_access_rights=0xC099)),
        (0, control(guest_es_access_rights=0xC013)),
        (0, control(guest_fs_selector=0x13)),
        (0, control(guest_gs_access_rights=0xC193)),
        (0, control(guest_gdtr_limit=0x1_0000)),
        (0, control(guest_idtr_limit=0x1_0000)),
        (0, control(guest_rflags=0)),
        (0, control(guest_rflags=0xA)),
        (0, control(guest_rflags=0x0040_0002)),
        (0, control(guest_rflags=0x2_0002)),  # VM with segments of protected mode
        (0, control(entry_interruption_info=VALID | 0x20)),
        (0, control(guest_activity=2)),
        (0, control(guest_activity=3)),
        (0, control(guest_activity=1, guest_interruptibility=2)),
        (0, control(guest_interruptibility=4)),
        (0, control(guest_interruptibility=1)),
        (0, control(guest_interruptibility=3, guest_rflags=0x202)),
        (0, control(guest_interruptibility=1, guest_rflags=0x202, entry_interruption_info=VALID | 0x20)),
        (0, control(guest_interruptibility=2, entry_interruption_info=VALID | 2 << 8 | 2)),
        (0, control(guest_pending_debug_exceptions=1 << 5)),
        (0, control(guest_pending_debug_exceptions=1 << 14, guest_interruptibility=2)),
        (0, control(guest_rflags=0x102, guest_interruptibility=2)),
        (0, control(guest_activity=1, entry_interruption_info=VALID | 3 << 8 | 6)),
        (4, control(vmcs_link_pointer=0x1001)),
        (4, control(vmcs_link_pointer=0x2000)),
    ],
)
def test_guest_state(qualification: int, fields: dict[str, int]) -> None:
    bench = launch(**fields)
    assert bench.field("exit_reason") == 33 | 1 << 31
    assert bench.field("exit_qualification") == qualification
    assert bench.cpu.eip == HOST_EXIT
    assert bench.cpu.guest_mode is None
    assert bench.events[-1].cause == "invalid-guest-state"
    assert not bench.vmcs.launched
    assert bench.field("entry_interruption_info") == fields.get("entry_interruption_info", 0)


def test_a_malformed_pdpte_is_qualification_2() -> None:
    bench = GuestBench("vmcall", guest_cr4=0x2020, guest_cr3=0xA0000)
    bench.capable_of_pae()
    bench.memory.write(0xA0000, 8, 0x1E7)
    bench.step(4)
    assert (bench.field("exit_reason"), bench.field("exit_qualification")) == (33 | 1 << 31, 2)


def test_a_vm_with_segments_of_its_mode_enters_virtual_8086_mode() -> None:
    bench = virtual_8086()
    assert bench.run_to_exit() == "cpuid"
    assert bench.field("guest_rflags") & 1 << 17
    assert bench.field("guest_cs_access_rights") == 0xF3
    bench = virtual_8086(guest_ds_base=0x10)
    bench.step(4)
    assert bench.field("exit_reason") == 33 | 1 << 31


def virtual_8086(**more: int) -> GuestBench:
    bench = GuestBench("nop")
    bench.memory.load(0x7100, bytes.fromhex("0fa2"))  # type: ignore[arg-type]
    fields = {"guest_rflags": 0x2_0002, "guest_rip": 0x100, "guest_rsp": 0x80}
    for name in ("es", "cs", "ss", "ds", "fs", "gs"):
        fields |= {
            f"guest_{name}_selector": 0x700,
            f"guest_{name}_base": 0x7000,
            f"guest_{name}_limit": 0xFFFF,
            f"guest_{name}_access_rights": 0xF3,
        }
    bench.set(**fields | more)
    return bench


def test_launch_state() -> None:
    bench = launch()
    bench.run_to_exit()
    bench.assemble("vmlaunch\nvmresume", HOST_EXIT)
    bench.step()
    assert bench.field("vm_instruction_error") == 4
    bench.step()
    assert bench.events[-1].kind == "VmEntered"
    bench = GuestBench()
    bench.step(3)
    bench.assemble("vmresume", bench.cpu.eip)
    bench.step()
    assert bench.field("vm_instruction_error") == 5


@cache
def ready(generation: int) -> tuple[GuestBench, object]:
    """A machine before VMXON, and its state."""
    bench = GuestBench("inc eax\ncpuid", generation)
    bench.capable_of_pae()
    return bench, bench.pc.save()


def changed(data: st.DataObject, field: f.Field, old: int) -> int:
    """Another value of a field: a number of its width, a bit turned, or one of those that matter."""
    mask = (1 << 8 * field.width) - 1
    telling = (0, mask, 0x1000, 0x8000_0000, 0x8000_0B0D, 0x8000_0020, 0x8000_0202)
    ways = (
        st.integers(0, mask),
        st.integers(0, 8 * field.width - 1).map(lambda bit: old ^ 1 << bit),
        st.sampled_from(telling).map(lambda number: number & mask),
    )
    return data.draw(st.one_of(*ways), label=field.name)


def launch_and_go_on(bench: GuestBench) -> None:
    """Run; there is an entry, or one of the failures that the manual names, or the processor shut down."""
    bench.step(4)
    kinds = [event.kind for event in bench.events]
    if "VmEntered" not in kinds and bench.pc.stopped is None:
        failed = bench.cpu.eip == FAILED
        found = bench.field("vm_instruction_error") if failed else bench.field("exit_reason")
        assert found in ((7, 8) if failed else (33 | 1 << 31, 34 | 1 << 31))
    bench.step(20)
    assert bench.pc.stopped is None or bench.pc.stopped[0] in ("shutdown", "halted")
    meter = bench.pc.meter
    assert sum(row.times for row in meter.rows()) == meter.cycles


@pytest.mark.parametrize("generation", GENERATIONS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_random_contents_enter_or_fail_with_the_manual_s_error(generation: int, data: st.DataObject) -> None:
    bench, saved = ready(generation)
    bench.pc.load(saved)  # type: ignore[arg-type]
    bench.events.clear()
    for field in data.draw(st.lists(st.sampled_from(f.FIELDS), min_size=1, max_size=6, unique=True)):
        bench.vmcs.write(field.encoding, changed(data, field, bench.vmcs.read(field.encoding)))
    launch_and_go_on(bench)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, (1 << 32) - 1), st.sampled_from(sorted(GENERATIONS)))
def test_any_page_for_a_vmcs(seed: int, generation: int) -> None:
    bench, saved = ready(generation)
    bench.pc.load(saved)  # type: ignore[arg-type]
    bench.events.clear()
    bench.memory.load(VMCS + 16, random.Random(seed).randbytes(4080))  # type: ignore[arg-type]
    launch_and_go_on(bench)


def test_instructions_of_another_maker_are_undefined() -> None:
    from tests.machine.bench import Bench
    from vizapp.machine.identity import AMD, PENTIUM_4, make_identity
    from vizapp.machine.inputs import SVM

    for identity in (PENTIUM_4, make_identity(AMD, "other", 0x40F32, (SVM,))):
        for source in (f"vmxon [{POINTERS:#x}]", "vmcall", "vmread eax, eax", "invept eax, [0x20000]"):
            assert Bench(source, identity=identity).fault() == (6, None)
