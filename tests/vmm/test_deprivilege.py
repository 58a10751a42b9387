"""What the guest can reach through a deprivileged descriptor, judged by the machine's own limit check."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from vizapp.isa.addresses import M32, HostPhysical, Linear
from vizapp.isa.descriptors import (
    AR_DB,
    AR_DPL_SHIFT,
    AR_G,
    AR_P,
    AR_S,
    TYPE_EXPAND_DOWN,
    Descriptor,
    pack,
    to_bytes,
    unpack,
)
from vizapp.machine.memory import PhysicalMemory
from vizapp.machine.segments import SegmentState
from vizapp.vmm.deprivilege import DescriptorShadow, segment, selector, shadow_entry

TOP = Linear(0xFFC0_0000)
DATA, CODE = 0x93, 0x9B

edges = st.sampled_from([0, 1, 0xFFF, 0x1000, 0xFFFF, 0xF_FFFF, TOP - 1, TOP, TOP + 1, M32 - 0xFFF, M32])
addresses = edges | st.integers(0, M32)


@st.composite
def descriptors(draw: st.DrawFn) -> Descriptor:
    """Any present code or data descriptor, as a table can hold it."""
    access = AR_P | AR_S | draw(st.integers(0, 15)) | draw(st.integers(0, 3)) << AR_DPL_SHIFT
    access |= AR_DB if draw(st.booleans()) else 0
    limit = draw(st.integers(0, 0xF_FFFF) | st.sampled_from([0, 0xFFFF, 0xF_FFFF, 0xF_FBFF]))
    if draw(st.booleans()):
        access, limit = access | AR_G, limit << 12 | 0xFFF
    return Descriptor(draw(addresses), limit, access)


def reaches(descriptor: Descriptor, offset: int) -> bool:
    return SegmentState(8, *descriptor).holds(offset, 1)


@settings(deadline=None)
@given(descriptors(), addresses)
@example(Descriptor(0, M32, DATA | AR_G | AR_DB), TOP)
@example(Descriptor(TOP - 1, 0xFFFFF, DATA), 1)
@example(Descriptor(0, 0xFFF, DATA | TYPE_EXPAND_DOWN | AR_DB), TOP)
@example(Descriptor(0xFFFF_F000, 0xFFFF, DATA), 0)
def test_no_offset_reaches_the_monitor(descriptor, offset):
    shadow = segment(descriptor, TOP)
    if reaches(shadow, offset):
        linear = shadow.base + offset & M32
        # A code segment out of reach keeps one byte, in the page that is never mapped.
        assert linear < TOP or (descriptor.is_code and linear == 0xFFFF_F000)


@settings(deadline=None)
@given(descriptors(), addresses)
def test_nothing_is_reached_that_the_guest_did_not_ask_for(descriptor, offset):
    shadow = segment(descriptor, TOP)
    if reaches(shadow, offset) and shadow.base + offset & M32 < TOP:
        assert reaches(descriptor, offset)
        assert shadow.base == descriptor.base


@settings(deadline=None)
@given(descriptors())
def test_a_segment_below_the_monitor_keeps_its_limit(descriptor):
    upward = not (descriptor.is_data and descriptor.type & TYPE_EXPAND_DOWN)
    if upward and descriptor.base + descriptor.limit < TOP:
        assert segment(descriptor, TOP)[:2] == descriptor[:2]


@settings(deadline=None)
@given(descriptors())
def test_ring_0_becomes_ring_1_and_other_rings_stay(descriptor):
    shadow = segment(descriptor, TOP)
    assert shadow.dpl == (descriptor.dpl or 1)
    assert shadow.is_code == descriptor.is_code
    assert shadow.is_writable == descriptor.is_writable
    assert shadow.big or not descriptor.big


@settings(deadline=None)
@given(descriptors())
def test_a_table_can_hold_what_comes_out(descriptor):
    shadow = segment(descriptor, TOP)
    assert unpack(*pack(shadow)) == shadow


def test_flat_segments_end_below_the_monitor():
    flat = Descriptor(0, M32, DATA | AR_G | AR_DB)
    assert segment(flat, TOP) == Descriptor(0, TOP - 1, DATA | AR_G | AR_DB | 1 << AR_DPL_SHIFT)


def test_a_byte_granular_limit_is_cut_to_the_byte():
    near = Descriptor(TOP - 0x123, 0xFFFF, DATA | AR_DB)
    assert segment(near, TOP).limit == 0x122


def test_a_page_granular_limit_is_rounded_down():
    assert segment(Descriptor(0x123, M32, DATA | AR_G), TOP).limit == 0xFFBF_EFFF


def test_system_descriptors_lose_their_present_bit():
    gate = bytes.fromhex("0000 0800 00ec 1000")
    assert shadow_entry(gate, TOP) == bytes.fromhex("0000 0800 006c 1000")


def test_stack_and_code_selectors_carry_the_real_ring():
    assert [selector(0x10, 0), selector(0x21, 1), selector(0x1B, 3), selector(0, 0)] == [0x11, 0x21, 0x1B, 0]


class TestShadow:
    FLAT = to_bytes(pack(Descriptor(0, M32, CODE | AR_G | AR_DB)))
    SHADOW = to_bytes(pack(Descriptor(0, TOP - 1, CODE | AR_G | AR_DB | 1 << AR_DPL_SHIFT)))

    def make(self) -> tuple[PhysicalMemory, DescriptorShadow]:
        memory = PhysicalMemory(0x20_000)
        return memory, DescriptorShadow(memory, HostPhysical(0x10_000), 16, TOP)

    def test_copies_what_changed_and_nothing_else(self):
        memory, shadow = self.make()
        assert shadow.refresh(bytes(8) + self.FLAT + self.FLAT) == 3
        assert shadow.refresh(bytes(8) + self.FLAT + self.FLAT) == 0
        assert shadow.refresh(bytes(8) + self.FLAT + bytes(8) + self.FLAT) == 2
        assert memory.dump(HostPhysical(0x10_000), 32) == bytes(8) + self.SHADOW + bytes(8) + self.SHADOW

    def test_empties_what_a_shorter_table_no_longer_has(self):
        memory, shadow = self.make()
        shadow.refresh(bytes(8) + self.FLAT)
        shadow.refresh(b"")
        assert memory.dump(HostPhysical(0x10_000), 16) == bytes(16)
        assert shadow.entry(1) is None

    def test_leaves_the_monitor_s_entries_alone(self):
        memory, shadow = self.make()
        memory.write(0x10_000 + 16 * 8, 4, 0x1234)
        shadow.refresh(self.FLAT * 20)
        assert memory.read(0x10_000 + 16 * 8, 4) == 0x1234
        assert shadow.entries == 16

    def test_tells_once_which_entries_the_processor_marked_accessed(self):
        memory, shadow = self.make()
        clear = to_bytes(pack(Descriptor(0, 0xFFFF, DATA & ~1)))
        shadow.refresh(bytes(8) + clear)
        memory.write(0x10_000 + 13, 1, memory.read(0x10_000 + 13, 1) | 1)
        assert shadow.accessed() == (1,)
        assert shadow.accessed() == ()
        shadow.note_accessed(1)
        assert shadow.source(1) == to_bytes(pack(Descriptor(0, 0xFFFF, DATA)))
