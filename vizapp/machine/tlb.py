"""The modelled translation lookaside buffer: what the processor remembers of the page tables.

It alone decides staleness: an entry serves until it is invalidated, flushed or replaced, whatever the tables
say meanwhile. 64 entries, fully associative, replaced first in, first out: which entry goes depends on the
misses alone, never on the hits, so that an engine may skip looking up what it knows to be here.
SDM Vol. 3, "Caching Translation Information".

Entries carry the tag of the address space that they belong to: 0 is the host's, others are a VPID (Intel) or
an ASID (AMD). Those of another tag are kept and do not serve.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

ENTRIES: Final = 64
_TAG_SHIFT: Final = 20  # page numbers have 20 bits


class TlbEntry(NamedTuple):
    """One remembered translation: page and frame numbers, and the rights of all levels combined.

    Of a large page each 4 KB are remembered by themselves; ``pages`` says how many belong together. Under
    nested paging the frame is the host's, ``locked`` says that the nested tables forbid writes, and
    ``executable`` is theirs too.
    """

    page: int
    frame: int
    writable: bool
    user: bool
    dirty: bool
    is_global: bool
    pages: int = 1
    tag: int = 0
    locked: bool = False
    executable: bool = True


SavedTlb: TypeAlias = tuple[tuple[TlbEntry | None, ...], int]


class Tlb:
    """A fixed number of slots and a hand that names the next one to be replaced.

    Attributes:
        tag: of the entries that serve now, and of those that are looked up, dropped and flushed.
    """

    def __init__(self) -> None:
        self.tag = 0
        self._slots: list[TlbEntry | None] = [None] * ENTRIES
        self._where: dict[int, int] = {}
        self._hand = 0
        self._large = False  # an entry may be part of a large page

    def lookup(self, page: int) -> TlbEntry | None:
        """The entry of a linear page number."""
        slot = self._where.get(page | self.tag << _TAG_SHIFT)
        return None if slot is None else self._slots[slot]

    def insert(self, entry: TlbEntry) -> TlbEntry | None:
        """Remember a translation, in place of an older one of its page; returns the entry that had to go."""
        self._large = self._large or entry.pages > 1
        key = entry.page | entry.tag << _TAG_SHIFT
        slot = self._where.get(key)
        if slot is not None:
            self._slots[slot] = entry
            return None
        slot = self._hand
        self._hand = (slot + 1) % ENTRIES
        gone = self._slots[slot]
        if gone is not None:
            del self._where[gone.page | gone.tag << _TAG_SHIFT]
        self._slots[slot] = entry
        self._where[key] = slot
        return gone

    def drop(self, page: int) -> list[int]:
        """Forget one page, global or not, and all of a large page that it belongs to; returns what went."""
        if not self._large:
            slot = self._where.pop(page | self.tag << _TAG_SHIFT, None)
            if slot is None:
                return []
            self._slots[slot] = None
            return [page]
        related = [
            entry.page
            for entry in self._slots
            if entry is not None
            and entry.tag == self.tag
            and (entry.page == page or entry.page // entry.pages == page // entry.pages)
        ]
        for gone in related:
            self._slots[self._where.pop(gone | self.tag << _TAG_SHIFT)] = None
        return related

    def flush(self, *, keep_global: bool) -> None:
        """Forget everything, or everything that is not global."""
        if not keep_global:
            self.flush_tag(self.tag)
            return
        for slot, entry in enumerate(self._slots):
            if entry is not None and entry.tag == self.tag and not entry.is_global:
                self._slots[slot] = None
                del self._where[entry.page | entry.tag << _TAG_SHIFT]

    def flush_tag(self, tag: int | None) -> None:
        """Forget everything, global or not, of a tag, or of all."""
        for key, slot in list(self._where.items()):
            if tag is None or key >> _TAG_SHIFT == tag:
                self._slots[slot] = None
                del self._where[key]

    def entries(self) -> list[TlbEntry]:
        """What is remembered, of every tag, in the order of the slots."""
        return [entry for entry in self._slots if entry is not None]

    def save(self) -> SavedTlb:
        """Slots and hand, as plain data."""
        return tuple(self._slots), self._hand

    def load(self, saved: SavedTlb) -> None:
        """Take up where ``save`` left off."""
        slots, self._hand = saved
        self._slots = [None if entry is None else TlbEntry(*entry) for entry in slots]
        self._where = {
            entry.page | entry.tag << _TAG_SHIFT: slot
            for slot, entry in enumerate(self._slots)
            if entry is not None
        }
        self._large = any(entry.pages > 1 for entry in self.entries())
