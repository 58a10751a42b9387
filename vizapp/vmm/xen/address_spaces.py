"""Page directories of a domain in the processor, and the translations that it remembers.

Source: Xen 3.1, arch/x86/mm.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.addresses import PAGE_SHIFT
from vizapp.machine import events
from vizapp.vmm import ring0
from vizapp.vmm.xen.frame_info import refuse_foreign
from vizapp.vmm.xen.places import HYPERVISOR

if TYPE_CHECKING:
    from vizapp.vmm.xen.hypervisor import Hypervisor


def switch(xen: Hypervisor, frame: int) -> None:
    """Run on a page directory and release the one before.

    Raises:
        RefusedError: it is none, or an entry of it breaks the rules; the domain goes on with the old one.
    """
    old = xen.domain.page_directory
    if frame == old:
        flush(xen)
        return
    xen.types.take(frame, xen.types.top, xen.domain.id)
    xen.domain.page_directory = frame
    flush(xen)
    xen.types.give_back(old)
    payload = {"cr3": frame << PAGE_SHIFT}
    xen.pc.emit(events.ADDRESS_SPACE_SWITCHED, "new_baseptr", payload, HYPERVISOR, HYPERVISOR)


def flush(xen: Hypervisor) -> None:
    """Forget every translation."""
    ring0.load_cr3(xen.pc, xen.directory)
    xen.types.flushed()


def invalidate(xen: Hypervisor, linear: int) -> None:
    """Forget one translation."""
    ring0.invlpg(xen.pc, linear)


def set_pseudo_physical(xen: Hypervisor, frame: int, pfn: int, domain: int) -> None:
    """Note in the machine-to-physical table where a domain keeps a frame; RefusedError if it does not."""
    if xen.types.owner(frame) != domain:
        raise refuse_foreign(frame)
    xen.set_pseudo_physical(frame, pfn)
