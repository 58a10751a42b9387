"""Kernels of the Multiboot Specification, version 0.6.96: ELF files, and flat ones that say where they go.

header, in the first 8 KB, 4-byte aligned       information, to which EBX points (EAX: 2BADB002h)
      0  1BADB002h                                    0  flags: which of the rest are there
      4  flags: bit 16: addresses are there           4  KB of lower memory, 8 of memory above 1 MB
      8  checksum: the three make 0                  12  boot device     16  command line
     12  header, 16 load, 20 load end               44  length, 48 address of the memory map
     24  bss end, 28 entry                          64  the loader's name

The processor is in flat protected mode, paging and interrupts off.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from vizapp.errors import ImageError
from vizapp.guest.elf import MAGIC as ELF_MAGIC
from vizapp.guest.elf import ElfFile, read_elf, refuse_beyond
from vizapp.isa.addresses import M32, GuestPhysical, Linear
from vizapp.machine.image import Image
from vizapp.messages import N_, Message

HEADER_MAGIC: Final = 0x1BADB002
LOADER_MAGIC: Final = 0x2BADB002
_SEARCHED: Final = 8192
_WORD: Final = 4
_HAS_ADDRESSES: Final = 1 << 16
# Bits 0-15 must be understood: whole pages, memory, a video mode.
_WANTS_VIDEO: Final = 1 << 2
_UNDERSTOOD: Final = 0x0007
_MODE_OFFSET: Final = 32
_GRAPHICS: Final = 0

# Where the information goes: behind the BIOS's data, below where kernels are loaded, unless one is there.
_PLACES: Final = (0x0000_1000, 0x0008_0000, 0x0009_0000)
_INFORMATION_BYTES: Final = 1024
_MAP_OFFSET: Final = 128
_COMMAND_OFFSET: Final = 512
_NAME_OFFSET: Final = 256
_LOADER_NAME: Final = b"vizapp\0"
_FLAGS: Final = 1 << 0 | 1 << 2 | 1 << 6 | 1 << 9  # memory, command line, memory map, loader's name
_LOW_BYTES: Final = 639 << 10
_MEGABYTE: Final = 1 << 20
_USABLE, _RESERVED = 1, 2


class Header(NamedTuple):
    """A multiboot header: where it is in the file, its flags, and its five addresses (0 without them)."""

    offset: int
    flags: int
    header: int
    load: int
    load_end: int
    bss_end: int
    entry: int


class _Kernel(NamedTuple):
    """What is loaded, from where it runs, and the ranges of memory that it occupies."""

    entry: Linear
    contents: tuple[tuple[GuestPhysical, bytes], ...]
    occupied: tuple[range, ...]
    symbols: dict[str, Linear]


def find_header(data: bytes) -> Header | None:
    """The multiboot header of a file, if it has one."""
    end = min(len(data), _SEARCHED)
    for offset in range(0, end - 3 * _WORD + 1, _WORD):
        magic, flags, checksum = struct.unpack_from("<3I", data, offset)
        if magic != HEADER_MAGIC or magic + flags + checksum & M32:
            continue
        if not flags & _HAS_ADDRESSES:
            return Header(offset, flags, 0, 0, 0, 0, 0)
        if offset + 8 * _WORD <= end:
            return Header(offset, flags, *struct.unpack_from("<5I", data, offset + 3 * _WORD))
    return None


def multiboot_image(name: str, data: bytes, header: Header, memory: int) -> Image:
    """A multiboot kernel in a machine of ``memory`` bytes.

    Raises:
        ImageError: it is damaged, does not fit, or asks for what is not there.
    """
    if header.flags & 0xFFFF & ~_UNDERSTOOD:
        sentence = N_("{file} asks its boot loader for things that no loader knows (flags {flags})")
        raise ImageError(Message(sentence, {"file": name, "flags": f"{header.flags:#x}"}))
    mode = data[header.offset + _MODE_OFFSET : header.offset + _MODE_OFFSET + _WORD]
    if header.flags & _WANTS_VIDEO and int.from_bytes(mode, "little") == _GRAPHICS:
        raise ImageError(
            Message(N_("{file} asks for a graphics mode, and the screen has text only"), {"file": name})
        )
    if header.flags & _HAS_ADDRESSES:
        kernel = _flat(name, data, header, memory)
    elif data.startswith(ELF_MAGIC):
        kernel = _of_elf(read_elf(name, data, memory))
    else:
        sentence = N_("{file} has a multiboot header without addresses and is no ELF file, which has them")
        raise ImageError(Message(sentence, {"file": name}))
    place = _free_place(name, kernel.occupied)
    information = _information(place, name, memory)
    return Image(
        name=name,
        build="native",
        segments=(*kernel.contents, (GuestPhysical(place), information)),
        entry=kernel.entry,
        symbols=kernel.symbols,
        registers=(("eax", LOADER_MAGIC), ("ebx", place)),
        needs_pc=True,
    )


def _of_elf(elf: ElfFile) -> _Kernel:
    occupied = tuple(range(item.physical, item.physical + item.size) for item in elf.segments)
    return _Kernel(elf.entry, elf.contents, occupied, elf.symbols)


def _flat(name: str, data: bytes, header: Header, memory: int) -> _Kernel:
    """A kernel that its header's addresses say where to load."""
    start = header.offset - (header.header - header.load)
    end = start + header.load_end - header.load if header.load_end else len(data)
    if header.load > header.header or not 0 <= start <= header.offset < end:
        raise _bad_addresses(name)
    if end > len(data):
        sentence = N_("{file} ends before the load end address of its multiboot header")
        raise ImageError(Message(sentence, {"file": name}))
    size = end - start
    if header.bss_end:
        if header.bss_end < header.load + size:
            raise _bad_addresses(name)
        size = header.bss_end - header.load
    refuse_beyond(name, header.load, size, memory)
    if not header.load <= header.entry < header.load + end - start:
        raise _bad_addresses(name)
    contents = ((GuestPhysical(header.load), data[start:end]),)
    return _Kernel(Linear(header.entry), contents, (range(header.load, header.load + size),), {})


def _bad_addresses(name: str) -> ImageError:
    sentence = N_("{file} has a multiboot header whose addresses contradict each other")
    return ImageError(Message(sentence, {"file": name}))


def _free_place(name: str, occupied: tuple[range, ...]) -> int:
    for place in _PLACES:
        if all(place + _INFORMATION_BYTES <= item.start or item.stop <= place for item in occupied):
            return place
    sentence = N_("{file} leaves no room for the boot information below 640 KB")
    raise ImageError(Message(sentence, {"file": name}))


def _information(place: int, name: str, memory: int) -> bytes:
    """The structure, and all that it points to, for ``place``."""
    memory_map = _memory_map(memory)
    page = bytearray(_INFORMATION_BYTES)
    upper = max(0, memory - _MEGABYTE)
    struct.pack_into("<3I", page, 0, _FLAGS, _LOW_BYTES >> 10, upper >> 10)
    struct.pack_into("<I", page, 16, place + _COMMAND_OFFSET)
    struct.pack_into("<2I", page, 44, len(memory_map), place + _MAP_OFFSET)
    struct.pack_into("<I", page, 64, place + _NAME_OFFSET)
    page[_MAP_OFFSET : _MAP_OFFSET + len(memory_map)] = memory_map
    page[_NAME_OFFSET : _NAME_OFFSET + len(_LOADER_NAME)] = _LOADER_NAME
    command = name.encode("ascii", "replace")[: _INFORMATION_BYTES - _COMMAND_OFFSET - 1]
    page[_COMMAND_OFFSET : _COMMAND_OFFSET + len(command)] = command
    return bytes(page)


def _memory_map(memory: int) -> bytes:
    """Entries of 24 bytes: the size of the rest, base, length, type. As the BIOS's E820h gives them."""
    ranges = (
        (0, _LOW_BYTES, _USABLE),
        (_LOW_BYTES, 0xA_0000 - _LOW_BYTES, _RESERVED),
        (0xF_0000, 0x1_0000, _RESERVED),
        (_MEGABYTE, memory - _MEGABYTE, _USABLE),
    )
    return b"".join(struct.pack("<IQQI", 20, *item) for item in ranges)
