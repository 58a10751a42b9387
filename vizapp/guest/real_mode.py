"""Images that start in real mode: disks and diskettes, ROMs, and flat 16-bit code.

disk or diskette    the BIOS is the ROM; it reads the first sector to 0000:7C00 and jumps there
ROM                 takes the BIOS's place: the reset vector is 16 bytes before its end
flat code           no firmware: memory and devices are as after a reset
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.errors import ImageError
from vizapp.guest.firmware import bios
from vizapp.isa.addresses import GuestPhysical, Linear
from vizapp.machine.image import Image
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vizapp.machine.image import SourceLine

SECTOR: Final = 512
BOOT_SIGNATURE: Final = b"\x55\xaa"
BOOT_ADDRESS: Final = 0x7C00
ROM_SIZES: Final = (64 << 10, 128 << 10)
RESET_VECTOR: Final = Linear(0xFFFF_FFF0)
_VECTOR_BYTES: Final = 16
_REAL_MODE_BYTES: Final = 1 << 20
_SEGMENT_BYTES: Final = 1 << 16


def is_bootable(data: bytes) -> bool:
    """Whether the first sector says that it boots."""
    return data[SECTOR - 2 : SECTOR] == BOOT_SIGNATURE


def disk_image(
    name: str,
    data: bytes,
    symbols: Mapping[str, Linear] | None = None,
    lines: tuple[SourceLine, ...] = (),
) -> Image:
    """A disk or diskette that boots; ``symbols`` and ``lines`` are those of its source, at 0x7C00 and on."""
    firmware = bios()
    return Image(
        name=name,
        build="native",
        segments=(),
        entry=RESET_VECTOR,
        bits=16,
        symbols=dict(symbols or {}),
        lines=(*lines, *firmware.lines),
        code_segment=0xF000,
        rom=firmware.data,
        disks=(data,),
        needs_pc=True,
    )


def rom_image(
    name: str,
    data: bytes,
    symbols: Mapping[str, Linear] | None = None,
    lines: tuple[SourceLine, ...] = (),
) -> Image:
    """A ROM of one of ``ROM_SIZES``.

    Raises:
        ImageError: there is nothing at its reset vector.
    """
    if not data[-_VECTOR_BYTES:].strip(b"\0") or not data[-_VECTOR_BYTES:].strip(b"\xff"):
        sentence = N_("{file} has the size of a ROM and nothing at the reset vector, 16 bytes before its end")
        raise ImageError(Message(sentence, {"file": name}))
    return Image(
        name=name,
        build="native",
        segments=(),
        entry=RESET_VECTOR,
        bits=16,
        symbols=dict(symbols or {}),
        lines=lines,
        code_segment=0xF000,
        rom=data,
        needs_pc=True,
    )


def flat_image(
    name: str,
    data: bytes,
    load: int,
    start: int,
    symbols: Mapping[str, Linear] | None = None,
    lines: tuple[SourceLine, ...] = (),
) -> Image:
    """16-bit code at ``load`` that starts at ``start``; CS is 0 if the code lies in the first 64 KB.

    Above, CS is where the code is loaded, so that its offsets count from there.

    Raises:
        ImageError: it is not all in the first megabyte, or starts beyond the reach of that CS.
    """
    if not 0 <= load <= _REAL_MODE_BYTES - len(data):
        raise ImageError(
            Message(
                N_("{file} has {size} bytes, which do not fit in the first megabyte at {address}"),
                {"file": name, "size": len(data), "address": f"{load:#x}"},
            )
        )
    segment = 0 if load + len(data) <= _SEGMENT_BYTES else load >> 4
    if start - (segment << 4) >= _SEGMENT_BYTES:
        raise ImageError(
            Message(
                N_("{file} starts at {entry}, more than 64 KB after where it is loaded"),
                {"file": name, "entry": f"{start:#x}"},
            )
        )
    return Image(
        name=name,
        build="native",
        segments=((GuestPhysical(load), data),),
        entry=Linear(start),
        bits=16,
        symbols=dict(symbols or {}),
        lines=lines,
        code_segment=segment,
        needs_pc=True,
    )
