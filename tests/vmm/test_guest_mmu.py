"""The guest's paging, judged by the machine's own MMU on the same tables, and the memory behind it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vizapp.isa.addresses import PAGE_SIZE, GuestPhysical
from vizapp.isa.registers import CR0_PE, CR0_PG, CR0_WP
from vizapp.machine.faults import Fault
from vizapp.machine.inputs import NAMES
from vizapp.machine.memory import PhysicalMemory
from vizapp.machine.meter import Meter
from vizapp.machine.mmu import Mmu
from vizapp.vmm.guest_memory import GuestMemory
from vizapp.vmm.guest_mmu import GuestMmu

FRAMES = 16
BASE = 20  # the guest's frame 0 in host memory
DIRECTORY, TABLE = 1, 2

entries = st.builds(
    lambda frame, flags: frame << 12 | flags, st.integers(0, FRAMES - 1), st.integers(0, 0x7F)
)


def guest_memory(p2m: tuple[int, ...] = tuple(range(BASE, BASE + FRAMES))) -> GuestMemory:
    return GuestMemory(PhysicalMemory((BASE + FRAMES) * PAGE_SIZE), p2m)


def guest_mmu(memory: GuestMemory, cr0: int) -> GuestMmu:
    mmu = GuestMmu(memory, lambda name, count: None)
    mmu.configure(cr0, DIRECTORY << 12)
    return mmu


@settings(deadline=None)
@given(entries, entries, st.booleans(), st.booleans(), st.booleans())
def test_translates_faults_and_marks_as_the_processor_does(directory, table, protect, write, user):
    cr0 = CR0_PE | CR0_PG | (CR0_WP if protect else 0)
    directory = directory & 0xFFF | TABLE << 12
    bare = PhysicalMemory(FRAMES * PAGE_SIZE)
    guest = guest_memory()
    for memory in (bare, guest):
        memory.write(DIRECTORY << 12, 4, directory)
        memory.write((TABLE << 12) + 5 * 4, 4, table)
    reference = Mmu(bare, Meter(dict.fromkeys(NAMES, 1)))
    reference.configure(cr0, DIRECTORY << 12, 0)
    mmu = guest_mmu(guest, cr0)
    expected: object
    try:
        expected = reference.translate(0x5123, write, user, 0)
    except Fault as fault:
        expected = (fault.vector, fault.error, fault.address)
    found: object
    try:
        found = mmu.translate(0x5123, write, user).frame
    except Fault as fault:
        found = (fault.vector, fault.error, fault.address)
    assert found == expected
    for address in (DIRECTORY << 12, (TABLE << 12) + 5 * 4):
        assert guest.read(address, 4) == bare.read(address, 4)


def paged() -> GuestMmu:
    memory = guest_memory()
    memory.write(DIRECTORY << 12, 4, TABLE << 12 | 7)
    for page, frame in ((4, 9), (5, 7), (6, 3)):
        memory.write((TABLE << 12) + page * 4, 4, frame << 12 | (5 if page == 6 else 7))
    return guest_mmu(memory, CR0_PE | CR0_PG | CR0_WP)


def test_an_access_across_pages_goes_through_both_translations():
    mmu = paged()
    mmu.write(0x4FFE, 4, 0x44332211, False)
    assert mmu.memory.read(0x9FFE, 2) == 0x2211
    assert mmu.memory.read(0x7000, 2) == 0x4433
    assert mmu.read(0x4FFE, 4, True) == 0x44332211
    assert mmu.fetch(0x4FFE, 4, True) == bytes.fromhex("11223344")


def test_neither_page_is_written_when_the_second_faults():
    mmu = paged()
    with pytest.raises(Fault) as caught:
        mmu.write(0x5FFE, 4, 0x44332211, False)
    assert (caught.value.error, caught.value.address) == (3, 0x6000)
    assert mmu.memory.read(0x7FFE, 2) == 0


def test_a_read_that_will_write_faults_as_a_write():
    with pytest.raises(Fault) as caught:
        paged().modify(0x6000, 4, True)
    assert caught.value.error == 7


def test_looking_changes_nothing():
    mmu = paged()
    before = mmu.memory.dump(0, 3 * PAGE_SIZE)
    assert mmu.probe(0x4123) == 0x9123
    assert mmu.probe(0x0000) is None
    assert mmu.memory.dump(0, 3 * PAGE_SIZE) == before


def test_flushes_are_noted_for_the_monitor():
    mmu = paged()
    mmu.flush_requested = False
    mmu.configure(CR0_PE | CR0_PG | CR0_WP, 0x3000)
    assert not mmu.flush_requested  # another directory alone is no flush; loading CR3 calls flush
    mmu.configure(CR0_PE | CR0_PG, 0x3000)
    assert mmu.flush_requested
    mmu.invalidate(0x5000)
    assert mmu.invalidated == (0x5000,)


def test_every_word_read_and_written_is_charged():
    charges: list[tuple[str, int]] = []
    mmu = paged()
    mmu._charge = lambda name, count: charges.append((name, count))
    mmu.write(0x4000, 4, 1, False)
    assert charges == [
        ("mon_memory_reference", 2),  # the walk
        ("mon_pte_write", 1),  # A of the directory entry
        ("mon_pte_write", 1),  # A and D of the table entry
        ("mon_memory_reference", 1),
    ]


def test_guest_frames_need_not_be_adjacent():
    memory = guest_memory((30, 22, 35))
    memory.write(PAGE_SIZE - 2, 4, 0x44332211)
    assert memory.host(GuestPhysical(0x1004)) == 22 << 12 | 4
    assert memory.dump(PAGE_SIZE - 2, 4) == bytes.fromhex("11223344")
    assert memory.read(PAGE_SIZE - 2, 4) == 0x44332211


def test_beyond_the_guest_s_memory_there_are_ones():
    memory = guest_memory((30, 31))
    memory.write(2 * PAGE_SIZE - 2, 4, 0)
    assert memory.read(2 * PAGE_SIZE - 2, 4) == 0xFFFF_0000
    assert memory.host(GuestPhysical(2 * PAGE_SIZE)) is None
