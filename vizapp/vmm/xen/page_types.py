"""Page types: what each machine frame is used for, so that no guest can write a page table unseen.

A frame has one type at a time, with a count of the uses of that type: a directory, a page table, a page of
descriptors, or writable. The types exclude each other, so a frame that is a page table somewhere cannot be
mapped writable anywhere, and the guest can read its real tables but must ask for every change. A frame
becomes a table by being validated: each of its entries takes a reference on what it points at.

    (L3 ── present entry ──▶ one use of a frame as L2)      under PAE
     L2 ── present entry ──▶ one use of a frame as L1
     L1 ── writable entry ─▶ one use of a frame as writable
      └─── read-only entry ▶ one reference, whatever the frame's type

Every frame has an owner. An entry may lead to a frame of the table's own domain; to another's only where the
hypervisor has allowed it (a grant, or domain 0 that builds a domain), and then the visit is counted.

Source: Barham et al. (SOSP 2003), section 3.3.3 "Physical memory"; Xen 3.1, arch/x86/mm.c.
"""

from __future__ import annotations

from struct import unpack
from typing import TYPE_CHECKING, Any, Final

from vizapp.isa.addresses import PAGE_SHIFT, PAGE_SIZE, HostPhysical
from vizapp.isa.paging import PTE_G, PTE_P, PTE_PCD, PTE_PS, PTE_PWT, PTE_W
from vizapp.messages import N_
from vizapp.vmm.xen.descriptors import check_page
from vizapp.vmm.xen.frame_info import (
    TABLES,
    UNUSED,
    VALIDATED,
    FrameInfo,
    PageType,
    RefusedError,
    refuse,
    refuse_foreign,
)
from vizapp.vmm.xen.frame_owners import FrameOwners

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vizapp.machine.memory import PhysicalMemory
    from vizapp.vmm.xen.paging_format import Format

# Page size and global bits: a superpage would map frames that nobody counted, a global entry would
# outlive the address space of the guest that made it.
FORBIDDEN_BITS: Final = PTE_PS | PTE_G
_POINTER_BITS: Final = PTE_P | PTE_PWT | PTE_PCD  # all that an entry of the top level has under PAE
_XEN_POINTER: Final = 3  # the one of its four entries through which the hypervisor is reached
_DIRECTORIES: Final = (PageType.L2, PageType.XEN_L2)


def _free(name: str, count: int) -> None:
    """Nothing is paid while the machine boots."""


def _nothing_remembered() -> None:
    """Before the guest runs no translation is remembered."""


class PageTypes(FrameOwners):
    """The frame table of a machine.

    Args:
        memory: the machine's.
        form: the format of page tables.
        xen_slots: page-directory index to entry, written into the hypervisor's part of every directory.

    Attributes:
        top: the type of a table that CR3 may hold.
        charge: called with an input and a count for the entries that are examined and written.
        flush: called when the TLB may still lead to a frame that becomes something else; it must lead to
            ``flushed``.
        frames: what is known of each frame that was ever in use.
    """

    def __init__(self, memory: PhysicalMemory, form: Format, xen_slots: Mapping[int, int]) -> None:
        super().__init__()
        self._memory = memory
        self._form = form
        self._xen_slots = dict(xen_slots)
        self.top = PageType.L2 if form.levels == 2 else PageType.L3
        self._with_xen = PageType.L2 if form.levels == 2 else PageType.XEN_L2
        self.charge: Callable[[str, int], None] = _free
        self.flush: Callable[[], None] = _nothing_remembered
        self.frames: dict[int, FrameInfo] = {}
        self._saved_frames: dict[int, FrameInfo] = {}
        self._stale: set[int] = set()  # no longer writable, but the TLB may not know
        self._unmapped: set[int] = set()  # nowhere mapped any more, but the TLB may not know

    def info(self, frame: int) -> FrameInfo:
        """What is known of a frame."""
        return self.frames.get(frame, UNUSED)

    def flushed(self) -> None:
        """The processor has forgotten every translation."""
        self._stale.clear()
        self._unmapped.clear()

    def save(self) -> Any:
        """The table as plain data."""
        if self._saved_frames != self.frames:
            self._saved_frames = dict(self.frames)
        return super().save(), self._saved_frames, frozenset(self._stale), frozenset(self._unmapped)

    def load(self, saved: Any) -> None:
        """Return to a saved table."""
        owners, frames, stale, unmapped = saved
        super().load(owners)
        self.frames = dict(frames)
        self._stale, self._unmapped = set(stale), set(unmapped)

    def let_go(self, frame: int) -> None:
        """A frame changes hands: the TLB must not lead its last owner there any more."""
        if frame in self._unmapped or frame in self._stale:
            self.flush()
        self.frames.pop(frame, None)

    def reference(self, frame: int, domain: int) -> None:
        """Take a reference on a frame of a domain; RefusedError for another's."""
        if self.owner(frame) != domain:
            raise refuse_foreign(frame)
        info = self.info(frame)
        self.frames[frame] = info._replace(references=info.references + 1)

    def release(self, frame: int) -> None:
        """Give a reference back."""
        info = self.info(frame)
        self.frames[frame] = info._replace(references=info.references - 1)
        if info.references == 1:
            self._unmapped.add(frame)
            self.unreferenced(frame)

    def take(self, frame: int, wanted: PageType, domain: int) -> None:
        """Use a frame of a domain as ``wanted``; validates it if that use is its first.

        Raises:
            RefusedError: the frame is in another use, or an entry of it would break the rules.
        """
        self.reference(frame, domain)
        info = self.info(frame)
        if info.uses and info.type is not wanted:
            self.release(frame)
            raise refuse(
                N_("machine frame {frame} is in use as {type} and cannot become {wanted}"),
                frame=frame, type=info.type.value, wanted=wanted.value,
            )  # fmt: skip
        # Typed before its entries are read: one that leads back to the frame must find what it will be.
        self.frames[frame] = info._replace(type=wanted, uses=info.uses + 1)
        if info.uses or wanted not in VALIDATED:
            return
        try:
            self._validate(frame, wanted, domain)
        except RefusedError:
            self.frames[frame] = self.info(frame)._replace(type=info.type, uses=0)
            self.release(frame)
            raise
        if frame in self._stale:
            self.flush()

    def give_back(self, frame: int) -> None:
        """End one use; the last use of a table releases what its entries held."""
        info = self.info(frame)
        self.frames[frame] = info._replace(uses=info.uses - 1)
        if info.uses == 1:
            if info.type in TABLES:
                self._release_entries(frame, info.type, self._count(info.type))
            elif info.type is PageType.WRITABLE:
                self._stale.add(frame)
        self.release(frame)

    def pin(self, frame: int, wanted: PageType, domain: int) -> None:
        """Validate a table of a domain and keep it so, also while no CR3 or directory uses it."""
        if self.info(frame).pinned and self.owner(frame) == domain:
            raise refuse(N_("machine frame {frame} is already pinned"), frame=frame)
        if wanted is PageType.L2 and self.info(frame).type is PageType.XEN_L2 and self.info(frame).uses:
            wanted = PageType.XEN_L2
        self.take(frame, wanted, domain)
        self.frames[frame] = self.info(frame)._replace(pinned=True)

    def unpin(self, frame: int, domain: int) -> None:
        """Undo a pin."""
        if self.owner(frame) != domain:
            raise refuse_foreign(frame)
        if not self.info(frame).pinned:
            raise refuse(N_("machine frame {frame} is not pinned"), frame=frame)
        self.frames[frame] = self.info(frame)._replace(pinned=False)
        self.give_back(frame)

    def write_entry(
        self, address: HostPhysical, value: int, domain: int, kept: int = 0, foreign: int | None = None
    ) -> None:
        """Write a page-table entry at a machine address for a domain, after checking it.

        ``kept`` are bits that stay as they are: accessed and dirty, which the processor may have set since
        the guest looked. ``foreign`` is the domain to whose frames a page-table entry may lead instead.

        Raises:
            RefusedError: the frame is no page table, or the entry would break the rules; nothing is written.
        """
        frame, size = address >> PAGE_SHIFT, self._form.entry_bytes
        if self.owner(frame) != domain:
            raise refuse_foreign(frame)
        info = self.info(frame)
        old = self._memory.read(address, size)
        value |= old & kept
        if info.uses and info.type in TABLES:
            slot = address // size % self._form.entries
            if info.type is self._with_xen and slot >= self._form.first_xen_slot:
                raise refuse(N_("page-directory slot {slot} belongs to the hypervisor"), slot=slot)
            if slot < self._count(info.type):
                if info.type is PageType.L3 and slot == _XEN_POINTER and not value & PTE_P:
                    raise refuse(N_("page-directory slot {slot} belongs to the hypervisor"), slot=slot)
                self._take_entry(info.type, slot, value, domain, domain if foreign is None else foreign)
                self._release_entry(info.type, slot, old, domain)
        elif info.uses and info.type is PageType.SEGMENTS:
            raise refuse(
                N_("machine frame {frame} is in use as {type} and cannot become {wanted}"),
                frame=frame, type=info.type.value, wanted=PageType.WRITABLE.value,
            )  # fmt: skip
        # An ordinary frame the guest could have written by itself.
        self._memory.write(address, size, value)
        self.charge("mon_pte_write", 1)
        if info.uses and info.type is PageType.L3:
            self.flush()  # the processor holds the four entries of the top level in registers

    def _count(self, table: PageType) -> int:
        """How many of a table's entries are the guest's."""
        if table is PageType.L3:
            return _XEN_POINTER + 1
        return self._form.first_xen_slot if table is self._with_xen else self._form.entries

    def _validate(self, frame: int, wanted: PageType, domain: int) -> None:
        if wanted is PageType.SEGMENTS:
            self.charge("mon_memory_reference", PAGE_SIZE // 4)
            check_page(self._memory, frame, self._form.m2p_end - 1)
            return
        count = self._count(wanted)
        self.charge("mon_memory_reference", count * (self._form.entry_bytes // 4))
        entries = self._entries(frame)
        if wanted is PageType.L3 and not entries[_XEN_POINTER] & PTE_P:
            raise refuse(N_("machine frame {frame} has no fourth page directory"), frame=frame)
        for slot, entry in enumerate(entries[:count]):
            try:
                self._take_entry(wanted, slot, entry, domain, domain)
            except RefusedError:
                self._release_entries(frame, wanted, slot)
                raise
        if wanted is self._with_xen:
            size, entries_of_table = self._form.entry_bytes, self._form.entries
            for slot in range(count, entries_of_table):
                address = HostPhysical((frame << PAGE_SHIFT) + slot * size)
                self._memory.write(address, size, self._xen_slots.get(slot, 0))
            self.charge("mon_pte_write", entries_of_table - count)

    def _take_entry(self, table: PageType, slot: int, entry: int, domain: int, other: int) -> None:
        """Hold what an entry of a table of ``domain`` leads to, which must be a frame of ``other``."""
        if not entry & PTE_P:
            return
        forbidden = FORBIDDEN_BITS | self._form.reserved
        if table is PageType.L3:
            forbidden = ~(_POINTER_BITS | self._form.frame_bits)
        if entry & forbidden:
            raise refuse(N_("the page-table entry {entry} sets a bit that guests may not set"), entry=entry)
        target = self._form.frame(entry)
        if table is PageType.L3:
            self.take(target, PageType.XEN_L2 if slot == _XEN_POINTER else PageType.L2, domain)
        elif table in _DIRECTORIES:
            self.take(target, PageType.L1, domain)
        elif not self.is_device(target, domain):
            writable = bool(entry & PTE_W)
            if writable:
                self.take(target, PageType.WRITABLE, other)
            else:
                self.reference(target, other)
            if other != domain:
                self.visit(target, domain, writable=writable)

    def _release_entry(self, table: PageType, slot: int, entry: int, domain: int) -> None:
        if not entry & PTE_P:
            return
        target = self._form.frame(entry)
        if table is not PageType.L1:
            self.give_back(target)
        elif (owner := self.owner(target)) is not None:
            if owner != domain:
                self.leave(target, domain, writable=bool(entry & PTE_W))
            if entry & PTE_W:
                self.give_back(target)
            else:
                self.release(target)

    def _release_entries(self, frame: int, table: PageType, end: int) -> None:
        """Let go of what the entries before slot ``end`` hold."""
        last = min(end, self._count(table))
        self.charge("mon_memory_reference", last * (self._form.entry_bytes // 4))
        domain = self.owner(frame)
        assert domain is not None
        for slot, entry in enumerate(self._entries(frame)[:last]):
            self._release_entry(table, slot, entry, domain)

    def _entries(self, frame: int) -> tuple[int, ...]:
        data = self._memory.dump(HostPhysical(frame << PAGE_SHIFT), PAGE_SIZE)
        size = self._form.entry_bytes
        return unpack(f"<{PAGE_SIZE // size}{'I' if size == 4 else 'Q'}", data)
