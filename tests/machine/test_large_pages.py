"""4 MB pages, PAE, reserved bits and what CR4 makes of them, on tables built by hand."""

from __future__ import annotations

import pytest

from tests.machine.bench import Bench
from vizapp.isa.paging import PF_P, PF_RSVD, PF_U, PF_W, PTE_A, PTE_D, PTE_G, PTE_P, PTE_PS, PTE_U, PTE_W
from vizapp.isa.registers import CR0_PE, CR0_PG, CR0_WP, CR4_PAE, CR4_PGE, CR4_PSE
from vizapp.isa.vectors import GP
from vizapp.machine.faults import Fault
from vizapp.machine.identity import PENTIUM_4, with_large_pages, without_large_pages
from vizapp.machine.inputs import NAMES
from vizapp.machine.memory import PhysicalMemory
from vizapp.machine.meter import Meter
from vizapp.machine.mmu import Mmu
from vizapp.machine.page_tables import read_pointers

DIRECTORY = 0x1000
TABLE = 0x2000
POINTERS = 0x3000
ON = CR0_PE | CR0_PG | CR0_WP
ALL = PTE_P | PTE_W | PTE_U


class Space:
    """An MMU with paging on."""

    def __init__(self, cr4: int, *, pse36: bool = False) -> None:
        self.memory = PhysicalMemory(16 << 20)
        self.mmu = Mmu(self.memory, Meter(dict.fromkeys(NAMES, 1)))
        self.mmu.pse36 = pse36
        self.cr4 = cr4

    def turn_on(self, cr4: int | None = None) -> None:
        pointers = ()
        if self.cr4 & CR4_PAE:
            pointers = read_pointers(self.memory, POINTERS)
            assert pointers is not None
        self.mmu.configure(ON, DIRECTORY, self.cr4 if cr4 is None else cr4, pointers)

    def error(self, linear: int, *, write: bool = False, user: bool = False) -> int | None:
        try:
            self.mmu.translate(linear, write, user, 3 if user else 0)
        except Fault as fault:
            return fault.error
        return None


def large(entry: int, cr4: int = CR4_PSE, *, pse36: bool = False) -> Space:
    """A 4 MB page at linear 4 MB."""
    space = Space(cr4, pse36=pse36)
    space.memory.write(DIRECTORY + 4, 4, entry)
    space.turn_on()
    return space


def wide(pde: int, pte: int = 0) -> Space:
    """PAE with a directory whose second entry is ``pde``, at linear 2 MB."""
    space = Space(CR4_PAE)
    space.memory.write(POINTERS, 8, DIRECTORY | PTE_P)
    space.memory.write(DIRECTORY + 8, 8, pde)
    space.memory.write(TABLE + 8 * 5, 8, pte)
    space.turn_on()
    return space


def test_a_large_page_maps_4_mb():
    space = large(0x80_0000 | ALL | PTE_PS)
    space.memory.write(0x92_3456, 4, 0xCAFE)
    assert space.mmu.read(0x52_3456, 4, True) == 0xCAFE


def test_without_pse_the_bit_means_nothing():
    space = large(TABLE | ALL | PTE_PS, cr4=0)
    space.memory.write(TABLE, 4, 0x5000 | ALL)
    space.memory.write(0x5000, 1, 7)
    assert space.mmu.read(0x40_0000, 1, True) == 7


def test_a_and_d_are_in_the_directory_entry_of_a_large_page():
    space = large(0x80_0000 | ALL | PTE_PS)
    space.mmu.read(0x40_0000, 1, False)
    assert space.memory.read(DIRECTORY + 4, 4) == 0x80_0000 | ALL | PTE_PS | PTE_A
    space.mmu.write(0x40_1000, 1, 1, False)
    assert space.memory.read(DIRECTORY + 4, 4) & PTE_D


@pytest.mark.parametrize("bit", range(13, 22))
@pytest.mark.parametrize("pse36", [False, True])
def test_reserved_bits_of_a_large_page(bit, pse36):
    refused = PF_P | PF_RSVD if bit > 16 or not pse36 else None
    assert large(0x80_0000 | ALL | PTE_PS | 1 << bit, pse36=pse36).error(0x40_0000) == refused


@pytest.mark.parametrize("high", [1, 2, 4, 8, 15])
def test_pse_36_gives_four_more_bits_of_the_frame(high):
    space = large(0x80_0000 | ALL | PTE_PS | high << 13, pse36=True)
    assert space.mmu.translate(0x40_5123, False, False, 0) == high << 20 | 0x805
    assert space.mmu.probe(0x40_5123) == high << 20 | 0x805
    assert space.mmu.describe_walk(0x40_5123).frame == high << 20 | 0x805


@pytest.mark.parametrize(
    "space", [large(ALL | PTE_PS | 1 << 13, pse36=True), large(0xF000_0000 | ALL | PTE_PS)]
)
def test_nobody_answers_beyond_memory(space):
    space.memory.write(0x5000, 4, 0x1234)
    assert space.mmu.read(0x40_5000, 4, False) == 0xFFFF_FFFF
    space.mmu.write(0x40_5000, 4, 0x5678, False)
    assert space.mmu.read(0x40_5000, 4, False) == 0xFFFF_FFFF
    assert space.mmu.fetch(0x40_5000, 2, False) == b"\xff\xff"
    assert space.memory.read(0x5000, 4) == 0x1234


def test_pse_36_is_for_4_mb_pages_alone():
    space = large(0x80_0000 | ALL | 1 << 13, pse36=True)
    assert space.mmu.describe_walk(0x40_0000).steps[1].host_physical == 0x80_2000


def test_rights_of_a_large_page():
    space = large(0x80_0000 | PTE_P | PTE_PS)
    assert space.error(0x40_0000, user=True) == PF_P | PF_U
    assert space.error(0x40_0000, write=True) == PF_P | PF_W


def test_invlpg_of_any_address_forgets_all_of_a_large_page():
    space = large(0x80_0000 | ALL | PTE_PS)
    for linear in (0x40_0000, 0x50_0000, 0x7F_F000):
        space.mmu.read(linear, 1, False)
    space.memory.write(DIRECTORY + 4, 4, 0)
    assert space.error(0x50_0000) is None  # stale
    space.mmu.invalidate(0x40_1234)
    assert space.error(0x50_0000) == 0
    assert space.error(0x7F_F000) == 0


def test_a_global_large_page_outlives_a_load_of_cr3():
    space = large(0x80_0000 | ALL | PTE_PS | PTE_G, CR4_PSE | CR4_PGE)
    space.mmu.read(0x40_0000, 1, False)
    space.memory.write(DIRECTORY + 4, 4, 0)
    space.mmu.flush()
    assert space.error(0x40_0000) is None
    space.turn_on(CR4_PSE)  # global pages off: everything goes
    assert space.error(0x40_0000) == 0


def test_pae_walks_three_levels():
    space = wide(TABLE | ALL, 0x7000 | ALL)
    space.memory.write(0x7123, 1, 9)
    assert space.mmu.read(0x20_5123, 1, True) == 9
    space.mmu.write(0x20_5123, 1, 1, True)
    assert space.memory.read(TABLE + 40, 8) == 0x7000 | ALL | PTE_A | PTE_D
    assert space.memory.read(DIRECTORY + 8, 8) & PTE_A


def test_pae_maps_2_mb():
    space = wide(0x80_0000 | ALL | PTE_PS)
    space.memory.write(0x8A_BCDE, 1, 3)
    assert space.mmu.read(0x2A_BCDE, 1, True) == 3


@pytest.mark.parametrize(
    ("pde", "pte", "error"),
    [
        (0, 0, 0),
        (TABLE | ALL, 0, 0),
        (TABLE | ALL | 1 << 40, 0x7000 | ALL, PF_P | PF_RSVD),
        (TABLE | ALL, 0x7000 | ALL | 1 << 63, PF_P | PF_RSVD),
        (0x80_0000 | ALL | PTE_PS | 1 << 13, 0, PF_P | PF_RSVD),
    ],
)
def test_pae_faults(pde, pte, error):
    assert wide(pde, pte).error(0x20_5000) == error


def test_a_pointer_that_is_absent_faults():
    assert wide(TABLE | ALL, 0x7000 | ALL).error(0x4000_0000) == 0


def test_a_frame_beyond_4_gb_is_not_one_below():
    space = wide(TABLE | ALL, 1 << 32 | 0x7000 | ALL)
    space.memory.write(0x7000, 4, 0x1234)
    assert space.mmu.read(0x20_5000, 4, False) == 0xFFFF_FFFF


@pytest.mark.parametrize("identity", [PENTIUM_4, with_large_pages(PENTIUM_4)])
def test_cpuid_says_who_has_pse_36(identity):
    assert bool(identity.leaf(1).edx & 1 << 17) == identity.has_pse36 == (identity is not PENTIUM_4)
    assert not without_large_pages(identity).has_pse36
    assert Bench(identity=identity).pc.mmu.pse36 == identity.has_pse36


def test_pointers_are_registers():
    space = wide(TABLE | ALL, 0x7000 | ALL)
    space.memory.write(POINTERS, 8, 0)
    assert space.error(0x20_5000) is None


def test_a_load_of_cr3_loads_the_pointers_or_is_refused():
    bench = Bench("mov cr4, eax\nmov cr0, ebx\nmov cr3, ecx\nmov byte [esi], 0\nmov cr3, ecx")
    bench.cpu.identity = with_large_pages(PENTIUM_4)
    bench.memory.write(0x5000, 8, 0x6000 | PTE_P)
    bench.memory.write(0x6000, 8, ALL | PTE_PS)
    bench.cpu.cr3 = 0x5000
    bench.cpu.eax, bench.cpu.ebx, bench.cpu.ecx, bench.cpu.esi = CR4_PAE, ON | 0x10, 0x5000, 0x5000
    bench.step(4)
    assert bench.cpu.pointers[0] == 0x6000 | PTE_P
    bench.memory.write(0x5000, 8, 0x6000 | PTE_P | PTE_U)
    assert bench.fault() == (GP, 0)
    assert bench.cpu.pointers[0] == 0x6000 | PTE_P


def test_reserved_bits_of_a_pointer_are_refused_when_it_is_loaded():
    memory = PhysicalMemory(1 << 20)
    memory.write(POINTERS, 8, DIRECTORY | PTE_P | PTE_W)
    assert read_pointers(memory, POINTERS) is None
    memory.write(POINTERS, 8, DIRECTORY | PTE_W)  # absent: its bits do not matter
    assert read_pointers(memory, POINTERS) is not None
