"""Which hot blocks make up a region: those of one page that lead to one another.

A region is looked for when a block has been left often enough in the same way. Those whose code changes, or
one of which keeps failing, are taken apart: then their blocks run by themselves again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import M32, PAGE_MASK, PAGE_SHIFT
from vizapp.machine.engine.block_source import Facts
from vizapp.machine.engine.regions import Part, compile_region
from vizapp.machine.linked_blocks import Compiled, Joined, View

if TYPE_CHECKING:
    from vizapp.machine.engine.functions import Guarded

# Ways out of a block by the same instruction before a region is looked for.
EXITS: Final = 1000
_MOST_BLOCKS: Final = 8
_MOST_INSTRUCTIONS: Final = 128
_LONG: Final = 4  # passes of a loop, on average, from which on it is worth counting how many there may be
_MOST_FAILURES: Final = 4  # of a block that may be in a region

Blocks = Mapping[tuple[int, int, Facts], Compiled | None]


class HotRegions:
    """The regions of one PC, by frame."""

    def __init__(self, guarded: Guarded) -> None:
        self._guarded = guarded
        self._frames: dict[int, list[Joined]] = {}

    def __iter__(self) -> Iterator[Joined]:
        for regions in self._frames.values():
            yield from regions

    def join(self, view: View, frame: int, blocks: Blocks, compiled: Compiled) -> Joined | None:
        """Make a region of ``compiled`` and blocks of its frame that it leads to, directly or not.

        Each block is asked once.
        """
        compiled.asked = True
        parts = self._reached(view, blocks, compiled)
        if len(parts) == 1:
            return None
        # Those in front are found first.
        parts.sort(key=_work, reverse=True)
        region = compile_region([_part(view, part) for part in parts], self._guarded)
        if region is None:
            return None
        joined = Joined(region, tuple(parts))
        for part in parts:
            part.joined = joined
        self._frames.setdefault(frame, []).append(joined)
        return joined

    def part(self, joined: Joined) -> None:
        """Take a region apart; its blocks may be joined anew. Its tallies must have been booked."""
        for regions in self._frames.values():
            if joined in regions:
                regions.remove(joined)
        for part in joined.parts:
            part.asked = False
            if part.joined is joined:
                part.joined = None

    def drop(self, frame: int) -> None:
        """The blocks of a frame are gone."""
        self._frames.pop(frame, None)

    def of(self, frame: int) -> list[Joined]:
        """Those of a frame."""
        return self._frames.get(frame, [])

    def _reached(self, view: View, blocks: Blocks, compiled: Compiled) -> list[Compiled]:
        base = view.code.base
        page = base + compiled.block.addresses[0] >> PAGE_SHIFT
        found = [compiled]
        instructions = len(compiled.prices)
        for block in found:
            for eip in block.block.leads:
                linear = base + eip & M32
                if linear >> PAGE_SHIFT != page or len(found) == _MOST_BLOCKS:
                    continue
                other = blocks.get((linear & PAGE_MASK, eip, view.facts))
                if other is None or other in found or other.failures > _MOST_FAILURES:
                    continue
                instructions += len(other.prices)
                if instructions > _MOST_INSTRUCTIONS:
                    return found
                found.append(other)
        return found


def _work(compiled: Compiled) -> int:
    """How often a block has been left, since somebody last looked."""
    return sum(sum(runs) for runs in compiled.runs.values())


def _part(view: View, compiled: Compiled) -> Part:
    block = compiled.block
    fetch = dict(zip(block.addresses, block.instructions, strict=True))
    size = len(compiled.prices)
    passes = sum(runs[size] for runs in compiled.runs.values())
    long = passes >= _LONG * (_work(compiled) - passes)
    facts = view.facts._replace(guarded=block.guarded)
    return Part(block.addresses[0], fetch, facts, compiled.costs, long)
