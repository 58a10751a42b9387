"""VMRUN and #VMEXIT: what is saved and loaded, what cannot be entered, and whose instructions SVM's are."""

from __future__ import annotations

import pytest

from tests.machine.bench import CODE, HANDLERS, Bench
from tests.machine.svm.bench import BARCELONA, GUEST, GUEST_STACK, HSAVE, REV_F, SHANGHAI, VMCB, SvmBench
from vizapp.isa import registers as r
from vizapp.isa import vectors
from vizapp.machine import events
from vizapp.machine.cpu_state import save_cpu
from vizapp.machine.svm import codes
from vizapp.machine.svm.unit import EFER, SVMDIS, VM_CR, VM_HSAVE_PA

SVM = ["vmrun", "vmload", "vmsave", "vmmcall", "stgi", "clgi", "invlpga"]
VMX = ["vmlaunch", "vmresume", "vmcall", "vmxoff", "vmread eax, ecx", "vmptrst [0x20000]"]


def write_msr(index: int, value: int) -> str:
    return f"mov ecx, {index:#x}\nmov edx, {value >> 32:#x}\nmov eax, {value & 0xFFFF_FFFF:#x}\nwrmsr"


@pytest.mark.parametrize("instruction", SVM)
def test_without_svm_its_instructions_are_undefined(instruction):
    assert Bench(instruction).fault() == (vectors.UD, None)


@pytest.mark.parametrize("instruction", SVM)
def test_without_svme_too(instruction):
    assert Bench(instruction, identity=REV_F).fault() == (vectors.UD, None)


@pytest.mark.parametrize("instruction", VMX)
def test_an_amd_processor_does_not_know_vmx(instruction):
    bench = SvmBench(host=instruction)
    assert bench.fault() == (vectors.UD, None)


@pytest.mark.parametrize("instruction", sorted(set(SVM) - {"vmmcall"}))
def test_they_belong_to_ring_0(instruction):
    bench = SvmBench()
    bench.enter(3)
    bench.assemble(instruction)
    assert bench.fault() == (vectors.GP, 0)


@pytest.mark.parametrize("instruction", SVM)
def test_real_mode_does_not_know_them(instruction):
    bench = SvmBench()
    bench.assemble(f"bits 16\n{instruction}")
    bench.cpu.cr0 = r.CR0_ET
    bench.cpu.mode_changed()
    bench.step()
    assert [event.cause for event in bench.events] == ["#UD"]


@pytest.mark.parametrize("instruction", ["vmrun", "vmload", "vmsave"])
def test_a_vmcb_begins_a_page(instruction):
    bench = SvmBench(host=instruction)
    bench.cpu.eax = VMCB + 8
    assert bench.fault() == (vectors.GP, 0)


def test_vmmcall_that_nobody_intercepts_is_undefined():
    bench = SvmBench("vmmcall", "exception-ud")
    assert bench.run() == codes.EXCEPTION + vectors.UD
    assert SvmBench(host="vmmcall").fault() == (vectors.UD, None)


@pytest.mark.parametrize(
    ("index", "value"),
    [
        (EFER, 0x1800), (EFER, 0x1100), (EFER, 1), (EFER, 1 << 32),
        (VM_CR, SVMDIS), (VM_CR, 1 << 5), (VM_CR, 1 << 3),
        (VM_HSAVE_PA, 0x8000_0010), (VM_HSAVE_PA, 1 << 40), (0xC001_0116, 0),
    ],
)  # fmt: skip
def test_values_that_its_registers_do_not_take(index, value):
    assert SvmBench(host=write_msr(index, value)).fault(4) == (vectors.GP, 0)


def test_svmdis_keeps_svm_off():
    bench = Bench(f"{write_msr(VM_CR, SVMDIS)}\n{write_msr(EFER, 0x1000)}", identity=REV_F)
    assert bench.fault(8) == (vectors.GP, 0)


def test_its_registers_keep_what_was_written():
    source = f"{write_msr(EFER, 0x1000)}\n{write_msr(VM_HSAVE_PA, 0x9_8765_4000)}\nrdmsr"
    bench = Bench(source, identity=REV_F)
    bench.cpu.eax = 0
    bench.step(9)
    assert (bench.cpu.edx, bench.cpu.eax) == (9, 0x8765_4000)
    assert bench.delivered() is None


def test_the_host_goes_on_where_it_was():
    bench = SvmBench(
        "mov eax, 5\nmov ebx, 6\nmov esp, 7\nlgdt [0x100]\nmov dr7, eax\nclts\nstc\nvmmcall", "vmmcall"
    )
    bench.cpu.eflags = r.EFLAGS_ZF | r.EFLAGS_IF | 2
    bench.cpu.cr0 |= r.CR0_TS
    before = save_cpu(bench.cpu)
    assert bench.run() == codes.VMMCALL
    after = save_cpu(bench.cpu)
    assert after.eip == CODE + 3
    assert bench.cpu.ebx == 6  # software saves the other registers
    bench.cpu.ebx, bench.cpu.eip = 0, before.eip
    assert save_cpu(bench.cpu) == before
    assert not bench.unit.gif


def test_the_guest_s_state_is_in_its_vmcb():
    bench = SvmBench("mov eax, 5\nmov esp, 0x8000\nstc\nmov ecx, 0x1000\nmov cr3, ecx\nvmmcall", "vmmcall")
    bench["cr2"] = 0x1234
    bench.run()
    names = ("rax", "rsp", "rip", "rflags", "cr3", "cr2", "cpl", "cs.selector", "cs.attributes", "ss.limit")
    assert [bench[name] for name in names] == [
        5, 0x8000, GUEST + 19, 3, 0x1000, 0x1234, 0, 8, 0xC9B, 0xFFFF_FFFF
    ]  # fmt: skip


def test_the_host_s_state_is_where_vm_hsave_pa_says():
    bench = SvmBench("vmmcall", "vmmcall")
    bench.step()
    assert bench.cpu.guest_mode is not None
    assert bench.memory.read(HSAVE + 0x578, 4) == CODE + 3
    assert bench.memory.read(HSAVE + 0x558, 4) == r.CR0_PE | r.CR0_ET
    bench.memory.write(HSAVE + 0x578, 4, HANDLERS)
    bench.step()
    assert bench.cpu.eip == HANDLERS


def test_an_entry_and_an_exit_are_a_step_and_a_charge_each():
    bench = SvmBench("vmmcall", "vmmcall")
    position = bench.pc.position
    bench.run()
    assert bench.pc.position == position + 2
    told = [(event.kind, dict(event.charges)) for event in bench.events]
    assert told == [(events.VM_ENTERED, {"vm_entry": 1}), (events.VM_EXITED, {"vm_exit": 1})]


@pytest.mark.parametrize("identity", [REV_F, BARCELONA])
def test_the_next_rip_comes_with_later_generations(identity):
    for one, expected in ((identity, 0), (SHANGHAI, GUEST + 2)):
        bench = SvmBench("cpuid", "cpuid", identity=one)
        bench.run()
        assert bench["nrip"] == expected


INVALID = {
    "efer": 0, "cr0": 0x2000_0011, "cr4": 1 << 20, "cr3": 1 << 60, "dr6": 1 << 32, "dr7": 1 << 32,
    "guest_asid": 0, "intercept_misc2": 0, "iopm_base_pa": (1 << 40) - 0x2000,
    "msrpm_base_pa": (1 << 40) - 0x1000, "eventinj": 0x8000_0100,
}  # fmt: skip


@pytest.mark.parametrize("name", INVALID)
def test_a_vmcb_that_cannot_be_entered(name):
    bench = SvmBench("hlt")
    bench[name] = INVALID[name]
    assert bench.run() == codes.INVALID
    assert bench.cpu.eip == CODE + 3
    assert bench[name] == INVALID[name]
    (event,) = bench.events
    assert (event.kind, event.cause) == (events.VM_ENTRY_FAILED, "invalid")
    assert event.payload["error"]


@pytest.mark.parametrize("word", [0x8000_0302, 0x8000_0320, 0x8000_0500, 0x8000_0700])
def test_events_that_do_not_exist(word):
    bench = SvmBench("hlt")
    bench["eventinj"] = word
    assert bench.run() == codes.INVALID


def test_pdptes_are_checked_unless_they_are_nested():
    for identity, nested, expected in ((REV_F, 0, codes.INVALID), (REV_F, 1, codes.INVALID)):
        bench = SvmBench("hlt", identity=identity)
        bench["cr0"], bench["cr4"], bench["cr3"] = 0x8000_0011, r.CR4_PAE, 0x20000
        bench["np_enable"] = nested
        bench.memory.write(0x20000, 8, 1 << 62 | 1)
        assert bench.run() == expected


def test_the_offset_of_the_time_stamp_counter():
    bench = SvmBench("rdtsc\nvmmcall", "vmmcall")
    bench["tsc_offset"] = 5 << 32
    bench.run()
    assert bench.cpu.edx == 5


def test_real_mode_has_no_need_of_paging_or_tables():
    bench = SvmBench("bits 16\nmov ax, 0x1234\nmov ds, ax\nmov byte [cs:0x100], 7\ncpuid", "cpuid")
    bench["cr0"] = r.CR0_ET
    bench["cs.base"], bench["cs.selector"] = GUEST, GUEST >> 4
    bench["cs.limit"], bench["cs.attributes"] = 0xFFFF, 0x9B
    bench["rip"] = 0
    assert bench.run() == codes.CPUID
    assert bench["rip"] == 11
    assert (bench["ds.selector"], bench["ds.base"]) == (0x1234, 0x12340)
    assert bench.memory.read(GUEST + 0x100, 1) == 7


def test_vmload_and_vmsave_move_the_rest():
    bench = SvmBench(host="vmload\nmov eax, 0x52000\nvmsave")
    bench["fs.selector"], bench["fs.base"] = 0x10, 0x7000
    bench["fs.limit"], bench["fs.attributes"] = 0xFFFF, 0x93
    bench["tr.selector"], bench["tr.base"], bench["tr.attributes"] = 0x48, 0x3000, 0x8B
    bench["sysenter_eip"], bench["kernel_gs_base"] = 0x99, 1 << 63
    bench.step(3)
    fs = bench.cpu.segments[r.FS]
    assert (fs.selector, fs.base, fs.limit, fs.access) == (0x10, 0x7000, 0xFFFF, 0x93)
    assert bench.cpu.tr.base == 0x3000
    assert bench.cpu.sysenter == [0, 0, 0x99]
    first, second = (bench.memory.dump(base + 0x440, 0x200) for base in (VMCB, 0x52000))
    for start, length in ((0, 0x20), (0x30, 0x10), (0x50, 0x10), (0x1C0, 0x40)):
        assert first[start : start + length] == second[start : start + length]


def test_a_triple_fault_shuts_the_machine_down_or_leaves():
    for names, left in (((), False), (("shutdown",), True)):
        bench = SvmBench("ud2", *names)
        bench["idtr.limit"] = 0
        bench.step(2)
        assert (bench.pc.stopped is None) is left
        assert [event.cause for event in bench.exits] == ["shutdown"] * left


def test_a_host_whose_own_tables_are_gone_shuts_down():
    bench = SvmBench("vmmcall", "vmmcall")
    bench.step()
    bench.memory.write(HSAVE + 0x400 + 0x158, 4, 0x8000_0011)
    bench.memory.write(HSAVE + 0x400 + 0x148, 4, r.CR4_PAE)
    bench.memory.write(HSAVE + 0x400 + 0x150, 4, 0x20000)
    bench.memory.write(0x20000, 8, 1 << 62 | 1)
    bench.step()
    assert bench.pc.stopped is not None
    assert bench.pc.stopped[0] == "shutdown"


def test_the_guest_s_stack_was_its_own():
    bench = SvmBench("push 0x77\nvmmcall", "vmmcall")
    bench.run()
    assert bench["rsp"] == GUEST_STACK - 4
    assert bench.memory.read(GUEST_STACK - 4, 4) == 0x77
