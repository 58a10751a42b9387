"""A page fault that the guest is not to see: its own tables grant the access, and only the shadow did not."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vizapp.isa.addresses import PAGE_MASK

if TYPE_CHECKING:
    from vizapp.machine.events import Payload
    from vizapp.vmm.guest_mmu import Translation
    from vizapp.vmm.shadow import Shadow


class Hidden(NamedTuple):
    """Where it was, what the guest's tables say, and whether it was a write."""

    linear: int
    translation: Translation
    write: bool

    @property
    def cause(self) -> str:
        """For the event that tells of the entry made for it."""
        return "write" if self.write else "read"


def fill(shadow: Shadow, hidden: Hidden, frame: int) -> Payload:
    """Make the entry that was missing, which leads to host frame ``frame``; what its event tells.

    No INVLPG even where there was an entry: the fault itself made the processor forget the page.
    """
    linear, found, write = hidden
    known = shadow.entry(linear)
    entry = shadow.fill(linear, found, frame, write=write)
    return {
        "linear": linear & ~PAGE_MASK,
        "guest_frame": found.frame,
        "host_frame": frame,
        "entry": entry,
        "previous": known,
    }
