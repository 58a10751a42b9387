"""set_gdt, update_descriptor and vm_assist: a guest's segments, and what is done for guests of old.

Source: Xen's public headers xen.h and arch-x86/xen.h; Xen 3.1, arch/x86/mm.c and common/kernel.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import PAGE_SHIFT
from vizapp.isa.descriptors import DESCRIPTOR_BYTES
from vizapp.vmm.xen import abi, segment_tables
from vizapp.vmm.xen.descriptors import PER_PAGE, checked
from vizapp.vmm.xen.frame_info import PageType

if TYPE_CHECKING:
    from vizapp.vmm.xen.hypervisor import Hypervisor

_ENABLE, _DISABLE = 0, 1
_MOST_ASSIST: Final = 3


def set_gdt(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Use these frames, of 512 entries each, for the descriptor table below the hypervisor's own entries."""
    frames, entries = a[0], a[1]
    if entries > abi.FIRST_RESERVED_GDT_ENTRY:
        return -abi.EINVAL
    pages = -(-entries // PER_PAGE)
    raw = xen.space.copy_from(frames, pages * 4)
    numbers = tuple(int.from_bytes(raw[at : at + 4], "little") for at in range(0, len(raw), 4))
    segment_tables.set_gdt(xen, xen.domain, numbers, entries)
    return 0


def update_descriptor(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Write one descriptor: machine address (two words), then the eight bytes."""
    address, raw = a[0] | a[1] << 32, a[2].to_bytes(4, "little") + a[3].to_bytes(4, "little")
    frame = address >> PAGE_SHIFT
    descriptor = checked(raw, xen.format.guest_limit)
    if address & DESCRIPTOR_BYTES - 1 or descriptor is None:
        return -abi.EINVAL
    info = xen.types.info(frame)
    wanted = PageType.SEGMENTS if info.uses and info.type is PageType.SEGMENTS else PageType.WRITABLE
    xen.types.take(frame, wanted, xen.domain.id)  # not while it is a page table
    xen.memory.write(address, DESCRIPTOR_BYTES, int.from_bytes(descriptor, "little"))
    xen.pay_references(2)
    xen.types.give_back(frame)
    return 0


def vm_assist(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Turn an assist on or off: 4 GB segments, telling of them, writable page tables, PAE CR3 above 4 GB."""
    command, kind = a[0], a[1]
    if kind > _MOST_ASSIST:
        return -abi.EINVAL
    if command == _ENABLE:
        xen.domain.assists |= 1 << kind
    elif command == _DISABLE:
        xen.domain.assists &= ~(1 << kind)
    else:
        return -abi.ENOSYS
    return 0


HYPERCALLS = {"set_gdt": set_gdt, "update_descriptor": update_descriptor, "vm_assist": vm_assist}
