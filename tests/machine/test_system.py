"""System instructions at each ring: who may, what it changes, what it tells."""

import pytest
from unicorn import UC_ARCH_X86, UC_HOOK_INTR, UC_MODE_32, Uc
from unicorn import x86_const as x86

from tests.machine.bench import CODE, DATA, FREE, GDT, LDT_INDEX, TSS, TSS_INDEX, Bench, data_selector
from vizapp.isa import descriptors as d
from vizapp.isa import vectors as v
from vizapp.isa.registers import (
    CR0_CD,
    CR0_NW,
    CR0_PE,
    CR0_PG,
    CR0_TS,
    CR4_PAE,
    CR4_TSD,
    CR4_VIRTUALIZABLE,
    EFLAGS_IF,
    EFLAGS_RF,
    EFLAGS_ZF,
)
from vizapp.machine.identity import PENTIUM_4, PENTIUM_4_VIRTUALIZABLE
from vizapp.machine.segments import SegmentState

PRIVILEGED = [
    "hlt",
    "clts",
    "invd",
    "wbinvd",
    "rdmsr",
    "wrmsr",
    "mov eax, cr0",
    "mov cr0, eax",
    "mov eax, cr3",
    "mov cr3, eax",
    "mov cr4, eax",
    "mov dr7, eax",
    "mov eax, dr6",
    "lgdt [0x20000]",
    "lidt [0x20000]",
    "lldt ax",
    "ltr ax",
    "lmsw ax",
    "invlpg [0x20000]",
    "cli",
    "sti",
    "in al, 0x60",
    "out 0x60, al",
    "insb",
    "outsb",
]
SENSITIVE = [
    "pushfd",
    "popfd",
    "sgdt [0x20000]",
    "sidt [0x20000]",
    "sldt eax",
    "str eax",
    "smsw eax",
    "lar eax, ecx",
    "lsl eax, ecx",
    "verr ax",
    "verw ax",
    "mov eax, ds",
    "mov ds, ax",
    "push ds",
    "pop es",
    "push cs",
    "int 0x80",
    "iretd",
    "retf",
    "jmp 0x3b:0x10000",
    "call 0x3b:0x10000",
    "les eax, [0x20000]",
]


@pytest.mark.parametrize("ring", [1, 2, 3])
@pytest.mark.parametrize("source", PRIVILEGED)
def test_privileged_instructions_fault_outside_ring_0(source, ring):
    bench = Bench(source, ring)
    assert bench.fault() == (v.GP, 0)
    assert bench.delivered().eip == CODE


@pytest.mark.parametrize("source", ["cli", "sti", "in al, 0x60", "out 0x60, al", "insb"])
@pytest.mark.parametrize(("ring", "iopl"), [(1, 1), (1, 3), (3, 3)])
def test_iopl_lets_them_through(source, ring, iopl):
    assert Bench(source, ring, iopl=iopl).fault() is None


@pytest.mark.parametrize("source", ["hlt", "clts", "rdmsr"])
def test_iopl_does_not_help_the_privileged(source):
    assert Bench(source, 3, iopl=3).fault() == (v.GP, 0)


@pytest.mark.parametrize("source", SENSITIVE)
@pytest.mark.parametrize("ring", [1, 3])
def test_sensitive_instructions_trap_by_the_option_alone(source, ring):
    bench = Bench(source, ring)
    bench.cpu.identity = PENTIUM_4_VIRTUALIZABLE
    bench.cpu.cr4 = CR4_VIRTUALIZABLE
    assert bench.fault() == (v.GP, 0)
    assert bench.delivered().eip == CODE


@pytest.mark.parametrize("source", SENSITIVE)
def test_the_option_changes_nothing_at_ring_0(source):
    plain, optional = Bench(source), Bench(source)
    optional.cpu.cr4 = CR4_VIRTUALIZABLE
    plain.step()
    optional.step()
    assert (plain.delivered(), plain.cpu.eip) == (optional.delivered(), optional.cpu.eip)
    assert plain.memory.digest() == optional.memory.digest()


@pytest.mark.parametrize(
    "source", ["pushfd", "sgdt [0x20000]", "sldt eax", "str eax", "smsw eax", "mov eax, cs"]
)
def test_stock_x86_lets_ring_3_see(source):
    assert Bench(source, 3).fault() is None


def unicorn_popf(ring, iopl, value):
    """EFLAGS after POPFD of ``value`` in a ring of unicorn, entered through IRETD."""
    uc = Uc(UC_ARCH_X86, UC_MODE_32)
    bench = Bench("popfd\nhlt", ring)
    uc.mem_map(0, 1 << 20)
    uc.mem_write(0, bytes(bench.memory.dump(0, 1 << 20)))
    uc.reg_write(x86.UC_X86_REG_GDTR, (0, GDT, 0x7F, 0))
    cs, ss = bench.cpu.segments[1].selector, bench.cpu.segments[2].selector
    frame = [CODE, cs, 2 | iopl << 12, 0x40000, ss]
    for index, word in enumerate(frame):
        uc.mem_write(0x7F00 + 4 * index, word.to_bytes(4, "little"))
    # IRET to the same ring stays on its stack.
    uc.mem_write(0x40000 if ring else 0x7F0C, value.to_bytes(4, "little"))
    uc.mem_write(0x7000, b"\xcf")
    for register, selector in ((x86.UC_X86_REG_CS, 8), (x86.UC_X86_REG_SS, 0x10), (x86.UC_X86_REG_DS, 0x10)):
        uc.reg_write(register, selector)
    uc.reg_write(x86.UC_X86_REG_ESP, 0x7F00)
    faults = []
    uc.hook_add(UC_HOOK_INTR, lambda uc, vector, _: (faults.append(vector), uc.emu_stop()))
    uc.emu_start(0x7000, 0, count=2)
    assert not faults
    return uc.reg_read(x86.UC_X86_REG_EFLAGS)


@pytest.mark.parametrize("ring", [0, 1, 3])
@pytest.mark.parametrize("iopl", [0, 1, 3])
@pytest.mark.parametrize("value", [0x202, 0x3246, 0x2, 0x4ED7])
def test_popf_changes_what_unicorn_changes(ring, iopl, value):
    bench = Bench("popfd", ring, iopl=iopl)
    bench.cpu.esp = 0x40000
    bench.memory.write(0x40000, 4, value)
    bench.step()
    assert bench.cpu.eflags == unicorn_popf(ring, iopl, value)


def test_pushf_hides_rf_and_popf_16_keeps_the_high_half():
    bench = Bench("pushfd\npopfw")
    bench.cpu.eflags = 2 | EFLAGS_RF | 1 << 21
    bench.step()
    assert not bench.stack(1)[0] & EFLAGS_RF
    bench.memory.write(bench.cpu.esp, 2, 0)
    bench.step()
    assert bench.cpu.eflags & 1 << 21


def test_sti_shadows_one_instruction_and_only_if_it_set_if():
    bench = Bench("sti\nsti\nnop")
    bench.step()
    assert bench.cpu.shadow
    bench.step()
    assert not bench.cpu.shadow


def test_mov_ss_shadows_too():
    bench = Bench("mov ss, ax\nnop")
    bench.cpu.eax = data_selector(0)
    bench.step()
    assert bench.cpu.shadow


def bitmap(bench, port, bits=0):
    """A TSS with a bitmap up to ``port``'s byte and the one after it."""
    base = d.TSS_BYTES
    bench.memory.write(TSS + d.TSS_IO_MAP, 2, base)
    for index in range(port // 8 + 2):
        bench.memory.write(TSS + base + index, 1, 0xFF)
    bench.memory.write(TSS + base + port // 8, 2, ~bits & 0xFFFF)
    tss = bench.cpu.tr
    bench.cpu.tr = SegmentState(tss.selector, tss.base, base + port // 8 + 1, tss.access)


@pytest.mark.parametrize(
    ("source", "open_bits", "allowed"),
    [
        ("in al, 0x60", 0b1, True),
        ("in al, 0x60", 0b10, False),
        ("in ax, 0x60", 0b11, True),
        ("in ax, 0x60", 0b01, False),
        ("in eax, 0x60", 0b1111, True),
        ("out 0x60, eax", 0b0111, False),
        ("in ax, 0x67", 0b1_1000_0000, True),  # across two bytes of the map
        ("in al, 0x70", 0xFFFF, False),  # beyond the map's end
    ],
)
def test_the_io_bitmap(source, open_bits, allowed):
    bench = Bench(source, 3)
    bitmap(bench, 0x60, open_bits)
    assert bench.fault() == (None if allowed else (v.GP, 0))


def test_the_io_bitmap_must_lie_within_the_tss():
    bench = Bench("in al, 0", 3)
    bench.memory.write(TSS + d.TSS_IO_MAP, 2, 0xFFFF)
    assert bench.fault() == (v.GP, 0)


def test_a_serial_port_is_reached_byte_by_byte():
    bench = Bench("mov dx, 0x3f8\nmov al, 'A'\nout dx, al\nmov dx, 0x3fd\nin al, dx")
    bench.step(5)
    assert bytes(bench.pc.uart.output) == b"A"
    assert bench.cpu.eax & 0x60 == 0x60


def test_rep_outs_is_one_step_an_iteration_and_one_instruction():
    bench = Bench(f"mov esi, {DATA}\nmov ecx, 3\nmov dx, 0x3f8\nrep outsb\nnop")
    bench.memory.load(DATA, b"abc")
    bench.step(3)
    instructions = bench.pc.instructions
    bench.step(3)
    assert bytes(bench.pc.uart.output) == b"abc"
    assert bench.pc.instructions == instructions + 1
    assert (bench.cpu.ecx, bench.cpu.esi) == (0, DATA + 3)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (CR0_PE | CR0_TS, None),
        (CR0_PG, (v.GP, 0)),
        (CR0_PE | CR0_NW, (v.GP, 0)),
        (CR0_PE | CR0_NW | CR0_CD, None),
    ],
)
def test_mov_to_cr0_is_checked(value, expected):
    bench = Bench("mov cr0, eax")
    bench.cpu.eax = value
    assert bench.fault() == expected
    if expected is None:
        assert bench.cpu.cr0 == value | 0x10


@pytest.mark.parametrize(("bits", "expected"), [(CR4_TSD, None), (CR4_PAE, (v.GP, 0)), (1 << 30, (v.GP, 0))])
def test_cr4_has_only_the_bits_of_this_processor(bits, expected):
    bench = Bench("mov cr4, eax")
    bench.cpu.eax = bits
    assert bench.fault() == expected


@pytest.mark.parametrize(("identity", "expected"), [(PENTIUM_4, (v.GP, 0)), (PENTIUM_4_VIRTUALIZABLE, None)])
def test_the_option_is_a_bit_of_cr4_that_only_some_processors_have(identity, expected):
    bench = Bench("mov cr4, eax")
    bench.cpu.identity = identity
    bench.cpu.eax = CR4_VIRTUALIZABLE
    assert bench.fault() == expected


def test_lmsw_can_set_pe_but_not_clear_it():
    bench = Bench("lmsw ax\nsmsw ebx\nclts")
    bench.cpu.eax = CR0_TS
    bench.step(2)
    assert bench.cpu.cr0 & 0xF == CR0_PE | CR0_TS
    assert bench.cpu.ebx == bench.cpu.cr0
    bench.step()
    assert not bench.cpu.cr0 & CR0_TS


def test_table_registers_go_round():
    bench = Bench(f"lgdt [{DATA}]\nsgdt [{DATA + 8}]\no16 lidt [{DATA}]\nsidt [{DATA + 16}]", 0)
    bench.memory.write(DATA, 2, 0x7F)
    bench.memory.write(DATA + 2, 4, 0x1234_5678)
    bench.step(4)
    assert bench.cpu.gdtr == (0x1234_5678, 0x7F)
    assert bench.memory.dump(DATA + 8, 6) == bench.memory.dump(DATA, 6)
    assert bench.cpu.idtr == (0x0034_5678, 0x7F)
    assert bench.memory.read(DATA + 18, 4) == 0x0034_5678


def test_sgdt_stores_all_or_nothing():
    bench = Bench("sgdt [ebx]")
    bench.cpu.ebx = 0xFFFF_FFFD
    bench.memory.write(0, 4, 0xAAAA_AAAA)
    assert bench.fault() == (v.GP, 0)


@pytest.mark.parametrize(
    ("selector", "descriptor", "expected"),
    [
        (0, None, (v.GP, 0)),
        (FREE * 8, d.system_segment(TSS, 0x67, d.TSS_32), None),
        (FREE * 8, d.system_segment(TSS, 0x67, d.TSS_32_BUSY), (v.GP, FREE * 8)),
        (FREE * 8, d.system_segment(TSS, 0x67, d.TSS_32)._replace(access=d.TSS_32), (v.NP, FREE * 8)),
        (FREE * 8, d.system_segment(TSS, 0x67, d.LDT), (v.GP, FREE * 8)),
        (FREE * 8 | 4, None, (v.GP, FREE * 8 | 4)),  # never from the LDT
    ],
)
def test_ltr(selector, descriptor, expected):
    bench = Bench("ltr ax\nstr ebx")
    if descriptor is not None:
        bench.descriptor(FREE, descriptor)
    bench.cpu.eax = selector
    assert bench.fault() == expected
    if expected is None:
        assert bench.memory.read(GDT + FREE * 8 + 5, 1) & 0xF == d.TSS_32_BUSY
        bench.step()
        assert bench.cpu.ebx == selector


@pytest.mark.parametrize(
    ("selector", "expected"),
    [(0, None), (LDT_INDEX * 8, None), (TSS_INDEX * 8, (v.GP, TSS_INDEX * 8)), (4, (v.GP, 4))],
)
def test_lldt(selector, expected):
    bench = Bench("lldt ax\nsldt ebx")
    bench.cpu.eax = selector
    assert bench.fault() == expected
    if expected is None:
        bench.step()
        assert bench.cpu.ebx == selector
        assert bench.cpu.ldtr.usable == bool(selector)


@pytest.mark.parametrize(
    ("ring", "selector", "lar", "lsl", "verr", "verw"),
    [
        (0, 0x10, 0x00C0_9300, 0xFFFF_FFFF, True, True),
        (0, 0x08, 0x00C0_9A00, 0xFFFF_FFFF, True, False),
        (3, 0x10, None, None, False, False),  # DPL 0 from ring 3
        (0, 0x13, None, None, False, False),  # RPL counts too
        (3, 0x43, 0x00C0_F300, 0xFFFF_FFFF, True, True),
        (0, 0, None, None, False, False),
        (0, 0x80, None, None, False, False),
        (0, TSS_INDEX * 8, 0x8B00, 0x67, False, False),
        (0, LDT_INDEX * 8, 0x8200, 0x7F, False, False),
    ],
)
def test_what_descriptors_tell(ring, selector, lar, lsl, verr, verw):
    bench = Bench("lar eax, ecx\nlsl ebx, ecx\nverr cx\nverw cx", ring)
    cpu = bench.cpu
    for index in (2, 8):
        bench.memory.write(GDT + 8 * index + 5, 1, bench.memory.read(GDT + 8 * index + 5, 1) | 1)
    cpu.ecx, cpu.eax, cpu.ebx = selector, 0x55, 0x66
    seen = []
    for _ in range(4):
        bench.step()
        seen.append(bool(cpu.eflags & EFLAGS_ZF))
    assert seen == [lar is not None, lsl is not None, verr, verw]
    assert cpu.eax == (0x55 if lar is None else lar)
    assert cpu.ebx == (0x66 if lsl is None else lsl)


@pytest.mark.parametrize(
    ("target", "source", "result", "zf"), [(0x10, 3, 0x13, True), (0x13, 0, 0x13, False)]
)
def test_arpl(target, source, result, zf):
    bench = Bench("arpl ax, cx", 3)
    bench.cpu.eax, bench.cpu.ecx = target, source
    bench.step()
    assert (bench.cpu.eax, bool(bench.cpu.eflags & EFLAGS_ZF)) == (result, zf)


def test_cpuid_names_a_pentium_4():
    bench = Bench("cpuid\nmov eax, 1\ncpuid", 3)
    bench.step()
    cpu = bench.cpu
    vendor = b"".join(word.to_bytes(4, "little") for word in (cpu.ebx, cpu.edx, cpu.ecx))
    assert (cpu.eax, vendor) == (1, b"GenuineIntel")
    bench.step(2)
    assert cpu.eax >> 8 & 0xF == 15
    assert not cpu.ecx & 1 << 5  # no VMX


def test_rdtsc_is_the_cycle_counter_and_tsd_keeps_it_to_ring_0():
    bench = Bench("nop\nrdtsc", 3)
    bench.pc.meter.cycles = (7 << 32) + 5
    bench.step(2)
    assert (bench.cpu.eax, bench.cpu.edx) == (6, 7)
    denied = Bench("rdtsc", 3)
    denied.cpu.cr4 = CR4_TSD
    assert denied.fault() == (v.GP, 0)


def test_msrs():
    bench = Bench("mov ecx, 0x175\nwrmsr\nxor eax, eax\nrdmsr\nmov ecx, 0x999\nrdmsr")
    bench.cpu.eax = 0x1234
    bench.step(4)
    assert bench.cpu.eax == bench.cpu.sysenter[1] == 0x1234
    assert bench.fault(2) == (v.GP, 0)


def test_wrmsr_sets_the_time_stamp_counter():
    bench = Bench("mov ecx, 0x10\nwrmsr\nrdtsc")
    bench.cpu.eax, bench.cpu.edx = 0xFFFF_FFFF, 5
    bench.step(3)
    assert bench.cpu.edx == 6
    assert bench.cpu.eax < 100


def test_hlt_with_interrupts_off_ends_the_run():
    bench = Bench("hlt")
    bench.step(2)
    assert bench.pc.stopped[0] == "halted"
    assert bench.events[-1].kind == "MachineStopped"


def test_hlt_that_nothing_can_wake_ends_the_run():
    bench = Bench("sti\nhlt")
    bench.pc.run()
    assert bench.pc.stopped[0] == "halted"
    assert "no interrupt" in bench.pc.stopped[1].in_english()
    assert bench.cpu.eflags & EFLAGS_IF
