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

from struct import pack
from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.errors import ScenarioError
from vizapp.isa.addresses import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, GuestPhysical, Linear
from vizapp.isa.paging import PTE_A, PTE_D, PTE_P, PTE_U, PTE_W
from vizapp.messages import N_, Message
from vizapp.vmm.xen import abi

if TYPE_CHECKING:
    from vizapp.machine.image import Image
    from vizapp.machine.memory import PhysicalMemory
    from vizapp.vmm.xen.domain import Domain

PADDING: Final = 512 << 10
SUPERPAGE: Final = 4 << 20
TABLE_FLAGS: Final = PTE_P | PTE_W | PTE_U | PTE_A | PTE_D
PAGE_FLAGS: Final = PTE_P | PTE_W | PTE_A  # not for ring 3: the kernel opens its applications' pages


class Boot(NamedTuple):
    """What the domain starts with: linear addresses, and the machine frame of its page directory."""

    entry: Linear
    start_info: Linear
    stack: Linear
    page_directory: int


class _Layout(NamedTuple):
    """Where everything lies, in bytes from the virtual base, which is pseudo-physical 0.

    ``directory`` is followed by ``tables`` page tables; ``end`` is where the mapping ends.
    """

    kernel_end: int
    p2m: int
    start_info: int
    directory: int
    tables: int
    stack: int
    end: int


def build(memory: PhysicalMemory, domain: Domain, image: Image) -> Boot:
    """Fill a domain's memory from an image; the caller then pins ``page_directory``.

    Raises:
        ScenarioError: it is 16-bit code, or what belongs to it does not fit the domain or linear memory.
    """
    if image.bare_only is not None:
        raise ScenarioError(image.bare_only)
    base = image.virtual_base
    layout = _lay_out(domain, image)

    def place(offset: int, data: bytes) -> None:
        memory.load(domain.to_machine(GuestPhysical(offset)), data)

    for address, data in image.segments:
        place(address, data)
    if "hypercall_page" in image.symbols:
        place(_hypercall_page(image, layout.kernel_end), abi.hypercall_page())
    place(
        layout.p2m, pack(f"<{domain.frames}I", *range(domain.first_frame, domain.first_frame + domain.frames))
    )
    _fill_tables(memory, domain, base, layout)
    place(layout.start_info, _start_info(domain, base, layout))
    return Boot(
        entry=image.entry,
        start_info=Linear(base + layout.start_info),
        stack=Linear(base + layout.stack + PAGE_SIZE),
        page_directory=domain.first_frame + (layout.directory >> PAGE_SHIFT),
    )


def _lay_out(domain: Domain, image: Image) -> _Layout:
    base = image.virtual_base
    kernel_end = max(address + len(data) for address, data in image.segments)
    p2m = _round_up(kernel_end, PAGE_SIZE)
    start_info = _round_up(p2m + domain.frames * 4, PAGE_SIZE)
    directory = start_info + 3 * PAGE_SIZE  # behind the ring pages of store and console
    # The tables map themselves too, so their number is found by trying.
    tables = 1
    while True:
        stack = directory + (1 + tables) * PAGE_SIZE
        end = _round_up(base + stack + PAGE_SIZE + PADDING, SUPERPAGE) - base
        needed = (base + end) // SUPERPAGE - base // SUPERPAGE
        if needed == tables:
            break
        tables = needed
    if base + end > abi.HYPERVISOR_START:
        raise ScenarioError(
            Message(
                N_("{name} is linked at {base} and would reach into the hypervisor's part of linear memory"),
                {"name": image.name, "base": f"{base:#010x}"},
            )
        )
    if end > domain.frames * PAGE_SIZE:
        raise ScenarioError(
            Message(
                N_("{name} needs at least {needed} KB of memory as a domain, and has {given} KB"),
                {"name": image.name, "needed": end >> 10, "given": domain.frames * PAGE_SIZE >> 10},
            )
        )
    return _Layout(kernel_end, p2m, start_info, directory, tables, stack, end)


def _start_info(domain: Domain, base: int, layout: _Layout) -> bytes:
    """The page that ESI points to."""
    ring_pages = domain.first_frame + (layout.start_info >> PAGE_SHIFT) + 1
    fields = {
        "nr_pages": domain.frames,
        "shared_info": domain.shared_frame << PAGE_SHIFT,
        "flags": abi.SIF_PRIVILEGED | abi.SIF_INITDOMAIN,
        "store_mfn": ring_pages,
        "console_mfn": ring_pages + 1,
        "pt_base": base + layout.directory,
        "nr_pt_frames": 1 + layout.tables,
        "mfn_list": base + layout.p2m,
    }
    page = bytearray(abi.START_INFO_MAGIC.ljust(PAGE_SIZE, b"\0"))
    for name, value in fields.items():
        offset = abi.START_INFO[name]
        page[offset : offset + 4] = value.to_bytes(4, "little")
    return bytes(page)


def _round_up(value: int, unit: int) -> int:
    return (value + unit - 1) // unit * unit


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


def _fill_tables(memory: PhysicalMemory, domain: Domain, base: int, layout: _Layout) -> None:
    """Write the directory and the page tables that map everything up to ``layout.end`` at ``base``."""
    directory = domain.to_machine(GuestPhysical(layout.directory))
    first_table = domain.to_machine(GuestPhysical(layout.directory + PAGE_SIZE))
    first_slot = base // SUPERPAGE
    for index in range(layout.tables):
        entry = first_table + index * PAGE_SIZE | TABLE_FLAGS
        memory.write(directory + (first_slot + index) * 4, 4, entry)
    read_only = range(layout.directory, layout.stack)
    # Entries of adjacent tables are adjacent, as the pages are that they map.
    first_entry = first_table + (base >> PAGE_SHIFT & 1023) * 4
    for offset in range(0, layout.end, PAGE_SIZE):
        # A guest may read its page tables, and every write goes through the hypervisor.
        flags = PAGE_FLAGS & ~PTE_W if offset in read_only else PAGE_FLAGS
        entry = domain.to_machine(GuestPhysical(offset)) | flags
        memory.write(first_entry + (offset >> PAGE_SHIFT) * 4, 4, entry)
