"""Where the references of a page walk stand: a row an entry of the guest's tables, nested steps before it.

    CR3 → page directory   [1]──[2]──[3]──[4]──[5 · PDE]
    entry → page table     [6]──[7]──[8]──[9]──[10 · PTE]
    entry → page           [11]─[12]─[13]─[14]─[page]

Under shadow paging the processor walks the shadow alone; the guest's tables stand above it, unnumbered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import QRectF

from vizapp.machine.walks import NESTED
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from vizapp.machine.walks import WalkStep
    from vizapp.session.details.walk import Walk

_TITLES = {
    "PDE": N_("CR3 → page directory"),
    "PTE": N_("entry → page table"),
    "": N_("entry → page"),
}
_WIDEST = 12  # times the gap: a box needs no more
_FLAT = N_("guest-physical address → page")
_GUESTS = N_("the guest's tables: {step}")
_SHADOWS = N_("the shadow: {step}")


class Reference(NamedTuple):
    """A box: a step of a walk, or the page that it ends at (``step`` None); ``number`` 0 is not counted."""

    step: WalkStep | None
    number: int
    address: int | None


class Row(NamedTuple):
    """One line of boxes and what it is for; ``parts`` are sentences within the title."""

    title: Message
    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class Box:
    """A reference in its rectangle."""

    reference: Reference
    rect: QRectF
    row: int


def rows_of(walk: Walk) -> tuple[Row, ...]:
    """The rows of a walk, top to bottom."""
    rows: list[Row] = []
    if walk.shadowed and walk.paging:
        rows += _rows(walk.guest, walk.guest_physical, numbered=False, frame=_GUESTS)
    rows += _rows(walk.processor, walk.host_physical, numbered=True, frame=_SHADOWS if walk.shadowed else "")
    return tuple(rows)


def _rows(steps: tuple[WalkStep, ...], page: int | None, *, numbered: bool, frame: str) -> list[Row]:
    rows: list[Row] = []
    waiting: list[Reference] = []
    tables = 0
    for index, step in enumerate(steps, 1):
        waiting.append(Reference(step, index if numbered else 0, step.host_physical))
        if step.table != NESTED:
            rows.append(Row(_title(_TITLES.get(step.level, step.level), frame), tuple(waiting)))
            waiting = []
            tables += 1
    if waiting or page is not None:
        title = _TITLES[""] if tables else _FLAT
        rows.append(Row(_title(title, frame), (*waiting, Reference(None, 0, page))))
    return rows


def _title(step: str, frame: str) -> Message:
    return Message(frame, {"step": Message(step)}) if frame else Message(step)


def place(rows: tuple[Row, ...], area: QRectF, title_height: float, gap: float) -> list[Box]:
    """Boxes in ``area``: nested steps at the left, the entry or page that they lead to in the last column."""
    if not rows:
        return []
    columns = max(len(row.references) for row in rows)
    pitch = min(area.width() / columns, _WIDEST * gap)
    height = area.height() / len(rows)
    box_height = max(8.0, min(height - title_height - gap, 46.0 * gap / 8))
    boxes: list[Box] = []
    for index, row in enumerate(rows):
        top = area.top() + index * height + title_height
        start = columns - len(row.references)
        for offset, reference in enumerate(row.references):
            # What a row leads to stands in the last column, whatever the length of the way.
            left = area.left() + (start + offset) * pitch
            boxes.append(Box(reference, QRectF(left + gap / 2, top, pitch - gap, box_height), index))
    return boxes
