"""A compiled block with its account, and what one way of looking at memory leads to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from vizapp.isa.addresses import PAGE_MASK, PAGE_SHIFT
from vizapp.isa.registers import CS, DS, ES, FS, GS, SS
from vizapp.machine.engine.block_source import Facts
from vizapp.machine.engine.blocks import Block, BlockFunction
from vizapp.machine.engine.regions import Region
from vizapp.machine.fast_maps import ALL_LINES

if TYPE_CHECKING:
    from vizapp.machine.crossings import Crossing, Ways
    from vizapp.machine.meter import Meter
    from vizapp.machine.passages import Entry
    from vizapp.machine.places import Place
    from vizapp.machine.segments import SegmentState

TOO_FAR: Final = 1 << 62  # instructions
# What a region has to execute each time it is entered, and after how many times that is looked at.
_WORTH: Final = 256
_ENTRIES: Final = 64
_DATA: Final = (ES, SS, DS, FS, GS)


class Compiled:
    """A block with what the machine knows of it.

    Attributes:
        offsets: of each instruction in its page.
        prices: input index of each instruction.
        costs: cycles of the first n instructions, for n from 0 to all.
        runs: by place, how often an exit after n instructions was taken.
        joined: the region that does its work, if there is one.
        asked: whether one has been looked for.
    """

    __slots__ = (
        "asked", "block", "costs", "failed_at", "failures", "joined", "offsets", "prices", "runs",
    )  # fmt: skip

    def __init__(self, block: Block, offsets: list[int], prices: list[int], meter: Meter) -> None:
        self.block = block
        self.offsets = offsets
        self.prices = prices
        self.costs = [0]
        for price in prices:
            self.costs.append(self.costs[-1] + meter.prices[price])
        self.runs: dict[Place, list[int]] = {}
        self.failures = 0
        self.failed_at = 0
        self.joined: Joined | None = None
        self.asked = False


class Joined:
    """A region with what the machine knows of it.

    Attributes:
        parts: its blocks, in the region's order.
        runs: by place, its tally.
        entries, steps: how often it was entered, and the instructions that it has executed.
    """

    __slots__ = ("entries", "parts", "region", "runs", "steps")

    def __init__(self, region: Region, parts: tuple[Compiled, ...]) -> None:
        self.region = region
        self.parts = parts
        self.runs: dict[Place, list[int]] = {}
        self.entries = self.steps = 0

    def note(self, steps: int) -> None:
        """It has executed so many instructions in one go."""
        self.entries += 1
        self.steps += steps

    @property
    def too_short(self) -> bool:
        """Whether what it does in one go is not worth the way into it."""
        return self.entries >= _ENTRIES and self.steps < _WORTH * self.entries


Link: TypeAlias = tuple[
    BlockFunction, int, int, int, int, list[int], list[int], Compiled, tuple[Joined, list[int]] | None
]
"""A compiled block as ``HotBlocks.run`` wants it.

It has run, reach, dear, limit, size, costs, runs, compiled and region, in this order. With ``limit`` it
does no more than ``reach`` instructions, which cost no more than ``dear`` cycles; of a loop those are many
passes of ``size`` instructions, otherwise the only one. Where a region, with its tally, does its work, as
long as there is room for a unit, the reach is too far for any bound. It is a plain tuple because the parts
of one with names take four times as long to have at once.
"""


class View:
    """What one way of looking at memory leads to.

    Attributes:
        place, registers: where the processor is, and its segments, kept so that no other segment gets the
            identity of one of these.
        linked: blocks by EIP; None where it is known that there is none.
        arrivals: how often execution has come to an EIP that has none.
        crossings: how to do the INT n or IRETD at an EIP.
        entered, returns: by EIP, what they are made of.
        ring: the CPL.
        ceiling: the last page that its segments reach; the fast maps of its ring must have none beyond.
    """

    __slots__ = (
        "arrivals", "ceiling", "code", "crossings", "entered", "facts", "linked", "place", "registers",
        "returns", "ring",
    )  # fmt: skip

    def __init__(self, place: Place, segments: list[SegmentState], stack_mask: int, ring: int) -> None:
        self.place = place
        self.ring = ring
        self.registers = list(segments)
        self.code = segments[CS]
        limits = [_flat_limit(segment) for segment in segments]
        top = max(limits[DS], limits[SS], limits[ES])
        flat = sum(1 << index for index in _DATA if 0 <= top <= limits[index])
        self.ceiling = ALL_LINES if top < 0 else top >> PAGE_SHIFT
        self.facts = Facts(self.code.limit, stack_mask, flat, 32 if self.code.big else 16)
        self.linked: dict[int, Link | None] = {}
        self.arrivals: dict[int, int] = {}
        self.crossings: dict[int, Crossing] = {}
        self.entered: dict[int, Entry] = {}
        self.returns: dict[int, Ways] = {}


def _flat_limit(segment: SegmentState) -> int:
    """The last offset of a segment at 0 that ends with a page and may be read and written; -1 of others."""
    limit = segment.writable_to
    flat = segment.base == 0 and limit == segment.readable_to and limit & PAGE_MASK == PAGE_MASK
    return limit if flat else -1


def holds(page: bytearray, compiled: Compiled | None) -> bool:
    """Whether a page still has the bytes that a block was made of."""
    return compiled is not None and all(
        page[offset : offset + instruction.length] == instruction.raw
        for offset, instruction in zip(compiled.offsets, compiled.block.instructions, strict=True)
    )
