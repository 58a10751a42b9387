"""A guest's memory: what entries and exits do to translations, EPT, VPIDs, and modes without paging."""

from __future__ import annotations

import pytest

from tests.machine.bench import CODE
from tests.machine.vmx.guest_bench import EPT_TABLES, GUEST_CODE, GUEST_STACK, HOST_EXIT, POINTERS, GuestBench
from vizapp.isa.addresses import HostPhysical
from vizapp.isa.registers import CR0_ET, CR0_NE, CR0_PE, CS

EPT, VPID, UNRESTRICTED = 1 << 1, 1 << 5, 1 << 7
SECONDARY = {"primary_controls__or": 1 << 31}
LOAD_TWICE = "mov eax, [0x30000]\ncpuid\nmov ebx, [0x30000]\ncpuid"


def second_value(bench: GuestBench) -> int:
    """What the guest reads from a page that its monitor remaps between two exits."""
    bench.memory.write(0x30000, 4, 1)
    bench.memory.write(0x31000, 4, 2)
    assert bench.run_to_exit() == "cpuid"
    assert bench.cpu.eax == 1
    bench.page(0x30000, 7, 0x31)
    bench.vmcs.write(0x681E, bench.field("guest_rip") + 2)
    assert bench.run_to_exit() == "cpuid"
    return bench.cpu.ebx


def test_without_a_vpid_nothing_is_remembered() -> None:
    assert second_value(GuestBench(LOAD_TWICE)) == 2


def test_with_a_vpid_translations_outlive_exits() -> None:
    bench = GuestBench(LOAD_TWICE, vpid=5, secondary_controls=VPID, **SECONDARY)
    assert second_value(bench) == 1


@pytest.mark.parametrize(("kind", "found"), [(0, 2), (1, 2), (2, 2), (3, 2)])
def test_invvpid(kind: int, found: int) -> None:
    bench = GuestBench(LOAD_TWICE, vpid=5, secondary_controls=VPID, **SECONDARY)
    bench.memory.write(POINTERS + 16, 8, 5)
    bench.memory.write(POINTERS + 24, 8, 0x30000)
    bench.assemble(f"mov ecx, {kind}\ninvvpid ecx, [{POINTERS + 16:#x}]\nvmresume", HOST_EXIT)
    assert second_value(bench) == found


def invalidate(source: str, *words: int) -> int:
    """The VM-instruction error of INVEPT or INVVPID with a descriptor; 0: it succeeded."""
    bench = GuestBench()
    for index, word in enumerate(words):
        bench.memory.write(POINTERS + 16 + 8 * index, 8, word)
    bench.step(3)
    bench.assemble(f"{source}, [{POINTERS + 16:#x}]", bench.cpu.eip)
    bench.step()
    return bench.field("vm_instruction_error")


def test_operands_of_invept_and_invvpid() -> None:
    assert invalidate("invept eax", EPT_TABLES | 0x1E) == 28
    assert invalidate("invvpid eax", 5, 1 << 40) == 28
    assert invalidate("invvpid eax", 0) == 28
    assert invalidate("invvpid eax", 5, 0x1000) == 0
    bench = GuestBench()
    bench.step(3)
    bench.assemble(f"mov ecx, 1\ninvept ecx, [{POINTERS:#x}]", bench.cpu.eip)
    bench.step(2)
    assert bench.field("vm_instruction_error") == 28


def with_ept(source: str, **fields: int) -> GuestBench:
    bench = GuestBench(source)
    bench.map_ept()
    bench.set(**fields)
    return bench


def test_ept_translates() -> None:
    bench = with_ept("mov eax, [0x30000]\ncpuid")
    bench.memory.write(bench.ept_entry(0x30000), 8, 0x31000 | 6 << 3 | 7)
    bench.memory.write(0x31000, 4, 77)
    assert bench.run_to_exit() == "cpuid"
    assert bench.cpu.eax == 77
    rows = {row.input: row.times for row in bench.pc.meter.rows()}
    assert rows["nested_walk_step"] >= 2 * 12


@pytest.mark.parametrize(
    ("source", "rights", "qualification"),
    [
        ("mov eax, [0x30004]", 0, 0x181),
        ("mov [0x30004], eax", 0, 0x182),
        ("mov [0x30004], eax", 1, 0x18A),
        ("mov [0x30004], eax", 5, 0x1AA),
        ("jmp 0x30004", 1, 0x18C),
        ("jmp 0x30004", 3, 0x19C),
    ],
)
def test_ept_violations(source: str, rights: int, qualification: int) -> None:
    bench = with_ept(source)
    bench.memory.write(bench.ept_entry(0x30000), 8, 0x30000 | 6 << 3 | rights if rights else 0)
    assert bench.run_to_exit() == "ept-violation"
    assert bench.exit()["qualification"] == qualification
    assert bench.field("guest_physical_address") == 0x30004
    assert bench.field("guest_linear_address") == 0x30004
    assert bench.field("guest_rip") == (0x30004 if "jmp" in source else GUEST_CODE)


def test_a_violation_in_a_walk_of_the_guest_s_tables() -> None:
    bench = with_ept("mov eax, [0x30004]")
    bench.memory.write(bench.ept_entry(0x5000), 8, 0)
    assert bench.run_to_exit() == "ept-violation"
    assert bench.exit()["qualification"] & 0x187 == 0x81
    assert bench.field("guest_physical_address") == 0x5000


def test_a_violation_in_a_delivery_tells_of_the_event() -> None:
    bench = with_ept("int 0x80", guest_rsp=0x31000)
    bench.memory.write(bench.ept_entry(0x30000), 8, 0)
    assert bench.run_to_exit() == "ept-violation"
    assert bench.field("idt_vectoring_info") == 0x8000_0480
    assert bench.field("exit_instruction_length") == 2


def test_ept_misconfiguration() -> None:
    bench = with_ept("mov eax, [0x30004]")
    bench.memory.write(bench.ept_entry(0x30000), 8, 0x30000 | 2)
    assert bench.run_to_exit() == "ept-misconfiguration"
    assert bench.field("guest_physical_address") == 0x30004


def test_a_repeated_instruction_is_left_where_it_stands() -> None:
    bench = with_ept("mov edi, 0x2fff0\nmov ecx, 32\nrep stosb\ncpuid")
    bench.memory.write(bench.ept_entry(0x30000), 8, 0)
    assert bench.run_to_exit() == "ept-violation"
    assert (bench.cpu.ecx, bench.cpu.edi) == (16, 0x30000)
    bench.memory.write(bench.ept_entry(0x30000), 8, 0x30037)
    assert bench.run_to_exit() == "cpuid"
    assert (bench.cpu.ecx, bench.cpu.edi) == (0, 0x30010)


def real_mode(code: str, generation: int = 2011, **more: int) -> GuestBench:
    """A guest in real mode at 0700:0100."""
    from vizapp.guest.assembler import assemble

    bench = GuestBench("nop", generation)
    bench.map_ept()
    bench.memory.load(HostPhysical(0x7100), assemble(f"bits 16\norg 0x100\n{code}\n").data)
    fields = {
        "secondary_controls__or": UNRESTRICTED,
        "guest_cr0": CR0_ET | CR0_NE,
        "guest_rip": 0x100,
        "guest_rsp": 0x80,
        "guest_idtr_base": 0,
    }
    for name in ("es", "cs", "ss", "ds", "fs", "gs"):
        fields |= {
            f"guest_{name}_selector": 0x700,
            f"guest_{name}_base": 0x7000,
            f"guest_{name}_limit": 0xFFFF,
            f"guest_{name}_access_rights": 0x9B if name == "cs" else 0x93,
        }
    bench.set(**fields | more)
    return bench


def test_an_unrestricted_guest_runs_in_real_mode() -> None:
    bench = real_mode("mov ax, 0x3000\nmov ds, ax\nmov word [4], 0x1234\ncpuid")
    assert bench.run_to_exit() == "cpuid"
    assert bench.memory.read(0x30004, 2) == 0x1234
    assert bench.field("guest_ds_base") == 0x30000
    assert bench.field("guest_cr0") & CR0_PE == 0


def test_it_may_go_to_protected_mode_and_back() -> None:
    code = """
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp 0x08:0x7100 + wide
    wide:
    bits 32
    mov ecx, 0x1234
    cpuid
    """
    bench = real_mode(code.replace("0x7100 + wide", "0x7000 + wide"))
    assert bench.run_to_exit() == "cpuid"
    assert bench.field("guest_cr0") & CR0_PE
    assert bench.field("guest_cs_base") == 0
    bench = real_mode("mov eax, cr0\nand al, 0xdf\nmov cr0, eax", exception_bitmap=1 << 13)
    bench.run_to_exit()
    assert bench.exit()["event"] == 0x8000_030D  # NE is fixed; real mode has no error codes


def test_injection_into_real_mode_goes_through_its_vectors() -> None:
    bench = real_mode(
        "nop", guest_rflags=0x202, entry_interruption_info=1 << 31 | 0x21, exception_bitmap=1 << 6
    )
    bench.memory.write(4 * 0x21, 4, 0x0700_0200)
    bench.memory.load(HostPhysical(0x7200), bytes.fromhex("0f0b"))
    assert bench.run_to_exit() == "exception-nmi"
    assert bench.field("guest_rip") == 0x200
    assert bench.memory.read(0x7000 + 0x80 - 6, 2) == 0x100


@pytest.mark.parametrize("generation", [2005, 2008])
def test_others_may_not_clear_pe(generation: int) -> None:
    bench = GuestBench("mov eax, cr0\nand al, 0xfe\nmov cr0, eax", generation, exception_bitmap=1 << 13)
    bench.run_to_exit()
    assert bench.exit()["event"] == 0x8000_0B0D


def test_root_operation_fixes_bits_of_cr0_and_cr4() -> None:
    for source in (
        "mov eax, cr4\nand eax, ~0x2000\nmov cr4, eax",
        "mov eax, cr0\nand al, ~0x20\nmov cr0, eax",
    ):
        bench = GuestBench()
        bench.step()
        bench.assemble(source, bench.cpu.eip)
        bench.step(2)
        assert bench.fault() == (13, 0)
    bench = GuestBench()
    bench.assemble("mov eax, cr4\nand eax, ~0x2000\nmov cr4, eax", CODE)
    bench.step(3)
    assert bench.cpu.cr4 == 0


def msr_area(bench: GuestBench, at: int, *entries: tuple[int, int]) -> None:
    for number, (index, value) in enumerate(entries):
        bench.memory.write(at + 16 * number, 8, index)
        bench.memory.write(at + 16 * number + 8, 8, value)


def test_msr_areas() -> None:
    bench = GuestBench("cpuid", primary_controls__or=1 << 28)
    msr_area(bench, 0xA0000, (0x174, 0x51), (0x175, 0x52))
    msr_area(bench, 0xA1000, (0x174, 0), (0x10, 0))
    msr_area(bench, 0xA2000, (0x176, 0x77))
    bench.set(entry_msr_load_address=0xA0000, entry_msr_load_count=2)
    bench.set(exit_msr_store_address=0xA1000, exit_msr_store_count=2)
    bench.set(exit_msr_load_address=0xA2000, exit_msr_load_count=1)
    bench.run_to_exit()
    assert bench.field("guest_sysenter_cs") == 0x51
    assert bench.field("guest_sysenter_esp") == 0x52
    assert bench.memory.read(0xA1008, 8) == 0x51
    assert bench.memory.read(0xA1018, 8) > 0
    assert bench.cpu.sysenter[2] == 0x77


def test_an_msr_that_cannot_be_loaded_fails_the_entry() -> None:
    bench = GuestBench("cpuid")
    msr_area(bench, 0xA0000, (0x174, 1), (0x480, 0))
    bench.set(entry_msr_load_address=0xA0000, entry_msr_load_count=2)
    assert bench.run_to_exit() == "msr-loading"
    assert (bench.field("exit_reason"), bench.field("exit_qualification")) == (34 | 1 << 31, 2)


@pytest.mark.parametrize(("name", "indicator"), [("exit_msr_store", 1), ("exit_msr_load", 4)])
def test_a_vmx_abort_stops_the_machine(name: str, indicator: int) -> None:
    bench = GuestBench("cpuid")
    msr_area(bench, 0xA0000, (0x9999, 1))
    bench.set(**{f"{name}_address": 0xA0000, f"{name}_count": 1})
    bench.step(5)
    assert bench.pc.stopped is not None
    reason, message = bench.pc.stopped
    assert reason == "shutdown"
    assert message.in_english().startswith("VMX abort: ")
    assert bench.memory.read(bench.vmcs.address + 4, 4) == indicator


def test_ring_3_of_a_guest_comes_back_as_it_was() -> None:
    bench = GuestBench("push 0x23\npush 0x31000\npush 0x1b\npush 0x32000\nretf")
    bench.assemble("cpuid", 0x32000)
    from tests.machine.bench import code_selector, data_selector

    source = f"push {data_selector(3)}\npush 0x31000\npush {code_selector(3)}\npush 0x32000\nretf"
    bench.assemble(source, GUEST_CODE)
    assert bench.run_to_exit() == "cpuid"
    assert bench.field("guest_ss_access_rights") >> 5 & 3 == 3
    bench.vmcs.write(0x681E, 0x32000)
    bench.step()
    assert bench.cpu.cpl == 3
    assert bench.cpu.segments[CS].selector == code_selector(3)
    assert bench.cpu.esp == 0x31000
    assert GUEST_STACK
