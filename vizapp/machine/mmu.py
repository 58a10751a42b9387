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

from collections.abc import Callable
from typing import NoReturn, TypeAlias

from vizapp.isa import vectors
from vizapp.isa.addresses import M32, PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, HostPhysical
from vizapp.isa.paging import PF_P, PF_RSVD, PF_U, PF_W, PTE_D, PTE_G, PTE_U, PTE_W
from vizapp.isa.registers import CR0_PG, CR0_WP, CR4_PAE, CR4_PGE, CR4_PSE
from vizapp.machine.faults import Fault
from vizapp.machine.memory import PhysicalMemory
from vizapp.machine.meter import Meter
from vizapp.machine.mmio import MmioSpace
from vizapp.machine.page_tables import Tables, look_up
from vizapp.machine.tlb import SavedTlb, Tlb, TlbEntry

FastMap: TypeAlias = "dict[int, bytearray]"
RINGS = 4
_FORMAT = CR4_PAE | CR4_PSE | CR4_PGE
ALL_LINES = M32 >> PAGE_SHIFT
A20_FRAME = 1 << 20 >> PAGE_SHIFT
# Accesses that the processor makes for itself (descriptor tables, TSS, stacks of inner rings) belong to
# no ring: they have the supervisor's rights, maps of their own, and are not shown to ``on_fill``.
NO_RING = RINGS


class Mmu:
    """The address space of a bare machine's processor.

    Attributes:
        ring: the CPL, whose maps explicit accesses fill.
        readable, writable: the fast maps, indexed by ring or ``NO_RING``.
        guarded: by ring, the pages that it may write and that hold decoded code, with their frames: stores to
            code must be seen.
        ceilings: by ring, the last page that its fast maps may have; see ``set_ceiling``.
        on_fill: called with (linear page address, frame, write) before a ring first uses a page in a way,
            and again after its map was dropped.
        on_unmapped: called with a page number, or None for all, when translations cease to hold.
        mmio: the frames at which a device answers instead of memory.
    """

    def __init__(self, memory: PhysicalMemory, meter: Meter) -> None:
        self.memory = memory
        self.tlb = Tlb()
        self.ring = 0
        self.readable: tuple[FastMap, ...] = tuple({} for _ in range(RINGS + 1))
        self.writable: tuple[FastMap, ...] = tuple({} for _ in range(RINGS + 1))
        self.guarded: tuple[dict[int, int], ...] = tuple({} for _ in range(RINGS + 1))
        self._maps: tuple[FastMap | dict[int, int], ...] = (*self.readable, *self.writable, *self.guarded)
        self.ceilings = [ALL_LINES] * (RINGS + 1)
        self.on_fill: Callable[[int, int, bool], None] | None = None
        self.on_unmapped: list[Callable[[int | None], None]] = []
        self.mmio = MmioSpace()
        self._meter = meter
        self._frame_mask = ALL_LINES
        self._paging = False
        self._write_protect = False
        self._global_pages = False
        self._mode = 0  # the bits of CR4 that make the format of the tables
        self._tables = Tables()
        memory.on_unshare.append(self._page_replaced)
        memory.on_generation.append(self.drop_maps)

    @property
    def a20(self) -> bool:
        """Whether address line 20 reaches memory."""
        return self._frame_mask == ALL_LINES

    @a20.setter
    def a20(self, enabled: bool) -> None:
        mask = ALL_LINES if enabled else ALL_LINES & ~A20_FRAME
        if mask != self._frame_mask:
            self._frame_mask = mask
            self._unmap(None)

    def configure(self, cr0: int, cr3: int, cr4: int, pointers: tuple[int, ...] = ()) -> None:
        """Take over the control registers; ``pointers`` are the PDPTEs, with PAE.

        Turning paging on or off, or changing its format, empties the TLB.
        """
        paging, write_protect, mode = bool(cr0 & CR0_PG), bool(cr0 & CR0_WP), cr4 & _FORMAT
        self._tables = Tables(cr3, bool(cr4 & CR4_PSE), pointers if cr4 & CR4_PAE else ())
        if paging != self._paging or mode != self._mode:
            self.tlb.flush(keep_global=False)
            self._unmap(None)
        elif write_protect != self._write_protect:
            self.drop_maps()
        self._paging, self._write_protect, self._mode = paging, write_protect, mode
        self._global_pages = bool(cr4 & CR4_PGE)

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
            self.translate(linear + size - 1 & M32, True, user, self.ring)
        return self.read_as(linear, size, user, self.ring)

    def fetch(self, linear: int, count: int, user: bool) -> bytes:
        """``count`` bytes of code."""
        data = b""
        while len(data) < count:
            at = linear + len(data) & M32
            length = min(count - len(data), PAGE_SIZE - (at & PAGE_MASK))
            frame = self.translate(at, False, user, self.ring)
            data += self.memory.dump(HostPhysical(frame << PAGE_SHIFT | at & PAGE_MASK), length)
        return data

    def read_as(self, linear: int, size: int, user: bool, ring: int) -> int:
        """As ``read``, on behalf of a ring or of ``NO_RING``."""
        offset = linear & PAGE_MASK
        first = self.translate(linear, False, user, ring)
        if offset + size <= PAGE_SIZE:
            if first in self.mmio.frames:
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
                self.mmio.write(first << PAGE_SHIFT | offset, size, value)
            else:
                self.memory.write(first << PAGE_SHIFT | offset, size, value)
            return
        split = PAGE_SIZE - offset
        second = self.translate(linear + split & M32, True, user, ring)
        self.memory.write(first << PAGE_SHIFT | offset, split, value)
        self.memory.write(second << PAGE_SHIFT, size - split, value >> 8 * split)

    def translate(self, linear: int, write: bool, user: bool, ring: int) -> int:
        """The frame that an access reaches, or the page fault that it raises.

        Sets A and D in the tables, remembers the translation and fills the fast map of ``ring``.
        """
        frame = self._frame(linear, write, user) if self._paging else linear >> PAGE_SHIFT
        frame &= self._frame_mask
        self._fill(linear >> PAGE_SHIFT, frame, write, ring)
        return frame

    def probe(self, linear: int) -> int | None:
        """The frame behind a linear address by TLB or tables, without side effects; None: there is none."""
        if not self._paging:
            return linear >> PAGE_SHIFT & self._frame_mask
        entry = self.tlb.lookup(linear >> PAGE_SHIFT)
        if entry is not None:
            return entry.frame & self._frame_mask
        found = look_up(self.memory, self._tables, linear)
        return found.frame & self._frame_mask if found.present and not found.reserved else None

    def drop_maps(self) -> None:
        """Forget the fast maps; nothing but time is lost."""
        for fast in self._maps:
            fast.clear()

    def set_ceiling(self, ring: int, page: int) -> None:
        """Keep the fast maps of a ring free of pages above ``page``.

        So whoever looks up a page there knows it to be within a segment that ends with that page.
        """
        if page < self.ceilings[ring]:
            for fast in (self.readable[ring], self.writable[ring]):
                for beyond in [number for number in fast if number > page]:
                    del fast[beyond]
        self.ceilings[ring] = page

    def protect_code(self, frame: int) -> None:
        """A frame holds decoded code from now on: stores to it must go through the memory's own door."""
        self.memory.code_frames.add(frame)
        self._drop_frame(self.writable, frame)

    def save(self) -> SavedTlb:
        """The TLB; the rest follows from the control registers."""
        return self.tlb.save()

    def load(self, saved: SavedTlb) -> None:
        """Put back a TLB; ``configure`` comes first."""
        self.tlb.load(saved)
        self._unmap(None)

    def _frame(self, linear: int, write: bool, user: bool) -> int:
        page = linear >> PAGE_SHIFT
        entry = self.tlb.lookup(page)
        # The first write to a clean page walks again, to set D.
        if entry is None or (write and not entry.dirty and self._permits(entry, write, user)):
            entry = self._walk(linear, write, user)
        elif not self._permits(entry, write, user):
            self._refuse(linear, PF_P, write, user)
        return entry.frame

    def _permits(self, entry: TlbEntry, write: bool, user: bool) -> bool:
        if user and not entry.user:
            return False
        return entry.writable or not write or not (user or self._write_protect)

    def _walk(self, linear: int, write: bool, user: bool) -> TlbEntry:
        found = look_up(self.memory, self._tables, linear)
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
        )
        if not self._permits(entry, write, user):
            self._refuse(linear, PF_P, write, user)
        found.mark_used(self.memory, write=write)
        gone = self.tlb.insert(entry)
        if gone is not None:
            self._unmap(gone.page)
        return entry

    def _refuse(self, linear: int, cause: int, write: bool, user: bool) -> NoReturn:
        # A page fault makes the processor forget what it knew of that page, so that a fault from a stale
        # entry comes only once (SDM Vol. 3, "Operations that Invalidate TLBs").
        self.invalidate(linear)
        error = cause | (PF_W if write else 0) | (PF_U if user else 0)
        raise Fault(vectors.PF, error, linear)

    def _fill(self, page: int, frame: int, write: bool, ring: int) -> None:
        fast = (self.writable if write else self.readable)[ring]
        if page in fast:
            return
        if self.on_fill is not None and ring != NO_RING:
            self.on_fill(page << PAGE_SHIFT, frame, write)
        if frame >= self.memory.frames or frame in self.mmio.frames or page > self.ceilings[ring]:
            return
        if not write:
            fast[page] = self.memory.page(frame)
        elif frame in self.memory.code_frames:
            self.guarded[ring][page] = frame
        else:
            fast[page] = self.memory.writable_page(frame)

    def _unmap(self, page: int | None) -> None:
        if page is None:
            self.drop_maps()
        else:
            for fast in self._maps:
                fast.pop(page, None)
        for call in self.on_unmapped:
            call(page)

    def _leave(self) -> None:
        """Make the processor's loop come back after this instruction: see ``MmioSpace.touched``."""
        for call in self.on_unmapped:
            call(None)

    def _page_replaced(self, frame: int) -> None:
        self._drop_frame(self.readable, frame)

    def _drop_frame(self, maps: tuple[FastMap, ...], frame: int) -> None:
        """Take a frame out of maps that do not say which frame they lead to."""
        if not self.a20:  # a frame is then at two addresses
            for fast in maps:
                fast.clear()
            return
        if not self._paging:
            for fast in maps:
                fast.pop(frame, None)
            return
        pages = [entry.page for entry in self.tlb.entries() if entry.frame == frame]
        for fast in maps:
            for page in pages:
                fast.pop(page, None)


class ImplicitAccess:
    """The same address space for the accesses that the processor makes for itself; see ``NO_RING``."""

    def __init__(self, mmu: Mmu) -> None:
        self._mmu = mmu
        self._readable = mmu.readable[NO_RING]
        self._writable = mmu.writable[NO_RING]

    def read(self, linear: int, size: int, user: bool) -> int:
        """As ``Mmu.read``."""
        offset = linear & PAGE_MASK
        page = self._readable.get(linear >> PAGE_SHIFT)
        if page is not None and not user and offset + size <= PAGE_SIZE:
            return int.from_bytes(page[offset : offset + size], "little")
        return self._mmu.read_as(linear, size, user, NO_RING)

    def write(self, linear: int, size: int, value: int, user: bool) -> None:
        """As ``Mmu.write``."""
        offset = linear & PAGE_MASK
        page = self._writable.get(linear >> PAGE_SHIFT)
        if page is not None and not user and offset + size <= PAGE_SIZE:
            page[offset : offset + size] = value.to_bytes(size, "little")
        else:
            self._mmu.write_as(linear, size, value, user, NO_RING)
