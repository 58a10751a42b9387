"""Finds what a person means by GUEST: a guest of the library, or a file, recognised by its content first.

a name of the library
\\x7fELF ...                     an ELF file: a multiboot kernel, or one with notes for Xen
NAME.asm                        a source, assembled here
... 55 AA at offset 510         a disk or diskette image that boots    unless --load says that
1BADB002h in the first 8 KB     a multiboot kernel                     it is a flat binary
64 or 128 KB                    a ROM
anything else                   a flat binary, with --load
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vizapp.errors import ImageError, ScenarioError, UnknownNameError
from vizapp.guest.catalogue import BUILDS, GUESTS, guest_directory
from vizapp.guest.elf import MAGIC as ELF_MAGIC
from vizapp.guest.library import build_guest
from vizapp.guest.multiboot import find_header, multiboot_image
from vizapp.guest.real_mode import ROM_SIZES, disk_image, flat_image, is_bootable, rom_image
from vizapp.guest.source import assemble_image
from vizapp.guest.xen_elf import xen_image
from vizapp.guest.xen_notes import HEADER_BYTES, find_notes
from vizapp.isa.addresses import M32, GuestPhysical, Linear
from vizapp.machine.image import Image
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST = 1 << 30
DEFAULT_MEMORY = 16 << 20
SOURCE_SUFFIXES = (".asm", ".s", ".nasm")


def load_guest(
    guest: str,
    build: str = "native",
    *,
    iterations: int | None = None,
    defines: Mapping[str, str] | None = None,
    load: int | None = None,
    entry: int | None = None,
    bits: int = 32,
    memory: int = DEFAULT_MEMORY,
) -> Image:
    """The image that GUEST names.

    Args:
        guest: a name of the library, or a path. A name wins over a file of that name.
        build: which build of a library guest or of a source.
        iterations: loop count of a library guest that loops.
        defines: macros for a source.
        load: guest-physical address of a flat binary.
        entry: where it starts; at its first byte if None.
        bits: 32, flat protected mode in ring 0 without paging, or 16, real mode.
        memory: bytes of memory that the machine will have, of which a boot loader tells a kernel.

    Raises:
        UnknownNameError: it is neither a guest nor a file.
        AssemblyError: the source does not assemble.
        ImageError: the file cannot be read, or is of a kind that cannot be loaded.
        ScenarioError: options that do not go together, or an image that no technique can run.
    """
    if bits not in (16, 32):
        raise ScenarioError(Message(N_("code has 16 or 32 bits, not {bits}"), {"bits": bits}))
    if guest in GUESTS:
        _refuse_options(guest, load, entry, bits)
        return build_guest(guest, build, iterations, defines)
    path = Path(guest)
    if not _exists(path):
        if path.suffix or len(path.parts) > 1:
            raise ImageError(Message(N_("there is no file {file}"), {"file": guest}))
        raise UnknownNameError("guest", guest, GUESTS)
    if iterations is not None:
        raise ScenarioError(
            Message(N_("only guests of the library take iterations, and {file} is a file"), {"file": guest})
        )
    data = _read(path)
    if path.suffix.lower() in (".yaml", ".yml"):
        sentence = N_("{file} is a scenario and no guest; vizapp run takes it")
        raise ImageError(Message(sentence, {"file": str(path)}))
    if data.startswith(ELF_MAGIC):
        return _kernel(path, data, build, memory)
    if path.suffix.lower() in SOURCE_SUFFIXES:
        _refuse_options(guest, load, entry, bits)
        if build not in BUILDS:
            raise UnknownNameError("build", build, BUILDS)
        directories = (path.parent, guest_directory())
        return assemble_image(path, path.name, build, defines or {}, directories)
    if load is not None:
        return _flat_binary(path, data, load, entry, bits)
    return _by_content(path, data, memory)


def read_disk(file: str) -> bytes:
    """The contents of a disk image for ``--disk``; the file is only read, now and completely.

    Raises:
        ImageError: it cannot be read.
    """
    path = Path(file)
    if not _exists(path):
        raise ImageError(Message(N_("there is no file {file}"), {"file": file}))
    return _read(path)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:  # a directory on the way is closed, a name is too long
        raise _unreadable(path, error) from None


def _read(path: Path) -> bytes:
    """The bytes of a regular file of reasonable size."""
    if path.is_dir():
        raise ImageError(Message(N_("{file} is a directory, not a guest"), {"file": str(path)}))
    if not path.is_file():
        raise ImageError(Message(N_("{file} is not a regular file"), {"file": str(path)}))
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise ImageError(
                Message(
                    N_("{file} has {size} MB, and {most} are the most that is read"),
                    {"file": str(path), "size": size >> 20, "most": LARGEST >> 20},
                )
            )
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from None
    if not data:
        raise ImageError(Message(N_("{file} is empty"), {"file": str(path)}))
    return data


def _unreadable(path: Path, error: OSError) -> ImageError:
    reason = error.strerror or str(error)
    return ImageError(Message(N_("{file} cannot be read: {reason}"), {"file": str(path), "reason": reason}))


def _kernel(path: Path, data: bytes, build: str, memory: int) -> Image:
    """An ELF file that a boot loader can start, or the domain builder of a hypervisor."""
    header = find_header(data)
    notes = find_notes(str(path), data) if len(data) >= HEADER_BYTES else None
    if build == "xen" and notes is not None:
        return xen_image(path.name, data, notes)
    if header is None and notes is not None:
        sentence = N_("{file} is a kernel that was ported to Xen: it runs under paravirtual")
        raise ImageError(Message(sentence, {"file": str(path)}))
    if header is None:
        sentence = N_("{file} is an ELF file without a multiboot header in its first 8 KB")
        raise ImageError(Message(sentence, {"file": str(path)}))
    return multiboot_image(path.name, data, header, memory)


def _by_content(path: Path, data: bytes, memory: int) -> Image:
    """A binary that says itself what it is."""
    if is_bootable(data):
        return disk_image(path.name, data)
    header = find_header(data)
    if header is not None:
        return multiboot_image(path.name, data, header, memory)
    if len(data) in ROM_SIZES:
        return rom_image(path.name, data)
    raise ImageError(
        Message(
            N_("{file} is of no kind that is known; if it is a flat binary, say where with --load"),
            {"file": str(path)},
        )
    )


def _flat_binary(path: Path, data: bytes, load: int, entry: int | None, bits: int) -> Image:
    """A file of nothing but code and data."""
    file = str(path)
    if not 0 <= load <= M32 + 1 - len(data):
        raise ImageError(
            Message(
                N_("{file} has {size} bytes, which do not fit below 4 GB at {address}"),
                {"file": file, "size": len(data), "address": f"{load:#x}"},
            )
        )
    start = load if entry is None else entry
    if not load <= start < load + len(data):
        raise ImageError(
            Message(
                N_("{file} cannot start at {entry}: it is loaded from {first} to {last}"),
                {
                    "file": file,
                    "entry": f"{start:#010x}",
                    "first": f"{load:#010x}",
                    "last": f"{load + len(data) - 1:#010x}",
                },
            )
        )
    if bits == 16:
        return flat_image(path.name, data, load, start)
    return Image(path.name, "native", ((GuestPhysical(load), data),), Linear(start), bits)


def _refuse_options(guest: str, load: int | None, entry: int | None, bits: int) -> None:
    """A guest that is assembled says itself where it goes."""
    if load is not None or entry is not None or bits != 32:
        raise ScenarioError(
            Message(
                N_("{guest} is not a flat binary: it takes no --load, --entry or --bits"), {"guest": guest}
            )
        )
