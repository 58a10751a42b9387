"""Changing page tables, which the guest may read but not write: every entry is checked first.

Nothing here flushes the TLB unasked, except where that would let the guest write to a table.

Source: Xen's public header xen.h (mmu_update, update_va_mapping, mmuext_op); Xen 3.1, arch/x86/mm.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import M32, PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, HostPhysical
from vizapp.isa.descriptors import DESCRIPTOR_BYTES
from vizapp.isa.paging import PTE_A, PTE_D, PTE_P
from vizapp.messages import N_
from vizapp.vmm.xen import abi, address_spaces, segment_tables
from vizapp.vmm.xen.continuation import BATCH, Continuation
from vizapp.vmm.xen.frame_info import PageType, RefusedError, refuse
from vizapp.vmm.xen.guest_access import GuestMemoryError
from vizapp.vmm.xen.hypercalls.arguments import word

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.vmm.xen.domain import Domain
    from vizapp.vmm.xen.hypervisor import Hypervisor

_PINS: Final = {
    abi.MMUEXT_PIN_L1: PageType.L1, abi.MMUEXT_PIN_L2: PageType.L2, abi.MMUEXT_PIN_L3: PageType.L3,
}  # fmt: skip
_FLUSHES: Final = (abi.MMUEXT_TLB_FLUSH_LOCAL, abi.MMUEXT_TLB_FLUSH_MULTI, abi.MMUEXT_TLB_FLUSH_ALL)
_INVALIDATIONS: Final = (abi.MMUEXT_INVLPG_LOCAL, abi.MMUEXT_INVLPG_MULTI, abi.MMUEXT_INVLPG_ALL)


def mmu_update(xen: Hypervisor, a: tuple[int, ...]) -> int | Continuation:
    """Write ``count`` entries, each (machine address of the entry with a command in bits 1:0, value).

    The entries are in tables of the caller, and may lead to frames of the domain that is named.
    """
    return _requests(xen, a, abi.MMU_UPDATE_SIZE, _update)


def mmuext_op(xen: Hypervisor, a: tuple[int, ...]) -> int | Continuation:
    """Pin and unpin tables of a domain, load a page directory, flush: ``count`` times."""
    return _requests(xen, a, abi.MMUEXT_OP_SIZE, _extended)


def _requests(
    xen: Hypervisor, a: tuple[int, ...], size: int, serve: Callable[[Hypervisor, bytes, Domain], int]
) -> int | Continuation:
    """Serve a list of requests up to the first that fails, and count those done at ``done``, if given."""
    requests, count, done, number = a[0], a[1], a[2], a[3]
    total = 0
    if count & abi.MMU_UPDATE_PREEMPTED:
        count &= ~abi.MMU_UPDATE_PREEMPTED
        total = int.from_bytes(xen.space.copy_from(done, 4), "little") if done else 0
    domain = _foreign(xen, number)
    result = served = 0
    if requests + count * size > xen.format.hole:
        result = -abi.EFAULT
    elif domain is None:
        result = -abi.ESRCH
    while domain is not None and not result and served < min(count, BATCH):
        try:
            request = xen.space.copy_from(requests + served * size & M32, size)
            result = serve(xen, request, domain)
        except GuestMemoryError:
            result = -abi.EFAULT
        served += not result
    if done:
        xen.space.copy_to(done, (total + served & M32).to_bytes(4, "little"))
    if result or served == count:
        return result
    rest = count - served | abi.MMU_UPDATE_PREEMPTED
    return Continuation((requests + served * size & M32, rest, done, number))


def _foreign(xen: Hypervisor, number: int) -> Domain | None:
    """The domain whose frames a request is about; None for one that there is not, or that may not be named.

    Only the initial domain may name others, and nobody itself by its number (set_foreigndom).
    """
    if number in (abi.DOMID_SELF, abi.DOMID_IO):
        return xen.domain
    return xen.by_id(number) if xen.domain.privileged and number != xen.domain.id else None


def _update(xen: Hypervisor, request: bytes, foreign: Domain) -> int:
    pointer = int.from_bytes(request[0:8], "little")
    value = int.from_bytes(request[8 : 8 + xen.format.entry_bytes], "little")
    command, address = pointer & 3, HostPhysical(pointer & ~3)
    try:
        if command == abi.MMU_MACHPHYS_UPDATE:
            address_spaces.set_pseudo_physical(xen, address >> PAGE_SHIFT, value & M32, foreign.id)
        elif command in (abi.MMU_NORMAL_PT_UPDATE, abi.MMU_PT_UPDATE_PRESERVE_AD):
            if address & xen.format.entry_bytes - 1:
                return -abi.EINVAL
            kept = PTE_A | PTE_D if command == abi.MMU_PT_UPDATE_PRESERVE_AD else 0
            value = _translated(xen, value, foreign)
            xen.types.write_entry(address, value, xen.domain.id, kept, foreign.id)
        else:
            return -abi.ENOSYS
    except RefusedError as refusal:
        xen.refused("mmu_update", refusal)
        return -abi.EINVAL
    return 0


def _translated(xen: Hypervisor, entry: int, foreign: Domain) -> int:
    """An entry that names a guest frame of an HVM domain leads to the machine frame that is behind it.

    Raises:
        RefusedError: there is none.
    """
    if foreign.hvm is None or foreign is xen.domain or not entry & PTE_P:
        return entry
    number = xen.format.frame(entry)
    frame = xen.frame_of(foreign, number)
    if frame < 0:
        raise refuse(N_("guest frame {frame} of the domain has no page"), frame=number)
    return entry & ~xen.format.frame_bits | frame << PAGE_SHIFT


def _extended(xen: Hypervisor, request: bytes, foreign: Domain) -> int:
    command, argument = int.from_bytes(request[0:4], "little"), int.from_bytes(request[4:8], "little")
    second = int.from_bytes(request[8:12], "little")
    try:
        if command <= abi.MMUEXT_PIN_L4:
            if command - abi.MMUEXT_PIN_L1 < xen.format.levels:  # one of a level that is not there is ignored
                xen.types.pin(argument, _PINS[command], foreign.id)
        elif command == abi.MMUEXT_UNPIN:
            xen.types.unpin(argument, foreign.id)
        elif command == abi.MMUEXT_NEW_BASEPTR:
            address_spaces.switch(xen, argument)
        elif command in _FLUSHES or command in _INVALIDATIONS:
            return _flush(xen, command, argument, second)
        elif command == abi.MMUEXT_SET_LDT:
            return _set_ldt(xen, argument, second)
        elif command == abi.MMUEXT_CLEAR_PAGE:
            _fill(xen, argument, bytes(PAGE_SIZE))
        elif command == abi.MMUEXT_COPY_PAGE:
            xen.types.reference(second, xen.domain.id)
            try:
                _fill(xen, argument, xen.memory.dump(HostPhysical(second << PAGE_SHIFT), PAGE_SIZE))
            finally:
                xen.types.release(second)
        elif command == abi.MMUEXT_FLUSH_CACHE:
            return 0 if xen.domain.devices else -abi.EINVAL  # for who drives devices (cache_flush_permitted)
        else:
            return -abi.ENOSYS
    except RefusedError as refusal:
        xen.refused(abi.MMUEXT_NAMES[command], refusal)
        return -abi.EINVAL
    return 0


def _flush(xen: Hypervisor, command: int, linear: int, mask: int) -> int:
    """Of the virtual CPUs in the bit mask at ``mask``, of all, or of this one: there is one."""
    if command in (abi.MMUEXT_TLB_FLUSH_MULTI, abi.MMUEXT_INVLPG_MULTI):
        try:
            word(xen, mask)
        except GuestMemoryError:
            return -abi.EINVAL
    if command in _FLUSHES:
        address_spaces.flush(xen)
    else:
        address_spaces.invalidate(xen, linear)
    return 0


def _set_ldt(xen: Hypervisor, linear: int, entries: int) -> int:
    if linear & PAGE_MASK or entries > segment_tables.MOST_ENTRIES:
        return -abi.EINVAL
    if linear + entries * DESCRIPTOR_BYTES > xen.format.hole:
        return -abi.EINVAL
    segment_tables.set_ldt(xen, xen.domain, linear, entries)
    return 0


def _fill(xen: Hypervisor, frame: int, data: bytes) -> None:
    """Write a whole frame of the current domain that is no table."""
    xen.types.take(frame, PageType.WRITABLE, xen.domain.id)
    xen.memory.load(HostPhysical(frame << PAGE_SHIFT), data)
    xen.pay_references(PAGE_SIZE // 4)
    xen.types.give_back(frame)


def update_va_mapping(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Write the entry that maps ``va`` in the current address space: va, value (two words), flush flags."""
    return _map(xen, a, xen.domain)


def update_va_mapping_otherdomain(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """The same, to a frame of the domain that is named last."""
    if not xen.domain.privileged:
        return -abi.EPERM
    domain = _foreign(xen, a[4])
    return -abi.ESRCH if domain is None else _map(xen, a, domain)


def _map(xen: Hypervisor, a: tuple[int, ...], foreign: Domain) -> int:
    form, linear, flags = xen.format, a[0], a[3]
    if linear >= form.hole:
        return -abi.EINVAL
    where = form.last_entry(xen.memory, xen.domain.page_directory, linear)
    xen.pay_references(form.levels - 1)
    if where is None:
        return -abi.EINVAL
    value = a[1] | a[2] << 32 if form.entry_bytes > 4 else a[1]
    value = _translated(xen, value, foreign)
    xen.types.write_entry(where, value, xen.domain.id, foreign=foreign.id)
    kind = flags & abi.UVMF_FLUSH_TYPE
    if kind == abi.UVMF_TLB_FLUSH:
        address_spaces.flush(xen)
    elif kind == abi.UVMF_INVLPG:
        address_spaces.invalidate(xen, linear)
    if kind and flags & ~abi.UVMF_FLUSH_TYPE not in (abi.UVMF_LOCAL, abi.UVMF_ALL):
        word(xen, flags & ~abi.UVMF_FLUSH_TYPE)  # a bit mask of virtual CPUs, which must be there
    return 0


HYPERCALLS = {
    "mmu_update": mmu_update,
    "update_va_mapping": update_va_mapping,
    "update_va_mapping_otherdomain": update_va_mapping_otherdomain,
    "mmuext_op": mmuext_op,
}
