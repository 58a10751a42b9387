"""What IDENTIFY DEVICE says of a drive: 256 words (ATA/ATAPI-4, 8.12).

0 general       10-19 serial number   47 most sectors a multiple    53 54-58 are valid     60-61 LBA sectors
1 cylinders     23-26 firmware        49 LBA                        54-56 current CHS      64 PIO modes 3, 4
3 heads         27-46 model           51 PIO timing                 57-58 current sectors  80 version
6 sectors                                                           59 current multiple    82-87 command sets
"""

from __future__ import annotations

from vizapp.machine.devices.disk import Geometry, default_geometry

MOST_MULTIPLE = 16
FIXED_DRIVE = 0x0040
LBA_SUPPORTED = 0x0200
_LBA28_SECTORS = (1 << 28) - 1
_WRITE_CACHE_AND_LOOK_AHEAD = 0x0060
_FLUSH_CACHE = 0x5000
_VALID = 0x4000


def identify(sectors: int, current: Geometry, multiple: int, serial: str) -> bytes:
    """512 bytes for a drive of that many sectors; ``multiple`` is 0 until SET MULTIPLE MODE."""
    words = [0] * 256
    geometry = default_geometry(sectors)
    words[0] = FIXED_DRIVE
    words[1], words[3], words[6] = geometry
    _put_text(words, 10, 20, serial)
    _put_text(words, 23, 8, "1.0")
    _put_text(words, 27, 40, "VIZAPP HARDDISK")
    words[47] = 0x8000 | MOST_MULTIPLE
    words[49] = LBA_SUPPORTED
    words[51] = 0x0200
    words[53] = 0x0003
    words[54], words[55], words[56] = current
    _put_double(words, 57, min(current.total, sectors))
    words[59] = 0x0100 | multiple if multiple else 0
    _put_double(words, 60, min(sectors, _LBA28_SECTORS))
    words[64] = 0x0003
    words[65:69] = [120] * 4  # ns a cycle
    words[80] = 0x001E  # ATA-1 to ATA-4
    words[82] = words[85] = _WRITE_CACHE_AND_LOOK_AHEAD
    words[83] = words[86] = _FLUSH_CACHE
    words[84] = words[87] = _VALID
    return b"".join(word.to_bytes(2, "little") for word in words)


def _put_text(words: list[int], first: int, length: int, text: str) -> None:
    # The first character of each pair is in the high byte.
    data = text.encode("ascii").ljust(length)
    for index in range(length // 2):
        words[first + index] = data[2 * index] << 8 | data[2 * index + 1]


def _put_double(words: list[int], first: int, value: int) -> None:
    words[first], words[first + 1] = value & 0xFFFF, value >> 16
