"""Event channels: the interrupts of a domain.

Source: Xen's public header event_channel.h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.vmm.xen import abi
from vizapp.vmm.xen.domain import Channel

if TYPE_CHECKING:
    from vizapp.vmm.xen.hypervisor import Hypervisor

_STATUS = {"unbound": 1, "interdomain": 2, "pirq": 3, "virq": 4, "ipi": 5}


def _free_port(xen: Hypervisor) -> int | None:
    # Port 0 is never given out, so that a guest can use it for "none".
    return next((port for port in range(1, abi.EVENT_CHANNELS) if port not in xen.domain.channels), None)


def _bind(xen: Hypervisor, channel: Channel, answer: int) -> int:
    port = _free_port(xen)
    if port is None:
        return -abi.ENOSPC
    xen.domain.channels[port] = channel
    xen.copy_to_guest(answer, port.to_bytes(4, "little"))
    return 0


def event_channel_op(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Bind, close, send, ask about or unmask a channel; the argument is a structure of 32-bit words."""
    command, argument = a[0], a[1]
    channels = xen.domain.channels
    first = int.from_bytes(xen.copy_from_guest(argument, 4), "little")
    if command == abi.EVTCHNOP_BIND_VIRQ:
        if first not in abi.VIRQ_NAMES:
            return -abi.EINVAL
        if Channel("virq", first) in channels.values():
            return -abi.EEXIST
        return _bind(xen, Channel("virq", first), argument + 8)
    if command == abi.EVTCHNOP_BIND_IPI:
        return _bind(xen, Channel("ipi", first), argument + 4) if first == 0 else -abi.ENOENT
    if command == abi.EVTCHNOP_ALLOC_UNBOUND:
        return _bind(xen, Channel("unbound", first >> 16), argument + 4)
    if command == abi.EVTCHNOP_STATUS:
        port = int.from_bytes(xen.copy_from_guest(argument + 4, 4), "little")
        channel = channels.get(port)
        status = 0 if channel is None else _STATUS[channel.kind]
        xen.copy_to_guest(argument + 8, status.to_bytes(4, "little"))
        return 0
    if command not in (abi.EVTCHNOP_CLOSE, abi.EVTCHNOP_SEND, abi.EVTCHNOP_UNMASK):
        return -abi.ENOSYS
    if first not in channels:
        return -abi.EINVAL
    if command == abi.EVTCHNOP_CLOSE:
        del channels[first]
    elif command == abi.EVTCHNOP_SEND:
        xen.send_event(first)
    else:
        xen.shared.set_bit(abi.SHARED_MASK, first, False)
        if xen.shared.bit(abi.SHARED_PENDING, first):
            xen.shared.select(first)
    return 0


def event_channel_op_compat(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """The older form: the command stands before the structure."""
    command = int.from_bytes(xen.copy_from_guest(a[0], 4), "little")
    return event_channel_op(xen, (command, a[0] + 4))


HYPERCALLS = {
    "event_channel_op": event_channel_op,
    "event_channel_op_compat": event_channel_op_compat,
}
