"""Page types: what each machine frame is used for, so that no guest can write a page table unseen.

A frame has one type at a time, with a count of the uses of that type: a page directory (L2), a page table
(L1), or writable. The types exclude each other, so a frame that is a page table somewhere cannot be mapped
writable anywhere, and the guest can read its real tables but must ask for every change. A frame becomes a
table by being validated: each of its entries takes a reference on what it points at.

Source: Barham et al. (SOSP 2003), section 3.3.3 "Physical memory"; Xen 3.1, arch/x86/mm.c.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from vizapp.isa.addresses import PAGE_SHIFT, PAGE_SIZE, HostPhysical
from vizapp.isa.paging import PTE_FRAME, PTE_G, PTE_P, PTE_PS, PTE_W
from vizapp.messages import N_, Message
from vizapp.vmm.xen import abi

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vizapp.machine.memory import PhysicalMemory

ENTRIES = PAGE_SIZE // 4
FIRST_XEN_SLOT = abi.HYPERVISOR_START >> 22
# Page size and global bits: a superpage would map frames that nobody counted, a global entry would
# outlive the address space of the guest that made it.
FORBIDDEN_BITS = PTE_PS | PTE_G


class PageType(StrEnum):
    """The uses of a frame that exclude one another."""

    NONE = "none"
    WRITABLE = "writable"
    L1 = "page-table"
    L2 = "page-directory"


class FrameInfo(NamedTuple):
    """Type of a frame, uses of that type, all references, and whether the guest pinned it."""

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


def _refuse(text: str, **parameters: int | str) -> RefusedError:
    shown = {k: f"{v:#x}" if isinstance(v, int) else v for k, v in parameters.items()}
    return RefusedError(Message(text, shown))


def _free(count: int) -> None:
    """Nothing is paid while the machine boots."""


class PageTypes:
    """The frame table of one domain.

    Args:
        memory: the machine's.
        owns: whether a machine frame belongs to the domain.
        xen_slots: page-directory index to entry, written into the hypervisor's part of every directory.

    Attributes:
        charge: called with the number of page-table entries that were examined or written.
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
        self.charge: Callable[[int], None] = _free
        self.frames: dict[int, FrameInfo] = {}

    def info(self, frame: int) -> FrameInfo:
        """What is known of a frame."""
        return self.frames.get(frame, UNUSED)

    def save(self) -> dict[int, FrameInfo]:
        """The table as plain data."""
        return dict(self.frames)

    def load(self, saved: dict[int, FrameInfo]) -> None:
        """Return to a saved table."""
        self.frames = dict(saved)

    def reference(self, frame: int) -> None:
        """Take a reference on a frame of the domain."""
        if not self._owns(frame):
            raise _refuse(N_("machine frame {frame} does not belong to the domain"), frame=frame)
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
        if not info.uses and wanted in (PageType.L1, PageType.L2):
            try:
                self._validate(frame, wanted)
            except RefusedError:
                self.release(frame)
                raise
        info = self.info(frame)
        self.frames[frame] = info._replace(type=wanted, uses=info.uses + 1)

    def give_back(self, frame: int) -> None:
        """End one use; the last use of a table releases what its entries held."""
        info = self.info(frame)
        if info.uses == 1 and info.type in (PageType.L1, PageType.L2):
            # Untyped first: a directory that refers to itself must not be released twice.
            self.frames[frame] = info._replace(type=PageType.NONE, uses=0)
            self._release_entries(frame, info.type, range(ENTRIES))
        else:
            uses = info.uses - 1
            self.frames[frame] = info._replace(uses=uses, type=info.type if uses else PageType.NONE)
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

    def write_entry(self, address: HostPhysical, value: int) -> int:
        """Write a page-table entry at a machine address after checking it; returns the old value.

        Raises:
            RefusedError: the frame is no page table, or the entry would break the rules; nothing is written.
        """
        frame = address >> PAGE_SHIFT
        info = self.info(frame)
        if not self._owns(frame):
            raise _refuse(N_("machine frame {frame} does not belong to the domain"), frame=frame)
        if info.type not in (PageType.L1, PageType.L2) or not info.uses:
            # An ordinary frame: the guest could have written it by itself.
            return self._replace(address, value)
        slot = address >> 2 & ENTRIES - 1
        if info.type is PageType.L2 and slot >= FIRST_XEN_SLOT:
            raise _refuse(N_("page-directory slot {slot} belongs to the hypervisor"), slot=slot)
        self._take_entry(info.type, value)
        old = self._replace(address, value)
        self._release_entry(info.type, old)
        return old

    def _replace(self, address: HostPhysical, value: int) -> int:
        old = self._memory.read(address, 4)
        self._memory.write(address, 4, value)
        self.charge(1)
        return old

    def _validate(self, frame: int, wanted: PageType) -> None:
        base = frame << PAGE_SHIFT
        last = FIRST_XEN_SLOT if wanted is PageType.L2 else ENTRIES
        self.charge(last)
        for slot in range(last):
            try:
                self._take_entry(wanted, self._memory.read(HostPhysical(base + slot * 4), 4))
            except RefusedError:
                self._release_entries(frame, wanted, range(slot))
                raise
        if wanted is PageType.L2:
            for slot in range(FIRST_XEN_SLOT, ENTRIES):
                self._memory.write(HostPhysical(base + slot * 4), 4, self._xen_slots.get(slot, 0))

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

    def _release_entries(self, frame: int, table: PageType, slots: range) -> None:
        base = frame << PAGE_SHIFT
        for slot in slots:
            if table is PageType.L1 or slot < FIRST_XEN_SLOT:
                self._release_entry(table, self._memory.read(HostPhysical(base + slot * 4), 4))
