"""Builds a domain: its memory, its first page tables and what it is told of itself at boot.

    virtual base ─┬─ ... kernel image (as linked)
                  ├─ P2M list            frame number by pseudo-physical frame number
                  ├─ start_info          ESI points here
                  ├─ store ring page, console ring page
                  ├─ page directory and page tables, mapped read-only
                  ├─ stack page          ESP points at its end
                  └─ at least 512 KB more, up to a 4 MB boundary, all mapped

Source: Xen's public header xen.h, "start-of-day memory layout".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vizapp.errors import ScenarioError
from vizapp.isa.addresses import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, GuestPhysical, Linear
from vizapp.isa.paging import PTE_A, PTE_D, PTE_P, PTE_U, PTE_W
from vizapp.messages import N_, Message
from vizapp.vmm.xen import abi

if TYPE_CHECKING:
    from vizapp.machine.image import Image
    from vizapp.machine.memory import PhysicalMemory
    from vizapp.vmm.xen.domain import Domain

PADDING = 512 << 10
SUPERPAGE = 4 << 20
TABLE_FLAGS = PTE_P | PTE_W | PTE_U | PTE_A
PAGE_FLAGS = PTE_P | PTE_W | PTE_A | PTE_D  # not for ring 3: the kernel opens what is its applications'


class Boot(NamedTuple):
    """Where the builder put things; linear addresses."""

    entry: Linear
    start_info: Linear
    stack: Linear
    page_directory: int
    tables: int


def _round_up(value: int, unit: int) -> int:
    return (value + unit - 1) // unit * unit


def build(memory: PhysicalMemory, domain: Domain, image: Image, magic: bytes = abi.START_INFO_MAGIC) -> Boot:
    """Fill a domain's memory from an image; the caller then pins ``page_directory``.

    Raises:
        ScenarioError: the image and what belongs to it do not fit the domain's memory.
    """
    base = image.virtual_base

    def place(offset: int, data: bytes) -> None:
        memory.load(domain.to_machine(GuestPhysical(offset)), data)

    kernel_end = max(address + len(data) for address, data in image.segments)
    p2m = _round_up(kernel_end, PAGE_SIZE)
    start_info = _round_up(p2m + domain.frames * 4, PAGE_SIZE)
    store, console = start_info + PAGE_SIZE, start_info + 2 * PAGE_SIZE
    tables = start_info + 3 * PAGE_SIZE
    # The tables must map themselves, so their number is found by trying.
    count = 1
    while True:
        stack = tables + (1 + count) * PAGE_SIZE
        mapped_end = _round_up(base + stack + PAGE_SIZE + PADDING, SUPERPAGE) - base
        needed = (_round_up(base + mapped_end, SUPERPAGE) - (base // SUPERPAGE) * SUPERPAGE) // SUPERPAGE
        if needed == count:
            break
        count = needed
    if base + mapped_end > abi.HYPERVISOR_START:
        raise ScenarioError(
            Message(
                N_("{name} is linked at {base} and would reach into the hypervisor's part of linear memory"),
                {"name": image.name, "base": f"{base:#010x}"},
            )
        )
    if mapped_end > domain.frames * PAGE_SIZE:
        raise ScenarioError(
            Message(
                N_("{name} needs at least {needed} KB of memory as a domain, and has {given} KB"),
                {"name": image.name, "needed": mapped_end >> 10, "given": domain.frames * PAGE_SIZE >> 10},
            )
        )

    for address, data in image.segments:
        place(address, data)
    if "hypercall_page" in image.symbols:
        place(_hypercall_page(image, kernel_end), abi.hypercall_page())
    place(p2m, b"".join((domain.first_frame + pfn).to_bytes(4, "little") for pfn in range(domain.frames)))
    _lay_tables(memory, domain, base, tables, count, mapped_end)

    info = bytearray(PAGE_SIZE)

    def put(field: str, value: int) -> None:
        offset = abi.START_INFO[field]
        info[offset : offset + 4] = value.to_bytes(4, "little")

    info[: len(magic)] = magic
    put("nr_pages", domain.frames)
    put("shared_info", domain.shared_frame << PAGE_SHIFT)
    put("flags", abi.SIF_PRIVILEGED | abi.SIF_INITDOMAIN)
    put("store_mfn", domain.first_frame + (store >> PAGE_SHIFT))
    put("console_mfn", domain.first_frame + (console >> PAGE_SHIFT))
    put("pt_base", base + tables)
    put("nr_pt_frames", 1 + count)
    put("mfn_list", base + p2m)
    place(start_info, bytes(info))
    return Boot(
        entry=image.entry,
        start_info=Linear(base + start_info),
        stack=Linear(base + stack + PAGE_SIZE),
        page_directory=domain.first_frame + (tables >> PAGE_SHIFT),
        tables=1 + count,
    )


def _hypercall_page(image: Image, kernel_end: int) -> int:
    """The offset at which the guest wants its hypercall page; ScenarioError if it is not one of its pages."""
    offset = image.symbols["hypercall_page"] - image.virtual_base
    if offset & PAGE_MASK or not 0 <= offset < kernel_end:
        raise ScenarioError(
            Message(
                N_("hypercall_page of {name} is at {address}, which is no page of the image"),
                {"name": image.name, "address": f"{image.symbols['hypercall_page']:#010x}"},
            )
        )
    return offset


def _lay_tables(memory: PhysicalMemory, domain: Domain, base: int, tables: int, count: int, end: int) -> None:
    """Write the directory and ``count`` page tables that map pseudo-physical 0..end at ``base``."""
    directory = domain.to_machine(GuestPhysical(tables))
    first_slot = base // SUPERPAGE
    for index in range(count):
        table = domain.to_machine(GuestPhysical(tables + (1 + index) * PAGE_SIZE))
        memory.write(directory + (first_slot + index) * 4, 4, table | TABLE_FLAGS)
    first_table = (tables >> PAGE_SHIFT) + 1
    table_frames = range(tables >> PAGE_SHIFT, first_table + count)
    for pfn in range(end >> PAGE_SHIFT):
        linear = base + (pfn << PAGE_SHIFT)
        index = linear // SUPERPAGE - first_slot
        table = domain.to_machine(GuestPhysical((first_table + index) << PAGE_SHIFT))
        # A guest may read its page tables, and every write goes through the hypervisor.
        flags = PAGE_FLAGS & ~PTE_W if pfn in table_frames else PAGE_FLAGS
        entry = (domain.first_frame + pfn) << PAGE_SHIFT | flags
        memory.write(table + (linear >> PAGE_SHIFT & 1023) * 4, 4, entry)
