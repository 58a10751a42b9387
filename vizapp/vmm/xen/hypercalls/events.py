"""event_channel_op: the interrupts of a domain.

Source: Xen's public header event_channel.h; Xen 3.1, common/event_channel.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.vmm.xen import abi, event_channels, timekeeping
from vizapp.vmm.xen.domain import TIMER, Channel

if TYPE_CHECKING:
    from vizapp.vmm.xen.hypervisor import Hypervisor


def event_channel_op(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Bind, close, send, ask about or unmask a channel; the argument is a structure of 32-bit words."""
    command, argument = a[0], a[1]
    if command in (abi.EVTCHNOP_BIND_VIRQ, abi.EVTCHNOP_BIND_IPI, abi.EVTCHNOP_ALLOC_UNBOUND):
        return _bind(xen, command, argument)
    if command == abi.EVTCHNOP_STATUS:
        return _status(xen, argument)
    if command not in (abi.EVTCHNOP_CLOSE, abi.EVTCHNOP_SEND, abi.EVTCHNOP_UNMASK):
        return -abi.ENOSYS
    port = _word(xen, argument)
    channel = xen.domain.channels.get(port)
    if channel is None:
        return -abi.EINVAL
    if command == abi.EVTCHNOP_CLOSE:
        event_channels.close(xen, port)
    elif command == abi.EVTCHNOP_UNMASK:
        xen.shared.unmask_port(port)
    elif channel.kind == "ipi":
        event_channels.send(xen, port)
    elif channel.kind != "unbound":  # nobody is there to hear what is sent through an unbound one
        return -abi.EINVAL
    return 0


def _bind(xen: Hypervisor, command: int, argument: int) -> int:
    """Answer with a port: behind {virq, vcpu}, {vcpu} or {dom, remote_dom}."""
    if command == abi.EVTCHNOP_BIND_VIRQ:
        virq, vcpu, answer = _word(xen, argument), _word(xen, argument + 4), argument + 8
        channel = Channel("virq", virq)
        if virq >= abi.VIRQS:
            return -abi.EINVAL
        if vcpu:
            return -abi.ENOENT
        if channel in xen.domain.channels.values():
            return -abi.EEXIST
    elif command == abi.EVTCHNOP_BIND_IPI:
        channel, answer = Channel("ipi"), argument + 4
        if _word(xen, argument):
            return -abi.ENOENT
    else:
        domains, answer = _word(xen, argument), argument + 4
        if domains & 0xFFFF not in (abi.DOMID_SELF, xen.domain.id):
            return -abi.ESRCH
        channel = Channel("unbound", domains >> 16)
    port = event_channels.bind(xen, channel)
    if port is None:
        return -abi.ENOSPC
    if channel == TIMER:
        timekeeping.listen(xen)
    xen.space.copy_to(answer, port.to_bytes(4, "little"))
    return 0


def _status(xen: Hypervisor, argument: int) -> int:
    """{dom, port} in; status, vcpu and what the port is bound to out."""
    domain, port = _word(xen, argument) & 0xFFFF, _word(xen, argument + 4)
    if domain not in (abi.DOMID_SELF, xen.domain.id):
        return -abi.ESRCH
    if port >= abi.EVENT_CHANNELS:
        return -abi.EINVAL
    channel = xen.domain.channels.get(port, Channel("closed"))
    words = (abi.EVTCHNSTAT[channel.kind], 0, channel.detail)
    xen.space.copy_to(argument + 8, b"".join(word.to_bytes(4, "little") for word in words))
    return 0


def _word(xen: Hypervisor, address: int) -> int:
    return int.from_bytes(xen.space.copy_from(address, 4), "little")


def event_channel_op_compat(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """The older form: the command stands before the structure."""
    return event_channel_op(xen, (_word(xen, a[0]), a[0] + 4))


HYPERCALLS = {
    "event_channel_op": event_channel_op,
    "event_channel_op_compat": event_channel_op_compat,
}
