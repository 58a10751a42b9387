"""physdev_op: the machine's interrupt lines and ports, for the domain that drives its devices.

Source: Xen's public header physdev.h; Xen 3.1, arch/x86/physdev.c and irq.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.vmm.xen import abi
from vizapp.vmm.xen.guest_ports import PORTS
from vizapp.vmm.xen.hypercalls.arguments import Structure, word

if TYPE_CHECKING:
    from vizapp.vmm.xen.hypervisor import Hypervisor

_HIGHEST_RING: Final = 3


def physdev_op(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Say that a device was served, ask about a line, set the virtual IOPL or I/O bitmap."""
    command, argument = a[0], a[1]
    domain = xen.domain
    if command == abi.PHYSDEVOP_EOI:
        return _served(xen, word(xen, argument))
    if command == abi.PHYSDEVOP_IRQ_UNMASK_NOTIFY:
        for line in sorted(xen.lines.waiting):
            _served(xen, line)
        return 0
    if command == abi.PHYSDEVOP_IRQ_STATUS_QUERY:
        request = Structure(xen, argument, 8)
        if request[0, 4] >= abi.PIRQS:
            return -abi.EINVAL
        # The controllers are 8259s, and a line stays masked until the domain has looked.
        request.put(4, 4, abi.XENIRQSTAT_NEEDS_EOI)
        return 0
    if command == abi.PHYSDEVOP_SET_IOPL:
        level = word(xen, argument)
        if level > _HIGHEST_RING:
            return -abi.EINVAL
        domain.iopl = level
        return 0
    if command == abi.PHYSDEVOP_SET_IOBITMAP:
        request = Structure(xen, argument, 8)
        if request[4, 4] > PORTS or request[0, 4] >= xen.format.hole:
            return -abi.EINVAL
        domain.io_bitmap = (request[0, 4], request[4, 4])
        return 0
    return -abi.ENOSYS


def _served(xen: Hypervisor, line: int) -> int:
    bound = any(c.kind == "pirq" and c.detail == line for c in xen.domain.channels.values())
    if line >= abi.PIRQS or not bound:
        return -abi.EINVAL
    xen.lines.looked_at(line)
    return 0


def physdev_op_compat(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """The older form: the command stands before the structure."""
    return physdev_op(xen, (word(xen, a[0]), a[0] + 4))


HYPERCALLS = {"physdev_op": physdev_op, "physdev_op_compat": physdev_op_compat}
