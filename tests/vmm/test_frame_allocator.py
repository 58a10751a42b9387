import pytest

from vizapp.errors import ScenarioError
from vizapp.vmm.frame_allocator import FrameAllocator, FrameRange


def test_hands_out_the_lowest_frames_first():
    frames = FrameAllocator(16, 64)
    assert frames.allocate("vmm") == 16
    assert frames.allocate("vm0", 8) == 17
    assert frames.allocate("vmm", 2) == 25
    assert frames.ranges() == (FrameRange(16, 1, "vmm"), FrameRange(17, 8, "vm0"), FrameRange(25, 2, "vmm"))


def test_knows_each_frame_s_owner():
    frames = FrameAllocator(16, 64)
    frames.allocate("vmm", 4)
    assert [frames.owner(frame) for frame in (15, 16, 19, 20, 64)] == ["", "vmm", "vmm", "", ""]


def test_gives_freed_frames_again_and_joins_neighbours():
    frames = FrameAllocator(0, 8)
    frames.allocate("a", 4)
    frames.allocate("b", 4)
    frames.free(1, 2)
    assert frames.allocate("a", 2) == 1
    assert frames.ranges() == (FrameRange(0, 4, "a"), FrameRange(4, 4, "b"))


def test_moves_frames_between_owners():
    frames = FrameAllocator(0, 8)
    frames.allocate("a", 8)
    frames.give(2, 3, "b")
    assert [item.owner for item in frames.ranges()] == ["a", "b", "a"]
    with pytest.raises(ValueError, match="not all here"):
        frames.give(6, 4, "b")


def test_says_how_much_is_missing():
    frames = FrameAllocator(0, 8)
    with pytest.raises(ScenarioError, match="9 more pages of host memory were needed, and 8 are free"):
        frames.allocate("a", 9)


def test_does_not_free_what_is_free():
    with pytest.raises(ValueError, match="has no owner"):
        FrameAllocator(0, 8).free(3)


def test_a_saved_state_is_not_touched_by_what_follows():
    frames = FrameAllocator(0, 8)
    frames.allocate("a", 2)
    saved = frames.save()
    frames.allocate("b", 2)
    frames.load(saved)
    assert frames.allocate("c") == 2
