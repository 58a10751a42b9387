"""Changing page tables, which the guest may read but not write: every entry is checked first.

Nothing here flushes the TLB unasked, except where that would let the guest write to a table.

Source: Xen's public header xen.h (mmu_update, update_va_mapping, mmuext_op); Xen 3.1, arch/x86/mm.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import M32, PAGE_SHIFT, HostPhysical, Linear
from vizapp.isa.paging import PTE_A, PTE_D, PTE_FRAME, PTE_P
from vizapp.vmm.xen import abi, address_spaces
from vizapp.vmm.xen.continuation import BATCH, Continuation
from vizapp.vmm.xen.page_types import PageType, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.vmm.xen.hypervisor import Hypervisor

_PINS: Final = {abi.MMUEXT_PIN_L1: PageType.L1, abi.MMUEXT_PIN_L2: PageType.L2}
_FLUSHES: Final = (abi.MMUEXT_TLB_FLUSH_LOCAL, abi.MMUEXT_TLB_FLUSH_MULTI, abi.MMUEXT_TLB_FLUSH_ALL)
_INVALIDATIONS: Final = (abi.MMUEXT_INVLPG_LOCAL, abi.MMUEXT_INVLPG_MULTI, abi.MMUEXT_INVLPG_ALL)


def mmu_update(xen: Hypervisor, a: tuple[int, ...]) -> int | Continuation:
    """Write ``count`` entries, each (machine address of the entry with a command in bits 1:0, value)."""
    return _requests(xen, a, abi.MMU_UPDATE_SIZE, _update)


def mmuext_op(xen: Hypervisor, a: tuple[int, ...]) -> int | Continuation:
    """Pin and unpin tables, load a page directory, flush: ``count`` times (command, two arguments)."""
    return _requests(xen, a, abi.MMUEXT_OP_SIZE, _extended)


def _requests(
    xen: Hypervisor, a: tuple[int, ...], size: int, serve: Callable[[Hypervisor, bytes], int]
) -> int | Continuation:
    """Serve a list of requests up to the first that fails, and count those done at ``done``, if given."""
    requests, count, done, domain = a[0], a[1], a[2], a[3]
    total = 0
    if count & abi.MMU_UPDATE_PREEMPTED:
        count &= ~abi.MMU_UPDATE_PREEMPTED
        total = int.from_bytes(xen.space.copy_from(done, 4), "little") if done else 0
    if domain not in (abi.DOMID_SELF, xen.domain.id):
        return -abi.ESRCH
    result = served = 0
    while served < min(count, BATCH) and not result:
        request = xen.space.copy_from(requests + served * size & M32, size)
        result = serve(xen, request)
        served += not result
    if done:
        xen.space.copy_to(done, (total + served & M32).to_bytes(4, "little"))
    if result or served == count:
        return result
    rest = count - served | abi.MMU_UPDATE_PREEMPTED
    return Continuation((requests + served * size & M32, rest, done, domain))


def _update(xen: Hypervisor, request: bytes) -> int:
    pointer = int.from_bytes(request[0:8], "little")
    value = int.from_bytes(request[8:12], "little")
    command, address = pointer & 3, HostPhysical(pointer & ~3)
    try:
        if command == abi.MMU_NORMAL_PT_UPDATE:
            xen.types.write_entry(address, value)
        elif command == abi.MMU_PT_UPDATE_PRESERVE_AD:
            xen.types.write_entry(address, value, kept=PTE_A | PTE_D)
        elif command == abi.MMU_MACHPHYS_UPDATE:
            address_spaces.set_pseudo_physical(xen, address >> PAGE_SHIFT, value)
        else:
            return -abi.ENOSYS
    except RefusedError as refusal:
        xen.refused("mmu_update", refusal)
        return -abi.EINVAL
    return 0


def _extended(xen: Hypervisor, request: bytes) -> int:
    command, argument = int.from_bytes(request[0:4], "little"), int.from_bytes(request[4:8], "little")
    try:
        if command in _PINS:
            xen.types.pin(argument, _PINS[command])
        elif command == abi.MMUEXT_UNPIN:
            xen.types.unpin(argument)
        elif command == abi.MMUEXT_NEW_BASEPTR:
            address_spaces.switch(xen, argument)
        elif command in _FLUSHES:
            address_spaces.flush(xen)
        elif command in _INVALIDATIONS:
            address_spaces.invalidate(xen, argument)
        elif command == abi.MMUEXT_SET_LDT:
            # Taking the LDT away is always possible: there is none.
            return -abi.ENOSYS if int.from_bytes(request[8:12], "little") else 0
        elif command != abi.MMUEXT_FLUSH_CACHE:
            return -abi.ENOSYS
    except RefusedError as refusal:
        xen.refused(abi.MMUEXT_NAMES[command], refusal)
        return -abi.EINVAL
    return 0


def update_va_mapping(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Write the entry that maps ``va`` in the current address space: va, value (two words), flush flags."""
    va, value, flags = Linear(a[0]), a[1], a[3]
    if va >= abi.HYPERVISOR_START:
        return -abi.EINVAL
    directory = xen.domain.page_directory << PAGE_SHIFT
    entry = xen.memory.read(directory + (va >> 22) * 4, 4)
    xen.pay_references(1)
    if not entry & PTE_P:
        return -abi.EINVAL
    xen.types.write_entry(HostPhysical((entry & PTE_FRAME) + (va >> PAGE_SHIFT & 1023) * 4), value)
    kind = flags & abi.UVMF_FLUSH_TYPE
    if kind == abi.UVMF_TLB_FLUSH:
        address_spaces.flush(xen)
    elif kind == abi.UVMF_INVLPG:
        address_spaces.invalidate(xen, va)
    return 0


HYPERCALLS = {
    "mmu_update": mmu_update,
    "update_va_mapping": update_va_mapping,
    "mmuext_op": mmuext_op,
}
