"""Lays a shared ring out as a strip: which slots are seen, what is in each, where the indices stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vizapp.isa.addresses import M32
from vizapp.session.details.rings import ANSWER, REQUEST, TAKEN

if TYPE_CHECKING:
    from vizapp.session.details.rings import Ring, Slot

BEFORE = 2  # answers that are still seen
FREE = "free"


class Cell(NamedTuple):
    """A slot as it is seen: its index (which only grows), its number in the ring, what is in it."""

    place: int
    number: int
    kind: str
    slot: Slot | None


class Mark(NamedTuple):
    """One of the indices: its name, and the number of the cell that it stands before."""

    name: str
    cell: int


def cells_of(ring: Ring, count: int) -> tuple[Cell, ...]:
    """``count`` slots from a little before the oldest one in use; never more than the ring has."""
    count = max(1, min(count, ring.slots))
    start = max(0, ring.rsp_prod - BEFORE)
    held = {slot.number: slot for slot in ring.used}
    places = [index & M32 for index in range(start, start + count)]
    return tuple(Cell(index, index % ring.slots, _kind(ring, index), held.get(index)) for index in places)


def marks_of(ring: Ring, cells: tuple[Cell, ...]) -> tuple[Mark, ...]:
    """The four indices that both ends see, as far as they fall among the cells."""
    first = cells[0].place if cells else 0
    indices = {
        "rsp_prod": ring.rsp_prod,
        "req_prod": ring.req_prod,
        "rsp_event": ring.rsp_event,
        "req_event": ring.req_event,
    }
    marks = [Mark(name, index - first & M32) for name, index in indices.items()]
    return tuple(mark for mark in marks if mark.cell <= len(cells))


def _kind(ring: Ring, index: int) -> str:
    if _before(index, ring.rsp_prod):
        return ANSWER
    if _before(index, ring.taken):
        return TAKEN
    return REQUEST if _before(index, ring.req_prod) else FREE


def _before(index: int, other: int) -> bool:
    """Whether an index comes before another; they wrap at 32 bits."""
    return (index - other & M32) >= 1 << 31
