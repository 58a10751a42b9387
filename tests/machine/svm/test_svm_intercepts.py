"""Each intercept, by a guest of a few instructions: it leaves with its code, or runs on without the bit."""

from __future__ import annotations

import pytest

from tests.machine.bench import GDT, HANDLERS, TSS, TSS_INDEX
from tests.machine.svm.bench import GUEST, IOPM, MSRPM, VMCB, SvmBench
from vizapp.isa import descriptors as d
from vizapp.isa import registers as r
from vizapp.isa import vectors
from vizapp.machine.svm import codes

# What the guest executes, the intercept, EXITINFO1 and EXITINFO2 of APM Vol. 2, "SVM Intercepts".
INSTRUCTIONS = [
    ("cpuid", "cpuid", 0, 0),
    ("pause", "pause", 0, 0),
    ("hlt", "hlt", 0, 0),
    ("pushf", "pushf", 0, 0),
    ("popf", "popf", 0, 0),
    ("iret", "iret", 0, 0),
    ("int 0x80", "swint", 0, 0),
    ("int1", "icebp", 0, 0),
    ("rsm", "rsm", 0, 0),
    ("invd", "invd", 0, 0),
    ("wbinvd", "wbinvd", 0, 0),
    ("invlpg [0x1234]", "invlpg", 0, 0),
    ("rdtsc", "rdtsc", 0, 0),
    ("rdpmc", "rdpmc", 0, 0),
    ("sgdt [0x20000]", "gdtr-read", 0, 0),
    ("sidt [0x20000]", "idtr-read", 0, 0),
    ("sldt ax", "ldtr-read", 0, 0),
    ("str ax", "tr-read", 0, 0),
    ("lgdt [0x20000]", "gdtr-write", 0, 0),
    ("lidt [0x20000]", "idtr-write", 0, 0),
    ("lldt ax", "ldtr-write", 0, 0),
    ("ltr ax", "tr-write", 0, 0),
    ("mov eax, cr0", "cr0-read", 0, 0),
    ("mov eax, cr2", "cr2-read", 0, 0),
    ("mov eax, cr3", "cr3-read", 0, 0),
    ("mov eax, cr4", "cr4-read", 0, 0),
    ("smsw ax", "cr0-read", 0, 0),
    ("clts", "cr0-write", 0, 0),
    ("lmsw ax", "cr0-write", 0, 0),
    ("mov cr3, eax", "cr3-write", 0, 0),
    ("mov eax, dr6", "dr6-read", 0, 0),
    ("mov dr7, eax", "dr7-write", 0, 0),
    ("xor eax, eax\nvmrun", "vmrun", 0, 0),
    ("vmmcall", "vmmcall", 0, 0),
    ("xor eax, eax\nvmload", "vmload", 0, 0),
    ("xor eax, eax\nvmsave", "vmsave", 0, 0),
    ("stgi", "stgi", 0, 0),
    ("clgi", "clgi", 0, 0),
    ("invlpga", "invlpga", 0, 0),
    ("ud2", "exception-ud", 0, 0),
    ("mov eax, 1\nmov ds, eax", "exception-gp", 0, 0),
]


@pytest.mark.parametrize(("guest", "name", "info1", "info2"), INSTRUCTIONS)
def test_an_instruction_leaves_the_guest(guest, name, info1, info2):
    bench = SvmBench(guest, name)
    assert codes.name_of(bench.run()) == name
    assert (bench["exitinfo1"], bench["exitinfo2"], bench["exitintinfo"]) == (info1, info2, 0)
    (event,) = bench.exits
    assert event.cause == name
    assert event.payload["exitcode"] == bench["exitcode"]


@pytest.mark.parametrize(
    ("guest", "name"),
    [(guest, name) for guest, name, *_ in INSTRUCTIONS if name in ("cpuid", "rdtsc", "pause")],
)
def test_without_the_bit_the_guest_runs_on(guest, name):
    bench = SvmBench(f"{guest}\nvmmcall", "vmmcall")
    assert bench.run() == codes.VMMCALL


@pytest.mark.parametrize(
    ("guest", "name", "ring"),
    [
        ("hlt", "hlt", 3), ("mov eax, cr0", "cr0-read", 3), ("clts", "cr0-write", 1),
        ("lgdt [0]", "gdtr-write", 3), ("invlpg [0]", "invlpg", 2), ("rdmsr", "msr", 3),
        ("mov dr7, eax", "dr7-write", 3),
        ("wbinvd", "wbinvd", 3), ("vmrun", "vmrun", 3), ("stgi", "stgi", 1), ("lldt ax", "ldtr-write", 3),
    ],
)  # fmt: skip
def test_privilege_is_checked_before_the_intercept(guest, name, ring):
    bench = SvmBench(guest, name, "exception-gp", ring=ring)
    assert bench.run() == codes.EXCEPTION + vectors.GP
    assert bench["exitinfo1"] == 0
    assert bench["cpl"] == ring


@pytest.mark.parametrize("guest", ["pushf", "popf", "iret", "int 0x80"])
def test_some_intercepts_come_before_any_exception(guest):
    name = "swint" if guest[:3] == "int" else guest
    bench = SvmBench(guest, name, "exception-gp", "exception-ss", ring=3)
    bench["ss.limit"] = 0
    assert codes.name_of(bench.run()) == name


@pytest.mark.parametrize(
    ("guest", "name"),
    [
        ("mov eax, 0x80000000\nmov cr0, eax", "cr0-write"),
        ("mov eax, 0x20000001\nmov cr0, eax", "cr0-sel-write"),
        ("mov eax, 0x100000\nmov cr4, eax", "cr4-write"),
        ("mov ecx, 9\nrdpmc", "rdpmc"),
        ("mov eax, 4\nvmload", "vmload"),
    ],
)
def test_values_are_checked_before_the_intercept(guest, name):
    assert SvmBench(guest, name, "exception-gp").run() == codes.EXCEPTION + vectors.GP


def test_rdtsc_faults_by_tsd_first():
    bench = SvmBench("rdtsc", "rdtsc", "exception-gp", ring=3)
    bench["cr4"] = r.CR4_TSD
    assert bench.run() == codes.EXCEPTION + vectors.GP


def test_sldt_is_undefined_in_virtual_8086_mode():
    bench = SvmBench("sldt ax", "ldtr-read", "exception-ud", ring=3)
    bench["rflags"] |= r.EFLAGS_VM
    assert bench.run() == codes.EXCEPTION + vectors.UD


@pytest.mark.parametrize(
    ("guest", "leaves"),
    [
        ("mov eax, 0x1B\nmov cr0, eax", False), ("mov eax, 0x40011\nmov cr0, eax", True), ("clts", False),
        ("lmsw ax", True), ("mov eax, 1\nmov cr0, eax", False),
    ],
)  # fmt: skip
def test_the_selective_intercept_of_cr0(guest, leaves):
    bench = SvmBench(f"{guest}\nvmmcall", "cr0-sel-write", "vmmcall")
    assert bench.run() == (codes.CR0_SELECTIVE if leaves else codes.VMMCALL)


PORTS = [
    ("out 0x80, al", 0x80, 0x80 << 16 | 0x110), ("in al, 0x81", 0x81, 0x81 << 16 | 0x111),
    ("out 0x80, ax", 0x81, 0x80 << 16 | 0x120), ("in eax, 0x40", 0x43, 0x40 << 16 | 0x141),
    ("mov dx, 0xFFFF\nout dx, eax", 0x10002, 0xFFFF << 16 | 0x140),
    ("mov dx, 0x3F8\noutsb", 0x3F8, 0x3F8 << 16 | 0x114),
    ("mov dx, 0x3F8\nmov ecx, 2\nrep insw", 0x3F9, 0x3F8 << 16 | 0x12D),
    ("mov dx, 0x3F8\na16 outsd", 0x3F8, 0x3F8 << 16 | 0xC4),
]  # fmt: skip


@pytest.mark.parametrize(("guest", "port", "info"), PORTS)
def test_ports_leave_by_their_bits(guest, port, info):
    bench = SvmBench(f"{guest}\nend: vmmcall", "ioio", "vmmcall")
    assert bench.run() == codes.VMMCALL
    bench = SvmBench(f"{guest}\nend: vmmcall", "ioio", "vmmcall")
    bench.memory.write(IOPM + port // 8, 1, 1 << port % 8)
    assert bench.run() == codes.IOIO
    assert (bench["exitinfo1"], bench["exitinfo2"]) == (info, bench.symbols["end"])


def test_a_repetition_that_is_over_does_not_leave():
    bench = SvmBench("mov dx, 0x80\nxor ecx, ecx\nrep outsb\nvmmcall", "ioio", "vmmcall")
    bench.memory.write(IOPM + 0x10, 1, 1)
    assert bench.run() == codes.VMMCALL


def test_the_guest_s_own_permission_comes_first():
    bench = SvmBench("out 0x80, al", "ioio", "exception-gp", ring=3)
    bench.memory.write(IOPM + 0x10, 1, 1)
    assert bench.run() == codes.EXCEPTION + vectors.GP


MSRS = [
    (0x174, MSRPM + 0x5D, 0), (0x10, MSRPM + 4, 0), (0x1FFF, MSRPM + 0x7FF, 6),
    (0xC000_0080, MSRPM + 0x820, 0), (0xC001_0117, MSRPM + 0x1045, 6),
]  # fmt: skip


@pytest.mark.parametrize(("index", "at", "shift"), MSRS)
@pytest.mark.parametrize("write", [0, 1])
def test_msrs_leave_by_two_bits_each(index, at, shift, write):
    for bit in (0, 1):
        guest = f"mov ecx, {index:#x}\n{'wrmsr' if write else 'rdmsr'}"
        bench = SvmBench(guest, "msr", "exception-gp")
        bench.memory.write(at, 1, 1 << shift + bit)
        bench.step(3)
        assert [event.cause for event in bench.exits if event.cause == "msr"] == ["msr"] * (bit == write)
        if bit == write:
            assert bench["exitinfo1"] == write


def test_an_msr_outside_the_map_always_leaves():
    bench = SvmBench("mov ecx, 0x2000\nrdmsr", "msr")
    assert bench.run() == codes.MSR


def test_a_page_fault_leaves_with_its_address_and_not_in_cr2():
    bench = SvmBench("mov [0x7000], eax", "exception-pf")
    bench.memory.write(0x5000, 4, 0x6007)
    for page in range(256):
        bench.page(page << 12, 7)
    bench.page(0x7000, 0)
    bench["cr0"], bench["cr3"], bench["cr2"] = 0x8000_0011, 0x5000, 0x99
    assert bench.run() == codes.EXCEPTION + vectors.PF
    assert (bench["exitinfo1"], bench["exitinfo2"], bench["cr2"]) == (2, 0x7000, 0x99)


@pytest.mark.parametrize(
    ("guest", "name", "leaves"),
    [
        ("int3", "exception-bp", True), ("int 3", "exception-bp", False), ("int3", "swint", False),
        ("into", "exception-of", True), ("int1", "exception-db", False),
    ],
)  # fmt: skip
def test_int3_and_into_are_exceptions_and_icebp_is_not(guest, name, leaves):
    bench = SvmBench(f"{guest}\nvmmcall", name, "vmmcall")
    bench["rflags"] |= r.EFLAGS_OF
    for vector in (1, 3, 4):
        bench.assemble("vmmcall", HANDLERS + 16 * vector)
    assert codes.name_of(bench.run()) == (name if leaves else "vmmcall")
    assert bench["rip"] == GUEST or not leaves


def test_into_without_overflow_is_nothing():
    bench = SvmBench("into\nvmmcall", "exception-of", "vmmcall")
    assert bench.run() == codes.VMMCALL


def test_a_debug_exception_leaves_with_its_reason_in_dr6():
    bench = SvmBench("nop", "exception-db")
    bench["rflags"] |= r.EFLAGS_TF
    assert bench.run() == codes.EXCEPTION + vectors.DB
    assert bench["dr6"] == 0xFFFF_4FF0
    assert bench["rip"] == GUEST + 1
    bench.step()
    assert bench.events[-1].kind == "VmExited"  # the host has no trap of its own


@pytest.mark.parametrize(
    ("guest", "info2"), [("call 0x58:0", 0), ("jmp 0x58:0", 1 << 38), ("int 0x70", 0), ("iret", 1 << 36)]
)
def test_a_task_switch_leaves(guest, info2):
    other = 0x7000
    bench = SvmBench(guest, "task-switch", host="vmload\nvmrun")
    bench.descriptor(11, d.system_segment(other, d.TSS_BYTES - 1, d.TSS_32))
    selector = 11 << 3
    if guest == "iret":
        bench["rflags"] |= r.EFLAGS_NT
        bench.memory.write(TSS, 2, selector)
        bench.descriptor(11, d.system_segment(other, d.TSS_BYTES - 1, d.TSS_32_BUSY))
    bench.gate(0x70, d.Gate(selector, 0, d.TASK_GATE, 3, True))
    bench["tr.base"], bench["tr.limit"], bench["tr.attributes"] = TSS, d.TSS_BYTES - 1, 0x8B
    bench["tr.selector"] = TSS_INDEX << 3
    bench.step()
    assert bench.run() == codes.TASK_SWITCH
    assert (bench["exitinfo1"], bench["exitinfo2"]) == (selector, info2)
    assert bench["rip"] == GUEST
    vectoring = 0x8000_0470 if guest == "int 0x70" else 0
    assert bench["exitintinfo"] == vectoring
    assert bench.memory.read(GDT + 8 * 11 + 5, 1) & 2 == (2 if guest == "iret" else 0)


def test_a_task_gate_s_exit_tells_the_error_code():
    bench = SvmBench("mov eax, 0x7FF8\nmov ds, eax", "task-switch")
    bench.descriptor(11, d.system_segment(0x7000, d.TSS_BYTES - 1, d.TSS_32))
    bench.gate(vectors.GP, d.Gate(11 << 3, 0, d.TASK_GATE, 3, True))
    assert bench.run() == codes.TASK_SWITCH
    assert bench["exitinfo2"] == 1 << 48 | 1 << 44 | 0x7FF8
    assert bench["exitintinfo"] == 0x7FF8_8000_0B0D


def test_the_controls_are_those_of_vmrun_s_moment():
    bench = SvmBench("cpuid\ncpuid\nvmmcall", "vmmcall")
    bench.step()
    bench.intercept("cpuid")
    bench.step(3)
    assert [event.cause for event in bench.exits] == ["vmmcall"]


def test_a_guest_that_reads_its_vmcb_sees_the_last_exit():
    bench = SvmBench(f"mov eax, [{VMCB + 0x70:#x}]\ncpuid", "cpuid")
    bench.run()
    assert bench["rax"] == 0
