"""ELF files as other people's linkers make them, from bytes that our assembler made."""

from __future__ import annotations

import struct

ENTRY, HYPERCALL_PAGE, VIRT_BASE, PADDR_OFFSET, XEN_VERSION = 1, 2, 3, 4, 5
GUEST_OS, LOADER, PAE_MODE, FEATURES = 6, 8, 9, 10


def note(kind: int, value: int | str) -> bytes:
    """One note of Xen's."""
    data = value.encode() + b"\0" if isinstance(value, str) else struct.pack("<I", value)
    padded = data + bytes(-len(data) % 4)
    return struct.pack("<3I", 4, len(data), kind) + b"Xen\0" + padded


def elf(
    code: bytes, physical: int, virtual: int, entry: int, *, notes: bytes = b"", text: str = "", bss: int = 0
):
    """An executable with one segment; ``notes`` in a segment of their own, ``text`` in ``__xen_guest``."""
    count = 2 if notes else 1
    names = b"\0__xen_guest\0.shstrtab\0"
    start = 52 + 32 * count
    notes_at = start + len(code)
    text_at = notes_at + len(notes)
    names_at = text_at + len(text) + 1
    sections_at = names_at + len(names)
    header = struct.pack(
        "<16sHHIIIIIHHHHHH", b"\x7fELF\x01\x01\x01".ljust(16, b"\0"), 2, 3, 1, entry, 52, sections_at, 0, 52,
        32, count, 40, 3, 2,
    )  # fmt: skip
    programs = struct.pack("<8I", 1, start, virtual, physical, len(code), len(code) + bss, 7, 4096)
    if notes:
        programs += struct.pack("<8I", 4, notes_at, 0, 0, len(notes), len(notes), 4, 4)
    sections = bytes(40)
    sections += struct.pack("<10I", 1 if text else 0, 1, 0, 0, text_at, len(text) + 1, 0, 0, 1, 0)
    sections += struct.pack("<10I", 13, 3, 0, 0, names_at, len(names), 0, 0, 1, 0)
    return header + programs + code + notes + text.encode() + b"\0" + names + sections
