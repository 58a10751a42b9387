"""Changing page tables, which the guest may read but not write: every entry is checked first.

Source: Xen's public header xen.h (mmu_update, update_va_mapping, mmuext_op).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.addresses import PAGE_SHIFT, HostPhysical, Linear
from vizapp.isa.paging import PTE_A, PTE_D, PTE_FRAME, PTE_P
from vizapp.vmm.xen import abi
from vizapp.vmm.xen.page_types import PageType, RefusedError

if TYPE_CHECKING:
    from vizapp.vmm.xen.hypervisor import Hypervisor

_MOST_UPDATES = 1 << 16


def _write(xen: Hypervisor, address: HostPhysical, value: int) -> None:
    old = xen.types.write_entry(address, value)
    if old & PTE_P:
        # An old translation may still sit in the TLB while its frame finds another use.
        xen.flush_needed = True


def mmu_update(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Write ``count`` entries, each (machine address of the entry with a command in bits 1:0, value)."""
    requests, count, done, domain = a[0], a[1], a[2], a[3]
    if domain != abi.DOMID_SELF:
        return -abi.ESRCH
    if count > _MOST_UPDATES:
        return -abi.EINVAL
    result = 0
    completed = 0
    for index in range(count):
        raw = xen.copy_from_guest(requests + index * abi.MMU_UPDATE_SIZE, abi.MMU_UPDATE_SIZE)
        pointer = int.from_bytes(raw[0:8], "little")
        value = int.from_bytes(raw[8:16], "little") & 0xFFFF_FFFF
        command = pointer & 3
        address = HostPhysical(pointer & ~3)
        try:
            if command == abi.MMU_NORMAL_PT_UPDATE:
                _write(xen, address, value)
            elif command == abi.MMU_PT_UPDATE_PRESERVE_AD:
                _write(xen, address, value | xen.memory.read(address, 4) & (PTE_A | PTE_D))
            elif command == abi.MMU_MACHPHYS_UPDATE:
                xen.set_pseudo_physical(address >> PAGE_SHIFT, value)
            else:
                result = -abi.ENOSYS
        except RefusedError as refused:
            xen.note_refusal("mmu_update", refused)
            result = -abi.EINVAL
        if result:
            break
        completed += 1
    if done:
        xen.copy_to_guest(done, completed.to_bytes(4, "little"))
    xen.flush_if_needed()
    return result


def update_va_mapping(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Write the entry that maps ``va`` in the current address space: va, value (two words), flush flags."""
    va, value, flags = Linear(a[0]), a[1], a[3]
    if va >= abi.HYPERVISOR_START:
        return -abi.EINVAL
    directory = xen.domain.page_directory << PAGE_SHIFT
    entry = xen.memory.read(directory + (va >> 22) * 4, 4)
    if not entry & PTE_P:
        return -abi.EINVAL
    address = HostPhysical((entry & PTE_FRAME) + (va >> PAGE_SHIFT & 1023) * 4)
    xen.types.write_entry(address, value)
    kind = flags & abi.UVMF_FLUSH_TYPE
    if kind == abi.UVMF_TLB_FLUSH:
        xen.flush_tlb()
    elif kind == abi.UVMF_INVLPG:
        xen.invalidate(va)
    return 0


def _extended(xen: Hypervisor, command: int, argument: int) -> int:
    if command == abi.MMUEXT_PIN_L1:
        xen.types.pin(argument, PageType.L1)
    elif command == abi.MMUEXT_PIN_L2:
        xen.types.pin(argument, PageType.L2)
    elif command == abi.MMUEXT_UNPIN:
        xen.types.unpin(argument)
    elif command == abi.MMUEXT_NEW_BASEPTR:
        xen.switch_directory(argument)
    elif command in (abi.MMUEXT_TLB_FLUSH_LOCAL, abi.MMUEXT_TLB_FLUSH_MULTI, abi.MMUEXT_TLB_FLUSH_ALL):
        xen.flush_tlb()
    elif command in (abi.MMUEXT_INVLPG_LOCAL, abi.MMUEXT_INVLPG_MULTI, abi.MMUEXT_INVLPG_ALL):
        xen.invalidate(Linear(argument))
    elif command != abi.MMUEXT_FLUSH_CACHE:
        return -abi.ENOSYS
    return 0


def mmuext_op(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Pin and unpin tables, load a page directory, flush: ``count`` operations of 12 bytes."""
    operations, count, done, domain = a[0], a[1], a[2], a[3]
    if domain != abi.DOMID_SELF:
        return -abi.ESRCH
    if count > _MOST_UPDATES:
        return -abi.EINVAL
    result = 0
    completed = 0
    for index in range(count):
        raw = xen.copy_from_guest(operations + index * abi.MMUEXT_OP_SIZE, abi.MMUEXT_OP_SIZE)
        command = int.from_bytes(raw[0:4], "little")
        try:
            result = _extended(xen, command, int.from_bytes(raw[4:8], "little"))
        except RefusedError as refused:
            xen.note_refusal(abi.MMUEXT_NAMES.get(command, "mmuext_op"), refused)
            result = -abi.EINVAL
        if result:
            break
        completed += 1
    if done:
        xen.copy_to_guest(done, completed.to_bytes(4, "little"))
    return result


HYPERCALLS = {
    "mmu_update": mmu_update,
    "update_va_mapping": update_va_mapping,
    "mmuext_op": mmuext_op,
}
