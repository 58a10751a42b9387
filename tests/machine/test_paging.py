"""Paging: rights, error codes, A and D bits, staleness, and what a walk costs."""

import pytest
from unicorn import UC_ARCH_X86, UC_HOOK_INTR, UC_MODE_32, Uc, UcError
from unicorn import x86_const as x86

from tests.machine.bench import CODE, DATA, DIRECTORY, TABLE, Bench
from vizapp.isa import vectors as v
from vizapp.isa.paging import PTE_A, PTE_D, PTE_G, PTE_P, PTE_U, PTE_W
from vizapp.isa.registers import CR0_PE, CR0_PG, CR0_WP, CR4_PGE

PAGED = CR0_PE | CR0_PG
PROTECTED = PAGED | CR0_WP
READ, WRITE, CHANGE = "mov eax, [0x20000]", "mov [0x20000], eax", "inc dword [0x20000]"

RIGHTS = [
    # flags of the page, ring, WP, read, write: error codes, or None where allowed
    (0, 0, False, 0, 2),
    (0, 3, False, 4, 6),
    (PTE_P, 0, False, None, None),
    (PTE_P, 0, True, None, 3),
    (PTE_P, 1, True, None, 3),
    (PTE_P, 3, False, 5, 7),
    (PTE_P | PTE_W, 3, False, 5, 7),
    (PTE_P | PTE_W, 2, True, None, None),
    (PTE_P | PTE_U, 3, False, None, 7),
    (PTE_P | PTE_U, 0, False, None, None),
    (PTE_P | PTE_U, 0, True, None, 3),
    (PTE_P | PTE_U | PTE_W, 3, True, None, None),
]


def paged(source, ring=0, cr0=PAGED, flags=7):
    bench = Bench(source, ring)
    bench.turn_on_paging(cr0)
    bench.page(DATA, flags)
    return bench


def entry(bench, linear=DATA):
    return bench.memory.read(TABLE + 4 * (linear >> 12), 4)


@pytest.mark.parametrize(("flags", "ring", "wp", "read", "write"), RIGHTS)
@pytest.mark.parametrize("source", [READ, WRITE, CHANGE])
def test_rights_and_error_codes(source, flags, ring, wp, read, write):
    bench = paged(source, ring, PROTECTED if wp else PAGED, flags)
    expected = read if source == READ else write
    before = entry(bench)
    assert bench.fault() == (None if expected is None else (v.PF, expected))
    if expected is None:
        assert entry(bench) == flags | DATA | PTE_A | (0 if source == READ else PTE_D)
    else:
        assert bench.cpu.cr2 == DATA
        assert bench.delivered().eip == CODE
        assert entry(bench) == before
        assert bench.events[-1].payload["cr2"] == DATA


# Unicorn is entered at rings 0 and 3 only.
@pytest.mark.parametrize(
    ("flags", "ring", "wp", "read", "write"), [row for row in RIGHTS if row[1] in (0, 3)]
)
def test_unicorn_faults_where_we_fault(flags, ring, wp, read, write):
    for source, expected in ((READ, read), (WRITE, write)):
        bench = paged(source, ring, PROTECTED if wp else PAGED, flags)
        uc = Uc(UC_ARCH_X86, UC_MODE_32)
        uc.mem_map(0, 1 << 20)
        uc.mem_write(0, bytes(bench.memory.dump(0, 1 << 20)))
        uc.reg_write(x86.UC_X86_REG_GDTR, (0, 0x1000, 0x7F, 0))
        for register, selector in ((x86.UC_X86_REG_CS, 8), (x86.UC_X86_REG_SS, 16), (x86.UC_X86_REG_DS, 16)):
            uc.reg_write(register, selector)
        cs, ss = bench.cpu.segments[1].selector, bench.cpu.segments[2].selector
        frame = [CODE, cs, 2, 0x40000, ss] if ring else [CODE, cs, 2]
        for index, word in enumerate(frame):
            uc.mem_write(0x7F00 + 4 * index, word.to_bytes(4, "little"))
        # mov ds, ax; mov ax, ss gives DS of the ring back after IRET has dropped it.
        uc.mem_write(0x7000, b"\xcf")
        uc.mem_write(CODE, b"\x8e\xd8" + bytes(bench.memory.dump(CODE, 16)))
        uc.reg_write(x86.UC_X86_REG_EAX, ss)
        uc.reg_write(x86.UC_X86_REG_ESP, 0x7F00)
        uc.reg_write(x86.UC_X86_REG_CR3, DIRECTORY)
        uc.reg_write(x86.UC_X86_REG_CR0, bench.cpu.cr0)
        seen = []
        uc.hook_add(UC_HOOK_INTR, lambda uc, vector, _, seen=seen: (seen.append(vector), uc.emu_stop()))
        try:
            uc.emu_start(0x7000, 0, count=3)
        except UcError:
            seen.append(-1)
        assert seen == ([] if expected is None else [v.PF])
        if expected is not None:
            assert uc.reg_read(x86.UC_X86_REG_CR2) == DATA


def test_the_directory_has_its_own_rights():
    bench = Bench(WRITE, 3)
    bench.turn_on_paging(directory_flags=PTE_P | PTE_U)
    # Ring 3 runs from read-only pages, and the handler's stack takes a supervisor's write.
    assert bench.fault() == (v.PF, 7)
    assert bench.memory.read(DIRECTORY, 4) & PTE_A


def test_a_page_of_code_needs_only_the_right_to_read():
    bench = paged("nop", 3)
    bench.page(CODE, PTE_P | PTE_U)
    assert bench.fault() is None
    bench = paged("nop", 3)
    bench.page(CODE, PTE_P)
    assert bench.fault() == (v.PF, 5)
    assert bench.cpu.cr2 == CODE


def test_an_access_across_two_pages_writes_both_or_none():
    bench = paged("mov [0x20ffe], eax", 3)
    bench.cpu.eax = 0x1234_5678
    bench.page(0x21000, PTE_P | PTE_U)
    assert bench.fault() == (v.PF, 7)
    assert bench.cpu.cr2 == 0x21000
    assert bench.memory.read(0x20FFE, 2) == 0
    bench = paged("mov [0x20ffe], eax\nmov ebx, [0x20ffe]", 3)
    bench.page(0x21000, 7, 0x30)
    bench.cpu.eax = 0x1234_5678
    bench.step(2)
    assert bench.cpu.ebx == 0x1234_5678
    assert bench.memory.read(0x30000, 2) == 0x1234


def test_a_change_across_two_pages_misses_the_second_at_its_first_byte():
    bench = paged("inc dword [0x20ffd]", 3)
    bench.page(0x21000, PTE_P | PTE_U)
    assert bench.fault() == (v.PF, 7)
    assert bench.cpu.cr2 == 0x21000


def test_an_instruction_across_two_pages():
    bench = paged("nop", 3)
    bench.assemble("mov eax, 0x12345678", 0x10FFE)
    bench.memory.load(0x30000, bench.memory.dump(0x11000, 16))
    bench.page(0x11000, 7, 0x30)
    bench.cpu.eip = 0x10FFE
    bench.step()
    assert (bench.cpu.eax, bench.cpu.eip) == (0x1234_5678, 0x11003)
    # Other bytes behind the second page are another instruction.
    bench.memory.write(0x30000, 1, 0x99)
    bench.cpu.eip = 0x10FFE
    bench.step()
    assert bench.cpu.eax == 0x1234_9978
    bench.page(0x11000, 0)
    bench.cpu.eip = 0x10FFE
    bench.pc.mmu.invalidate(0x11000)
    assert bench.fault() == (v.PF, 4)
    assert (bench.cpu.cr2, bench.delivered().eip) == (0x11000, 0x10FFE)


def test_staleness_is_real_until_invlpg():
    bench = paged(f"{READ}\n{READ}\n{READ}\ninvlpg [0x20000]\n{READ}")
    bench.memory.write(DATA, 4, 1)
    bench.memory.write(0x30000, 4, 2)
    bench.step()
    bench.page(DATA, 7, 0x30)
    bench.step()
    assert bench.cpu.eax == 1
    bench.pc.mmu.drop_maps()  # what the engine remembers decides nothing
    bench.step()
    assert bench.cpu.eax == 1
    bench.step(2)
    assert bench.cpu.eax == 2


def test_a_load_of_cr3_flushes_all_but_global_pages():
    bench = paged(f"{READ}\nmov ebx, [0x21000]\nmov cr3, ecx\n{READ}\nmov ebx, [0x21000]")
    bench.cpu.cr4 = CR4_PGE
    bench.cpu.mode_changed()
    bench.cpu.ecx = DIRECTORY
    for page, value in ((0x30, 3), (0x20, 1), (0x21, 2)):
        bench.memory.write(page << 12, 4, value)
    bench.page(DATA, 7 | PTE_G)
    bench.step(2)
    bench.page(DATA, 7 | PTE_G, 0x30)
    bench.page(0x21000, 7, 0x30)
    bench.step(3)
    assert (bench.cpu.eax, bench.cpu.ebx) == (1, 3)
    assert [event.cause for event in bench.events] == ["mov cr3"]


def test_a_fault_forgets_a_stale_entry():
    bench = paged(f"{WRITE}", 3, flags=PTE_P | PTE_U)
    assert bench.fault() == (v.PF, 7)
    bench.page(DATA, 7)
    bench.enter(3)
    assert bench.fault() is None


def test_more_rights_without_invlpg_fault_once():
    bench = paged(f"{READ}\n{WRITE}", 3, flags=PTE_P | PTE_U)
    bench.step()
    bench.page(DATA, 7)
    assert bench.fault() == (v.PF, 7)
    eip = bench.delivered().eip
    bench.enter(3)
    bench.cpu.eip = eip
    assert bench.fault() is None


def test_fewer_rights_without_invlpg_are_not_seen():
    bench = paged(f"{WRITE}\n{WRITE}\ninvlpg [0x20000]\n{WRITE}", 0, PROTECTED)
    bench.step()
    bench.page(DATA, PTE_P)
    assert bench.fault(2) is None
    assert bench.fault() == (v.PF, 3)


def test_d_is_set_by_the_first_write_after_a_read():
    bench = paged(f"{READ}\n{WRITE}")
    bench.step()
    assert entry(bench) & (PTE_A | PTE_D) == PTE_A
    bench.step()
    assert entry(bench) & (PTE_A | PTE_D) == PTE_A | PTE_D


def test_without_wp_rings_0_to_2_write_read_only_pages_and_turning_it_on_is_seen_at_once():
    bench = paged(f"{WRITE}\nmov cr0, ecx\n{WRITE}", 0, PAGED, PTE_P)
    bench.cpu.ecx = PROTECTED
    bench.step(2)
    assert bench.fault() == (v.PF, 3)


def test_the_processors_own_accesses_are_a_supervisors():
    bench = Bench("mov ds, ax\nint 0x80", 3)
    bench.turn_on_paging()
    for page in (0x1000, 0x2000, 0x3000, 0x3F000, 0x5000, 0x6000):
        bench.page(page, PTE_P | PTE_W)
    bench.cpu.eax = 0x43
    bench.step(2)
    assert bench.delivered().vector == 0x80


def test_each_entry_that_a_walk_reads_is_charged():
    bench = paged(f"{READ}\n{READ}\nmov eax, [0x500000]")
    bench.step()
    before = {row.input: row.times for row in bench.pc.meter.rows()}
    bench.step()
    rows = {row.input: row.times for row in bench.pc.meter.rows()}
    assert rows["walk_step"] == before["walk_step"] == 4  # code and data
    bench.memory.write(DIRECTORY + 4, 4, 0)
    bench.step()
    rows = {row.input: row.times for row in bench.pc.meter.rows()}
    # One for the absent directory entry; two each for the IDT, the GDT, the stack, and for setting D of the
    # GDT's page when the code descriptor becomes accessed.
    assert rows["walk_step"] == 4 + 1 + 8


def test_turning_paging_on_is_seen_by_the_next_instruction():
    bench = Bench(f"mov cr3, ebx\nmov cr0, eax\n{READ.replace('eax', 'edx')}")
    bench.turn_on_paging()
    bench.cpu.cr0 = 0x11
    bench.cpu.mode_changed()
    bench.page(DATA, 7, 0x30)
    bench.memory.write(0x30000, 4, 77)
    bench.cpu.eax, bench.cpu.ebx = PAGED, DIRECTORY
    bench.step(3)
    assert bench.cpu.edx == 77


def test_memory_beyond_the_end_reads_as_ones():
    bench = paged(f"{WRITE}\n{READ}")
    bench.page(DATA, 7, 0x80000)
    bench.step(2)
    assert bench.cpu.eax == 0xFFFF_FFFF
