"""The hypervisor's console: the machine's serial port, whose driver is in the hypervisor.

Source: Xen 3.1, drivers/char/ns16550.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.machine.devices.uart import COM1_PORTS, LSR_DR, LSR_THRE
from vizapp.vmm import ring0

if TYPE_CHECKING:
    from vizapp.vmm.xen.hypervisor import Hypervisor

_DATA: Final = COM1_PORTS.start
_LINE_STATUS: Final = COM1_PORTS.start + 5
_FIFO_BYTES: Final = 16  # that the transmitter takes at once when it is empty


def write(xen: Hypervisor, data: bytes) -> None:
    """Send bytes."""
    for start in range(0, len(data), _FIFO_BYTES):
        while not ring0.inb(xen.pc, _LINE_STATUS) & LSR_THRE:
            pass
        for byte in data[start : start + _FIFO_BYTES]:
            ring0.outb(xen.pc, _DATA, byte)


def read(xen: Hypervisor, count: int) -> bytes:
    """Bytes that wait at the port, at most ``count``."""
    data = bytearray()
    while len(data) < count and ring0.inb(xen.pc, _LINE_STATUS) & LSR_DR:
        data.append(ring0.inb(xen.pc, _DATA))
    return bytes(data)
