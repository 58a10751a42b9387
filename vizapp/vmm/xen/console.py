"""The hypervisor's console: the machine's serial port, whose driver is in the hypervisor.

What is typed there stays in the port until the initial domain reads it; VIRQ_CONSOLE tells it that there is
something, from when it has bound that on.

Source: Xen 3.1, drivers/char/ns16550.c and console.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.machine.devices.uart import (
    COM1_PORTS,
    IER_ERBFI,
    LSR_DR,
    LSR_THRE,
    MCR_DTR,
    MCR_OUT2,
    MCR_RTS,
)
from vizapp.vmm import ring0
from vizapp.vmm.xen.physical_irqs import CONSOLE_LINE

if TYPE_CHECKING:
    from vizapp.vmm.xen.hypervisor import Hypervisor

_DATA: Final = COM1_PORTS.start
_LINE_STATUS: Final = COM1_PORTS.start + 5
_FIFO_BYTES: Final = 16  # that the transmitter takes at once when it is empty


def listen(xen: Hypervisor) -> None:
    """Have the port interrupt when something is typed."""
    ring0.outb(xen.pc, _DATA + 1, IER_ERBFI)
    ring0.outb(xen.pc, _DATA + 4, MCR_DTR | MCR_RTS | MCR_OUT2)
    xen.lines.bind(CONSOLE_LINE)


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
    if CONSOLE_LINE in xen.lines.waiting and not ring0.inb(xen.pc, _LINE_STATUS) & LSR_DR:
        xen.lines.looked_at(CONSOLE_LINE)
    return bytes(data)
