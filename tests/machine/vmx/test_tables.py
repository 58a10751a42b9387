"""The tables of fields, controls, reasons and errors against FIGURES.md 12, whose rows are repeated here."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from tests.machine.vmx.guest_bench import GENERATIONS, GuestBench
from vizapp.machine.vmx import controls, fields
from vizapp.machine.vmx.capabilities import (
    BASIC,
    CR0_FIXED0,
    CR4_FIXED0,
    EPT_VPID,
    MISC,
    SECONDARY,
    TRUE_PRIMARY,
    VMCS_ENUM,
    capabilities,
)
from vizapp.machine.vmx.errors import ERRORS
from vizapp.machine.vmx.reasons import BY_NUMBER, REASONS
from vizapp.machine.vmx.region import OFFSETS, REGION_BYTES

FIGURES = next(
    (
        path
        for parent in Path(__file__).resolve().parents
        for path in (parent / "FIGURES.md", parent.parent / "shared" / "FIGURES.md")
        if path.exists()
    ),
    None,
)

# FIGURES.md 12.2: the field's words there, and what they are here; ranges have a step of 2.
ENCODINGS = {
    "vpid": 0x0000, "io_bitmap_a": 0x2000, "io_bitmap_b": 0x2002, "msr_bitmap": 0x2004, "tsc_offset": 0x2010,
    "virtual_apic_address": 0x2012, "ept_pointer": 0x201A, "guest_physical_address": 0x2400,
    "vmcs_link_pointer": 0x2800, "pin_based_controls": 0x4000, "primary_controls": 0x4002,
    "exception_bitmap": 0x4004, "page_fault_error_mask": 0x4006, "page_fault_error_match": 0x4008,
    "cr3_target_count": 0x400A, "exit_controls": 0x400C, "entry_controls": 0x4012,
    "entry_interruption_info": 0x4016, "entry_exception_error": 0x4018, "entry_instruction_length": 0x401A,
    "tpr_threshold": 0x401C, "secondary_controls": 0x401E, "vm_instruction_error": 0x4400,
    "exit_reason": 0x4402, "exit_interruption_info": 0x4404, "exit_interruption_error": 0x4406,
    "idt_vectoring_info": 0x4408, "idt_vectoring_error": 0x440A, "exit_instruction_length": 0x440C,
    "cr0_guest_host_mask": 0x6000, "cr4_guest_host_mask": 0x6002, "cr0_read_shadow": 0x6004,
    "cr4_read_shadow": 0x6006, "exit_qualification": 0x6400, "guest_linear_address": 0x640A,
    "guest_cr0": 0x6800, "guest_cr3": 0x6802, "guest_cr4": 0x6804, "guest_dr7": 0x681A, "guest_rsp": 0x681C,
    "guest_rip": 0x681E, "guest_rflags": 0x6820, "guest_sysenter_esp": 0x6824, "guest_sysenter_eip": 0x6826,
    "guest_interruptibility": 0x4824, "guest_activity": 0x4826, "guest_sysenter_cs": 0x482A,
    "host_cr0": 0x6C00, "host_cr3": 0x6C02, "host_cr4": 0x6C04, "host_rsp": 0x6C14, "host_rip": 0x6C16,
}  # fmt: skip
SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr")
RANGES = {
    0x0800: [f"guest_{name}_selector" for name in SEGMENTS],
    0x0C00: [f"host_{name}_selector" for name in SEGMENTS if name != "ldtr"],
    0x6008: [f"cr3_target_{index}" for index in range(4)],
    0x4800: [f"guest_{name}_limit" for name in (*SEGMENTS, "gdtr", "idtr")],
    0x4814: [f"guest_{name}_access_rights" for name in SEGMENTS],
    0x6806: [f"guest_{name}_base" for name in (*SEGMENTS, "gdtr", "idtr")],
}
# FIGURES.md 12.1.
REASON_WORDS = (
    "0 exception/NMI, 1 external interrupt, 2 triple fault, 3 INIT, 4 SIPI, 5 I/O SMI, 6 other SMI, "
    "7 interrupt window, 8 NMI window, 9 task switch, 10 CPUID, 11 GETSEC, 12 HLT, 13 INVD, 14 INVLPG, "
    "15 RDPMC, 16 RDTSC, 17 RSM, 18 VMCALL, 19 VMCLEAR, 20 VMLAUNCH, 21 VMPTRLD, 22 VMPTRST, 23 VMREAD, "
    "24 VMRESUME, 25 VMWRITE, 26 VMXOFF, 27 VMXON, 28 CR access, 29 DR access, 30 I/O, 31 RDMSR, 32 WRMSR, "
    "33 invalid guest state, 34 MSR loading, 36 MWAIT, 37 monitor trap flag, 39 MONITOR, 40 PAUSE, "
    "41 machine check, 43 TPR below threshold, 44 APIC access, 45 EOI, 46 GDTR/IDTR, 47 LDTR/TR, "
    "48 EPT violation, 49 EPT misconfiguration, 50 INVEPT, 51 RDTSCP, 52 preemption timer, 53 INVVPID, "
    "54 WBINVD, 55 XSETBV, 56 APIC write, 58 INVPCID, 59 VMFUNC, 62 PML full, 63 XSAVES, 64 XRSTORS."
)
OTHER_NAMES = {
    "i-o": "io-instruction", "init": "init-signal", "sipi": "startup-ipi", "i-o-smi": "io-smi",
    "eoi": "virtualized-eoi", "pml-full": "page-modification-log-full",
}  # fmt: skip


def test_encodings() -> None:
    expected = dict(ENCODINGS)
    for first, names in RANGES.items():
        expected |= {name: first + 2 * index for index, name in enumerate(names)}
    assert {name: fields.BY_NAME[name].encoding for name in expected} == expected


def test_the_copy_here_is_what_the_figures_say() -> None:
    if FIGURES is None:
        pytest.skip("FIGURES.md is not there")
    text = FIGURES.read_text()
    assert REASON_WORDS in text
    table = text[text.index("### 12.2") : text.index("### 12.3")]
    rows = [cell.strip() for line in table.splitlines() if line.startswith("| ") for cell in line.split("|")]
    numbers = {int(word, 16) for cell in rows for word in re.findall(r"\b[0-9A-F]{4}\b", cell)}
    ends = {
        encoding for first, names in RANGES.items() for encoding in range(first, first + 2 * len(names), 2)
    }
    assert numbers <= set(ENCODINGS.values()) | ends
    assert set(ENCODINGS.values()) <= numbers
    assert set(RANGES) <= numbers


def test_an_encoding_tells_width_and_type() -> None:
    for field in fields.FIELDS:
        assert field.width == {0: 2, 1: 8, 2: 4, 3: 4}[field.encoding >> 13]
        assert not field.encoding & 1
        assert fields.TYPES[field.type]
    read_only = {field.name for field in fields.FIELDS if field.type == fields.EXIT_INFORMATION}
    assert read_only >= {
        "exit_reason",
        "exit_qualification",
        "guest_physical_address",
        "vm_instruction_error",
    }
    assert {field.name.split("_")[0] for field in fields.FIELDS if field.type == fields.HOST} == {"host"}


def test_reasons() -> None:
    told = dict(re.findall(r"(\d+) ([^,.]+)[,.]", REASON_WORDS))
    assert {int(number) for number in told} == set(BY_NUMBER)
    for number, words in told.items():
        name = re.sub(r"[ /]", "-", words.lower())
        assert BY_NUMBER[int(number)].name == OTHER_NAMES.get(name, name)
    assert [reason.number for reason in REASONS] == sorted(BY_NUMBER)


def test_control_bits() -> None:
    pin, primary, secondary = (
        {bit.position for bit in controls.BITS[field]}
        for field in (fields.PIN_CONTROLS, fields.PRIMARY_CONTROLS, fields.SECONDARY_CONTROLS)
    )
    assert pin == {0, 3, 5}
    assert primary == {2, 3, 7, 9, 10, 11, 12, 15, 16, 19, 20, 21, 22, 23, 24, 25, 28, 29, 30, 31}
    assert secondary == {1, 2, 5, 6, 7}


def test_instruction_errors_leave_out_the_unused_numbers() -> None:
    assert set(ERRORS) == set(range(1, 29)) - {14, 21, 27}


def test_the_region_holds_every_field_once() -> None:
    places = sorted(OFFSETS.values())
    assert places[0] >= 12
    assert places[-1] + 8 <= REGION_BYTES
    assert all(second - first >= 8 for first, second in pairwise(places))


@pytest.mark.parametrize("generation", GENERATIONS)
def test_capabilities(generation: int) -> None:
    msrs = capabilities(GENERATIONS[generation]).msrs
    assert msrs[BASIC] >> 32 & 0x1FFF == 4096
    assert msrs[BASIC] >> 48 & 1
    assert msrs[BASIC] >> 50 & 0xF == 6
    assert not msrs[BASIC] >> 31 & 1
    assert msrs[CR0_FIXED0] == 0x8000_0021
    assert msrs[CR4_FIXED0] == 0x2000
    assert msrs[MISC] >> 16 & 0x1FF == 4
    assert msrs[VMCS_ENUM] >> 1 >= 0xB
    assert [msrs[number] & 0xFFFF_FFFF for number in range(0x481, 0x485)] == [
        0x16,
        0x401E172,
        0x36DFF,
        0x11FF,
    ]
    for number in range(0x481, 0x485):
        assert msrs[number] >> 32 & msrs[number] == msrs[number] & 0xFFFF_FFFF
    assert (SECONDARY in msrs) == (EPT_VPID in msrs) == (generation > 2005)
    if generation == 2005:
        assert not msrs[BASIC] >> 55 & 1
        assert not msrs[0x482] >> 63
    else:
        assert msrs[BASIC] >> 55 & 1
        assert msrs[TRUE_PRIMARY] & 0x1_8000 == 0
        assert bool(msrs[SECONDARY] >> 32 & 1 << 7) == (generation == 2011)


def test_rdmsr_reads_them_and_wrmsr_faults() -> None:
    bench = GuestBench()
    bench.assemble("mov ecx, 0x3a\nrdmsr\nmov ebx, eax\nmov ecx, 0x480\nrdmsr\nwrmsr")
    bench.step(5)
    assert bench.cpu.ebx == 5
    assert bench.cpu.eax | bench.cpu.edx << 32 == bench.capable.msrs[0x480]
    assert bench.fault() == (13, 0)
