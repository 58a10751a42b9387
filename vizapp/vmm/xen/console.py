"""The hypervisor's console: the machine's serial port, whose driver is in the hypervisor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.machine.devices.uart import COM1_PORTS
from vizapp.vmm import ring0

if TYPE_CHECKING:
    from vizapp.vmm.xen.hypervisor import Hypervisor

_DATA = COM1_PORTS.start
_LINE_STATUS = COM1_PORTS.start + 5
_DATA_READY = 1


def write(xen: Hypervisor, data: bytes) -> None:
    """Send bytes."""
    for byte in data:
        ring0.outb(xen.pc, _DATA, byte)


def read(xen: Hypervisor, count: int) -> bytes:
    """Bytes that wait at the port, at most ``count``."""
    data = bytearray()
    while len(data) < count and ring0.inb(xen.pc, _LINE_STATUS) & _DATA_READY:
        data.append(ring0.inb(xen.pc, _DATA))
    return bytes(data)
