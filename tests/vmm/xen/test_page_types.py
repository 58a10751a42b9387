"""Page types: what no guest may do to its page tables, and counts that always agree with the real tables."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from xen_support import recount, table

from vizapp.isa.addresses import HostPhysical
from vizapp.isa.paging import PTE_A, PTE_D, PTE_G, PTE_P, PTE_PS, PTE_U, PTE_W
from vizapp.machine.memory import PhysicalMemory
from vizapp.vmm.xen.frame_info import UNUSED, FrameInfo, PageType, RefusedError
from vizapp.vmm.xen.page_types import PageTypes
from vizapp.vmm.xen.paging_format import PLAIN

OWNED = range(4, 12)
FOREIGN = 2
TABLE, OTHER, DATA, DIRECTORY = 4, 5, 6, 7
XEN_ENTRY = 0x1063


OWN = 3
FIRST_XEN_SLOT = PLAIN.first_xen_slot


class OwnTypes(PageTypes):
    """Asked for by one domain."""

    def pin(self, frame: int, wanted: PageType) -> None:
        super().pin(frame, wanted, OWN)

    def unpin(self, frame: int) -> None:
        super().unpin(frame, OWN)

    def take(self, frame: int, wanted: PageType, domain: int = OWN) -> None:
        super().take(frame, wanted, domain)

    def reference(self, frame: int, domain: int = OWN) -> None:
        super().reference(frame, domain)


class Frames:
    """Page types of a domain with eight frames, without a machine."""

    def __init__(self) -> None:
        self.memory = PhysicalMemory(16 << 12)
        self.types = OwnTypes(self.memory, PLAIN, {1020: XEN_ENTRY})
        self.types.owners = dict.fromkeys(OWNED, OWN)
        self.flushes = 0
        self.types.flush = self.flush

    def flush(self) -> None:
        self.flushes += 1
        self.types.flushed()

    def read(self, frame: int, slot: int) -> int:
        return self.memory.read((frame << 12) + slot * 4, 4)

    def write(self, frame: int, slot: int, entry: int) -> None:
        """As the guest would through a writable mapping."""
        self.memory.write((frame << 12) + slot * 4, 4, entry)

    def ask(self, frame: int, slot: int, entry: int, kept: int = 0) -> None:
        """As the guest would by hypercall."""
        self.types.write_entry(HostPhysical((frame << 12) + slot * 4), entry, OWN, kept)


@pytest.fixture
def frames():
    return Frames()


def entry(frame: int, flags: int = PTE_P) -> int:
    return frame << 12 | flags


def test_a_pinned_table_takes_a_use_of_what_it_maps(frames):
    frames.write(TABLE, 3, entry(DATA, PTE_P | PTE_W))
    frames.write(TABLE, 4, entry(OTHER))
    frames.types.pin(TABLE, PageType.L1)
    assert frames.types.info(DATA) == FrameInfo(PageType.WRITABLE, 1, 1)
    assert frames.types.info(OTHER) == FrameInfo(PageType.NONE, 0, 1)
    assert frames.types.info(TABLE) == FrameInfo(PageType.L1, 1, 1, pinned=True)


def test_a_table_that_is_mapped_writable_is_refused_and_leaves_no_trace(frames):
    frames.write(OTHER, 0, entry(TABLE, PTE_P | PTE_W))
    frames.types.pin(OTHER, PageType.L1)
    before = dict(frames.types.frames)
    with pytest.raises(RefusedError):
        frames.types.pin(TABLE, PageType.L1)
    assert frames.types.frames == before


def test_a_page_table_cannot_be_mapped_writable(frames):
    frames.types.pin(TABLE, PageType.L1)
    frames.types.pin(OTHER, PageType.L1)
    with pytest.raises(RefusedError, match="cannot become"):
        frames.ask(TABLE, 0, entry(OTHER, PTE_P | PTE_W))
    assert frames.read(TABLE, 0) == 0
    frames.ask(TABLE, 0, entry(OTHER))
    assert frames.types.info(OTHER).references == 2


@pytest.mark.parametrize("flags", [PTE_P, PTE_P | PTE_W, PTE_P | PTE_U])
def test_a_frame_of_somebody_else_is_refused_in_every_way(frames, flags):
    with pytest.raises(RefusedError, match="does not belong"):
        frames.types.pin(FOREIGN, PageType.L1)
    with pytest.raises(RefusedError, match="does not belong"):
        frames.ask(FOREIGN, 0, 0)
    frames.write(TABLE, 1023, entry(FOREIGN, flags))
    with pytest.raises(RefusedError, match="does not belong"):
        frames.types.pin(TABLE, PageType.L1)
    frames.write(TABLE, 1023, 0)
    frames.types.pin(TABLE, PageType.L1)
    with pytest.raises(RefusedError, match="does not belong"):
        frames.ask(TABLE, 0, entry(FOREIGN, flags))


@pytest.mark.parametrize("bit", [PTE_PS, PTE_G])
def test_superpages_and_global_pages_are_refused(frames, bit):
    frames.types.pin(TABLE, PageType.L1)
    with pytest.raises(RefusedError, match="may not set"):
        frames.ask(TABLE, 0, entry(DATA, PTE_P | bit))


def test_a_table_that_maps_itself_writable_is_refused(frames):
    frames.write(TABLE, 0, entry(TABLE, PTE_P | PTE_W))
    with pytest.raises(RefusedError):
        frames.types.pin(TABLE, PageType.L1)
    assert frames.types.info(TABLE)._replace(type=PageType.NONE) == UNUSED


def test_a_directory_that_names_itself_as_its_table_is_refused(frames):
    frames.write(DIRECTORY, 0, entry(DIRECTORY))
    with pytest.raises(RefusedError):
        frames.types.pin(DIRECTORY, PageType.L2)
    assert frames.types.info(DIRECTORY)._replace(type=PageType.NONE) == UNUSED


def test_a_directory_gets_the_hypervisors_slots_and_keeps_them(frames):
    frames.write(DIRECTORY, 1020, entry(DATA, PTE_P | PTE_W))
    frames.types.pin(DIRECTORY, PageType.L2)
    assert frames.read(DIRECTORY, 1020) == XEN_ENTRY
    assert frames.types.info(DATA) == UNUSED
    for slot in (FIRST_XEN_SLOT, 1020, 1023):
        with pytest.raises(RefusedError, match="belongs to the hypervisor"):
            frames.ask(DIRECTORY, slot, 0)


def test_one_table_serves_two_directories(frames):
    for directory in (DIRECTORY, OTHER):
        frames.write(directory, 768, entry(TABLE, PTE_P | PTE_W))
        frames.types.pin(directory, PageType.L2)
    assert frames.types.info(TABLE) == FrameInfo(PageType.L1, 2, 2)
    frames.types.unpin(OTHER)
    assert frames.types.info(TABLE).uses == 1


def test_pinning_twice_and_unpinning_once_too_often_are_refused(frames):
    frames.types.pin(TABLE, PageType.L1)
    with pytest.raises(RefusedError, match="already pinned"):
        frames.types.pin(TABLE, PageType.L1)
    frames.types.unpin(TABLE)
    with pytest.raises(RefusedError, match="not pinned"):
        frames.types.unpin(TABLE)


def test_accessed_and_dirty_bits_can_be_kept(frames):
    frames.types.pin(TABLE, PageType.L1)
    frames.ask(TABLE, 0, entry(DATA, PTE_P | PTE_W | PTE_A | PTE_D))
    frames.ask(TABLE, 0, entry(DATA), kept=PTE_A | PTE_D)
    assert frames.read(TABLE, 0) == entry(DATA, PTE_P | PTE_A | PTE_D)
    frames.ask(TABLE, 0, entry(DATA))
    assert frames.read(TABLE, 0) == entry(DATA)


def test_a_frame_that_was_writable_is_forgotten_by_the_tlb_before_it_becomes_a_table(frames):
    frames.types.pin(TABLE, PageType.L1)
    frames.ask(TABLE, 0, entry(OTHER, PTE_P | PTE_W))
    frames.ask(TABLE, 0, entry(OTHER))
    assert frames.flushes == 0
    frames.types.pin(OTHER, PageType.L1)
    assert frames.flushes == 1


class Operations(RuleBasedStateMachine):
    """A guest that asks for whatever it likes: it is refused, or the counts are those of its tables."""

    frame = st.sampled_from([*OWNED, FOREIGN])
    slot = st.sampled_from([0, 1, 768, 1023])
    wanted = st.builds(
        lambda frame, flags: frame << 12 | flags,
        frame,
        st.sampled_from([0, PTE_P, PTE_P | PTE_W, PTE_P | PTE_W | PTE_U, PTE_P | PTE_PS]),
    )

    @initialize()
    def start(self) -> None:
        self.frames = Frames()
        self.types = self.frames.types
        self.roots: list[int] = []

    def is_table(self, frame: int) -> bool:
        info = self.types.info(frame)
        return info.uses > 0 and info.type in (PageType.L1, PageType.L2)

    def attempt(self, call, *arguments) -> bool:
        before = dict(self.types.frames)
        memory = [self.frames.memory.dump(HostPhysical(frame << 12), 4096) for frame in OWNED]
        try:
            call(*arguments)
        except RefusedError:
            # Refused is as if never asked, but for what a frame of no use was last.
            for frame in {*before, *self.types.frames}:
                old, new = before.get(frame, UNUSED), self.types.info(frame)
                assert (old.uses, old.references, old.pinned) == (new.uses, new.references, new.pinned)
                assert old.type is new.type or not old.uses
            assert memory == [self.frames.memory.dump(HostPhysical(f << 12), 4096) for f in OWNED]
            return False
        return True

    @rule(frame=frame, slot=slot, wanted=wanted)
    def writes_memory(self, frame: int, slot: int, wanted: int) -> None:
        if frame in OWNED and not self.is_table(frame):  # else the processor would not let it
            self.frames.write(frame, slot, wanted)

    @rule(frame=frame, slot=slot, wanted=wanted, kept=st.sampled_from([0, PTE_A | PTE_D]))
    def asks_for_an_entry(self, frame: int, slot: int, wanted: int, kept: int) -> None:
        self.attempt(self.frames.ask, frame, slot, wanted, kept)

    @rule(frame=frame, kind=st.sampled_from([PageType.L1, PageType.L2]))
    def pins(self, frame: int, kind: PageType) -> None:
        self.attempt(self.types.pin, frame, kind)

    @rule(frame=frame)
    def unpins(self, frame: int) -> None:
        self.attempt(self.types.unpin, frame)

    @rule(frame=frame)
    def loads_cr3(self, frame: int) -> None:
        if self.attempt(self.types.take, frame, PageType.L2):
            self.roots.append(frame)
            if len(self.roots) > 1:
                self.types.give_back(self.roots.pop(0))

    @rule()
    def takes_a_checkpoint(self) -> None:
        saved = self.types.save()
        self.types.load(saved)
        assert self.types.save() == saved

    @invariant()
    def counts_are_those_of_the_tables(self) -> None:
        recount(lambda frame: table(self.frames.memory, frame), self.types.frames, self.roots, {})


Operations.TestCase.settings = settings(
    max_examples=30, stateful_step_count=30, deadline=None, derandomize=True
)
TestOperations = Operations.TestCase
