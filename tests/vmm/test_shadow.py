from collections import Counter

import pytest

from vizapp.isa.addresses import PAGE_SIZE, Linear
from vizapp.isa.paging import PTE_D, PTE_P, PTE_U, PTE_W
from vizapp.machine.memory import PhysicalMemory
from vizapp.vmm.frame_allocator import FrameAllocator
from vizapp.vmm.guest_mmu import Translation
from vizapp.vmm.shadow import POOL_PAGES, Shadow

BASE = Linear(0xFFC0_0000)
ENTRY = 0x5003
ALL = Translation(frame=1, writable=True, user=True, dirty=True)


@pytest.fixture
def charges() -> Counter[str]:
    return Counter()


@pytest.fixture
def shadow(charges: Counter[str]) -> Shadow:
    def charge(name: str, count: int) -> None:
        charges[name] += count

    memory = PhysicalMemory(128 * PAGE_SIZE)
    frames = FrameAllocator(16, 128)
    return Shadow(memory, frames, charge, monitor_base=BASE, monitor_entry=ENTRY)


def rights(entry: int) -> str:
    return "".join(name for bit, name in ((PTE_P, "P"), (PTE_W, "W"), (PTE_U, "U")) if entry & bit)


def test_maps_the_host_frame_with_the_guest_s_rights(shadow):
    entry = shadow.fill(0x40_3123, ALL, 0x77, write=False)
    assert entry >> 12 == 0x77
    assert rights(entry) == "PWU"
    assert shadow.entry(0x40_3FFF) == entry
    assert shadow.translate(0x40_3123) == 0x77123


def test_a_page_stays_read_only_until_the_guest_s_own_d_bit_is_set(shadow):
    assert rights(shadow.fill(0x1000, ALL._replace(dirty=False), 5, write=False)) == "PU"
    assert shadow.fill(0x1000, ALL, 5, write=True) & (PTE_W | PTE_D) == PTE_W | PTE_D


def test_a_kernel_page_is_the_kernel_s(shadow):
    assert rights(shadow.fill(0x1000, ALL._replace(user=False), 5, write=True)) == "PW"


def test_a_kernel_that_writes_through_protection_takes_the_page_from_ring_3(shadow):
    protected = ALL._replace(writable=False)
    assert rights(shadow.fill(0x1000, protected, 5, write=True)) == "PW"
    assert rights(shadow.fill(0x1000, protected, 5, write=False)) == "PU"


def test_a_flush_forgets_everything_but_the_monitor(shadow):
    for page in range(3):
        shadow.fill(page << 22, ALL, page, write=False)
    assert shadow.flush() == 3
    assert [shadow.entry(page << 22) for page in range(3)] == [0, 0, 0]
    assert shadow._memory.read((shadow.directory << 12) + 1023 * 4, 4) == ENTRY
    assert shadow.filled == 0


def test_forgets_one_page(shadow):
    shadow.fill(0x1000, ALL, 5, write=False)
    shadow.fill(0x2000, ALL, 6, write=False)
    assert shadow.drop(0x1ABC)
    assert not shadow.drop(0x1ABC)
    assert not shadow.drop(0x1234_5000)
    assert (shadow.entry(0x1000), shadow.entry(0x2000) >> 12) == (0, 6)


def test_the_monitor_s_own_area_is_neither_filled_nor_forgotten(shadow):
    memory = shadow._memory
    memory.write((ENTRY >> 12 << 12) + 4, 4, 0x7003)
    assert not shadow.drop(BASE + 0x1000)
    assert memory.read((ENTRY >> 12 << 12) + 4, 4) == 0x7003
    with pytest.raises(ValueError, match="belongs to the monitor"):
        shadow.fill(BASE + 0x1000, ALL, 5, write=True)


def test_says_when_there_is_no_table_left(shadow):
    for index in range(POOL_PAGES):
        assert shadow.has_room(index << 22)
        shadow.fill(index << 22, ALL, 1, write=False)
    assert shadow.has_room(0x3000)
    assert not shadow.has_room(POOL_PAGES << 22)
    shadow.flush()
    assert shadow.has_room(POOL_PAGES << 22)


def test_each_entry_written_is_charged(shadow, charges):
    shadow.fill(0x1000, ALL, 5, write=False)
    assert charges == {"mon_pte_write": 2}  # the table's entry and the directory's
    shadow.fill(0x2000, ALL, 5, write=False)
    assert charges == {"mon_pte_write": 3}
    shadow.flush()
    assert charges == {"mon_pte_write": 6}


def test_a_recycled_table_is_empty(shadow):
    shadow.fill(0x1000, ALL, 5, write=False)
    shadow.flush()
    shadow.fill(0x2000, ALL, 6, write=False)
    assert shadow.entry(0x1000) == 0


def test_takes_up_a_saved_state(shadow):
    shadow.fill(0x1000, ALL, 5, write=False)
    saved, snapshot = shadow.save(), shadow._memory.snapshot()
    shadow.fill(0x40_0000, ALL, 6, write=False)
    shadow._memory.restore(snapshot)
    shadow.load(saved)
    assert shadow.filled == 1
    assert shadow.flush() == 1
