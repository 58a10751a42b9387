"""memory_op: how much memory a domain has, and which frames.

A list of extents is worked through until one fails; the result is how many were done.

Source: Xen's public header memory.h; Xen 3.1, common/memory.c.
"""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import M32, PAGE_SHIFT
from vizapp.machine import events
from vizapp.vmm.xen import abi, grants, lifecycle
from vizapp.vmm.xen import control_abi as c
from vizapp.vmm.xen.continuation import BATCH, Continuation
from vizapp.vmm.xen.guest_access import GuestMemoryError
from vizapp.vmm.xen.hvm import physmap
from vizapp.vmm.xen.hvm.abi import MAPSPACE_GRANT_TABLE, MAPSPACE_SHARED_INFO
from vizapp.vmm.xen.hypercalls.arguments import Structure, word
from vizapp.vmm.xen.places import HYPERVISOR

if TYPE_CHECKING:
    from vizapp.vmm.xen.domain import Domain
    from vizapp.vmm.xen.hypervisor import Hypervisor

_MOST_EXTENTS: Final = M32 >> c.COMMAND_BITS
_RESERVATIONS: Final = (
    c.XENMEM_INCREASE_RESERVATION, c.XENMEM_DECREASE_RESERVATION, c.XENMEM_POPULATE_PHYSMAP,
)  # fmt: skip
_E820_RAM: Final = 1
_MOST_ORDER: Final = 9
_RANGES: Final = 1


def memory_op(xen: Hypervisor, a: tuple[int, ...]) -> int | Continuation:
    """Give and take frames, and tell about them; the command has the extents done already above bit 6."""
    command, done, argument = a[0] & (1 << c.COMMAND_BITS) - 1, a[0] >> c.COMMAND_BITS, a[1]
    if command in _RESERVATIONS:
        return _reservation(xen, command, done, argument)
    if command == c.XENMEM_EXCHANGE:
        return _exchange(xen, argument)
    if command == c.XENMEM_MAXIMUM_RAM_PAGE:
        return xen.memory.frames
    if command in (c.XENMEM_CURRENT_RESERVATION, c.XENMEM_MAXIMUM_RESERVATION, c.XENMEM_MAXIMUM_GPFN):
        return _asked(xen, command, word(xen, argument) & 0xFFFF)
    if command == c.XENMEM_MACHPHYS_MAPPING:
        form = xen.format
        last = (form.m2p_end - form.hole) // 4 - 1
        xen.space.copy_to(argument, pack("<3I", form.hole, form.m2p_end, last))
        return 0
    if command in (c.XENMEM_MEMORY_MAP, c.XENMEM_MACHINE_MEMORY_MAP):
        return _memory_map(xen, command, argument)
    if command == c.XENMEM_ADD_TO_PHYSMAP:
        return _add_to_physmap(xen, argument)
    return -abi.ENOSYS


def _named(xen: Hypervisor, number: int) -> Domain | None:
    """The domain of a request; None where the caller may not name it."""
    return xen.by_id(number) if number == abi.DOMID_SELF or xen.domain.privileged else None


def _reservation(xen: Hypervisor, command: int, done: int, argument: int) -> int | Continuation:
    try:
        request = Structure(xen, argument, c.RESERVATION_BYTES)
    except GuestMemoryError:
        return done
    extents, count, order = request[c.EXTENT_START], request[c.NR_EXTENTS], request[c.EXTENT_ORDER]
    domain = _named(xen, request[c.RESERVATION_DOMID])
    if count > _MOST_EXTENTS or done > count or domain is None:
        return done
    if order > _MOST_ORDER or (order and not xen.domain.privileged):
        return (
            done  # adjacent frames are for who has a device that needs them (multipage_allocation_permitted)
        )
    first, moved = done, 0
    while done < count and done - first < BATCH:
        where = extents + done * 4 & M32
        try:
            pages = _extent(xen, domain, command, where, 1 << order, listed=bool(extents))
        except GuestMemoryError:
            break
        if not pages:
            break
        moved += pages
        done += 1
    if moved:
        _tell(xen, domain, moved, given=command != c.XENMEM_DECREASE_RESERVATION)
    if done - first == BATCH and done < count:
        return Continuation((command | done << c.COMMAND_BITS, argument))
    return done


def _extent(xen: Hypervisor, domain: Domain, command: int, where: int, pages: int, *, listed: bool) -> int:
    """Do one extent of a list; how many pages it moved, 0 if it could not be done."""
    if command == c.XENMEM_DECREASE_RESERVATION:
        frame = word(xen, where)
        moved = 0
        for each in range(frame, frame + pages):
            if not lifecycle.drop_page(xen, domain, xen.frame_of(domain, each)):
                return 0
            moved += 1
        return moved
    if domain.pages + pages > domain.max_pages:
        return 0
    populate = command == c.XENMEM_POPULATE_PHYSMAP
    if domain.hvm is not None and not populate:
        return 0  # it would not know where they are
    pfn = word(xen, where) if populate else None
    frames = lifecycle.add_pages(xen, domain, pages, pfn)
    if frames is None:
        return 0
    if domain.hvm is None and (populate or listed):
        xen.space.copy_to(where, frames.to_bytes(4, "little"))
    return pages


def _exchange(xen: Hypervisor, argument: int) -> int:
    """Give frames up and get others for them, at the pseudo-physical numbers in the list that takes them."""
    given = Structure(xen, argument, c.NR_EXCHANGED + 4)
    taken = Structure(xen, argument + c.RESERVATION_BYTES & M32, c.RESERVATION_BYTES)
    domain = _named(xen, given[c.RESERVATION_DOMID])
    if domain is None:
        return -abi.EPERM if not xen.domain.privileged else -abi.ESRCH
    if domain.hvm is not None:
        return -abi.EINVAL
    same = given[c.RESERVATION_DOMID] == taken[c.RESERVATION_DOMID]
    count, order = given[c.NR_EXTENTS], given[c.EXTENT_ORDER]
    if not same or given[c.NR_EXCHANGED, 4] or order or taken[c.EXTENT_ORDER]:
        return -abi.EINVAL
    if count != taken[c.NR_EXTENTS] or count > BATCH:
        return -abi.EINVAL
    done, result = 0, 0
    while done < count:
        frame = word(xen, given[c.EXTENT_START] + done * 4)
        where = taken[c.EXTENT_START] + done * 4 & M32
        pfn = word(xen, where)
        if xen.types.owner(frame) != domain.id or xen.types.info(frame).references:
            result = -abi.EINVAL
            break
        if not lifecycle.drop_page(xen, domain, frame):
            result = -abi.EINVAL
            break
        new = lifecycle.add_page(xen, domain, pfn)
        if new is None:
            result = -abi.ENOMEM
            break
        xen.space.copy_to(where, new.to_bytes(4, "little"))
        done += 1
    given.put(c.NR_EXCHANGED, 4, done)
    if done:
        _tell(xen, domain, done, given=True)
    return result


def _add_to_physmap(xen: Hypervisor, argument: int) -> int:
    """{domid, space, idx, gpfn}: let a guest frame be shared_info, or a page of the grant table."""
    request = Structure(xen, argument, 16)
    domain = _named(xen, request[0, 2])
    if domain is None:
        return -abi.EPERM if not xen.domain.privileged else -abi.ESRCH
    vm = xen.machine_of(domain)
    if vm is None:
        return -abi.EINVAL  # its pseudo-physical addresses are its own business
    space, index, guest_frame = request[4, 4], request[8, 4], request[12, 4]
    frame = None
    if space == MAPSPACE_SHARED_INFO and index == 0:
        frame = domain.shared_frame
    elif space == MAPSPACE_GRANT_TABLE and index < grants.MOST_FRAMES:
        frames = lifecycle.grow_grants(xen, domain, index + 1)
        frame = frames[index] if frames is not None else None
    if frame is None:
        return -abi.EINVAL
    old = vm.physmap.host_frame(guest_frame)
    if old is not None and old != domain.shared_frame and old not in domain.grants:
        physmap.remove(vm, guest_frame)
        lifecycle.drop_page(xen, domain, old)
    for number in [number for number, held in vm.physmap.pages.items() if held == frame]:
        physmap.remove(vm, number)
    physmap.put(xen, vm, guest_frame, frame)
    return 0


def _asked(xen: Hypervisor, command: int, number: int) -> int:
    if number != abi.DOMID_SELF and not xen.domain.privileged:
        return -abi.EPERM
    domain = xen.by_id(number)
    if domain is None:
        return -abi.ESRCH
    if command == c.XENMEM_MAXIMUM_GPFN:
        return xen.shared_of(domain).read(abi.SHARED_MAX_PFN, 4) - 1  # guests tell there how many they have
    return domain.pages if command == c.XENMEM_CURRENT_RESERVATION else domain.max_pages


def _memory_map(xen: Hypervisor, command: int, argument: int) -> int:
    """Ranges as the BIOS tells them: what a domain has, or for the initial one the machine."""
    if command == c.XENMEM_MEMORY_MAP:
        return -abi.ENOSYS  # nobody has set one: the domain has pseudo-physical memory from 0 on
    if not xen.domain.privileged:
        return -abi.EINVAL
    request = Structure(xen, argument, 8)
    if request[0, 4] < _RANGES + 1:  # Xen wants room for one more
        return -abi.EINVAL
    entry = pack("<QQI", 0, xen.memory.frames << PAGE_SHIFT, _E820_RAM)
    xen.space.copy_to(request[4, 4], entry)
    request.put(0, 4, 1)
    return 0


def _tell(xen: Hypervisor, domain: Domain, pages: int, *, given: bool) -> None:
    nobody = -1
    payload = {
        "pages": pages,
        "vm": domain.index if given else nobody,
        "from": nobody if given else domain.index,
    }
    xen.pc.emit(events.MEMORY_MOVED, "given" if given else "taken", payload, HYPERVISOR, HYPERVISOR)


HYPERCALLS = {"memory_op": memory_op}
