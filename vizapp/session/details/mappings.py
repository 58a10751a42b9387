"""The guest's page tables beside what the processor has for them: a shadow, or nested tables.

Adjacent pages that are mapped alike make one row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.isa.addresses import PAGE_SHIFT
from vizapp.isa.paging import PTE_D, PTE_FRAME, PTE_P, PTE_PS, PTE_U, PTE_W
from vizapp.machine.page_tables import POINTER_BYTES, POINTERS, Tables, large_frame
from vizapp.machine.walks import Peek
from vizapp.session.details.walk import GuestMemory, shared_tables, tables_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vizapp.machine.nested_paging import NestedTables
    from vizapp.machine.walks import Reader
    from vizapp.session.details.registry import Subject

MOST_ROWS: Final = 512
_LARGE: Final = 1024
_WIDE_LARGE: Final = 512
_FRAME_36: Final = (1 << 36) - 1 & ~0xFFF


class Page(NamedTuple):
    """A page as a set of tables has it: frame, and whether it may be written, used by ring 3, is dirty."""

    frame: int
    writable: bool
    user: bool
    dirty: bool


class Row(NamedTuple):
    """``pages`` pages from linear page number ``first`` on, whose frames follow each other too.

    ``guest`` is what the guest's tables say of the first, ``processor`` what the processor's do: None where
    they have nothing.
    """

    first: int
    pages: int
    guest: Page | None
    processor: Page | None


class Mappings(NamedTuple):
    """The rows by linear address; ``more`` are left out. ``kind`` is shared, shadow, nested or off."""

    kind: str
    rows: tuple[Row, ...]
    more: int = 0


def mappings(subject: Subject) -> Mappings:
    """All that is mapped at the cursor, the guest's side and the processor's."""
    pc, monitor, vm = subject.pc, subject.monitor, subject.vm
    seen, held = monitor.guest_view(vm), monitor.processor_view(vm)
    nested = monitor.nested_tables(vm)
    own_memory: Reader = GuestMemory(pc, monitor, vm)
    if nested is not None:
        own_memory = Peek(pc.memory, nested)
    elif shared_tables(seen, held):
        own_memory = pc.memory
    own = tables_of(seen, own_memory, pc)
    guest = None if own is None else dict(_pages(own, own_memory))
    if nested is not None:
        if guest is None:
            return Mappings("off", ())
        return _collect("nested", guest, {page: _below(nested, found) for page, found in guest.items()})
    if guest is not None and shared_tables(seen, held):
        return _collect("shared", guest, guest)
    real = tables_of(held, pc.memory, pc)
    if real is None:
        return Mappings("off", ())
    shadow = {
        page: found
        for page, found in _pages(real, pc.memory)
        if guest is None or page in guest  # the rest is the monitor's own
    }
    return _collect("shadow", guest or {}, shadow)


def _below(nested: NestedTables, page: Page) -> Page | None:
    found = nested.look_up(page.frame << PAGE_SHIFT)
    if not found.present or found.malformed:
        return None
    return Page(found.frame, found.writable, found.readable, dirty=True)


def _pages(tables: Tables, memory: Reader) -> Iterator[tuple[int, Page]]:
    """Every page that is present, by linear page number."""
    if tables.pointers:
        for index, pointer in enumerate(tables.pointers[:POINTERS]):
            if pointer & PTE_P:
                yield from _directory(memory, pointer & _FRAME_36, index * 512 * 512, POINTER_BYTES, tables)
    else:
        yield from _directory(memory, tables.directory & PTE_FRAME, 0, 4, tables)


def _directory(
    memory: Reader, table: int, first: int, size: int, tables: Tables
) -> Iterator[tuple[int, Page]]:
    count = 4096 // size
    frame_mask = PTE_FRAME if size == 4 else _FRAME_36
    for index in range(count):
        entry = memory.read(table + index * size, size)
        page = first + index * count
        if not entry & PTE_P:
            continue
        if entry & PTE_PS and (size == POINTER_BYTES or tables.large_pages):
            start = (entry & frame_mask) >> PAGE_SHIFT & ~(count - 1)
            if size != POINTER_BYTES:
                start = large_frame(entry, pse36=tables.pse36)
            for offset in range(count):
                yield page + offset, _page(start + offset, entry, entry)
            continue
        for offset in range(count):
            last = memory.read((entry & frame_mask) + offset * size, size)
            if last & PTE_P:
                yield page + offset, _page((last & frame_mask) >> PAGE_SHIFT, entry & last, last)


def _page(frame: int, rights: int, last: int) -> Page:
    return Page(frame, bool(rights & PTE_W), bool(rights & PTE_U), bool(last & PTE_D))


def _collect(kind: str, guest: Mapping[int, Page], processor: Mapping[int, Page | None]) -> Mappings:
    rows: list[Row] = []
    for page in sorted(guest.keys() | processor.keys()):
        row = Row(page, 1, guest.get(page), processor.get(page))
        if rows and _follows(rows[-1], row):
            rows[-1] = rows[-1]._replace(pages=rows[-1].pages + 1)
        else:
            rows.append(row)
    return Mappings(kind, tuple(rows[:MOST_ROWS]), max(0, len(rows) - MOST_ROWS))


def _follows(before: Row, row: Row) -> bool:
    if row.first != before.first + before.pages:
        return False
    return all(
        (one is None and other is None)
        or (one is not None and other is not None and other == one._replace(frame=one.frame + before.pages))
        for one, other in ((before.guest, row.guest), (before.processor, row.processor))
    )
