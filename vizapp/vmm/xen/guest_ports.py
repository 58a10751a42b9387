"""I/O ports of domains: no port is open to a guest's ring, and each access traps and is checked.

EFLAGS.IOPL of the processor stays 0 in every guest. A domain has a virtual IOPL, and a bitmap in its own
memory for its applications (set_iopl, set_iobitmap); what these allow and the hypervisor does not reads as
ones and is not written, so that a driver that looks for devices finds none.

Source: Xen 3.1, arch/x86/traps.c (guest_io_okay, admin_io_okay); Xen's public header physdev.h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import M32
from vizapp.vmm.xen.guest_access import GuestMemoryError

if TYPE_CHECKING:
    from vizapp.vmm.xen.hypervisor import Hypervisor

PORTS: Final = 0x1_0000
OWN: Final = (
    range(0x20, 0x22),  # the interrupt controllers
    range(0xA0, 0xA2),
    range(0x40, 0x44),  # the timer
    range(0x61, 0x62),  # which starts and stops its last channel
    range(0x3F8, 0x400),  # the console's serial port
)
"""What the hypervisor drives itself; the initial domain has the rest."""


def all_but_own() -> tuple[range, ...]:
    """The ports that the initial domain has."""
    ranges, start = [], 0
    for own in sorted(OWN, key=lambda ports: ports.start):
        ranges.append(range(start, own.start))
        start = own.stop
    return (*ranges, range(start, PORTS))


def may_try(xen: Hypervisor, ring: int, port: int, size: int) -> bool:
    """Whether the domain lets code of a ring access ports: its kernel from a virtual IOPL of 1 on."""
    domain = xen.domain
    if domain.iopl >= ring:
        return True
    bitmap, ports = domain.io_bitmap
    if port + size > ports:
        return False
    try:
        raw = xen.space.copy_from(bitmap + (port >> 3) & M32, 2 if (port & 7) + size > 8 else 1)
    except GuestMemoryError:
        return False
    xen.pay_references(1)
    return not int.from_bytes(raw, "little") >> (port & 7) & (1 << size) - 1


class GuestPorts:
    """The ports as the current domain reaches them through the hypervisor."""

    def __init__(self, xen: Hypervisor) -> None:
        self._xen = xen

    def read(self, port: int, size: int) -> int:
        """IN of ``size`` bytes."""
        if not self._is_open(port, size):
            return (1 << 8 * size) - 1
        self._xen.pc.meter.charge("mon_port")
        return self._xen.pc.cpu.ports.read(port, size)

    def write(self, port: int, size: int, value: int) -> None:
        """OUT of ``size`` bytes."""
        if self._is_open(port, size):
            self._xen.pc.meter.charge("mon_port")
            self._xen.pc.cpu.ports.write(port, size, value)

    def _is_open(self, port: int, size: int) -> bool:
        self._xen.pay("port")
        end = port + size
        for part in self._xen.domain.ports:
            if port in part:
                return end <= part.stop
        return False
