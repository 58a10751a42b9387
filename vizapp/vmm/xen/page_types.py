"""Page types: what each machine frame is used for, so that no guest can write a page table unseen.

A frame has one type at a time, with a count of the uses of that type: a page directory (L2), a page table
(L1), or writable. The types exclude each other, so a frame that is a page table somewhere cannot be mapped
writable anywhere, and the guest can read its real tables but must ask for every change. A frame becomes a
table by being validated: each of its entries takes a reference on what it points at.

    L2 ── present entry ──▶ one use of a frame as L1
    L1 ── writable entry ─▶ one use of a frame as writable
     └─── read-only entry ▶ one reference, whatever the frame's type

Source: Barham et al. (SOSP 2003), section 3.3.3 "Physical memory"; Xen 3.1, arch/x86/mm.c.
"""

from __future__ import annotations

from enum import StrEnum
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vizapp.isa.addresses import PAGE_SHIFT, PAGE_SIZE, HostPhysical
from vizapp.isa.paging import PTE_FRAME, PTE_G, PTE_P, PTE_PS, PTE_W
from vizapp.messages import N_, Message
from vizapp.vmm.xen import abi

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vizapp.machine.memory import PhysicalMemory

ENTRIES: Final = PAGE_SIZE // 4
FIRST_XEN_SLOT: Final = abi.HYPERVISOR_START >> 22
# Page size and global bits: a superpage would map frames that nobody counted, a global entry would
# outlive the address space of the guest that made it.
FORBIDDEN_BITS: Final = PTE_PS | PTE_G

_PAGE: Final = Struct(f"<{ENTRIES}I")


class PageType(StrEnum):
    """The uses of a frame that exclude one another."""

    NONE = "none"
    WRITABLE = "writable"
    L1 = "page-table"
    L2 = "page-directory"


TABLES: Final = (PageType.L1, PageType.L2)


class FrameInfo(NamedTuple):
    """Type of a frame, uses of that type, all references, and whether the guest pinned it.

    A frame whose ``uses`` are 0 may take any type; ``type`` is then what it was last.
    """

    type: PageType = PageType.NONE
    uses: int = 0
    references: int = 0
    pinned: bool = False


UNUSED = FrameInfo()


class RefusedError(Exception):
    """The hypervisor refuses what the guest asked for; caught at the hypercall, never seen by the machine."""

    def __init__(self, reason: Message) -> None:
        super().__init__(reason.text)
        self.reason = reason


def refuse_foreign(frame: int) -> RefusedError:
    """The refusal of a frame that the guest named and does not own."""
    return _refuse(N_("machine frame {frame} does not belong to the domain"), frame=frame)


def _refuse(text: str, **parameters: int | str) -> RefusedError:
    shown = {k: f"{v:#x}" if isinstance(v, int) else v for k, v in parameters.items()}
    return RefusedError(Message(text, shown))


def _free(name: str, count: int) -> None:
    """Nothing is paid while the machine boots."""


def _nothing_remembered() -> None:
    """Before the guest runs no translation is remembered."""


class PageTypes:
    """The frame table of one domain.

    Args:
        memory: the machine's.
        owns: whether a machine frame belongs to the domain.
        xen_slots: page-directory index to entry, written into the hypervisor's part of every directory.

    Attributes:
        charge: called with an input and a count for the entries that are examined and written.
        flush: called when the TLB may still let the guest write to a frame that becomes a table; it must
            lead to ``flushed``.
        frames: what is known of each frame that was ever in use.
    """

    def __init__(
        self,
        memory: PhysicalMemory,
        owns: Callable[[int], bool],
        xen_slots: Mapping[int, int],
    ) -> None:
        self._memory = memory
        self._owns = owns
        self._xen_slots = dict(xen_slots)
        self.charge: Callable[[str, int], None] = _free
        self.flush: Callable[[], None] = _nothing_remembered
        self.frames: dict[int, FrameInfo] = {}
        self._stale: frozenset[int] = frozenset()  # no longer writable, but the TLB may not know

    def info(self, frame: int) -> FrameInfo:
        """What is known of a frame."""
        return self.frames.get(frame, UNUSED)

    def flushed(self) -> None:
        """The processor has forgotten every translation."""
        self._stale = frozenset()

    def save(self) -> Any:
        """The table as plain data."""
        return dict(self.frames), self._stale

    def load(self, saved: Any) -> None:
        """Return to a saved table."""
        frames, self._stale = saved
        self.frames = dict(frames)

    def reference(self, frame: int) -> None:
        """Take a reference on a frame of the domain; RefusedError for another's."""
        if not self._owns(frame):
            raise refuse_foreign(frame)
        info = self.info(frame)
        self.frames[frame] = info._replace(references=info.references + 1)

    def release(self, frame: int) -> None:
        """Give a reference back."""
        info = self.info(frame)
        self.frames[frame] = info._replace(references=info.references - 1)

    def take(self, frame: int, wanted: PageType) -> None:
        """Use a frame as ``wanted``; validates it if that use is its first.

        Raises:
            RefusedError: the frame is in another use, or an entry of it would break the rules.
        """
        self.reference(frame)
        info = self.info(frame)
        if info.uses and info.type is not wanted:
            self.release(frame)
            raise _refuse(
                N_("machine frame {frame} is in use as {type} and cannot become {wanted}"),
                frame=frame, type=info.type.value, wanted=wanted.value,
            )  # fmt: skip
        # Typed before its entries are read: one that leads back to the frame must find what it will be.
        self.frames[frame] = info._replace(type=wanted, uses=info.uses + 1)
        if info.uses or wanted not in TABLES:
            return
        try:
            self._validate(frame, wanted)
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
                self._release_entries(frame, info.type, ENTRIES)
            else:
                self._stale |= {frame}
        self.release(frame)

    def pin(self, frame: int, wanted: PageType) -> None:
        """Validate a table and keep it so, also while no CR3 or directory uses it."""
        if self.info(frame).pinned:
            raise _refuse(N_("machine frame {frame} is already pinned"), frame=frame)
        self.take(frame, wanted)
        self.frames[frame] = self.info(frame)._replace(pinned=True)

    def unpin(self, frame: int) -> None:
        """Undo a pin."""
        if not self.info(frame).pinned:
            raise _refuse(N_("machine frame {frame} is not pinned"), frame=frame)
        self.frames[frame] = self.info(frame)._replace(pinned=False)
        self.give_back(frame)

    def write_entry(self, address: HostPhysical, value: int, kept: int = 0) -> None:
        """Write a page-table entry at a machine address after checking it.

        ``kept`` are bits that stay as they are: accessed and dirty, which the processor may have set since
        the guest looked.

        Raises:
            RefusedError: the frame is no page table, or the entry would break the rules; nothing is written.
        """
        frame = address >> PAGE_SHIFT
        if not self._owns(frame):
            raise refuse_foreign(frame)
        info = self.info(frame)
        old = self._memory.read(address, 4)
        value |= old & kept
        if info.uses and info.type in TABLES:
            slot = address >> 2 & ENTRIES - 1
            if info.type is PageType.L2 and slot >= FIRST_XEN_SLOT:
                raise _refuse(N_("page-directory slot {slot} belongs to the hypervisor"), slot=slot)
            self._take_entry(info.type, value)
            self._release_entry(info.type, old)
        # An ordinary frame the guest could have written by itself.
        self._memory.write(address, 4, value)
        self.charge("mon_pte_write", 1)

    def _validate(self, frame: int, wanted: PageType) -> None:
        last = FIRST_XEN_SLOT if wanted is PageType.L2 else ENTRIES
        self.charge("mon_memory_reference", last)
        for slot, entry in enumerate(self._entries(frame)[:last]):
            try:
                self._take_entry(wanted, entry)
            except RefusedError:
                self._release_entries(frame, wanted, slot)
                raise
        if wanted is PageType.L2:
            for slot in range(FIRST_XEN_SLOT, ENTRIES):
                address = HostPhysical((frame << PAGE_SHIFT) + slot * 4)
                self._memory.write(address, 4, self._xen_slots.get(slot, 0))
            self.charge("mon_pte_write", ENTRIES - FIRST_XEN_SLOT)

    def _take_entry(self, table: PageType, entry: int) -> None:
        if not entry & PTE_P:
            return
        if entry & FORBIDDEN_BITS:
            raise _refuse(N_("the page-table entry {entry} sets a bit that guests may not set"), entry=entry)
        target = (entry & PTE_FRAME) >> PAGE_SHIFT
        if table is PageType.L2:
            self.take(target, PageType.L1)
        elif entry & PTE_W:
            self.take(target, PageType.WRITABLE)
        else:
            self.reference(target)

    def _release_entry(self, table: PageType, entry: int) -> None:
        if not entry & PTE_P:
            return
        target = (entry & PTE_FRAME) >> PAGE_SHIFT
        if table is PageType.L2 or entry & PTE_W:
            self.give_back(target)
        else:
            self.release(target)

    def _release_entries(self, frame: int, table: PageType, end: int) -> None:
        """Let go of what the entries before slot ``end`` hold."""
        last = min(end, FIRST_XEN_SLOT) if table is PageType.L2 else end
        self.charge("mon_memory_reference", last)
        for entry in self._entries(frame)[:last]:
            self._release_entry(table, entry)

    def _entries(self, frame: int) -> tuple[int, ...]:
        return _PAGE.unpack(self._memory.dump(HostPhysical(frame << PAGE_SHIFT), PAGE_SIZE))
