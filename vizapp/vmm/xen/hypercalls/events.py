"""event_channel_op: the interrupts of a domain.

Source: Xen's public header event_channel.h; Xen 3.1, common/event_channel.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import M32
from vizapp.vmm.xen import abi, console, event_channels, timekeeping
from vizapp.vmm.xen.domain import TIMER, Channel
from vizapp.vmm.xen.hypercalls.arguments import Structure, word
from vizapp.vmm.xen.physical_irqs import OWN

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.vmm.xen.domain import Domain
    from vizapp.vmm.xen.hypervisor import Hypervisor


def event_channel_op(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Bind, close, send, ask about or unmask a channel; the argument is a structure of 32-bit words."""
    serve = _COMMANDS.get(a[0])
    return -abi.ENOSYS if serve is None else serve(xen, a[1])


def _named(xen: Hypervisor, number: int) -> Domain | int:
    """The domain that a request is about, which only the initial domain may name; else an error."""
    if number == abi.DOMID_SELF:
        return xen.domain
    if not xen.domain.privileged:
        return -abi.EPERM  # not even its own number
    domain = xen.by_id(number)
    return -abi.ESRCH if domain is None else domain


def _alloc_unbound(xen: Hypervisor, argument: int) -> int:
    """{dom, remote_dom; port}: a port to which a domain may bind later."""
    request = Structure(xen, argument, 4)
    domain = _named(xen, request[0, 2])
    if isinstance(domain, int):
        return domain
    remote = request[2, 2]
    channel = Channel("unbound", xen.domain.id if remote == abi.DOMID_SELF else remote)
    return _answer(xen, domain, channel, argument + 4)


def _bind_interdomain(xen: Hypervisor, argument: int) -> int:
    """{remote_dom, remote_port; local_port}."""
    request = Structure(xen, argument, 8)
    remote, port = xen.by_id(request[0, 2]), request[4, 4]
    if remote is None:
        return -abi.ESRCH
    if remote.channels.get(port) != Channel("unbound", xen.domain.id):
        return -abi.EINVAL
    local = event_channels.connect(xen, xen.domain, remote, port)
    if local is None:
        return -abi.ENOSPC
    xen.space.copy_to(argument + 8 & M32, local.to_bytes(4, "little"))
    return 0


def _bind_virq(xen: Hypervisor, argument: int) -> int:
    """{virq, vcpu; port}."""
    request = Structure(xen, argument, 8)
    virq, vcpu = request[0, 4], request[4, 4]
    channel = Channel("virq", virq)
    if virq >= abi.VIRQS or (vcpu and virq in abi.GLOBAL_VIRQS):
        return -abi.EINVAL
    if vcpu:
        return -abi.ENOENT
    if channel in xen.domain.channels.values():
        return -abi.EEXIST
    result = _answer(xen, xen.domain, channel, argument + 8)
    if result == 0 and virq == abi.VIRQ_CONSOLE and xen.domain.privileged:
        console.listen(xen)
    return result


def _bind_pirq(xen: Hypervisor, argument: int) -> int:
    """{pirq, flags; port}: an interrupt line of the machine, whose device the domain drives."""
    line = Structure(xen, argument, 8)[0, 4]
    channel = Channel("pirq", line)
    if line >= abi.PIRQS:
        return -abi.EINVAL
    if line not in xen.domain.lines or line in OWN:
        return -abi.EPERM
    if channel in xen.domain.channels.values():
        return -abi.EEXIST
    result = _answer(xen, xen.domain, channel, argument + 8)
    if result == 0:
        xen.lines.bind(line)
    return result


def _bind_ipi(xen: Hypervisor, argument: int) -> int:
    """{vcpu; port}."""
    if word(xen, argument):
        return -abi.ENOENT
    return _answer(xen, xen.domain, Channel("ipi"), argument + 4)


def _answer(xen: Hypervisor, domain: Domain, channel: Channel, answer: int) -> int:
    """Give a channel a port, and tell which at the address ``answer``."""
    port = event_channels.bind(domain, channel)
    if port is None:
        return -abi.ENOSPC
    if channel == TIMER:
        timekeeping.listen(xen, domain)
    xen.space.copy_to(answer & M32, port.to_bytes(4, "little"))
    return 0


def _close(xen: Hypervisor, argument: int) -> int:
    port = word(xen, argument)
    if port not in xen.domain.channels or event_channels.is_hypervisors(xen.domain, port):
        return -abi.EINVAL
    event_channels.close(xen, xen.domain, port)
    return 0


def _send(xen: Hypervisor, argument: int) -> int:
    port = word(xen, argument)
    if event_channels.is_hypervisors(xen.domain, port):
        return -abi.EINVAL
    return event_channels.send(xen, xen.domain, port)


def _status(xen: Hypervisor, argument: int) -> int:
    """{dom, port; status, vcpu, what the port is bound to}."""
    request = Structure(xen, argument, 8)
    domain, port = _named(xen, request[0, 2]), request[4, 4]
    if isinstance(domain, int):
        return domain
    if not event_channels.is_valid(domain, port):
        return -abi.EINVAL
    channel = domain.channels.get(port, Channel("closed"))
    words = [abi.EVTCHNSTAT[channel.kind], 0, channel.detail]
    if channel.kind == "interdomain":
        words.append(channel.port)
    data = b"".join(number.to_bytes(4, "little") for number in words)
    xen.space.copy_to(argument + 8 & M32, data)
    return 0


def _bind_vcpu(xen: Hypervisor, argument: int) -> int:
    """{port, vcpu}: there is one virtual CPU to bind to."""
    request = Structure(xen, argument, 8)
    channel = xen.domain.channels.get(request[0, 4])
    if request[4, 4]:
        return -abi.ENOENT
    if channel is None or channel.kind == "ipi":
        return -abi.EINVAL
    return -abi.EINVAL if channel.kind == "virq" and channel.detail not in abi.GLOBAL_VIRQS else 0


def _unmask(xen: Hypervisor, argument: int) -> int:
    port = word(xen, argument)
    if not event_channels.is_valid(xen.domain, port):
        return -abi.EINVAL
    xen.shared.unmask_port(port)
    return 0


def _reset(xen: Hypervisor, argument: int) -> int:
    """{dom}: close all of its ports."""
    domain = _named(xen, word(xen, argument) & 0xFFFF)
    if isinstance(domain, int):
        return domain
    for port in sorted(domain.channels):
        if event_channels.is_hypervisors(domain, port):
            continue
        event_channels.close(xen, domain, port)
    return 0


_COMMANDS: Final[dict[int, Callable[[Hypervisor, int], int]]] = {
    abi.EVTCHNOP_ALLOC_UNBOUND: _alloc_unbound,
    abi.EVTCHNOP_BIND_INTERDOMAIN: _bind_interdomain,
    abi.EVTCHNOP_BIND_VIRQ: _bind_virq,
    abi.EVTCHNOP_BIND_PIRQ: _bind_pirq,
    abi.EVTCHNOP_BIND_IPI: _bind_ipi,
    abi.EVTCHNOP_CLOSE: _close,
    abi.EVTCHNOP_SEND: _send,
    abi.EVTCHNOP_STATUS: _status,
    abi.EVTCHNOP_BIND_VCPU: _bind_vcpu,
    abi.EVTCHNOP_UNMASK: _unmask,
    abi.EVTCHNOP_RESET: _reset,
}


def event_channel_op_compat(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """The older form: the command stands before the structure."""
    return event_channel_op(xen, (word(xen, a[0]), a[0] + 4))


HYPERCALLS = {
    "event_channel_op": event_channel_op,
    "event_channel_op_compat": event_channel_op_compat,
}
