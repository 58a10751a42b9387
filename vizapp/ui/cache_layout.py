"""Lays the translation cache out as a map: its bytes in rows from left to right, like a page of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vizapp.session.details.translation_cache import CacheMap

_LEAST = 512  # bytes: so that the first units are not drawn as large as the panel


class Piece(NamedTuple):
    """Part of a block in one row: from ``left`` to ``right``, each 0 to 1 of the row's width."""

    row: int
    left: float
    right: float


class Block(NamedTuple):
    """A unit (its number), or what lies between units (-1, and its ``kind``)."""

    number: int
    kind: str
    offset: int
    size: int


class Grid(NamedTuple):
    """How bytes are spread: ``rows`` rows of ``width`` bytes each."""

    rows: int
    width: int

    def pieces(self, offset: int, size: int) -> Iterator[Piece]:
        """Where some bytes lie; a piece for each row that they touch."""
        end = offset + max(1, size)
        while offset < end:
            row, left = divmod(offset, self.width)
            right = min(self.width, left + end - offset)
            yield Piece(row, left / self.width, right / self.width)
            offset += right - left


def grid_of(found: CacheMap, rows: int) -> Grid:
    """A grid of ``rows`` rows for all that is used from the start of the cache on."""
    rows = max(1, rows)
    return Grid(rows, -(-max(_LEAST, extent(found)) // rows))


def extent(found: CacheMap) -> int:
    """How many bytes from the start on are not free."""
    ends = [block.offset + block.size for block in blocks_of(found)]
    return max(ends, default=0)


def block_with(found: CacheMap, offset: int) -> Block | None:
    """What has the byte at an offset, a stub behind the free bytes too; None of a free one."""
    return next((block for block in all_blocks(found) if 0 <= offset - block.offset < block.size), None)


def all_blocks(found: CacheMap) -> tuple[Block, ...]:
    """All but the free bytes, by offset."""
    behind = [
        Block(-1, region.kind, region.offset, region.size)
        for region in found.regions
        if region.kind == "continuation"
    ]
    return (*blocks_of(found), *behind)


def blocks_of(found: CacheMap) -> tuple[Block, ...]:
    """Everything before the free bytes, by offset; the continuations lie behind them."""
    units = [Block(unit.number, "unit", unit.offset, unit.size) for unit in found.units]
    others = [
        Block(-1, region.kind, region.offset, region.size)
        for region in found.regions
        if region.kind != "continuation"
    ]
    return tuple(sorted((*units, *others), key=lambda block: block.offset))
