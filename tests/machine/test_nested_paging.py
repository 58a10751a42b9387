"""Two-dimensional paging: EPT and NPT below a guest's own tables, their exits, their count of references."""

from __future__ import annotations

import pytest

from vizapp.isa.addresses import PAGE_SIZE
from vizapp.isa.paging import PTE_A, PTE_D, PTE_P, PTE_U, PTE_W
from vizapp.isa.registers import CR0_PE, CR0_PG, CR0_WP, CR4_PAE
from vizapp.machine import ept, npt
from vizapp.machine.faults import Fault
from vizapp.machine.guest_mode import VmExit
from vizapp.machine.inputs import NAMES
from vizapp.machine.memory import PhysicalMemory
from vizapp.machine.meter import Meter
from vizapp.machine.mmu import Mmu
from vizapp.machine.walks import GUEST, NESTED

RING = 0
PAGED = CR0_PE | CR0_PG | CR0_WP
ALL = PTE_P | PTE_W | PTE_U
# Guest frame 16 + n is host frame 64 + n; the nested tables lie from host frame 32 on.
GUEST_BASE, HOST_BASE, GUEST_PAGES = 16, 64, 16
DIRECTORY, TABLE, DATA = 16, 17, 20
LINEAR = 0x0040_3000  # directory entry 1, table entry 3


class Bench:
    """Guest tables that map LINEAR to guest frame DATA, over nested tables of one kind."""

    def __init__(self, kind: str) -> None:
        self.memory = PhysicalMemory(128 * PAGE_SIZE)
        self.meter = Meter(dict.fromkeys(NAMES, 1))
        self.mmu = Mmu(self.memory, self.meter)
        self.kind = kind
        self._write_guest(DIRECTORY, 1, TABLE << 12 | ALL)
        self._write_guest(TABLE, 3, DATA << 12 | ALL)
        if kind == "ept":
            for depth, frame in enumerate((32, 33, 34)):
                self.memory.write(frame << 12, 8, frame + 1 << 12 | ept.EPT_ALL)
                assert depth < 3
            for page in range(GUEST_PAGES):
                self.set_nested(GUEST_BASE + page, ept.EPT_ALL | 6 << 3)
            self.nested = ept.EptTables(self.memory, ept.pointer(32))
        else:
            self.memory.write(32 << 12, 4, 33 << 12 | ALL)
            for page in range(GUEST_PAGES):
                self.set_nested(GUEST_BASE + page, ALL)
            self.nested = npt.NestedPageTables(self.memory, 32 << 12, 0)
        self.enter()

    def enter(self, tag: int = 1, cr0: int = PAGED) -> None:
        self.mmu.switch(tag, self.nested, (cr0, DIRECTORY << 12, 0, ()))

    def set_nested(self, frame: int, flags: int, host: int | None = None) -> None:
        target = frame - GUEST_BASE + HOST_BASE if host is None else host
        value = target << 12 | flags if flags else 0
        if self.kind == "ept":
            self.memory.write((35 << 12) + 8 * frame, 8, value)
        else:
            self.memory.write((33 << 12) + 4 * frame, 4, value)

    def _write_guest(self, frame: int, index: int, value: int) -> None:
        self.memory.write((frame - GUEST_BASE + HOST_BASE << 12) + 4 * index, 4, value)

    def guest(self, frame: int, index: int) -> int:
        return self.memory.read((frame - GUEST_BASE + HOST_BASE << 12) + 4 * index, 4)

    def counts(self) -> dict[str, int]:
        return {row.input: row.times for row in self.meter.rows()}


@pytest.fixture(params=["ept", "npt"])
def bench(request: pytest.FixtureRequest) -> Bench:
    return Bench(request.param)


def test_an_access_goes_through_both(bench: Bench) -> None:
    bench.mmu.write(LINEAR + 8, 4, 0x1234_5678, False)
    host = DATA - GUEST_BASE + HOST_BASE
    assert bench.memory.read((host << 12) + 8, 4) == 0x1234_5678
    assert bench.mmu.read(LINEAR + 8, 4, False) == 0x1234_5678
    assert bench.guest(DIRECTORY, 1) & (PTE_A | PTE_D) == PTE_A
    assert bench.guest(TABLE, 3) & (PTE_A | PTE_D) == PTE_A | PTE_D


def test_every_reference_is_counted(bench: Bench) -> None:
    bench.mmu.read(LINEAR, 4, False)
    levels = 4 if bench.kind == "ept" else 2
    # Two entries of the guest's and the page, each behind a nested walk.
    assert bench.counts()["walk_step"] == 2
    assert bench.counts()["nested_walk_step"] == 3 * levels
    steps, frame, guest_frame = bench.mmu.describe_walk(LINEAR)
    assert (frame, guest_frame) == (DATA - GUEST_BASE + HOST_BASE, DATA)
    assert [step.table for step in steps] == (
        [*[NESTED] * levels, GUEST, *[NESTED] * levels, GUEST, *[NESTED] * levels]
    )
    assert len(steps) == 3 * levels + 2


def test_paging_off_is_one_nested_walk(bench: Bench) -> None:
    bench.enter(cr0=CR0_PE)
    bench.mmu.write((DATA << 12) + 4, 4, 7, False)
    assert bench.memory.read((DATA - GUEST_BASE + HOST_BASE << 12) + 4, 4) == 7
    assert "walk_step" not in bench.counts()


def _exit(bench: Bench, *, write: bool = False, user: bool = False, fetch: bool = False) -> VmExit:
    with pytest.raises(VmExit) as caught:
        bench.mmu.translate(LINEAR, write, user, RING, fetch=fetch)
    return caught.value


def test_a_missing_page(bench: Bench) -> None:
    bench.set_nested(DATA, 0)
    leaving = _exit(bench, write=True)
    assert leaving.info == {"guest_physical": DATA << 12, "guest_linear": LINEAR}
    if bench.kind == "ept":
        assert leaving.reason == 48
        assert leaving.qualification == ept.Q_WRITE | ept.Q_LINEAR_VALID | ept.Q_FINAL
    else:
        assert leaving.reason == 0x400
        assert leaving.qualification == 1 << 32 | 0b110  # user, write, not present


def test_a_missing_table_of_the_guest(bench: Bench) -> None:
    bench.set_nested(TABLE, 0)
    leaving = _exit(bench)
    assert leaving.info["guest_physical"] == (TABLE << 12) + 12
    if bench.kind == "ept":
        assert leaving.qualification == ept.Q_READ | ept.Q_LINEAR_VALID
    else:
        assert leaving.qualification == 1 << 33 | 0b110


def test_a_write_that_only_the_nested_tables_forbid(bench: Bench) -> None:
    bench.set_nested(DATA, ept.EPT_READ | ept.EPT_EXECUTE | 6 << 3 if bench.kind == "ept" else PTE_P | PTE_U)
    bench.mmu.read(LINEAR, 4, False)
    leaving = _exit(bench, write=True)
    if bench.kind == "ept":
        rights = ept.EPT_READ | ept.EPT_EXECUTE
        assert leaving.qualification == ept.Q_WRITE | rights << 3 | ept.Q_LINEAR_VALID | ept.Q_FINAL
    else:
        assert leaving.qualification == 1 << 32 | 0b111
    # Once granted, the write succeeds: nothing but the refusal was remembered.
    bench.set_nested(DATA, ept.EPT_ALL | 6 << 3 if bench.kind == "ept" else ALL)
    bench.mmu.write(LINEAR, 4, 1, False)


def test_the_guests_own_fault_comes_first(bench: Bench) -> None:
    bench._write_guest(TABLE, 3, 0)
    bench.set_nested(DATA, 0)
    with pytest.raises(Fault) as caught:
        bench.mmu.read(LINEAR, 4, False)
    assert caught.value.error == 0
    assert bench.counts()["nested_walk_step"]


def test_translations_of_two_guests_stay_apart(bench: Bench) -> None:
    bench.mmu.read(LINEAR, 4, False)
    walks = bench.counts()["walk_step"]
    bench.mmu.switch(0, None, (0, 0, 0, ()))
    assert bench.mmu.translate(LINEAR, False, False, RING) == LINEAR >> 12
    bench.enter()
    bench.mmu.read(LINEAR, 4, False)
    assert bench.counts()["walk_step"] == walks
    bench.mmu.switch(2, bench.nested, (PAGED, DIRECTORY << 12, 0, ()))
    bench.mmu.read(LINEAR, 4, False)
    assert bench.counts()["walk_step"] == 2 * walks
    bench.enter()
    bench.mmu.flush_tag(2)
    bench.mmu.read(LINEAR, 4, False)
    assert bench.counts()["walk_step"] == 2 * walks
    bench.mmu.flush_nested()
    bench.mmu.read(LINEAR, 4, False)
    assert bench.counts()["walk_step"] == 3 * walks


def test_what_was_remembered_serves_until_it_is_flushed(bench: Bench) -> None:
    bench.mmu.read(LINEAR, 4, False)
    bench.set_nested(DATA, 0)
    bench.mmu.drop_maps()
    bench.mmu.read(LINEAR, 4, False)
    bench.mmu.flush_nested()
    _exit(bench)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (HOST_BASE << 12 | ept.EPT_WRITE, "writable, not readable"),
        (HOST_BASE << 12 | ept.EPT_EXECUTE, "execute only is not offered"),
        (HOST_BASE << 12 | ept.EPT_READ | 2 << 3, "no such memory type"),
        (1 << 40 | ept.EPT_READ | 6 << 3, "beyond the physical address"),
    ],
)
def test_misconfigurations(value: int, why: str) -> None:
    bench = Bench("ept")
    bench.memory.write((35 << 12) + 8 * DATA, 8, value)
    assert _exit(bench).reason == 49, why


def test_fetching_from_what_must_not_be_executed() -> None:
    bench = Bench("ept")
    bench.set_nested(DATA, ept.EPT_READ | ept.EPT_WRITE | 6 << 3)
    bench.mmu.read(LINEAR, 4, False)
    rights = ept.EPT_READ | ept.EPT_WRITE
    expected = ept.Q_FETCH | rights << 3 | ept.Q_LINEAR_VALID | ept.Q_FINAL
    assert _exit(bench, fetch=True).qualification == expected


def test_a_large_page_of_the_nested_tables() -> None:
    bench = Bench("ept")
    bench.memory.write(34 << 12, 8, 0 | ept.EPT_ALL | ept.EPT_LARGE | 6 << 3)  # 2 MB, each its own
    bench.mmu.flush_nested()
    for frame, index, value in ((DIRECTORY, 1, TABLE << 12 | ALL), (TABLE, 3, DATA << 12 | ALL)):
        bench.memory.write((frame << 12) + 4 * index, 4, value)
    assert bench.mmu.translate(LINEAR, False, False, RING) == DATA
    assert len(bench.mmu.describe_walk(LINEAR).steps) == 3 * 3 + 2


def test_nested_tables_in_the_wide_format() -> None:
    bench = Bench("npt")
    bench.memory.write(40 << 12, 8, 41 << 12 | PTE_P)
    bench.memory.write(41 << 12, 8, 42 << 12 | ALL)
    for page in range(GUEST_PAGES):
        bench.memory.write((42 << 12) + 8 * (GUEST_BASE + page), 8, HOST_BASE + page << 12 | ALL)
    bench.nested = npt.NestedPageTables(bench.memory, 40 << 12, CR4_PAE)
    bench.enter()
    assert bench.mmu.translate(LINEAR, True, True, RING) == DATA - GUEST_BASE + HOST_BASE
    assert bench.memory.read((42 << 12) + 8 * DATA, 8) & PTE_D


def test_supervisor_pages_of_the_host_are_not_the_guests() -> None:
    bench = Bench("npt")
    bench.set_nested(DATA, PTE_P | PTE_W)
    assert _exit(bench).qualification == 1 << 32 | 0b101


def test_a_probe_changes_nothing(bench: Bench) -> None:
    before = bench.memory.dump(0, bench.memory.size)
    assert bench.mmu.probe(LINEAR) == DATA - GUEST_BASE + HOST_BASE
    bench.mmu.describe_walk(LINEAR)
    bench.set_nested(DATA, 0)
    assert bench.mmu.probe(LINEAR) is None
    bench.set_nested(DATA, ept.EPT_ALL | 6 << 3 if bench.kind == "ept" else ALL)
    assert bench.memory.dump(0, bench.memory.size) == before
    assert bench.mmu.tlb.entries() == []
    assert bench.meter.cycles == 0


def test_a_saved_tlb_comes_back_with_its_tags(bench: Bench) -> None:
    bench.mmu.read(LINEAR, 4, False)
    saved = bench.mmu.save()
    bench.mmu.flush_nested()
    bench.mmu.load(saved)
    walks = bench.counts()["walk_step"]
    bench.mmu.read(LINEAR, 4, False)
    assert bench.counts()["walk_step"] == walks


def test_eptp() -> None:
    assert ept.is_valid_pointer(ept.pointer(32))
    for bad in (ept.pointer(32) | 1, ept.pointer(32) & ~(7 << 3), ept.pointer(32) | 1 << 6, 1 << 40 | 0x1E):
        assert not ept.is_valid_pointer(bad)
