"""Builds the initial domain: its memory, its first page tables and what it is told of itself at boot.

    virtual base ─┬─ ... kernel image (as linked)
                  ├─ ramdisk             where there is one
                  ├─ P2M list            frame number by pseudo-physical frame number
                  ├─ start_info          ESI points here
                  ├─ store ring page, console ring page
                  ├─ page directories and page tables, mapped read-only
                  ├─ stack page          ESP points at its end
                  └─ at least 512 KB more, up to a 4 MB boundary, all mapped

Source: Xen's public header xen.h, "start-of-day memory layout".
"""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.errors import ScenarioError
from vizapp.isa.addresses import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, HostPhysical, Linear
from vizapp.isa.paging import PTE_A, PTE_D, PTE_P, PTE_U, PTE_W
from vizapp.messages import N_, Message
from vizapp.vmm.xen import abi

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizapp.machine.image import Image
    from vizapp.machine.memory import PhysicalMemory
    from vizapp.vmm.xen.paging_format import Format

PADDING: Final = 512 << 10
SUPERPAGE: Final = 4 << 20
TABLE_FLAGS: Final = PTE_P | PTE_W | PTE_U | PTE_A | PTE_D
PAGE_FLAGS: Final = PTE_P | PTE_W | PTE_A  # not for ring 3: the kernel opens its applications' pages
_GIGABYTE: Final = 30  # what each of the four directories of PAE covers, as a shift
_XEN_DIRECTORY: Final = 3


class Boot(NamedTuple):
    """What the domain starts with: linear addresses, and the machine frame of its top-level table."""

    entry: Linear
    start_info: Linear
    stack: Linear
    page_directory: int


class _Layout(NamedTuple):
    """Where everything lies, in bytes from the virtual base, which is pseudo-physical 0.

    ``tables`` is the top-level table, followed under PAE by a directory for each gigabyte in
    ``gigabytes``, then by ``page_tables``; ``end`` is where the mapping ends.
    """

    kernel_end: int
    ramdisk: int
    p2m: int
    start_info: int
    tables: int
    gigabytes: tuple[int, ...]
    page_tables: int
    stack: int
    end: int


def build(
    memory: PhysicalMemory, form: Format, frames: Sequence[int], shared_frame: int, image: Image
) -> Boot:
    """Fill a domain's memory, ``frames``, from an image; the caller then pins ``page_directory``.

    Raises:
        ScenarioError: it is 16-bit code, or what belongs to it does not fit the domain or linear memory.
    """
    if image.bare_only is not None:
        raise ScenarioError(image.bare_only)
    base = image.virtual_base
    layout = _lay_out(form, len(frames), image)

    def place(offset: int, data: bytes) -> None:
        done = 0
        while done < len(data):
            frame, within = divmod(offset + done, PAGE_SIZE)
            part = data[done : done + PAGE_SIZE - within]
            memory.load(HostPhysical((frames[frame] << PAGE_SHIFT) + within), part)
            done += len(part)

    for address, data in image.segments:
        place(address, data)
    if image.hypercall_page is not None:
        place(_hypercall_page(image, layout.kernel_end), abi.hypercall_page())
    place(layout.ramdisk, image.ramdisk)
    place(layout.p2m, pack(f"<{len(frames)}I", *frames))
    _fill_tables(memory, form, frames, base, layout)
    place(layout.start_info, _start_info(frames, shared_frame, image, layout))
    return Boot(
        entry=image.entry,
        start_info=Linear(base + layout.start_info),
        stack=Linear(base + layout.stack + PAGE_SIZE),
        page_directory=frames[layout.tables >> PAGE_SHIFT],
    )


def _lay_out(form: Format, pages: int, image: Image) -> _Layout:
    base = image.virtual_base
    kernel_end = max([address + len(data) for address, data in image.segments] + [image.size])
    ramdisk = _round_up(kernel_end, PAGE_SIZE)
    p2m = _round_up(ramdisk + len(image.ramdisk), PAGE_SIZE)
    start_info = _round_up(p2m + pages * 4, PAGE_SIZE)
    tables = start_info + 3 * PAGE_SIZE  # behind the ring pages of store and console
    shift = form.directory_shift
    # The tables map themselves too, so their number is found by trying.
    page_tables, gigabytes = 1, _gigabytes(form, base, base + 1)
    while True:
        stack = tables + (1 + len(gigabytes) + page_tables) * PAGE_SIZE
        end = _round_up(base + stack + PAGE_SIZE + PADDING, SUPERPAGE) - base
        needed = (base + end - 1 >> shift) - (base >> shift) + 1
        directories = _gigabytes(form, base, base + end)
        if (needed, directories) == (page_tables, gigabytes):
            break
        page_tables, gigabytes = needed, directories
    if base + end > form.hole:
        raise ScenarioError(
            Message(
                N_("{name} is linked at {base} and would reach into the hypervisor's part of linear memory"),
                {"name": image.name, "base": f"{base:#010x}"},
            )
        )
    if end > pages * PAGE_SIZE:
        raise ScenarioError(
            Message(
                N_("{name} needs at least {needed} KB of memory as a domain, and has {given} KB"),
                {"name": image.name, "needed": end >> 10, "given": pages * PAGE_SIZE >> 10},
            )
        )
    return _Layout(kernel_end, ramdisk, p2m, start_info, tables, gigabytes, page_tables, stack, end)


def _gigabytes(form: Format, first: int, end: int) -> tuple[int, ...]:
    """Under PAE, for which gigabytes there is a directory: those mapped, and that of the hypervisor."""
    if form.levels == 2:
        return ()
    return tuple(sorted({*range(first >> _GIGABYTE, (end - 1 >> _GIGABYTE) + 1), _XEN_DIRECTORY}))


def _start_info(frames: Sequence[int], shared_frame: int, image: Image, layout: _Layout) -> bytes:
    """The page that ESI points to."""
    base = image.virtual_base
    rings = (layout.start_info >> PAGE_SHIFT) + 1
    fields = {
        "nr_pages": len(frames),
        "shared_info": shared_frame << PAGE_SHIFT,
        "flags": abi.SIF_PRIVILEGED | abi.SIF_INITDOMAIN,
        "store_mfn": frames[rings],
        "console_mfn": frames[rings + 1],
        "pt_base": base + layout.tables,
        "nr_pt_frames": 1 + len(layout.gigabytes) + layout.page_tables,
        "mfn_list": base + layout.p2m,
    }
    if image.ramdisk:
        fields |= {"mod_start": base + layout.ramdisk, "mod_len": len(image.ramdisk)}
    page = bytearray((abi.PAE_PLATFORM if image.pae else abi.PLATFORM).ljust(PAGE_SIZE, b"\0"))
    for name, value in fields.items():
        offset = abi.START_INFO[name]
        page[offset : offset + 4] = value.to_bytes(4, "little")
    command = image.command_line.encode("ascii", "replace")[: abi.COMMAND_LINE_BYTES - 1]
    offset = abi.START_INFO["cmd_line"]
    page[offset : offset + len(command)] = command
    return bytes(page)


def _round_up(value: int, unit: int) -> int:
    return (value + unit - 1) // unit * unit


def _hypercall_page(image: Image, kernel_end: int) -> int:
    """The offset at which the guest wants its hypercall page; ScenarioError if it is not one of its pages."""
    assert image.hypercall_page is not None
    offset = image.hypercall_page - image.virtual_base
    if offset & PAGE_MASK or not 0 <= offset < kernel_end:
        raise ScenarioError(
            Message(
                N_("hypercall_page of {name} is at {address}, which is no page of the image"),
                {"name": image.name, "address": f"{image.hypercall_page:#010x}"},
            )
        )
    return offset


def _fill_tables(
    memory: PhysicalMemory, form: Format, frames: Sequence[int], base: int, layout: _Layout
) -> None:
    """Write the tables that map everything up to ``layout.end`` at ``base``."""
    size = form.entry_bytes
    made = [frames[(layout.tables >> PAGE_SHIFT) + index] for index in range(_table_pages(layout))]
    root, directories, tables = made[0], made[: 1 + len(layout.gigabytes)], made[1 + len(layout.gigabytes) :]
    by_gigabyte = dict(zip(layout.gigabytes, directories[1:], strict=True))
    for gigabyte, frame in by_gigabyte.items():
        memory.write((root << PAGE_SHIFT) + gigabyte * size, size, frame << PAGE_SHIFT | PTE_P)
    first = base >> form.directory_shift
    for index, table in enumerate(tables):
        number = first + index
        directory = root if not by_gigabyte else by_gigabyte[number // form.entries]
        where = (directory << PAGE_SHIFT) + number % form.entries * size
        memory.write(where, size, table << PAGE_SHIFT | TABLE_FLAGS)
    read_only = range(layout.tables, layout.stack)
    for offset in range(0, layout.end, PAGE_SIZE):
        page = base + offset >> PAGE_SHIFT
        table = tables[page // form.entries - first]
        # A guest may read its page tables, and every write goes through the hypervisor.
        flags = PAGE_FLAGS & ~PTE_W if offset in read_only else PAGE_FLAGS
        entry = frames[offset >> PAGE_SHIFT] << PAGE_SHIFT | flags
        memory.write((table << PAGE_SHIFT) + page % form.entries * size, size, entry)


def _table_pages(layout: _Layout) -> int:
    return 1 + len(layout.gigabytes) + layout.page_tables
