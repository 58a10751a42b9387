"""Devices behind physical addresses, and address line 20."""

from __future__ import annotations

import pytest

from vizapp.isa.addresses import HostPhysical
from vizapp.isa.paging import PTE_P, PTE_W
from vizapp.isa.registers import CR0_PE, CR0_PG
from vizapp.machine.inputs import NAMES
from vizapp.machine.memory import PhysicalMemory
from vizapp.machine.meter import Meter, Purpose
from vizapp.machine.mmio import MmioSpace
from vizapp.machine.mmu import Mmu


class Register:
    """Remembers accesses; reads as its offset."""

    def __init__(self) -> None:
        self.written: list[tuple[int, int, int]] = []

    def read(self, offset: int, size: int) -> int:
        return offset

    def write(self, offset: int, size: int, value: int) -> None:
        self.written.append((offset, size, value))


@pytest.fixture
def mmu() -> Mmu:
    return Mmu(PhysicalMemory(0x40_0000), Meter(dict.fromkeys(NAMES, 1)))


def test_a_device_takes_whole_pages():
    space = MmioSpace()
    with pytest.raises(ValueError, match="no whole pages"):
        space.register(HostPhysical(0x1800), 0x1000, Register())
    space.register(HostPhysical(0x1000), 0x2000, Register())
    assert set(space.frames) == {1, 2}
    assert space.read(0x2ABC, 4) == 0x1ABC
    space.remove(HostPhysical(0x1000), 0x2000)
    assert not space.frames


def test_accesses_to_a_device_never_become_fast(mmu):
    device = Register()
    mmu.mmio.register(HostPhysical(0xFEE0_0000), 0x1000, device)
    for _ in range(2):
        assert mmu.read(0xFEE0_0030, 4, user=False) == 0x30
        mmu.write(0xFEE0_00B0, 4, 7, user=False)
    assert device.written == [(0xB0, 4, 7)] * 2
    assert not any(0xFEE00 in fast for fast in (*mmu.readable, *mmu.writable))


def test_every_access_to_a_device_has_its_price():
    meter = Meter(dict.fromkeys(NAMES, 1))
    mmu = Mmu(PhysicalMemory(0x40_0000), meter)
    mmu.mmio.register(HostPhysical(0xFEE0_0000), 0x1000, Register())
    for _ in range(2):
        mmu.read(0xFEE0_0030, 4, user=False)
        mmu.write(0xFEE0_00B0, 4, 7, user=False)
    mmu.write(0x3000, 4, 7, user=False)
    assert meter.rows() == [(meter.place, Purpose.IO, "uncached", 4)]


def test_a_device_hides_the_memory_behind_it(mmu):
    mmu.write(0x3000, 4, 0x1234, user=False)
    mmu.drop_maps()
    mmu.mmio.register(HostPhysical(0x3000), 0x1000, Register())
    assert mmu.read(0x3010, 4, user=False) == 0x10


def test_a_device_is_reached_through_page_tables(mmu):
    device = Register()
    mmu.mmio.register(HostPhysical(0xFEC0_0000), 0x1000, device)
    mmu.memory.write(0x1000, 4, 0x2000 | PTE_P | PTE_W)
    mmu.memory.write(0x2000 + 5 * 4, 4, 0xFEC0_0000 | PTE_P | PTE_W)
    mmu.configure(CR0_PE | CR0_PG, 0x1000, 0)
    mmu.write(0x5010, 4, 0x99, user=False)
    assert device.written == [(0x10, 4, 0x99)]


def test_without_line_20_odd_megabytes_are_even_ones(mmu):
    mmu.write(0x0_0500, 1, 0x11, user=False)
    mmu.write(0x10_0500, 1, 0x22, user=False)
    mmu.a20 = False
    assert mmu.read(0x10_0500, 1, user=False) == 0x11
    assert mmu.read(0x30_0500, 1, user=False) == mmu.read(0x20_0500, 1, user=False)
    mmu.write(0x10_0500, 1, 0x33, user=False)
    assert mmu.probe(0x10_0500) == 0
    mmu.a20 = True
    assert mmu.read(0x0_0500, 1, user=False) == 0x33
    assert mmu.read(0x10_0500, 1, user=False) == 0x22


def test_with_line_20_off_a_page_that_is_copied_leaves_both_its_addresses(mmu):
    mmu.a20 = False
    mmu.write(0x500, 1, 0x11, user=False)
    snapshot = mmu.memory.snapshot()
    mmu.memory.restore(snapshot)
    assert mmu.read(0x10_0500, 1, user=False) == 0x11
    mmu.write(0x500, 1, 0x22, user=False)
    assert mmu.readable[0].get(0x100) is None
    assert mmu.read(0x10_0500, 1, user=False) == 0x22
    assert snapshot.pages[0][0x500] == 0x11
