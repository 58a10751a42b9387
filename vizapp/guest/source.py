"""Assembles a source file, with the files that it includes, to an image."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from vizapp.errors import ImageError, ScenarioError
from vizapp.guest.assembler import assemble
from vizapp.guest.real_mode import (
    BOOT_ADDRESS,
    ROM_SIZES,
    disk_image,
    flat_image,
    is_bootable,
    rom_image,
)
from vizapp.isa.addresses import GuestPhysical, Linear
from vizapp.machine.image import Image
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from vizapp.guest.assembler import Assembly
    from vizapp.machine.image import SourceLine

LOAD_ADDRESS = 0x0010_0000
ENTRY = "_start"
_MACROS = {"xen": {"XEN": ""}, "hvm": {"HVM": ""}}  # that name the build to a source


def assemble_image(
    path: Path, name: str, build: str, defines: Mapping[str, str], directories: Sequence[Path]
) -> Image:
    """An image of a source file: flat, 32-bit, ring 0, paging off; or, as ``xen``, a domain's kernel.

    As ``hvm`` it is what it is natively, but for a virtual PC of Xen's, which it may ask for hypercalls.

    It starts at ``_start`` or, without such a label, at its first byte. Without ``org`` it is loaded at
    0x00100000. ``directories`` are where it finds what it includes. A source that begins with ``bits 16`` is
    a disk if its first sector boots, a ROM if it has the size of one, and flat code in real mode if not.

    Raises:
        ImageError: the file is no text, or makes no bytes.
        AssemblyError: it does not assemble; all problems with their places.
        ScenarioError: it is 16-bit code, for a domain.
    """
    macros = {**defines, **_MACROS.get(build, {})}
    assembly = assemble(
        read_text(path),
        path.name,
        defines=macros,
        include=lambda wanted: _included(wanted, directories),
        bits=32,
        origin=LOAD_ADDRESS,
    )
    if not assembly.data:
        raise ImageError(Message(N_("{file} makes no bytes: there is nothing to run"), {"file": path.name}))
    if assembly.bits == 16:
        if build == "xen":
            raise ScenarioError(
                Message(N_("{file} is 16-bit code, and a domain's kernel is not"), {"file": path.name})
            )
        return _in_real_mode(name, assembly)
    base = assembly.origin
    virtual_base, address = (base, 0) if build == "xen" else (0, base)
    return Image(
        name=name,
        build=build,
        segments=((GuestPhysical(address), assembly.data),),
        entry=assembly.symbols.get(ENTRY, Linear(base)),
        virtual_base=Linear(virtual_base),
        symbols=dict(assembly.symbols),
        lines=tuple(assembly.lines),
    )


def _in_real_mode(name: str, assembly: Assembly) -> Image:
    """16-bit code, as what it looks like. Its labels count from where it will lie, whatever its ``org``."""
    data = assembly.data
    if is_bootable(data):
        return disk_image(name, data, *_moved(assembly, BOOT_ADDRESS))
    if len(data) in ROM_SIZES:
        return rom_image(name, data, *_moved(assembly, (1 << 20) - len(data)))
    start = assembly.symbols.get(ENTRY, assembly.origin)
    return flat_image(name, data, assembly.origin, start, assembly.symbols, assembly.lines)


def _moved(assembly: Assembly, address: int) -> tuple[dict[str, Linear], tuple[SourceLine, ...]]:
    """Symbols and lines for the first byte at ``address``."""
    distance = address - assembly.origin
    symbols = {label: Linear(place + distance) for label, place in assembly.symbols.items()}
    lines = tuple(line._replace(address=Linear(line.address + distance)) for line in assembly.lines)
    return symbols, lines


def read_text(path: Path) -> str:
    """The text of a source file.

    Raises:
        ImageError: it cannot be read, or is not UTF-8 text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ImageError(Message(N_("{file} is not UTF-8 text"), {"file": path.name})) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise ImageError(
            Message(N_("{file} cannot be read: {reason}"), {"file": str(path), "reason": reason})
        ) from None


def _included(wanted: str, directories: Sequence[Path]) -> str:
    """The text of an included file; FileNotFoundError if none of the directories has it.

    A source reaches only what lies below them: a guest that came with a lesson is not to read the computer.
    """
    parts = PurePosixPath(wanted.replace("\\", "/"))
    if not (parts.is_absolute() or ".." in parts.parts or ":" in wanted):
        for directory in directories:
            path = directory / parts
            if path.is_file() and path.resolve().is_relative_to(directory.resolve()):
                return read_text(path)
    raise FileNotFoundError(wanted)
