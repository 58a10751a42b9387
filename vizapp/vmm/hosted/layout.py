"""Where things are in the pages that the two worlds share; as ``assets/guests/host_shared.inc`` has it.

Every virtual machine has such pages of its own, and in the host's kernel a process, whose slot is here too:

    CROSS            the switch page: its code, and the state of the world that the processor is not in
    CROSS + 1000     shared page 0: why the VMM left, what it asks for, the virtual devices' registers
    CROSS + 2000     shared page 1: the sector that goes through the virtual disk's data port

The switch page is at ``CROSS`` in both worlds; the shared pages the host and VMApp have elsewhere.
"""

from __future__ import annotations

from typing import Final

CROSS: Final = 0xFFFF_0000
HOST_END: Final = 0x0040_0000
"""Memory below is the host's: its kernel maps no more, and all page directories of its own are there."""

# Selectors of the host's GDT that say more than the ring.
KERNEL_CODE: Final = 0x08
VMAPP_CODE: Final = 0x3B

MOST_VMS: Final = 4
SHARED_BYTES: Final = 0x2000
"""The shared pages of one virtual machine; those of the next one are behind them."""

# The slot of a process in the host's kernel.
SLOT: Final = 256  # bytes; it begins with the state
WAITING: Final = 2
SLOT_SPACE: Final = 4  # its page directory

# Vectors of the host's two 8259s: what arrives there while the VMM's world has the processor is the host's.
HOST_VECTORS: Final = range(0x20, 0x30)

# Reasons.
INTERRUPT, TIMER, PORT, HALT, SERIAL, END = range(1, 7)
CAUSES: Final = ("run", "interrupt", "timer", "port", "halt", "serial", "end")

# Slots of shared page 0.
REASON, VECTOR, TIMER_COUNT, FIRED, TIMEOUT, INPUT = range(0, 24, 4)
PACKETS, NOTIFY, QUEUED, LINES, PORT_NUMBER, SIZE, WRITE, VALUE, GUEST, FRAME = range(24, 64, 4)
STATION: Final = 64
PROM: Final = 72
SERIAL_COUNT: Final = 88
TEXT: Final = 96
TEXT_BYTES: Final = 120
EXTENT: Final = 220  # of the disk, on the host's: its first sector
SLICE: Final = 224  # cycles; TICK is in counts of the timer
TICK: Final = 228
KHZ: Final = 232
SERVICE: Final = 236
STORES: Final = 1024
STORE_LIST: Final = 1028
MOST_STORES: Final = 64

# The virtual network adapter, and the virtual disk.
CSRS: Final = 512
BCRS: Final = 768
RAP: Final = 784
RECEIVE: Final = 788  # a ring: base, size, next
TRANSMIT: Final = 800
GIVEN_BACK: Final = 6  # bytes of a descriptor that VMApp stores when it gives it back
DISK_REGISTERS: Final = 832
DISK_STATUS: Final = DISK_REGISTERS + 4 * 7
DISK_SELECT: Final = DISK_REGISTERS + 4 * 6
DISK_CONTROL, DISK_IRQ, DISK_COMMAND, DISK_AT, DISK_LEFT, DISK_BLOCK, DISK_SECTORS, DISK_BASE = range(
    864, 896, 4
)
DISK_DATA: Final = 4096

# A world's state in the switch page.
CONTEXT_CR2: Final = 48
