"""The life of a domain: made, given memory, taken apart.

A destroyed domain keeps its frames as long as another's page tables lead to them; then they are free, and
wiped, for what was in them is nobody else's business.

Source: Xen 3.1, common/domain.c and arch/x86/domain.c (domain_relinquish_resources).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.errors import ScenarioError
from vizapp.isa.addresses import M32, PAGE_SHIFT, PAGE_SIZE, HostPhysical
from vizapp.machine import events
from vizapp.messages import N_, Message
from vizapp.vmm.virtual_machine import owner_of
from vizapp.vmm.xen import abi, event_channels, grants, runstate, segment_tables, timekeeping
from vizapp.vmm.xen.domain import NO_TABLE, Domain
from vizapp.vmm.xen.frame_info import PageType
from vizapp.vmm.xen.hvm import physmap
from vizapp.vmm.xen.places import HYPERVISOR

if TYPE_CHECKING:
    from vizapp.vmm.xen.hypervisor import Hypervisor

DESTROYED: Final = Message(N_("domain 0 destroyed the domain"))


def create(xen: Hypervisor, number: int, name: str = "", weight: int | None = None) -> Domain | None:
    """A new domain without memory and with nothing to run; None where no frame is free for it."""
    index = len(xen.domains)
    shared = allocate(xen, index)
    if shared is None:
        return None
    domain = Domain(number, index, shared, name or owner_of(index))
    if weight is not None:
        domain.weight = weight
    xen.types.owners[shared] = number
    xen.types.take(shared, PageType.WRITABLE, number)  # the hypervisor's own use: never a page table
    xen.domains.append(domain)
    xen.scheduler.add(index, domain.weight)
    shared_info = xen.shared_of(domain) if index else None
    if shared_info is not None:
        shared_info.masked = True
    return domain


def allocate(xen: Hypervisor, index: int, count: int = 1) -> int | None:
    """The first of so many adjacent free frames, now a domain's; None if there are none."""
    try:
        return xen.frames.allocate(owner_of(index), count)
    except ScenarioError:
        return None


def add_page(xen: Hypervisor, domain: Domain, pfn: int | None = None) -> int | None:
    """Give a domain one more frame of memory, at a pseudo-physical number; None if there is none for it."""
    return add_pages(xen, domain, 1, pfn)


def add_pages(xen: Hypervisor, domain: Domain, count: int, pfn: int | None = None) -> int | None:
    """The same with adjacent frames at adjacent numbers: the first of them."""
    if domain.pages + count > domain.max_pages:
        return None
    first = allocate(xen, domain.index, count)
    if first is None:
        return None
    vm = xen.machine_of(domain)
    for index in range(count):
        xen.types.owners[first + index] = domain.id
        xen.set_pseudo_physical(first + index, M32 if pfn is None else pfn + index)
        if vm is not None and pfn is not None:
            physmap.put(xen, vm, pfn + index, first + index)
    domain.pages += count
    return first


def grow_grants(xen: Hypervisor, domain: Domain, wanted: int) -> tuple[int, ...] | None:
    """Make a domain's grant table so many pages long at least: its frames; None where none is free."""
    while len(domain.grants) < wanted:
        frame = allocate(xen, domain.index)
        if frame is None:
            return None
        xen.types.owners[frame] = domain.id
        xen.types.take(frame, PageType.WRITABLE, domain.id)
        domain.grants = (*domain.grants, frame)
        payload = {"pages": 1, "vm": domain.index, "from": -1}
        xen.pc.emit(events.MEMORY_MOVED, "setup_table", payload, HYPERVISOR, HYPERVISOR)
    return domain.grants


def drop_page(xen: Hypervisor, domain: Domain, frame: int) -> bool:
    """Take a frame back that a domain gives up; False if it is not its memory, or given up already."""
    types, vm = xen.types, xen.machine_of(domain)
    special = frame == domain.shared_frame or frame in domain.grants
    if types.owner(frame) != domain.id or special or frame in types.condemned:
        return False
    if types.info(frame).pinned:
        types.unpin(frame, domain.id)
    if vm is not None:
        physmap.remove(vm, xen.pseudo_physical(frame))
    types.condemn(frame, types.info(frame).references)
    return True


def freed(xen: Hypervisor, frame: int) -> None:
    """Nothing refers to a frame any more that its owner has given up."""
    owner = xen.frames.owner(frame)
    for domain in xen.domains:
        if owner_of(domain.index) == owner:
            domain.pages -= domain.shared_frame != frame and frame not in domain.grants
            if domain.dying:
                xen.memory.load(HostPhysical(frame << PAGE_SHIFT), bytes(PAGE_SIZE))
                xen.pay_references(PAGE_SIZE // 4)
    xen.types.let_go(frame)
    xen.frames.free(frame)


def pause(xen: Hypervisor, domain: Domain) -> None:
    """Take the processor from a domain until it is unpaused."""
    domain.paused = True
    runstate.suspend(xen, domain)
    timekeeping.program(xen)


def unpause(xen: Hypervisor, domain: Domain) -> None:
    """Let it go on."""
    domain.paused = False
    runstate.resume(xen, domain)
    timekeeping.program(xen)


def destroy(xen: Hypervisor, domain: Domain) -> None:
    """Take all from a domain that it has; it is never the current one nor the initial one."""
    xen.stop(domain, "halted", DESTROYED)
    xen.scheduler.block(domain.index, xen.pc.meter.cycles)
    for port in sorted(domain.channels):
        event_channels.close(xen, domain, port)
    grants.release_all(xen, domain)
    types = xen.types
    for frame in domain.gdt:
        types.give_back(frame)
    domain.gdt = ()
    segment_tables.drop_ldt(xen, domain)
    if domain.page_directory != NO_TABLE:
        types.give_back(domain.page_directory)
        domain.page_directory = NO_TABLE
    domain.dying = True
    if xen.machine_of(domain) is not None:
        assert xen.hvm is not None
        xen.hvm.destroy(domain)
    owned = types.owned_by(domain.id)
    for frame in owned:
        if types.info(frame).pinned:
            types.unpin(frame, domain.id)
    for frame in (domain.shared_frame, *domain.grants):
        types.give_back(frame)
    for frame in owned:
        if frame not in types.condemned and types.owner(frame) == domain.id:
            types.condemn(frame, types.info(frame).references)
    payload = {"vm": domain.index, "domain": domain.id}
    xen.pc.emit(events.DOMAIN_DESTROYED, domain.name, payload, HYPERVISOR, HYPERVISOR)
    event_channels.raise_global(xen, abi.VIRQ_DOM_EXC)
