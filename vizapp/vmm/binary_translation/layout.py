"""Where a translating monitor's own things lie: the translation cache, and the segment that GS reaches.

In the monitor's 4 MB, behind the areas of ``host_tables``:

    base + 040000   the monitor segment: what in-cache sequences read and write through GS
    base + 100000   the translation cache: machine code, read-only to ring 1

    monitor segment:   000  slots, see below
                       100  the virtual machine's ports and CPUID, see ``virtual_reads``
                       400  POPF table: by bits 15:8 of an EFLAGS image, what POPF does with it
                      1000  lookup tables: by the low byte of a target, where in the cache to go on. A guest
                            code segment has one of the eight; an EIP means another place in another segment
                      3000  what was written through windows, and behind it what they refuse
                      A000  windows: pages of the guest's, see ``windows``

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
SPILLED_EAX: Final = 0x18
SPILLED_EBX: Final = 0x1C
CONTROL: Final = 0x20  # CR0, -, CR2, CR3, CR4 as the guest reads them
OFFSET: Final = 0x40  # of an access, from the page that its sequence is for
SHIFTED: Final = 0x48  # sixteen times as much, and a doubleword behind it
TABLE_WRITTEN: Final = 0x50  # not 0: a sequence has written to a page that is traced, see ``WRITTEN``
PRIORITY: Final = 0x54  # of the local APIC's task; the monitor hands it on when it comes in
PRIORITY_KEPT: Final = 0x58  # not 0 while the monitor has to be told of another priority, or of a read
SELECTORS: Final = 0x60  # ES CS SS DS FS GS as the guest has them
PORTS: Final = 0x100  # by port, the byte that IN reads
PORT_KEPT: Final = 0x200  # by port, not 0 where the monitor answers
IDENTITY: Final = 0x300  # CPUID's basic leaves: EAX, EBX, ECX, EDX of each
LEAVES: Final = 8
LEAF_BYTES: Final = 32
POPF_TABLE: Final = 0x400
LOOKUP_TABLE: Final = 0x1000
LOOKUP_TABLES: Final = 8
LOOKUP_ENTRIES: Final = 256

# Pages through which sequences write to the guest's traced memory, and what they must not touch there.
WINDOWS: Final = 6
WRITTEN: Final = 0x3000  # a byte for each 16 of each window's page: not 0 once written to
REFUSED: Final = 0x4000  # a page for each window, a byte for each 16 bytes behind its page's start
WINDOW: Final = REFUSED + WINDOWS * PAGE_SIZE  # and the pages themselves
SEGMENT_PAGES: Final = WINDOW // PAGE_SIZE  # that are the monitor's
GRANULE: Final = 16
GRANULES: Final = PAGE_SIZE // GRANULE
SEGMENT_BYTES: Final = WINDOW + WINDOWS * PAGE_SIZE

CODE_INDEX: Final = FIRST_RESERVED + 24
SEGMENT_INDEX: Final = FIRST_RESERVED + 25
CODE_SELECTOR: Final = CODE_INDEX * DESCRIPTOR_BYTES | 1
SEGMENT_SELECTOR: Final = SEGMENT_INDEX * DESCRIPTOR_BYTES | 1

DOOR_VECTOR: Final = 0xE0  # INT by which the cache calls the monitor; its gate is closed to ring 3
