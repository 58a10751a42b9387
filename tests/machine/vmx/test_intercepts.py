"""Each instruction that can exit: with its control set it does, without it runs; and what the exit tells.

Qualifications are those of SDM Vol. 3, tables "Exit Qualification for Control-Register Accesses", "... for
MOV DR" and "... for I/O Instructions".
"""

from __future__ import annotations

import pytest

from tests.machine.vmx.guest_bench import GUEST_CODE, IO_A, IO_B, MSRS, GuestBench
from vizapp.isa.registers import CR0_TS

PRIMARY = {
    "interrupt-window": 1 << 2, "hlt": 1 << 7, "invlpg": 1 << 9, "rdpmc": 1 << 11, "rdtsc": 1 << 12,
    "cr3-load": 1 << 15, "cr3-store": 1 << 16, "mov-dr": 1 << 23, "io": 1 << 24, "io-bitmaps": 1 << 25,
    "msr-bitmaps": 1 << 28, "pause": 1 << 30, "secondary": 1 << 31,
}  # fmt: skip
DESCRIPTORS, WBINVD = 1 << 2, 1 << 6


def exit_of(source: str, generation: int = 2011, **fields: int) -> GuestBench:
    bench = GuestBench(source + "\nvmcall", generation, **fields)
    bench.run_to_exit()
    return bench


@pytest.mark.parametrize(
    ("source", "control", "cause", "qualification"),
    [
        ("hlt", "hlt", "hlt", 0),
        ("invlpg [0x12345]", "invlpg", "invlpg", 0x12345),
        ("rdtsc", "rdtsc", "rdtsc", 0),
        ("mov eax, cr3", "cr3-store", "cr-access", 0x13),
        ("mov esi, cr3", "cr3-store", "cr-access", 0x613),
        ("mov ebx, dr3", "mov-dr", "dr-access", 0x313),
        ("mov dr6, edx", "mov-dr", "dr-access", 0x206),
        ("pause", "pause", "pause", 0),
        ("in al, 0x70", "io", "io-instruction", 0x70_0048),
        ("out 0x71, al", "io", "io-instruction", 0x71_0040),
        ("mov dx, 0x3f8\nin al, dx", "io", "io-instruction", 0x3F8_0008),
        ("mov dx, 0x3f8\nin ax, dx", "io", "io-instruction", 0x3F8_0009),
        ("mov dx, 0x3f8\nout dx, eax", "io", "io-instruction", 0x3F8_0003),
        ("mov dx, 0x3f8\nmov edi, 0x20000\ninsb", "io", "io-instruction", 0x3F8_0018),
        ("mov dx, 0x3f8\nmov ecx, 2\nmov esi, 0x20000\nrep outsd", "io", "io-instruction", 0x3F8_0033),
    ],
)
def test_a_primary_control(source: str, control: str, cause: str, qualification: int) -> None:
    bench = exit_of(source, primary_controls__or=PRIMARY[control])
    assert bench.events[-1].cause == cause
    assert bench.exit()["qualification"] == qualification
    assert bench.exit()["length"] == bench.field("exit_instruction_length")
    last = source.splitlines()[-1]
    size = len(assemble_one(bench, last))
    assert bench.exit()["length"] == size
    without = GuestBench(source + "\nvmcall")
    assert without.run_to_exit() == "vmcall" if last != "hlt" else True


def assemble_one(bench: GuestBench, line: str) -> bytes:
    from vizapp.guest.assembler import assemble

    return assemble(f"bits 32\n{line}\n").data


def test_rdpmc_exits_or_faults() -> None:
    assert exit_of("rdpmc", primary_controls__or=PRIMARY["rdpmc"]).events[-1].cause == "rdpmc"
    bench = exit_of("rdpmc", exception_bitmap=1 << 13)
    assert bench.exit()["event"] == 0x8000_0B0D


@pytest.mark.parametrize(("source", "cause"), [("cpuid", "cpuid"), ("invd", "invd"), ("vmcall", "vmcall")])
def test_what_always_exits(source: str, cause: str) -> None:
    assert exit_of(source, 2005).events[-1].cause == cause


@pytest.mark.parametrize(
    "source",
    ["vmxoff", "vmlaunch", "vmresume", "vmxon [0x20000]", "vmptrld [0x20000]", "vmptrst [0x20000]",
     "vmclear [0x20000]", "vmread eax, ebx", "vmwrite eax, ebx", "invept eax, [0x20000]",
     "invvpid eax, [0x20000]"],
)  # fmt: skip
def test_the_instructions_of_vmx_exit(source: str) -> None:
    bench = exit_of(source)
    assert bench.events[-1].cause == source.split(maxsplit=1)[0]
    assert bench.exit()["qualification"] == (0x20000 if "[" in source else 0)


@pytest.mark.parametrize("source", ["invept eax, [0x20000]", "invvpid eax, [0x20000]"])
def test_what_a_first_generation_has_not_is_undefined(source: str) -> None:
    assert exit_of(source, 2005, exception_bitmap=1 << 6).exit()["event"] == 0x8000_0306


def test_first_generation_cr3_accesses_always_exit() -> None:
    bench = exit_of("mov eax, cr3", 2005)
    assert bench.exit()["qualification"] == 0x13
    assert exit_of("mov cr3, edi", 2005).exit()["qualification"] == 0x703


def test_a_cr3_target_does_not_exit() -> None:
    cr3 = GuestBench().cpu.cr3
    source = "mov eax, cr3\nmov cr3, eax\nmov ebx, 0x7000\nmov cr3, ebx"
    bench = exit_of(source, primary_controls__or=PRIMARY["cr3-load"], cr3_target_count=1, cr3_target_0=cr3)
    assert bench.exit()["qualification"] == 0x303
    assert bench.cpu.ebx == 0x7000


def test_bits_of_cr0_that_the_monitor_owns() -> None:
    owned = {"cr0_guest_host_mask": CR0_TS, "cr0_read_shadow": 0}
    source = "mov eax, cr0\nmov ebx, eax\nor ebx, 2\nmov cr0, ebx\nmov edx, cr0\nor ebx, 8\nmov cr0, ebx"
    bench = exit_of(source, guest_cr0__or=CR0_TS, **owned)
    assert bench.exit()["qualification"] == 0x300
    assert not bench.cpu.eax & CR0_TS
    assert bench.cpu.edx & 2
    assert bench.field("guest_cr0") & (CR0_TS | 2) == CR0_TS | 2


def test_smsw_shows_the_read_shadow() -> None:
    bench = exit_of("smsw eax", cr0_guest_host_mask=CR0_TS, cr0_read_shadow=CR0_TS)
    assert bench.cpu.eax & CR0_TS
    assert not bench.field("guest_cr0") & CR0_TS


def test_clts() -> None:
    owned = {"cr0_guest_host_mask": CR0_TS, "guest_cr0__or": CR0_TS}
    assert exit_of("clts", cr0_read_shadow=CR0_TS, **owned).exit()["qualification"] == 0x20
    bench = exit_of("clts", cr0_read_shadow=0, **owned)
    assert bench.events[-1].cause == "vmcall"
    assert bench.field("guest_cr0") & CR0_TS  # owned, and the guest saw 0 already
    bench = exit_of("clts", guest_cr0__or=CR0_TS)
    assert not bench.field("guest_cr0") & CR0_TS


def test_lmsw() -> None:
    owned = {"cr0_guest_host_mask": CR0_TS, "cr0_read_shadow": 0}
    assert exit_of("mov ax, 9\nlmsw ax", **owned).exit()["qualification"] == 0x9_0030
    source = "mov word [0x20000], 9\nlmsw [0x20000]"
    bench = exit_of(source, **owned)
    assert bench.exit()["qualification"] == 0x9_0070
    assert bench.exit()["guest_linear"] == 0x20000
    assert exit_of("mov ax, 3\nlmsw ax", **owned).events[-1].cause == "vmcall"


def test_cr4() -> None:
    bench = exit_of("mov eax, cr4\nor eax, 0x2000\nmov cr4, eax")
    assert bench.exit()["qualification"] == 4
    assert bench.field("guest_cr4") == 0x2000
    bench = exit_of("mov eax, cr4\nor eax, 8\nmov cr4, eax")
    assert bench.events[-1].cause == "vmcall"
    assert bench.field("guest_cr4") == 0x2008


def test_io_bitmaps() -> None:
    controls = {"primary_controls__or": PRIMARY["io-bitmaps"] | PRIMARY["io"]}
    source = "in al, 0x70\nmov dx, 0x8001\nin ax, dx\nvmcall"
    for bitmap, port, cause in ((IO_A, 0x70, 0x70_0048), (IO_B, 2, 0x8001_0009), (IO_A, 0x71, None)):
        bench = GuestBench(source, **controls)
        bench.set_bit(bitmap, port)
        assert bench.run_to_exit() == ("vmcall" if cause is None else "io-instruction")
        assert cause is None or bench.exit()["qualification"] == cause


def test_an_access_round_the_last_port_exits() -> None:
    bench = exit_of("mov dx, 0xffff\nin ax, dx", primary_controls__or=PRIMARY["io-bitmaps"])
    assert bench.events[-1].cause == "io-instruction"


def test_permission_for_a_port_comes_before_its_exit() -> None:
    bench = ring_3("in al, 0x70", primary_controls__or=PRIMARY["io"], exception_bitmap=1 << 13)
    bench.run_to_exit()
    assert bench.exit()["event"] == 0x8000_0B0D


def ring_3(source: str, **fields: int) -> GuestBench:
    """A guest that runs ``source`` at ring 3."""
    from tests.machine.bench import code_selector, data_selector

    bench = GuestBench(source + "\nvmcall", **fields)
    for index, name in enumerate(("es", "cs", "ss", "ds", "fs", "gs")):
        selector = code_selector(3) if index == 1 else data_selector(3)
        bench.set(**{f"guest_{name}_selector": selector, f"guest_{name}_access_rights__or": 0x60})
    return bench


@pytest.mark.parametrize("source", ["hlt", "invlpg [0]", "mov eax, cr3", "rdmsr", "invd"])
def test_privilege_comes_before_an_exit(source: str) -> None:
    every = PRIMARY["hlt"] | PRIMARY["invlpg"] | PRIMARY["cr3-store"] | PRIMARY["mov-dr"]
    bench = ring_3(source, primary_controls__or=every, exception_bitmap=1 << 13)
    bench.run_to_exit()
    assert bench.exit()["event"] == 0x8000_0B0D


def test_an_exit_for_a_debug_register_comes_before_privilege() -> None:
    bench = ring_3("mov eax, dr0", primary_controls__or=PRIMARY["mov-dr"], exception_bitmap=1 << 13)
    assert bench.run_to_exit() == "dr-access"


def test_cpuid_and_vmcall_exit_from_ring_3() -> None:
    assert ring_3("cpuid").run_to_exit() == "cpuid"
    assert ring_3("nop").run_to_exit() == "vmcall"


def test_msrs() -> None:
    assert exit_of("mov ecx, 0x174\nrdmsr").events[-1].cause == "rdmsr"
    assert exit_of("mov ecx, 0x174\nwrmsr").events[-1].cause == "wrmsr"
    controls = {"primary_controls__or": PRIMARY["msr-bitmaps"]}
    source = "mov ecx, 0x174\nmov eax, 8\nxor edx, edx\nwrmsr\nrdmsr"
    bench = exit_of(source, **controls)
    assert bench.events[-1].cause == "vmcall"
    assert bench.field("guest_sysenter_cs") == 8
    for offset, cause in ((0, "rdmsr"), (0x800, "wrmsr")):
        bench = GuestBench(source, **controls)
        bench.set_bit(MSRS + offset, 0x174)
        assert bench.run_to_exit() == cause
    for number in (0x2000, 0xC000_2000, 0x4000_0000):
        assert exit_of(f"mov ecx, {number:#x}\nrdmsr", **controls).events[-1].cause == "rdmsr"
    bench = GuestBench("mov ecx, 0xc0000080\nrdmsr", **controls)
    bench.set_bit(MSRS + 0x400, 0x80)
    assert bench.run_to_exit() == "rdmsr"


@pytest.mark.parametrize(
    ("source", "cause", "info"),
    [
        ("sgdt [0x20000]", "gdtr-idtr", 0x0841_8080 | 1 << 11 | 0 << 28),
        ("sidt [0x20000]", "gdtr-idtr", 1 << 28),
        ("lgdt [0x20000]", "gdtr-idtr", 2 << 28),
        ("lidt [0x20000]", "gdtr-idtr", 3 << 28),
        ("sldt ax", "ldtr-tr", 0 << 28),
        ("str cx", "ldtr-tr", 1 << 28),
        ("lldt ax", "ldtr-tr", 2 << 28),
        ("ltr bx", "ldtr-tr", 3 << 28),
    ],
)
def test_descriptor_tables(source: str, cause: str, info: int) -> None:
    bench = exit_of(source, primary_controls__or=PRIMARY["secondary"], secondary_controls__or=DESCRIPTORS)
    assert bench.events[-1].cause == cause
    told = bench.field("exit_instruction_info")
    assert told >> 28 == info >> 28
    if "[" in source:
        assert told & (1 << 10 | 1 << 22 | 1 << 27 | 1 << 11) == 1 << 22 | 1 << 27 | 1 << 11
        assert told >> 15 & 7 == 3  # DS
        assert bench.exit()["qualification"] == 0x20000
    else:
        assert told & 1 << 10
        assert told >> 3 & 0xF == {"ax": 0, "cx": 1, "bx": 3}[source[-2:]]


def test_wbinvd() -> None:
    assert exit_of("wbinvd").events[-1].cause == "vmcall"
    bench = exit_of("wbinvd", primary_controls__or=PRIMARY["secondary"], secondary_controls__or=WBINVD)
    assert bench.events[-1].cause == "wbinvd"


def test_instruction_information_of_vmread() -> None:
    info = exit_of("vmread [ebx + esi * 4 + 0x10], edx").field("exit_instruction_info")
    assert info == 2 << 28 | 3 << 23 | 6 << 18 | 3 << 15 | 1 << 7 | 2
    info = exit_of("vmread ecx, edi").field("exit_instruction_info")
    assert info == 7 << 28 | 1 << 10 | 1 << 3


def test_tsc_offset() -> None:
    offset = 0x1_0000_0000_0000
    bench = exit_of("rdtsc", primary_controls__or=1 << 3, tsc_offset=offset)
    assert bench.cpu.edx >> 16 == 1
    assert exit_of("rdtsc", tsc_offset=offset).cpu.edx == 0


def test_nothing_of_the_guest_has_changed() -> None:
    bench = exit_of("mov eax, 1\nmov ecx, 3\nstd\nhlt", primary_controls__or=PRIMARY["hlt"])
    assert bench.field("guest_rip") == GUEST_CODE + 11
    assert bench.field("guest_rflags") & 0x400
    assert (bench.cpu.eax, bench.cpu.ecx) == (1, 3)
    assert bench.field("guest_activity") == 0
