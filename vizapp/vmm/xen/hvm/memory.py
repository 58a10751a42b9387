"""An HVM domain's guest-physical memory: pages where domain 0 has put them, the device model elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizapp.isa.addresses import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, GuestPhysical, HostPhysical
from vizapp.vmm.guest_memory import GuestMemory
from vizapp.vmm.xen.hvm import abi
from vizapp.vmm.xen.hvm.requests import Access

if TYPE_CHECKING:
    from vizapp.machine.memory import PhysicalMemory
    from vizapp.vmm.xen.hvm.requests import Answers


class DomainMemory(GuestMemory):
    """The physmap of a domain.

    Attributes:
        pages: machine frame by guest frame.
        answers: the device model's, while an instruction is carried out for the guest: it answers where there
            is no page. None at other times: ones are read then, and writes vanish.
    """

    def __init__(self, memory: PhysicalMemory) -> None:
        super().__init__(memory, ())
        self.pages: dict[int, int] = {}
        self.answers: Answers | None = None
        self._saved: dict[int, int] = {}

    @property
    def size(self) -> int:
        """Bytes up to the end of its last page."""
        return max(self.pages, default=-1) + 1 << PAGE_SHIFT

    def read_only(self, frame: int) -> bool:
        """No page is."""
        return False

    def host_frame(self, frame: int) -> int | None:
        """The machine frame behind a guest frame; None where the guest has no memory."""
        return self.pages.get(frame)

    def where(self, address: GuestPhysical) -> HostPhysical | None:
        """The machine address, for who only looks."""
        frame = self.pages.get(address >> PAGE_SHIFT)
        return None if frame is None else HostPhysical(frame << PAGE_SHIFT | address & PAGE_MASK)

    def read(self, address: int, size: int) -> int:
        """As of memory; from the device model where there is none."""
        if not self._outside(address, size):
            return super().read(address, size)
        assert self.answers is not None
        return self.answers.take(Access(abi.TYPE_COPY, address, size, True))

    def write(self, address: int, size: int, value: int) -> None:
        """As to memory; to the device model where there is none."""
        if not self._outside(address, size):
            super().write(address, size, value)
            return
        assert self.answers is not None
        self.answers.take(Access(abi.TYPE_COPY, address, size, False, value & (1 << 8 * size) - 1))

    def save(self) -> Any:
        """Which pages it has; checkpoints share it while nothing changes."""
        if self._saved != self.pages:
            self._saved = dict(self.pages)
        return self._saved

    def load_state(self, saved: Any) -> None:
        """Take up a saved state."""
        self.pages = dict(saved)

    def _outside(self, address: int, size: int) -> bool:
        if self.answers is None or (address & PAGE_MASK) + size > PAGE_SIZE:
            return False
        frame = address >> PAGE_SHIFT
        return frame not in self.pages and frame not in self.mmio.frames
