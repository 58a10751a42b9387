"""Whose each frame of the machine's memory is, as the technique declares it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from vizapp.session.details.registry import Subject
    from vizapp.vmm.frame_allocator import FrameRange


class MemoryMap(NamedTuple):
    """``frames`` frames of 4 KB; of the ``ranges`` each has an owner (``vmm``, ``vm0``...), the rest none."""

    frames: int
    ranges: tuple[FrameRange, ...]

    def pages_of(self, owner: str) -> int:
        """How many frames an owner has."""
        return sum(item.frames for item in self.ranges if item.owner == owner)


def memory_map(subject: Subject) -> MemoryMap:
    """The map at the cursor."""
    ranges = subject.monitor.ownership().frames
    frames = subject.pc.memory.frames
    return MemoryMap(frames, tuple(item for item in ranges if item.first < frames))
