"""A guest's own descriptors: what the hypervisor lets stand in a page of them.

Nothing in such a page may lead into ring 0 or reach the hypervisor: code and data lose DPL 0 and end below
the hole, a call gate must lead to a selector that is the guest's, other system descriptors are refused. The
pages are then read-only to the guest, and every change comes by the hypercall update_descriptor.

Source: Xen 3.1, arch/x86/x86_32/mm.c (check_descriptor); Xen's public header arch-x86/xen.h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import PAGE_SHIFT, PAGE_SIZE, HostPhysical, Linear
from vizapp.isa.descriptors import (
    CALL_GATE_32,
    DESCRIPTOR_BYTES,
    SELECTOR_LDT,
    SELECTOR_RPL,
    pack,
    to_bytes,
    unpack,
    unpack_gate,
)
from vizapp.messages import N_
from vizapp.vmm.deprivilege import segment
from vizapp.vmm.host_tables import FIRST_RESERVED
from vizapp.vmm.xen import abi
from vizapp.vmm.xen.frame_info import refuse

if TYPE_CHECKING:
    from vizapp.machine.memory import PhysicalMemory

PER_PAGE: Final = PAGE_SIZE // DESCRIPTOR_BYTES
GDT_PAGES: Final = 14  # those of the guest; behind them are the hypervisor's entries


def checked(raw: bytes, limit: int) -> bytes | None:
    """Eight bytes of a descriptor as a guest may have them; None if it may not at all.

    ``limit`` is the last linear address that a guest's segment may reach.
    """
    low, high = int.from_bytes(raw[:4], "little"), int.from_bytes(raw[4:], "little")
    descriptor = unpack(low, high)
    if not descriptor.present:
        return raw  # to use it is a fault
    if descriptor.is_system:
        gate = unpack_gate(low, high)
        return raw if gate.type == CALL_GATE_32 and is_guest_selector(gate.selector) else None
    allowed = segment(descriptor, Linear(limit + 1))
    return raw if allowed == descriptor else to_bytes(pack(allowed))


def check_page(memory: PhysicalMemory, frame: int, limit: int) -> None:
    """Make a page of descriptors harmless, where that takes no more than a ring or a limit.

    Raises:
        RefusedError: an entry of it may not be at all; nothing was changed.
    """
    page = memory.dump(HostPhysical(frame << PAGE_SHIFT), PAGE_SIZE)
    made = []
    for index in range(PER_PAGE):
        found = checked(page[index * DESCRIPTOR_BYTES :][:DESCRIPTOR_BYTES], limit)
        if found is None:
            raise refuse(N_("descriptor {index} of machine frame {frame} is none of a guest's"),
                         index=index, frame=frame)  # fmt: skip
        made.append(found)
    new = b"".join(made)
    if new != page:
        memory.load(HostPhysical(frame << PAGE_SHIFT), new)


def is_guest_selector(selector: int) -> bool:
    """Whether a gate may name it: the guest's own part of the tables, or the flat code of its kernel."""
    if selector & SELECTOR_LDT or selector >> 3 < FIRST_RESERVED:
        return True
    return selector & ~SELECTOR_RPL == abi.FLAT_RING1_CS & ~SELECTOR_RPL
