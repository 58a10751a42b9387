"""What a kernel ported to Xen says of itself in its ELF file: notes, or in older ones a text.

    note        12 bytes: length of name, length of value, type; then name and value, each padded to 4 bytes
                the name is "Xen"; the value a number or a text
    __xen_guest a section of KEY=VALUE with commas between: XEN_VER=xen-3.0,VIRT_BASE=0xc0000000,...

Source: Xen's public header elfnote.h; the System V ABI, "Note Section"; Xen 3.1, common/libelf.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.errors import ImageError
from vizapp.isa.addresses import PAGE_SHIFT
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from collections.abc import Iterator

ENTRY, HYPERCALL_PAGE, VIRT_BASE, PADDR_OFFSET, XEN_VERSION = 1, 2, 3, 4, 5
GUEST_OS, GUEST_VERSION, LOADER, PAE_MODE, FEATURES = 6, 7, 8, 9, 10
_NUMBERS: Final = (ENTRY, HYPERCALL_PAGE, VIRT_BASE, PADDR_OFFSET)
_TEXTS: Final = {
    "GUEST_OS": GUEST_OS, "GUEST_VER": GUEST_VERSION, "XEN_VER": XEN_VERSION, "VIRT_BASE": VIRT_BASE,
    "ELF_PADDR_OFFSET": PADDR_OFFSET, "VIRT_ENTRY": ENTRY, "HYPERCALL_PAGE": HYPERCALL_PAGE,
    "FEATURES": FEATURES, "PAE": PAE_MODE, "LOADER": LOADER,
}  # fmt: skip

_HEADER: Final = struct.Struct("<16sHHIIIIIHHHHHH")
_PROGRAM: Final = struct.Struct("<8I")
_SECTION: Final = struct.Struct("<10I")
_NOTE: Final = struct.Struct("<3I")
HEADER_BYTES: Final = _HEADER.size
_PT_NOTE, _SHT_NOTE = 4, 7
_OWNER: Final = b"Xen"
_TEXT_SECTION: Final = b"__xen_guest"
_SUPPORTED: Final = "xen-3.0"
_GENERIC: Final = "generic"
_MET: Final = frozenset({"writable_descriptor_tables", "auto_translated_physmap", "pae_pgdir_above_4gb"})


class XenNotes(NamedTuple):
    """``numbers`` and ``texts`` by type of note; ``legacy``: they come from a ``__xen_guest`` section."""

    numbers: dict[int, int]
    texts: dict[int, str]
    legacy: bool

    @property
    def virtual_base(self) -> int:
        """Where pseudo-physical 0 is in linear memory."""
        return self.numbers.get(VIRT_BASE, 0)

    @property
    def physical_offset(self) -> int:
        """What the file's physical addresses are ahead of pseudo-physical ones."""
        return self.numbers.get(PADDR_OFFSET, self.virtual_base if self.legacy else 0)

    @property
    def hypercall_page(self) -> int | None:
        """Its linear address; the older text counts pages from the virtual base."""
        number = self.numbers.get(HYPERCALL_PAGE)
        if number is not None and self.legacy:
            return self.virtual_base + (number << PAGE_SHIFT)
        return number

    @property
    def pae(self) -> bool:
        """Whether it needs page tables with 64-bit entries."""
        return self.texts.get(PAE_MODE, "no").startswith("yes")


def find_notes(file: str, data: bytes) -> XenNotes | None:
    """The notes of an ELF file; None if it has none for Xen.

    Raises:
        ImageError: they ask for another Xen than this, or contradict each other.
    """
    found = _of_notes(data) or _of_text(data)
    if found is None:
        return None
    version = found.texts.get(XEN_VERSION, _SUPPORTED)
    if version != _SUPPORTED:
        sentence = N_("{file} is a kernel for {version}, and this hypervisor is {here}")
        raise ImageError(Message(sentence, {"file": file, "version": version, "here": _SUPPORTED}))
    loader = found.texts.get(LOADER, _GENERIC)
    if loader != _GENERIC:
        sentence = N_("{file} wants the loader “{loader}”, and the domain builder is a “generic” one")
        raise ImageError(Message(sentence, {"file": file, "loader": loader}))
    if PADDR_OFFSET in found.numbers and VIRT_BASE not in found.numbers:
        sentence = N_("{file} says how its addresses are offset, but not from where (VIRT_BASE)")
        raise ImageError(Message(sentence, {"file": file}))
    for feature in found.texts.get(FEATURES, "").split("|"):
        if feature.startswith("!") and feature[1:] in _MET:
            sentence = N_("{file} must have the feature {feature}, which this hypervisor does not give")
            raise ImageError(Message(sentence, {"file": file, "feature": feature[1:]}))
        if feature == "!supervisor_mode_kernel":
            sentence = N_("{file} must run in ring 0, which no domain does")
            raise ImageError(Message(sentence, {"file": file}))
    return found


def _of_notes(data: bytes) -> XenNotes | None:
    numbers: dict[int, int] = {}
    texts: dict[int, str] = {}
    for kind, value in _notes(data):
        if kind in _NUMBERS:
            numbers[kind] = int.from_bytes(value[:8], "little")
        else:
            texts[kind] = value.split(b"\0")[0].decode("ascii", "replace")
    return XenNotes(numbers, texts, False) if numbers or texts else None


def _notes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and value of each note of Xen's, wherever the file has it."""
    for start, size in _note_areas(data):
        at, end = start, min(start + size, len(data))
        while at + _NOTE.size <= end:
            name_size, value_size, kind = _NOTE.unpack_from(data, at)
            name = at + _NOTE.size
            value = name + (name_size + 3 & ~3)
            if value + value_size > end:
                break
            if data[name : name + name_size].rstrip(b"\0") == _OWNER:
                yield kind, data[value : value + value_size]
            at = value + (value_size + 3 & ~3)


def _note_areas(data: bytes) -> Iterator[tuple[int, int]]:
    """Offset and size of each part of the file that holds notes; segments first, then sections."""
    header = _HEADER.unpack_from(data)
    programs, size, count = header[5], header[9], header[10]
    for number in range(count):
        at = programs + number * size
        if size >= _PROGRAM.size and at + _PROGRAM.size <= len(data):
            kind, offset, _, _, in_file, *_ = _PROGRAM.unpack_from(data, at)
            if kind == _PT_NOTE:
                yield offset, in_file
    for section in _sections(data):
        if section[1] == _SHT_NOTE:
            yield section[4], section[5]


def _sections(data: bytes) -> list[tuple[int, ...]]:
    header = _HEADER.unpack_from(data)
    start, size, count = header[6], header[11], header[12]
    places = [start + number * size for number in range(count)] if size >= _SECTION.size else []
    return [_SECTION.unpack_from(data, at) for at in places if at + _SECTION.size <= len(data)]


def _of_text(data: bytes) -> XenNotes | None:
    sections, names = _sections(data), _HEADER.unpack_from(data)[13]
    if names >= len(sections):
        return None
    table = sections[names][4]
    for section in sections:
        name = table + section[0]
        if data[name : name + len(_TEXT_SECTION) + 1] == _TEXT_SECTION + b"\0":
            text = data[section[4] : section[4] + section[5]].split(b"\0")[0].decode("ascii", "replace")
            return _of_pairs(text)
    return None


def _of_pairs(text: str) -> XenNotes:
    numbers: dict[int, int] = {}
    texts: dict[int, str] = {}
    for part in text.split(","):
        key, _, value = part.partition("=")
        kind = _TEXTS.get(key.strip())
        if kind in _NUMBERS:
            try:
                numbers[kind] = int(value, 0)
            except ValueError:
                continue
        elif kind is not None:
            texts[kind] = value
    return XenNotes(numbers, texts, True)
