"""Address spaces under SVM: ASIDs, what VMRUN flushes, INVLPGA, nested paging."""

from __future__ import annotations

import pytest

from tests.machine.bench import TABLE
from tests.machine.svm.bench import (
    BARCELONA,
    DIRECTORY,
    GUEST,
    GUEST_TABLE,
    NESTED_DIRECTORY,
    NESTED_TABLE,
    REV_F,
    SvmBench,
    identity_tables,
)
from vizapp.isa import registers as r
from vizapp.machine.identity import Identity
from vizapp.machine.inputs import INDEX
from vizapp.machine.svm import codes

PAGED = 0x8000_0011
LOAD = "mov eax, [0x7000]\nvmmcall"


def paged(guest: str = LOAD, identity: Identity = REV_F, host: str = "vmrun\nstgi\nhlt") -> SvmBench:
    """Host and guest with paging, each with tables of its own that lead everywhere to itself."""
    bench = SvmBench(guest, "vmmcall", identity=identity, host=host)
    identity_tables(bench, DIRECTORY, GUEST_TABLE)
    bench["cr0"], bench["cr3"] = PAGED, DIRECTORY
    bench.turn_on_paging(r.CR0_PG | r.CR0_PE)
    bench.cpu.eax = 0x50000
    return bench


def again(bench: SvmBench) -> int:
    """VMRUN at the same place once more."""
    bench.enter(0)
    bench.cpu.eax = 0x50000
    bench["rip"] = GUEST
    return bench.run()


def test_the_guest_has_an_address_space_of_its_own():
    bench = paged()
    bench.memory.write(0x7000, 4, 1)
    bench.memory.write(0x8000, 4, 2)
    bench.memory.write(GUEST_TABLE + 4 * 7, 4, 0x8007)
    assert bench.run() == codes.VMMCALL
    assert bench["rax"] == 2
    assert bench.cpu.space.read(0x7000, 4, False) == 1


@pytest.mark.parametrize(("control", "asid", "seen"), [(0, 1, 1), (1, 1, 2), (0, 2, 2), (3, 1, 2)])
def test_translations_stay_with_their_asid_until_they_are_flushed(control, asid, seen):
    bench = paged()
    bench.memory.write(0x7000, 4, 1)
    bench.memory.write(0x8000, 4, 2)
    bench.run()
    bench.memory.write(GUEST_TABLE + 4 * 7, 4, 0x8007)
    bench["tlb_control"], bench["guest_asid"] = control, asid
    again(bench)
    assert bench["rax"] == seen


def test_the_host_s_translations_survive_a_guest():
    bench = paged()
    bench.cpu.space.read(0x9000, 4, False)
    bench.memory.write(TABLE + 4 * 9, 4, 0)
    bench.run()
    assert bench.cpu.space.read(0x9000, 4, False) == 0


def test_invlpga_forgets_one_page_of_one_asid():
    bench = paged()
    bench.memory.write(0x7000, 4, 1)
    bench.memory.write(0x8000, 4, 2)
    bench.run()
    bench.memory.write(GUEST_TABLE + 4 * 7, 4, 0x8007)
    bench.assemble("invlpga")
    for asid, seen in ((2, 1), (1, 2)):
        bench.enter(0)
        bench.cpu.eax, bench.cpu.ecx = 0x7123, asid
        bench.assemble("invlpga")
        bench.step()
        bench.assemble("vmrun")
        again(bench)
        assert bench["rax"] == seen


def nested(guest: str = LOAD) -> SvmBench:
    bench = paged(guest, BARCELONA)
    identity_tables(bench, NESTED_DIRECTORY, NESTED_TABLE)
    bench["np_enable"], bench["n_cr3"] = 1, NESTED_DIRECTORY
    return bench


def test_nested_tables_lead_from_the_guest_s_memory_to_the_machine_s():
    bench = nested()
    bench.memory.write(0x9000, 4, 3)
    bench.memory.write(NESTED_TABLE + 4 * 7, 4, 0x9007)
    assert bench.run() == codes.VMMCALL
    assert bench["rax"] == 3


@pytest.mark.parametrize(
    ("guest", "page", "error"),
    [
        (LOAD, 7, 1 << 32 | 4),
        ("mov [0x7000], eax\nvmmcall", 7, 1 << 32 | 6),
        (LOAD, GUEST_TABLE >> 12, 1 << 33 | 6),
    ],
)
def test_what_they_do_not_map_leaves(guest, page, error):
    bench = nested(guest)
    bench.memory.write(NESTED_TABLE + 4 * page, 4, 0)
    assert bench.run() == codes.NPF
    assert bench["exitinfo1"] & ~(1 << 4) == error
    assert bench["exitinfo2"] >> 12 == page
    bench.memory.write(NESTED_TABLE + 4 * page, 4, page << 12 | 7)
    bench.cpu.eip, bench.cpu.eax = 0x10000, 0x50000
    assert bench.run() == codes.VMMCALL


def test_a_nested_page_fault_while_an_event_is_delivered_tells_which():
    bench = nested("ud2")
    bench["idtr.base"] = 0x7000
    bench.memory.write(NESTED_TABLE + 4 * 7, 4, 0)
    assert bench.run() == codes.NPF
    assert bench["exitintinfo"] == 0x8000_0306


def test_revision_f_has_no_nested_paging():
    bench = paged()
    bench["np_enable"], bench["n_cr3"] = 1, 0
    bench.memory.write(0x7000, 4, 5)
    assert bench.run() == codes.VMMCALL
    assert bench["rax"] == 5
    assert not bench.pc.meter.counts[INDEX["nested_walk_step"]]


def test_a_guest_without_paging_is_nested_too():
    bench = nested()
    bench["cr0"] = 0x11
    bench.memory.write(0x9000, 4, 4)
    bench.memory.write(NESTED_TABLE + 4 * 7, 4, 0x9007)
    assert bench.run() == codes.VMMCALL
    assert bench["rax"] == 4


def test_pdptes_of_a_nested_guest_come_through_the_nested_tables():
    bench = nested()
    bench["cr4"], bench["cr3"] = r.CR4_PAE, 0x7000
    bench.memory.write(NESTED_TABLE + 4 * 7, 4, 0x6_4007)
    bench.memory.write(0x64000, 8, 0x65001)
    bench.memory.write(0x65000, 8, 0x66007)
    for page in range(256):
        bench.memory.write(0x66000 + 8 * page, 8, page << 12 | 7)
    bench.memory.write(0x64000 + 0x100, 4, 0)
    assert bench.run() == codes.VMMCALL
    assert bench["rax"] == 0x65001
    bench.memory.write(NESTED_TABLE + 4 * 7, 4, 0)
    bench["tlb_control"] = 1
    assert again(bench) == codes.NPF
    assert bench["exitinfo2"] >> 12 == 7
    assert bench["rip"] == GUEST
