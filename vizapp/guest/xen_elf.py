"""Kernels ported to Xen by others: an ELF file with notes becomes what the domain builder loads.

    linear address of a segment  =  its physical address - PADDR_OFFSET + VIRT_BASE

Source: Xen 3.1, common/libelf (elf_xen_addr_calc_check); Xen's public header elfnote.h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.errors import ImageError
from vizapp.guest.elf import read_elf
from vizapp.guest.xen_notes import ENTRY
from vizapp.isa.addresses import M32, GuestPhysical, Linear
from vizapp.machine.image import Image
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from vizapp.guest.xen_notes import XenNotes

_ENTRY_OFFSET = 24  # of the file header


def xen_image(name: str, data: bytes, notes: XenNotes) -> Image:
    """A domain's kernel.

    Raises:
        ImageError: the file is damaged, or its addresses lie outside what its notes say.
    """
    elf = read_elf(name, data, M32 + 1)
    offset = notes.physical_offset
    contents = []
    end = 0
    for item in elf.segments:
        at = item.physical - offset
        if at < 0:
            raise _outside(name, item.physical)
        if item.data:
            contents.append((GuestPhysical(at), item.data))
        end = max(end, at + item.size)
    base = notes.virtual_base
    if base + end > M32 + 1:
        raise _outside(name, base + end)
    entry = notes.numbers.get(ENTRY, int.from_bytes(data[_ENTRY_OFFSET : _ENTRY_OFFSET + 4], "little"))
    if not base <= entry < base + end:
        raise _outside(name, entry)
    page = notes.hypercall_page
    return Image(
        name=name,
        build="xen",
        segments=tuple(contents),
        entry=Linear(entry),
        virtual_base=Linear(base),
        symbols={label: Linear(at - offset + base & M32) for label, at in elf.symbols.items()},
        hypercall_address=None if page is None else Linear(page),
        pae=notes.pae,
        size=end,
    )


def _outside(name: str, address: int) -> ImageError:
    sentence = N_("{file} has notes for Xen that do not fit its segments: {address} is outside")
    return ImageError(Message(sentence, {"file": name, "address": f"{address:#010x}"}))
