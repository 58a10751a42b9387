"""Selectors, descriptors, gates and the TSS: SDM Vol. 3, "Protected-Mode Memory Management".

selector                  15           3  2  1  0
                          |    index    | TI|RPL|          TI: 0 GDT, 1 LDT

segment descriptor        31       24 23 22 21 20 19     16 15 14 13 12 11    8 7        0
  high                    | base 31:24| G|DB| 0|AV|lim 19:16| P| DPL | S| type | base 23:16|
  low                     |        base 15:0                |        limit 15:0            |

gate                      31                              16 15 14 13 12 11    8 7 6 5 4  0
  high                    |         offset 31:16            | P| DPL | 0| type | 0 0 0|count|
  low                     |           selector              |        offset 15:0           |
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from vizapp.isa.addresses import M32

# Types of system descriptors (S = 0).
TSS_16 = 1
LDT = 2
TSS_16_BUSY = 3
CALL_GATE_16 = 4
TASK_GATE = 5
INTERRUPT_GATE_16 = 6
TRAP_GATE_16 = 7
TSS_32 = 9
TSS_32_BUSY = 11
CALL_GATE_32 = 12
INTERRUPT_GATE_32 = 14
TRAP_GATE_32 = 15
TSS_BUSY = 1 << 1

# Bits of the type field of code and data descriptors (S = 1).
TYPE_ACCESSED = 1 << 0
TYPE_WRITABLE = 1 << 1  # data
TYPE_EXPAND_DOWN = 1 << 2  # data
TYPE_READABLE = 1 << 1  # code
TYPE_CONFORMING = 1 << 2  # code
TYPE_CODE = 1 << 3

# The usual types, as a kernel writes them into its tables.
DATA_READ_WRITE = TYPE_WRITABLE
CODE_READ = TYPE_CODE | TYPE_READABLE

# Access rights: bits 8-23 of the high word moved down, as LAR and the VMCS show them.
#    15 14 13 12 11   8 7  6 5  4 3    0
#    G  DB 0  AVL  0    P  DPL  S type
AR_TYPE = 0xF
AR_S = 1 << 4
AR_DPL_SHIFT = 5
AR_P = 1 << 7
AR_AVL = 1 << 12
AR_DB = 1 << 14
AR_G = 1 << 15
AR_MASK = 0xF0FF

SELECTOR_RPL = 3
SELECTOR_LDT = 1 << 2
SELECTOR_INDEX = 0xFFF8
SELECTOR_ERROR = 0xFFFC  # the part of a selector that error codes carry

# Error codes that name a descriptor: | index | TI | IDT | EXT |
ERROR_EXT = 1 << 0
ERROR_IDT = 1 << 1

DESCRIPTOR_BYTES = 8


def selector(index: int, rpl: int = 0, *, local: bool = False) -> int:
    """The selector of descriptor ``index`` of the GDT, or of the LDT."""
    return index << 3 | (SELECTOR_LDT if local else 0) | rpl


def is_null(value: int) -> bool:
    """Whether a selector is null: index 0 of the GDT, with any RPL."""
    return value & SELECTOR_ERROR == 0


class Descriptor(NamedTuple):
    """A code, data or system segment: ``base`` and ``limit`` in bytes, the limit being the last valid offset.

    ``access`` are the access rights in the layout above. ``limit`` is already scaled by G.
    """

    base: int
    limit: int
    access: int

    @property
    def type(self) -> int:
        """The four type bits."""
        return self.access & AR_TYPE

    @property
    def is_system(self) -> bool:
        """S = 0: an LDT, a TSS or a gate."""
        return not self.access & AR_S

    @property
    def is_code(self) -> bool:
        """A code segment."""
        return self.access & (AR_S | TYPE_CODE) == AR_S | TYPE_CODE

    @property
    def is_data(self) -> bool:
        """A data segment."""
        return self.access & (AR_S | TYPE_CODE) == AR_S

    @property
    def is_conforming(self) -> bool:
        """A code segment that keeps its caller's CPL."""
        return self.access & (AR_S | TYPE_CODE | TYPE_CONFORMING) == AR_S | TYPE_CODE | TYPE_CONFORMING

    @property
    def is_readable(self) -> bool:
        """Any data segment, or a code segment that may be read."""
        return self.is_data or self.access & (AR_S | TYPE_CODE | TYPE_READABLE) == AR_S | CODE_READ

    @property
    def is_writable(self) -> bool:
        """A data segment that may be written."""
        return self.access & (AR_S | TYPE_CODE | TYPE_WRITABLE) == AR_S | TYPE_WRITABLE

    @property
    def dpl(self) -> int:
        """Descriptor privilege level, 0-3."""
        return self.access >> AR_DPL_SHIFT & 3

    @property
    def present(self) -> bool:
        """P."""
        return bool(self.access & AR_P)

    @property
    def big(self) -> bool:
        """D/B: 32-bit code, 32-bit stack, or an upper bound of 4 GB of an expand-down segment."""
        return bool(self.access & AR_DB)


# A kernel has few descriptors and the processor reads them at every change of ring.
_REMEMBERED = 4096


@lru_cache(_REMEMBERED)
def unpack(low: int, high: int) -> Descriptor:
    """The segment descriptor in two little-endian double words of a table."""
    base = low >> 16 | (high & 0xFF) << 16 | high & 0xFF00_0000
    limit = low & 0xFFFF | high & 0xF_0000
    access = high >> 8 & AR_MASK
    if access & AR_G:
        limit = limit << 12 | 0xFFF
    return Descriptor(base, limit, access)


def pack(descriptor: Descriptor) -> tuple[int, int]:
    """The two double words, low then high, of a segment descriptor.

    With G set the limit must end a page; a limit beyond 1 MB needs G. ValueError otherwise.
    """
    base, limit, access = descriptor
    if access & AR_G:
        if limit & 0xFFF != 0xFFF:
            raise ValueError(f"a page-granular limit ends in fff: {limit:#x}")
        limit >>= 12
    if limit > 0xF_FFFF:
        raise ValueError(f"a byte-granular limit has 20 bits: {limit:#x}")
    low = (base & 0xFFFF) << 16 | limit & 0xFFFF
    high = base & 0xFF00_0000 | limit & 0xF_0000 | (access & AR_MASK) << 8 | base >> 16 & 0xFF
    return low, high


def segment(base: int, limit: int, kind: int, dpl: int = 0, *, big: bool = True) -> Descriptor:
    """A present code or data descriptor; G as the limit needs. ``kind``: a type field."""
    granular = limit & 0xFFF == 0xFFF and limit > 0xFFF
    access = kind | AR_S | dpl << AR_DPL_SHIFT | AR_P
    return Descriptor(base, limit, access | (AR_DB if big else 0) | (AR_G if granular else 0))


def system_segment(base: int, limit: int, kind: int, dpl: int = 0) -> Descriptor:
    """A present LDT or TSS descriptor, byte-granular."""
    return Descriptor(base, limit, kind | dpl << AR_DPL_SHIFT | AR_P)


class Gate(NamedTuple):
    """A call, interrupt, trap or task gate; ``parameters`` counts stack words that a call gate copies."""

    selector: int
    offset: int
    type: int
    dpl: int
    present: bool
    parameters: int = 0

    @property
    def size(self) -> int:
        """Bytes of what the gate pushes: 4, or 2 of a 16-bit gate."""
        return 4 if self.type & 8 else 2


@lru_cache(_REMEMBERED)
def unpack_gate(low: int, high: int) -> Gate:
    """The gate in two double words; of a 16-bit gate only 16 bits of the offset count."""
    kind = high >> 8 & 0x1F  # with S, so that a code or data descriptor is never taken for a gate
    offset = low & 0xFFFF | (high & 0xFFFF_0000 if kind & 8 else 0)
    return Gate(low >> 16, offset, kind, high >> 13 & 3, bool(high >> 15 & 1), high & 0x1F)


def pack_gate(gate: Gate) -> tuple[int, int]:
    """The two double words, low then high, of a gate."""
    low = (gate.selector & 0xFFFF) << 16 | gate.offset & 0xFFFF
    high = gate.offset & 0xFFFF_0000 | gate.present << 15 | gate.dpl << 13 | gate.type << 8 | gate.parameters
    return low, high & M32


def to_bytes(words: tuple[int, int]) -> bytes:
    """A packed descriptor as the eight bytes of a table."""
    return words[0].to_bytes(4, "little") + words[1].to_bytes(4, "little")


# The 32-bit task-state segment (SDM Vol. 3, "Task-State Segment (TSS)"): byte offsets.
TSS_LINK = 0x00
TSS_ESP0 = 0x04  # ESPn at 4 + 8n, SSn four bytes further
TSS_SS0 = 0x08
TSS_CR3 = 0x1C
TSS_EIP = 0x20
TSS_EFLAGS = 0x24
TSS_EAX = 0x28  # EAX ECX EDX EBX ESP EBP ESI EDI
TSS_ES = 0x48  # ES CS SS DS FS GS, four bytes each
TSS_LDT = 0x60
TSS_TRAP = 0x64
TSS_IO_MAP = 0x66  # word: where the I/O permission bitmap begins
TSS_BYTES = 0x68
# The 16-bit one: SPn at 2 + 4n, SSn two bytes further.
TSS16_SP0 = 0x02
