"""The tables by which firmware tells an operating system of its APICs (Intel MP Specification 1.4).

floating pointer   "_MP_" | table address | 1 | revision | checksum | features 1-5      16 bytes, in the BIOS
configuration      "PCMP" header, 44 bytes | processor, 20 | bus, I/O APIC, interrupts, 8 each
"""

from __future__ import annotations

from struct import pack

from vizapp.isa.addresses import HostPhysical
from vizapp.machine.devices.apic import APIC_BASE
from vizapp.machine.devices.apic import VERSION as APIC_VERSION
from vizapp.machine.devices.ioapic import IOAPIC_BASE
from vizapp.machine.devices.ioapic import VERSION as IOAPIC_VERSION

MP_BASE = HostPhysical(0xF_5B00)
REVISION = 4  # 1.4
POINTER_BYTES = 16
HEADER_BYTES = 44
TIMER_PIN = 2
CASCADE_IRQ = 2
_PROCESSOR, _BUS, _IO_APIC, _IO_INTERRUPT, _LOCAL_INTERRUPT = range(5)
_ENABLED_AND_BOOT = 3
_INT, _NMI, _SMI, _EXTINT = range(4)
_ALL_APICS = 0xFF
_ISA_BUS = 0


def pin_of(irq: int) -> int:
    """The I/O APIC's input of an ISA interrupt line: the timer has taken the cascade's."""
    return TIMER_PIN if irq == 0 else irq


def mp_tables(address: int, signature: int, features: int, apic_id: int = 0, io_apic_id: int = 1) -> bytes:
    """Floating pointer and configuration table for one processor, to be put at a physical address.

    The address is one of those where operating systems look, on a 16-byte boundary. ``signature`` and
    ``features`` are EAX and EDX of CPUID leaf 1.

    Raises:
        ValueError: it is on no such boundary.
    """
    if address % POINTER_BYTES:
        raise ValueError(f"the MP floating pointer is on a 16-byte boundary, not at {address:#x}")
    table = _configuration(signature, features, apic_id, io_apic_id)
    pointer = b"_MP_" + pack("<I4B4x", address + POINTER_BYTES, 1, REVISION, 0, 0)
    return _summed(pointer, 10) + table


def _configuration(signature: int, features: int, apic_id: int, io_apic_id: int) -> bytes:
    entries = [
        pack("<4BII8x", _PROCESSOR, apic_id, APIC_VERSION & 0xFF, _ENABLED_AND_BOOT, signature, features),
        pack("<2B6s", _BUS, _ISA_BUS, b"ISA   "),
        pack("<4BI", _IO_APIC, io_apic_id, IOAPIC_VERSION & 0xFF, 1, IOAPIC_BASE),
        *(
            pack("<2BH4B", _IO_INTERRUPT, _INT, 0, _ISA_BUS, irq, io_apic_id, pin_of(irq))
            for irq in range(16)
            if irq != CASCADE_IRQ
        ),
        pack("<2BH4B", _LOCAL_INTERRUPT, _EXTINT, 0, _ISA_BUS, 0, _ALL_APICS, 0),
        pack("<2BH4B", _LOCAL_INTERRUPT, _NMI, 0, _ISA_BUS, 0, _ALL_APICS, 1),
    ]
    body = b"".join(entries)
    length = HEADER_BYTES + len(body)
    header = b"PCMP" + pack("<H2B8s12s", length, REVISION, 0, b"VIZAPP  ", b"PC          ")
    header += pack("<IHHIHBx", 0, 0, len(entries), APIC_BASE, 0, 0)
    return _summed(header + body, 7)


def _summed(table: bytes, checksum_at: int) -> bytes:
    """The table with its checksum byte set, so that all bytes add up to 0."""
    return table[:checksum_at] + bytes([-sum(table) & 0xFF]) + table[checksum_at + 1 :]
