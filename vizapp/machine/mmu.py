"""Paging of the bare machine: the modelled TLB, and the fast maps that stand before it.

Three stages, each a subset of the next:

    fast maps          a dict a ring and a right: linear page number -> the page's bytes; the processor's
                       loads and stores look here first. Disposable: dropping them changes nothing
    modelled TLB       decides staleness, when A and D are written, and what is charged
    page tables        in physical memory, walked on a miss

A page enters the writable map of a ring only if it is in the TLB with D set, that ring may write it, and its
frame holds no decoded code. SDM Vol. 3, "32-Bit Paging", "Access Rights" and "Accessed and Dirty Flags".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final, NoReturn, TypeAlias

from vizapp.isa import vectors
from vizapp.isa.addresses import M32, PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, HostPhysical
from vizapp.isa.paging import PF_P, PF_RSVD, PF_U, PF_W, PTE_D, PTE_G, PTE_U, PTE_W
from vizapp.isa.registers import CR0_PG, CR0_WP, CR4_PAE, CR4_PGE, CR4_PSE
from vizapp.machine.fast_maps import FastMaps, ParkedMaps
from vizapp.machine.faults import Fault
from vizapp.machine.memory import PhysicalMemory
from vizapp.machine.meter import Meter
from vizapp.machine.nested_paging import NestedMemory, NestedTables
from vizapp.machine.page_tables import FRAMES, Tables, flat, look_up
from vizapp.machine.page_tables import PhysicalMemory as PhysicalMemoryAccess
from vizapp.machine.tlb import SavedTlb, Tlb, TlbEntry
from vizapp.machine.walks import Peek, Walk, describe_walk

_FORMAT: Final = CR4_PAE | CR4_PSE | CR4_PGE
A20_FRAME: Final = 1 << 20 >> PAGE_SHIFT
_MOST_PARKED: Final = 16
_REMEMBERED: Final = 64
Control: TypeAlias = tuple[int, int, int, tuple[int, ...]]
"""CR0, CR3, CR4, and the PDPTEs with PAE."""


class Mmu(FastMaps):
    """The address space of a bare machine's processor.

    Attributes:
        ring: the CPL, whose maps explicit accesses fill.
        on_unmapped: called when translations cease to hold: with a page number, or None for all, and the tag
            of the address space.
        on_switched: called with the tag of another address space, now that the processor is in it.
        parks: whether the maps of an address space that is left are kept, which tells in time alone.
        nested: the tables below the guest's own, while a guest runs under nested paging.
        pse36: 4 MB pages may lie anywhere in 64 GB; said before paging is first on.
    """

    def __init__(self, memory: PhysicalMemory, meter: Meter) -> None:
        super().__init__(memory)
        self.tlb = Tlb()
        self.ring = 0
        self.on_unmapped: list[Callable[[int | None, int], None]] = []
        self.on_switched: list[Callable[[int], None]] = []
        self.parks = True
        self._meter = meter
        self._frame_mask, self.pse36 = FRAMES, False
        self._take((0, 0, 0, ()))
        self.nested: NestedTables | None = None
        self._physical: PhysicalMemoryAccess = memory  # where page tables are read from

    @property
    def a20(self) -> bool:
        """Whether address line 20 reaches memory."""
        return self._frame_mask == FRAMES

    @a20.setter
    def a20(self, enabled: bool) -> None:
        mask = FRAMES if enabled else FRAMES & ~A20_FRAME
        if mask != self._frame_mask:
            self._frame_mask = mask
            self._unmap(None)
            self._forget_parked(None)

    def configure(self, cr0: int, cr3: int, cr4: int, pointers: tuple[int, ...] = ()) -> None:
        """Take over the control registers; ``pointers`` are the PDPTEs, with PAE.

        Turning paging on or off, or changing its format, empties the TLB.
        """
        if (cr0, cr3, cr4, pointers) == self._control:
            return
        paging, write_protect, mode = self._paging, self._write_protect, self._mode
        self._take((cr0, cr3, cr4, pointers))
        if paging != self._paging or mode != self._mode:
            self.tlb.flush(keep_global=False)
            self._unmap(None)
        elif write_protect != self._write_protect:
            self.drop_maps()

    def switch(self, tag: int, nested: NestedTables | None, control: Control) -> None:
        """Another address space: that of a guest under VMX or SVM, or the host's own (tag 0, not nested).

        ``control`` is what ``configure`` takes. Nothing is flushed by it: translations under other tags stay,
        and with them the maps that are parked under those tags, if paging, its tables' owner and WP are then
        as before. They hold nothing that the TLB does not, so what they lead to is what it would answer.
        """
        left = self.tlb.tag
        if tag != left:
            if self.parks:
                paged = self._paging or self.nested is not None
                self.parked[left] = ParkedMaps(self, self._rules, paged=paged)
            else:
                self._unmap(None)
        self.tlb.tag = tag
        self.nested = nested
        self._physical = self.memory if nested is None else NestedMemory(self.memory, nested)
        self._take(control)
        if tag == left:
            self._unmap(None)
            return
        parked = self.parked.pop(tag, None)
        if parked is not None and parked.rules == self._rules:
            self._unpark(parked)
        else:
            self._begin()
            self._tell(None, tag)
        for call in self.on_switched:
            call(tag)
        if len(self.parked) > _MOST_PARKED:
            self._forget_parked(next(iter(self.parked)))

    def flush_tag(self, tag: int | None) -> None:
        """Forget every translation of a VPID or ASID, or of all, global ones too."""
        self.tlb.flush_tag(tag)
        if tag is None or tag == self.tlb.tag:
            self._unmap(None)
        if tag is None or tag in self.parked:
            self._forget_parked(tag)

    def flush_nested(self) -> None:
        """INVEPT: forget what was translated through nested tables, whose guests all have tags."""
        for tag in {entry.tag for entry in self.tlb.entries()} - {0}:
            self.tlb.flush_tag(tag)
        self._unmap(None)
        for tag in [tag for tag in self.parked if tag]:
            self._forget_parked(tag)

    def flush(self) -> None:
        """A load of CR3: forget every translation that is not global."""
        self.tlb.flush(keep_global=self._global_pages)
        self._unmap(None)

    def invalidate(self, linear: int) -> None:
        """INVLPG: forget the page of a linear address."""
        page = linear >> PAGE_SHIFT
        for gone in self.tlb.drop(page):
            if gone != page:  # another part of the same large page
                self._unmap(gone)
        self._unmap(page)

    def invalidate_tagged(self, linear: int, tag: int) -> None:
        """INVLPGA: forget the page of a linear address in another address space, or in this one."""
        own = self.tlb.tag
        if tag == own:
            self.invalidate(linear)
            return
        self.tlb.tag = tag
        gone = self.tlb.drop(linear >> PAGE_SHIFT)
        self.tlb.tag = own
        for page in gone:
            self._unmap_parked(page, tag)

    def read(self, linear: int, size: int, user: bool) -> int:
        """``size`` bytes at a linear address, little-endian, by the code that runs now."""
        return self.read_as(linear, size, user, self.ring)

    def write(self, linear: int, size: int, value: int, user: bool) -> None:
        """Store ``size`` bytes; where two pages are touched, neither is written if one of them faults."""
        self.write_as(linear, size, value, user, self.ring)

    def modify(self, linear: int, size: int, user: bool) -> int:
        """As ``read``, by an instruction that will write the same bytes: faults as a write."""
        self.translate(linear, True, user, self.ring)
        if (linear & PAGE_MASK) + size > PAGE_SIZE:
            self.translate((linear | PAGE_MASK) + 1 & M32, True, user, self.ring)
        return self.read_as(linear, size, user, self.ring)

    def fetch(self, linear: int, count: int, user: bool) -> bytes:
        """``count`` bytes of code."""
        data = b""
        while len(data) < count:
            at = linear + len(data) & M32
            length = min(count - len(data), PAGE_SIZE - (at & PAGE_MASK))
            frame = self.translate(at, False, user, self.ring, fetch=True)
            data += self.memory.dump(HostPhysical(frame << PAGE_SHIFT | at & PAGE_MASK), length)
        return data

    def read_as(self, linear: int, size: int, user: bool, ring: int) -> int:
        """As ``read``, on behalf of a ring or of ``NO_RING``."""
        offset, first = linear & PAGE_MASK, self.translate(linear, False, user, ring)
        if offset + size <= PAGE_SIZE:
            if first in self.mmio.frames:
                self._meter.charge("uncached")
                return self.mmio.read(first << PAGE_SHIFT | offset, size)
            return self.memory.read(first << PAGE_SHIFT | offset, size)
        split = PAGE_SIZE - offset
        second = self.translate(linear + split & M32, False, user, ring)
        low = self.memory.read(first << PAGE_SHIFT | offset, split)
        return low | self.memory.read(second << PAGE_SHIFT, size - split) << 8 * split

    def write_as(self, linear: int, size: int, value: int, user: bool, ring: int) -> None:
        """As ``write``, on behalf of a ring or of ``NO_RING``."""
        offset = linear & PAGE_MASK
        guarded = self.guarded[ring].get(linear >> PAGE_SHIFT)
        if guarded is not None and offset + size <= PAGE_SIZE:
            self.memory.write(guarded << PAGE_SHIFT | offset, size, value)
            return
        first = self.translate(linear, True, user, ring)
        if offset + size <= PAGE_SIZE:
            if first in self.mmio.frames:
                self._leave()
                self._meter.charge("uncached")
                self.mmio.write(first << PAGE_SHIFT | offset, size, value)
            else:
                self.memory.write(first << PAGE_SHIFT | offset, size, value)
            return
        split = PAGE_SIZE - offset
        second = self.translate(linear + split & M32, True, user, ring)
        self.memory.write(first << PAGE_SHIFT | offset, split, value)
        self.memory.write(second << PAGE_SHIFT, size - split, value >> 8 * split)

    def translate(self, linear: int, write: bool, user: bool, ring: int, *, fetch: bool = False) -> int:
        """The frame that an access reaches, or the page fault or VM exit that it raises.

        Sets A and D in the tables, remembers the translation and fills the fast map of ``ring``.
        """
        if self._paging or self.nested is not None:
            frame = self._frame(linear, write, user, fetch)
        else:
            frame = linear >> PAGE_SHIFT
        frame &= self._frame_mask
        self.fill(linear >> PAGE_SHIFT, frame, write, ring)
        return frame

    def probe(self, linear: int) -> int | None:
        """The frame behind a linear address by TLB or tables, without side effects; None: there is none."""
        if not self._paging and self.nested is None:
            return linear >> PAGE_SHIFT & self._frame_mask
        entry = self.tlb.lookup(linear >> PAGE_SHIFT)
        if entry is not None:
            return entry.frame & self._frame_mask
        frame = linear >> PAGE_SHIFT
        if self._paging:
            found = look_up(Peek(self.memory, self.nested), self._tables, linear)
            if not found.present or found.reserved:
                return None
            frame = found.frame
        if self.nested is None:
            return frame & self._frame_mask
        host = self.nested.probe(frame << PAGE_SHIFT)
        return None if host is None else host & self._frame_mask

    def read_physical(self, address: int, size: int) -> int:
        """Memory as the processor's own loads of PDPTEs address it: of a guest, guest-physical."""
        return self._physical.read(address, size)

    def describe_walk(self, linear: int) -> Walk:
        """Every reference that a translation of a linear address would make now, without side effects."""
        return describe_walk(self.memory, self.nested, self._tables if self._paging else None, linear)

    def save(self) -> SavedTlb:
        """The TLB; the rest follows from the control registers."""
        return self.tlb.save()

    def load(self, saved: SavedTlb) -> None:
        """Put back a TLB; ``configure`` comes first."""
        self.tlb.load(saved)
        self._unmap(None)
        self._forget_parked(None)

    def pages_of(self, frame: int, tag: int | None = None) -> Iterable[int] | None:
        """The linear pages that lead to a frame, here or in a parked space; None: there may be any number."""
        if not self.a20:  # a frame is then at two addresses
            return None
        paged = self._paging or self.nested is not None if tag is None else self.parked[tag].paged
        if not paged:
            return (frame,)
        if tag is None:
            tag = self.tlb.tag
        return [entry.page for entry in self.tlb.entries() if entry.frame == frame and entry.tag == tag]

    def _take(self, control: Control) -> None:
        self._control = control
        found = _rules_of(control, self.pse36)
        self._paging, self._write_protect, self._mode, self._global_pages, self._tables = found

    def _frame(self, linear: int, write: bool, user: bool, fetch: bool) -> int:
        page = linear >> PAGE_SHIFT
        entry = self.tlb.lookup(page)
        if entry is None:
            return self._walk(linear, write, user, fetch).frame
        if not self._permits(entry, write, user):
            self._refuse(linear, PF_P, write, user)
        # The first write to a clean page walks again, to set D; and what the nested tables forbid is for
        # them to refuse.
        if (write and (not entry.dirty or entry.locked)) or (fetch and not entry.executable):
            return self._walk(linear, write, user, fetch).frame
        return entry.frame

    def _permits(self, entry: TlbEntry, write: bool, user: bool) -> bool:
        if user and not entry.user:
            return False
        return entry.writable or not write or not (user or self._write_protect)

    def _walk(self, linear: int, write: bool, user: bool, fetch: bool) -> TlbEntry:
        nested = self.nested
        if nested is None:
            return self._walk_tables(linear, write, user)
        nested.begin(linear, write=write, user=user, fetch=fetch)
        try:
            return self._walk_tables(linear, write, user)
        finally:
            self._meter.charge("nested_walk_step", nested.references)

    def _walk_tables(self, linear: int, write: bool, user: bool) -> TlbEntry:
        found = look_up(self._physical, self._tables, linear) if self._paging else flat(linear)
        self._meter.charge("walk_step", len(found.entries))
        if not found.present:
            self._refuse(linear, 0, write, user)
        if found.reserved:
            self._refuse(linear, PF_P | PF_RSVD, write, user)
        entry = TlbEntry(
            page=linear >> PAGE_SHIFT,
            frame=found.frame,
            writable=bool(found.rights & PTE_W),
            user=bool(found.rights & PTE_U),
            dirty=write or bool(found.last & PTE_D),
            is_global=self._global_pages and bool(found.last & PTE_G),
            pages=found.pages,
            tag=self.tlb.tag,
        )
        if not self._permits(entry, write, user):
            self._refuse(linear, PF_P, write, user)
        if self.nested is not None:
            below = self.nested.final(found.frame << PAGE_SHIFT | linear & PAGE_MASK)
            entry = entry._replace(frame=below.frame, locked=not below.writable, executable=below.executable)
        found.mark_used(self._physical, write=write)
        old = self.tlb.lookup(entry.page)
        if old is not None and old._replace(dirty=entry.dirty) != entry:
            self._unmap(entry.page)  # the tables have changed behind the TLB's back
        gone = self.tlb.insert(entry)
        if gone is not None:
            if gone.tag == entry.tag:
                self._unmap(gone.page)
            else:
                self._unmap_parked(gone.page, gone.tag)
        return entry

    def _refuse(self, linear: int, cause: int, write: bool, user: bool) -> NoReturn:
        # A page fault makes the processor forget what it knew of that page, so that a fault from a stale
        # entry comes only once (SDM Vol. 3, "Operations that Invalidate TLBs").
        self.invalidate(linear)
        error = cause | (PF_W if write else 0) | (PF_U if user else 0)
        raise Fault(vectors.PF, error, linear)

    @property
    def _rules(self) -> tuple[bool, ...]:
        """What decides about an access besides the TLB."""
        return self._paging, self.nested is not None, self._write_protect

    def _unmap(self, page: int | None) -> None:
        if page is None:
            self._drop_own()
        else:
            self.drop_page(page)
        self._tell(page, self.tlb.tag)

    def _unmap_parked(self, page: int, tag: int) -> None:
        parked = self.parked.get(tag)
        if parked is not None:
            parked.drop_page(page)
            self._tell(page, tag)

    def _forget_parked(self, tag: int | None) -> None:
        """Forget what is parked under a tag, or all that is."""
        for gone in list(self.parked) if tag is None else (tag,):
            del self.parked[gone]
            self._tell(None, gone)

    def _tell(self, page: int | None, tag: int) -> None:
        for call in self.on_unmapped:
            call(page, tag)

    def _leave(self) -> None:
        """Make the processor's loop come back after this instruction: see ``MmioSpace.touched``."""
        self._tell(None, self.tlb.tag)


@lru_cache(_REMEMBERED)  # those of a guest and those of its monitor take turns
def _rules_of(control: Control, pse36: bool) -> tuple[bool, bool, int, bool, Tables]:
    """Paging, CR0.WP, the bits of CR4 that make the format of the tables, CR4.PGE, the tables."""
    cr0, cr3, cr4, pointers = control
    tables = Tables(cr3, bool(cr4 & CR4_PSE), pointers if cr4 & CR4_PAE else (), pse36)
    return bool(cr0 & CR0_PG), bool(cr0 & CR0_WP), cr4 & _FORMAT, bool(cr4 & CR4_PGE), tables
