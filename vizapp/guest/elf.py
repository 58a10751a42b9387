"""The parts of an ELF file that a boot loader needs: the header, what is to be loaded, and the labels.

    file header     52 bytes: class, byte order, machine, entry; where the tables are
    program header  32 bytes each: type, offset, virtual and physical address, bytes in file and in memory
    section header  40 bytes each; of use here only for the symbol table

System V ABI, "Object Files" and its Intel386 supplement. Every number in the file is taken for a lie until it
has been checked against the file's size.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.errors import ImageError
from vizapp.isa.addresses import M32, GuestPhysical, Linear
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC: Final = b"\x7fELF"
_HEADER: Final = struct.Struct("<16sHHIIIIIHHHHHH")
_PROGRAM: Final = struct.Struct("<8I")
_SECTION: Final = struct.Struct("<10I")
_SYMBOL: Final = struct.Struct("<IIIBBH")
_CLASS_32, _LITTLE_ENDIAN = 1, 1
_EXECUTABLE, _I386 = 2, 3
_LOAD = 1
_SYMBOL_TABLE = 2
_UNDEFINED, _ABSOLUTE = 0, 0xFFF1
_NO_TYPE, _OBJECT, _FUNCTION = 0, 1, 2
_MOST_SEGMENTS = 256
_MOST_SYMBOLS = 65_536


class Segment(NamedTuple):
    """Something to be loaded: ``size`` bytes at ``physical``, those behind ``data`` zero."""

    physical: int
    virtual: int
    data: bytes
    size: int


class ElfFile(NamedTuple):
    """An executable. ``entry`` and ``symbols`` are where they lie in physical memory."""

    entry: Linear
    segments: tuple[Segment, ...]
    symbols: dict[str, Linear]

    @property
    def contents(self) -> tuple[tuple[GuestPhysical, bytes], ...]:
        """Addresses and bytes, zeros left out: memory is zero at the start."""
        return tuple((GuestPhysical(item.physical), item.data) for item in self.segments if item.data)


def read_elf(file: str, data: bytes, memory: int) -> ElfFile:
    """An executable for the 80386, to be loaded into ``memory`` bytes.

    Raises:
        ImageError: it is none, or is damaged, or does not fit.
    """
    if len(data) < _HEADER.size:
        raise _damaged(file, Message(N_("it ends within its header")))
    header = _HEADER.unpack_from(data)
    identity, kind, machine, _, entry, programs, sections = header[:7]
    if identity[4] != _CLASS_32 or identity[5] != _LITTLE_ENDIAN or machine != _I386:
        raise ImageError(
            Message(N_("{file} is an ELF file for another processor than the 80386"), {"file": file})
        )
    if kind != _EXECUTABLE:
        raise ImageError(
            Message(N_("{file} is an ELF file but no executable: link it to a fixed address"), {"file": file})
        )
    segments = tuple(_segments(file, data, programs, header[9], header[10], memory))
    if not segments:
        raise _damaged(file, Message(N_("nothing in it is to be loaded")))
    _refuse_overlap(file, segments)
    start = _physical(segments, entry)
    if start is None:
        sentence = Message(N_("its entry {entry} is in nothing that is loaded"), {"entry": f"{entry:#010x}"})
        raise _damaged(file, sentence)
    symbols = _symbols(data, segments, sections, header[11], header[12])
    return ElfFile(Linear(start), segments, symbols)


def refuse_beyond(file: str, physical: int, size: int, memory: int) -> None:
    """ImageError if ``size`` bytes at ``physical`` are not all in ``memory`` bytes."""
    if physical + size > memory:
        raise ImageError(
            Message(
                N_("{file} wants {size} bytes at {address}, and memory ends at {memory}"),
                {"file": file, "size": size, "address": f"{physical:#010x}", "memory": f"{memory:#010x}"},
            )
        )


def _segments(
    file: str, data: bytes, offset: int, entry_size: int, count: int, memory: int
) -> Iterator[Segment]:
    if count > _MOST_SEGMENTS or (count and entry_size < _PROGRAM.size):
        raise _damaged(file, Message(N_("its table of segments makes no sense")))
    for number in range(count):
        at = offset + number * entry_size
        if at + _PROGRAM.size > len(data):
            raise _damaged(file, Message(N_("it ends within its table of segments")))
        kind, start, virtual, physical, in_file, in_memory, _, _ = _PROGRAM.unpack_from(data, at)
        if kind != _LOAD or not in_memory:
            continue
        if in_file > in_memory:
            raise _damaged(file, Message(N_("a segment has more bytes in the file than in memory")))
        if start + in_file > len(data):
            raise _damaged(file, Message(N_("a segment reaches beyond the end of the file")))
        refuse_beyond(file, physical, in_memory, memory)
        yield Segment(physical, virtual, data[start : start + in_file], in_memory)


def _refuse_overlap(file: str, segments: tuple[Segment, ...]) -> None:
    ordered = sorted(segments, key=lambda item: item.physical)
    for low, high in pairwise(ordered):
        if low.physical + low.size > high.physical:
            address = {"address": f"{high.physical:#010x}"}
            raise _damaged(file, Message(N_("two segments overlap at {address}"), address))


def _physical(segments: tuple[Segment, ...], virtual: int) -> int | None:
    """Where a virtual address is loaded: code runs there before it has made page tables.

    The entry of a kernel that is linked elsewhere is sometimes given as the physical address that it is.
    """
    for item in segments:
        if item.virtual <= virtual < item.virtual + item.size:
            return virtual - item.virtual + item.physical & M32
    if any(item.physical <= virtual < item.physical + item.size for item in segments):
        return virtual
    return None


def _symbols(
    data: bytes, segments: tuple[Segment, ...], offset: int, entry_size: int, count: int
) -> dict[str, Linear]:
    """Labels, as far as they can be read: nothing depends on them, so damage only hides them."""
    tables = []
    if entry_size >= _SECTION.size:
        for number in range(count):
            at = offset + number * entry_size
            if at + _SECTION.size > len(data):
                break
            tables.append(_SECTION.unpack_from(data, at))
    found: dict[str, Linear] = {}
    for table in tables:
        if table[1] != _SYMBOL_TABLE or table[6] >= len(tables):
            continue
        names = tables[table[6]]
        text = data[names[4] : names[4] + names[5]]
        body = data[table[4] : table[4] + table[5]]
        for at in range(0, min(len(body), _MOST_SYMBOLS * _SYMBOL.size) - _SYMBOL.size + 1, _SYMBOL.size):
            name, value, _, info, _, section = _SYMBOL.unpack_from(body, at)
            if info & 0xF not in (_NO_TYPE, _OBJECT, _FUNCTION) or section in (_UNDEFINED, _ABSOLUTE):
                continue
            label = text[name : text.find(b"\0", name)].decode("ascii", "replace")
            address = _physical(segments, value)
            if label and address is not None:
                found[label] = Linear(address)
    return found


def _damaged(file: str, problem: Message) -> ImageError:
    return ImageError(
        Message(N_("{file} is a damaged ELF file: {problem}"), {"file": file, "problem": problem})
    )
