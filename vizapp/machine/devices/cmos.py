"""What the firmware keeps in the battery-backed memory of a PC/AT's clock (IBM PC/AT Technical Reference).

0F shutdown status    10 diskette drives   12 fixed disks        14 equipment
15-16 base memory     17-18, 30-31 extended memory, in KB        34-35 memory above 16 MB, in 64 KB
2E-2F checksum of 10-2D, high byte first   32 century            3D 38 boot order
"""

from __future__ import annotations

CMOS_BYTES = 128
SHUTDOWN = 0x0F
DISKETTES = 0x10
FIXED_DISKS = 0x12
EQUIPMENT = 0x14
BASE_MEMORY = 0x15
EXTENDED_MEMORY = (0x17, 0x30)
CHECKSUM = 0x2E
CENTURY = 0x32
HIGH_MEMORY = 0x34
BASE_KILOBYTES = 640
EQUIPMENT_COLOR_80 = 0x20
EQUIPMENT_COPROCESSOR = 0x02
_SUMMED = range(0x10, 0x2E)
_MB = 1 << 20


def firmware_memory(memory_bytes: int) -> bytearray:
    """The memory of a machine without disks whose firmware has found ``memory_bytes`` of RAM."""
    memory = bytearray(CMOS_BYTES)
    memory[EQUIPMENT] = EQUIPMENT_COLOR_80
    _store(memory, BASE_MEMORY, min(memory_bytes >> 10, BASE_KILOBYTES))
    extended = max(0, memory_bytes - _MB) >> 10
    for index in EXTENDED_MEMORY:
        _store(memory, index, min(extended, 0xFFFF))
    _store(memory, HIGH_MEMORY, min(max(0, memory_bytes - 16 * _MB) >> 16, 0xFFFF))
    set_checksum(memory)
    return memory


def set_checksum(memory: bytearray) -> None:
    """Sum up again what the checksum covers."""
    total = sum(memory[index] for index in _SUMMED)
    memory[CHECKSUM], memory[CHECKSUM + 1] = total >> 8 & 0xFF, total & 0xFF


def _store(memory: bytearray, index: int, value: int) -> None:
    memory[index : index + 2] = value.to_bytes(2, "little")
