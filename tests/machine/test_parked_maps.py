"""Maps that are parked while the processor is elsewhere: an MMU that parks them answers as one that does not.

Two machines go through the same random switches, accesses, flushes and writes; one drops its maps whenever it
leaves an address space. Each access goes the processor's way, fast maps first, and code links count too.
"""

from __future__ import annotations

import random

import pytest

from vizapp.isa.addresses import PAGE_SIZE
from vizapp.isa.paging import PTE_D, PTE_P, PTE_U, PTE_W
from vizapp.isa.registers import CR0_PE, CR0_PG, CR0_WP
from vizapp.machine import ept
from vizapp.machine.code_cache import CodeCache
from vizapp.machine.faults import Fault
from vizapp.machine.guest_mode import VmExit
from vizapp.machine.inputs import NAMES
from vizapp.machine.memory import PhysicalMemory
from vizapp.machine.meter import Meter
from vizapp.machine.mmu import Mmu

FRAMES = 256
PAGES = 40  # linear pages in use: with three spaces more than the TLB has entries
DATA = 64  # the first frame of data
EPT = 8  # frames of its four levels
SPACES = 3
TABLES = (16, 20, 24)  # page directories, each with its table behind it
ALL = PTE_P | PTE_W | PTE_U


class Machine:
    """Three address spaces with tags 0 to 2, the last one nested; ``parks`` as of the MMU."""

    def __init__(self, *, parks: bool) -> None:
        self.memory = PhysicalMemory(FRAMES * PAGE_SIZE)
        self.meter = Meter(dict.fromkeys(NAMES, 1))
        self.mmu = Mmu(self.memory, self.meter)
        self.mmu.parks = parks
        self.code = CodeCache(self.memory, self.mmu)
        for depth in range(3):
            self.memory.write(EPT + depth << 12, 8, EPT + depth + 1 << 12 | ept.EPT_ALL)
        for frame in range(FRAMES):
            self.memory.write((EPT + 3 << 12) + 8 * frame, 8, frame << 12 | ept.EPT_ALL | 6 << 3)
        for space, directory in enumerate(TABLES):
            self.memory.write(directory << 12, 4, directory + 1 << 12 | ALL)
            for page in range(PAGES):
                self.map(space, page, DATA + 7 * space + page, ALL)
        self.switch(0, CR0_WP)

    def map(self, space: int, page: int, frame: int, flags: int) -> None:
        self.memory.write((TABLES[space] + 1 << 12) + 4 * page, 4, frame << 12 | flags)

    def switch(self, space: int, protect: int) -> None:
        nested = ept.EptTables(self.memory, ept.pointer(EPT)) if space == SPACES - 1 else None
        paging = CR0_PE | CR0_PG | protect
        self.mmu.switch(space, nested, (paging, TABLES[space] << 12, 0, ()))

    def access(self, ring: int, page: int, offset: int, value: int | None) -> object:
        """Read or write four bytes as the processor does."""
        mmu = self.mmu
        mmu.ring = ring
        fast = (mmu.readable if value is None else mmu.writable)[ring].get(page)
        linear = page << 12 | offset
        try:
            if value is None:
                if fast is not None:
                    return int.from_bytes(fast[offset : offset + 4], "little")
                return mmu.read(linear, 4, ring == 3)
            if fast is not None:
                fast[offset : offset + 4] = value.to_bytes(4, "little")
            else:
                mmu.write(linear, 4, value, ring == 3)
        except Fault as fault:
            return fault.vector, fault.error, fault.address
        except VmExit as leaving:
            return leaving.reason, leaving.qualification
        return None

    def state(self) -> object:
        return self.mmu.save(), self.meter.cycles, self.memory.digest()


def act(machine: Machine, chance: random.Random) -> object:
    """One random thing, the same for both machines."""
    page, offset, space = chance.randrange(PAGES), 4 * chance.randrange(1024), chance.randrange(SPACES)
    ring, value = chance.choice((0, 0, 3)), chance.getrandbits(32)
    mmu = machine.mmu
    match chance.choices(range(10), (20, 20, 14, 2, 2, 2, 1, 1, 1, 1))[0]:
        case 0:
            return machine.access(ring, page, offset, None)
        case 1:
            return machine.access(ring, page, offset, value)
        case 2:
            machine.switch(space, CR0_WP if value & 7 else 0)
        case 3:  # the tables change; what the TLB has of it stays
            flags = chance.choice((ALL, ALL, PTE_P | PTE_U, PTE_P | PTE_W, ALL | PTE_D, 0))
            machine.map(space, page, DATA + chance.randrange(100), flags)
        case 4:
            mmu.invalidate_tagged(page << 12, space)
        case 5:
            mmu.protect_code(DATA + page)
        case 6:
            mmu.flush_tag(chance.choice((None, 0, 1, 2)))
        case 7:
            chance.choice((mmu.flush, mmu.flush_nested))()
        case 8:
            machine.memory.snapshot()
        case 9:
            machine.memory.write((DATA + page << 12) + offset, 4, value)
    return None


@pytest.mark.parametrize("seed", range(8))
def test_parking_tells_in_time_alone(seed: int) -> None:
    parking, dropping = Machine(parks=True), Machine(parks=False)
    kept = 0
    for step in range(4_000):
        one, other = (act(machine, random.Random(seed << 16 | step)) for machine in (parking, dropping))
        assert one == other, step
        kept += len(parking.mmu.readable[0]) > len(dropping.mmu.readable[0])
        if not step % 50:
            assert parking.state() == dropping.state(), step
    assert parking.state() == dropping.state()
    assert kept > 500  # or nothing was tried


def test_a_page_that_the_tlb_loses_is_lost_in_the_parked_space() -> None:
    machine = Machine(parks=True)
    machine.access(0, 5, 0, None)
    machine.code.linked[5] = DATA + 5
    machine.switch(1, CR0_WP)
    for page in range(PAGES):
        machine.access(0, page, 0, None)
    assert 5 in machine.mmu.parked[0].readable[0]
    machine.switch(2, CR0_WP)
    for page in range(PAGES):
        machine.access(0, page, 0, None)
    assert 5 not in machine.mmu.parked[0].readable[0]
    machine.switch(0, CR0_WP)
    assert 5 not in machine.mmu.readable[0]
    assert not machine.code.linked


def test_links_come_back_with_their_space() -> None:
    machine = Machine(parks=True)
    machine.access(0, 5, 0, None)
    machine.code.linked[5] = DATA + 5
    machine.switch(1, CR0_WP)
    assert not machine.code.linked
    machine.switch(0, CR0_WP)
    assert machine.code.linked == {5: DATA + 5}
    machine.switch(1, CR0_WP)
    machine.switch(0, 0)  # WP decides about accesses too
    assert not machine.code.linked
