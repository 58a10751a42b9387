"""A domain's GDT and LDT where the processor looks for them: its own pages, in the hypervisor's area.

    GDT    14 pages of the domain, those that set_gdt has named, then the hypervisor's two
    LDT    16 pages of the domain, each mapped when a segment register is first loaded from it

A page is there only after its descriptors were checked, and is the domain's to read but not to write as long.

Source: Xen 3.1, arch/x86/mm.c (set_gdt, map_ldt_shadow_page, do_update_descriptor).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import M32, PAGE_SHIFT, PAGE_SIZE, HostPhysical, Linear
from vizapp.isa.descriptors import DESCRIPTOR_BYTES
from vizapp.isa.paging import PTE_A, PTE_D, PTE_P, PTE_W
from vizapp.vmm import host_tables, ring0
from vizapp.vmm.host_tables import GDT, LDT, TABLE_PAGES
from vizapp.vmm.xen.descriptors import GDT_PAGES
from vizapp.vmm.xen.frame_info import PageType, RefusedError

if TYPE_CHECKING:
    from vizapp.vmm.xen.domain import Domain
    from vizapp.vmm.xen.hypervisor import Hypervisor

MOST_ENTRIES: Final = 8192
_FLAGS: Final = (
    PTE_P | PTE_A | PTE_W | PTE_D
)  # the processor sets accessed bits; the page is the hypervisor's


def map_tables(xen: Hypervisor, domain: Domain) -> None:
    """Let the processor find a domain's tables; whoever calls flushes the TLB."""
    tables = xen.tables
    for page in range(GDT_PAGES):
        if page < len(domain.gdt):
            _map(xen, GDT, page, domain.gdt[page])
        else:
            _map(xen, GDT, page, tables.page(GDT, page))
    for page in range(TABLE_PAGES):
        _map(xen, LDT, page, domain.ldt_frames.get(page))
    _load_ldtr(xen, domain)


def set_gdt(xen: Hypervisor, domain: Domain, frames: tuple[int, ...], entries: int) -> None:
    """Give a domain another descriptor table, in frames of its own.

    Raises:
        RefusedError: a frame is not its own, is in another use, or holds what no guest may have.
    """
    taken: list[int] = []
    try:
        for frame in frames:
            xen.types.take(frame, PageType.SEGMENTS, domain.id)
            taken.append(frame)
    except RefusedError:
        for frame in taken:
            xen.types.give_back(frame)
        raise
    for frame in domain.gdt:
        xen.types.give_back(frame)
    domain.gdt, domain.gdt_entries = frames, entries
    _remap(xen, domain)


def set_ldt(xen: Hypervisor, domain: Domain, linear: int, entries: int) -> None:
    """Give a domain another LDT at a linear address, a page boundary, of up to 8192 entries."""
    drop_ldt(xen, domain)
    domain.ldt = (linear if entries else 0, entries)
    _remap(xen, domain)


def drop_ldt(xen: Hypervisor, domain: Domain) -> None:
    """Let go of the pages of a domain's LDT."""
    for frame in domain.ldt_frames.values():
        xen.types.give_back(frame)
    domain.ldt_frames.clear()


def wanted_ldt_page(xen: Hypervisor, address: int) -> int | None:
    """The page of the LDT that a page fault was about; None for any other fault."""
    offset = address - (xen.tables.base + LDT)
    return offset >> PAGE_SHIFT if 0 <= offset < TABLE_PAGES * PAGE_SIZE else None


def map_ldt_page(xen: Hypervisor, page: int) -> bool:
    """Map a page of the current domain's LDT that the processor has missed; whether it has one there."""
    domain = xen.domain
    linear, entries = domain.ldt
    if page * PAGE_SIZE >= entries * DESCRIPTOR_BYTES or page in domain.ldt_frames:
        return False
    machine = xen.format.translate(xen.memory, domain.page_directory, linear + page * PAGE_SIZE & M32)
    xen.pay_references(xen.format.levels)
    if machine is None:
        return False
    frame = machine >> PAGE_SHIFT
    try:
        xen.types.take(frame, PageType.SEGMENTS, domain.id)
    except RefusedError as refusal:
        xen.refused("set_ldt", refusal)
        return False
    domain.ldt_frames[page] = frame
    _map(xen, LDT, page, frame)
    ring0.invlpg(xen.pc, xen.tables.base + LDT + page * PAGE_SIZE)
    return True


def raw_descriptor(xen: Hypervisor, selector: int) -> bytes | None:
    """The eight bytes that a selector names for the current domain; None where there is no table."""
    local = bool(selector & 4)
    offset = selector & ~7
    page, within = offset >> PAGE_SHIFT, offset & PAGE_SIZE - 1
    if local:
        if offset >= xen.domain.ldt[1] * DESCRIPTOR_BYTES:
            return None
        if page not in xen.domain.ldt_frames and not map_ldt_page(xen, page):
            return None
        frame = xen.domain.ldt_frames[page]
    elif page < len(xen.domain.gdt):
        frame = xen.domain.gdt[page]
    else:
        return xen.tables.raw_descriptor(selector >> 3)
    return xen.memory.dump(HostPhysical(frame << PAGE_SHIFT | within), DESCRIPTOR_BYTES)


def _remap(xen: Hypervisor, domain: Domain) -> None:
    if domain is xen.domain:
        map_tables(xen, domain)
        xen.types.flush()


def _load_ldtr(xen: Hypervisor, domain: Domain) -> None:
    entries = domain.ldt[1]
    ring0.load_ldt(xen.pc, xen.tables, entries * DESCRIPTOR_BYTES - 1 if entries else None)


def _map(xen: Hypervisor, area: int, page: int, frame: int | None) -> None:
    """Map a page of one of the tables, or nothing; charged only where that changes something."""
    linear = Linear(xen.tables.base + area + page * PAGE_SIZE)
    if xen.tables.remap(linear, frame, _FLAGS if frame is not None else 0):
        xen.types.charge("mon_pte_write", 1)


__all__ = ["host_tables"]
