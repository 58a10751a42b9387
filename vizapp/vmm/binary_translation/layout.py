"""Where a translating monitor's own things lie: the translation cache, and the segment that GS reaches.

In the monitor's 4 MB, behind the areas of ``host_tables``:

    base + 040000   the monitor segment, three pages: what in-cache sequences read and write through GS
    base + 100000   the translation cache: machine code, read-only to ring 1

    monitor segment:   000  slots, see below
                       400  POPF table: by bits 15:8 of an EFLAGS image, what POPF does with it
                      1000  lookup tables: by the low byte of a target, where in the cache to go on. A guest
                            code segment has one of the eight; an EIP means another place in another segment

The cache's code segment has base 0, so that an EIP in it is a linear address that no guest code has.
"""

from __future__ import annotations

from typing import Final

from vizapp.isa.addresses import PAGE_SIZE
from vizapp.isa.descriptors import DESCRIPTOR_BYTES
from vizapp.vmm.host_tables import FIRST_RESERVED

SEGMENT: Final = 0x4_0000
CACHE: Final = 0x10_0000
DEFAULT_CACHE_BYTES: Final = 64 * PAGE_SIZE
LEAST_CACHE_BYTES: Final = 1024  # room for any unit

# Slots of the monitor segment, a doubleword each.
SPILLED_ECX: Final = 0x00  # ECX while a sequence uses it
SPILLED_EDX: Final = 0x04
TARGET: Final = 0x08  # where an indirect transfer goes
VIRTUAL_IF: Final = 0x0C  # the virtual IF, in its place in EFLAGS
FLAGS_BASE: Final = 0x10  # virtual IOPL less the IF that the processor always has: added to what it pushes
PENDING: Final = 0x14  # not 0 while a virtual interrupt waits for the virtual IF
CONTROL: Final = 0x20  # CR0, -, CR2, CR3, CR4 as the guest reads them
POPF_TABLE: Final = 0x400
LOOKUP_TABLE: Final = 0x1000
LOOKUP_TABLES: Final = 8
LOOKUP_ENTRIES: Final = 256
SEGMENT_PAGES: Final = 3

CODE_INDEX: Final = FIRST_RESERVED + 24
SEGMENT_INDEX: Final = FIRST_RESERVED + 25
CODE_SELECTOR: Final = CODE_INDEX * DESCRIPTOR_BYTES | 1
SEGMENT_SELECTOR: Final = SEGMENT_INDEX * DESCRIPTOR_BYTES | 1

DOOR_VECTOR: Final = 0xE0  # INT by which the cache calls the monitor; its gate is closed to ring 3
