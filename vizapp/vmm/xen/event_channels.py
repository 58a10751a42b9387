"""Event channels: binding ports of two domains to each other, sending, and waking who waits for that.

Source: Xen 3.1, common/event_channel.c; Xen's public header event_channel.h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.machine import events
from vizapp.vmm.xen import abi, runstate
from vizapp.vmm.xen.domain import Channel
from vizapp.vmm.xen.hvm import lines
from vizapp.vmm.xen.physical_irqs import CONSOLE_LINE
from vizapp.vmm.xen.places import HYPERVISOR

if TYPE_CHECKING:
    from vizapp.vmm.xen.domain import Domain
    from vizapp.vmm.xen.hypervisor import Hypervisor

_PER_BUCKET = 128
_CONSOLE = Channel("virq", abi.VIRQ_CONSOLE)


def bind(domain: Domain, channel: Channel) -> int | None:
    """Give a channel the lowest free port; None when all are taken."""
    channels = domain.channels
    # Port 0 is never given out, so that a guest can use it for "none".
    port = next((port for port in range(1, abi.EVENT_CHANNELS) if port not in channels), None)
    if port is not None:
        channels[port] = channel
    return port


def is_valid(domain: Domain, port: int) -> bool:
    """Whether there is such a port at all, free or not: they come by the hundred and twenty-eight."""
    highest = max(domain.channels, default=0)
    return port <= highest | _PER_BUCKET - 1


def connect(xen: Hypervisor, local: Domain, remote: Domain, remote_port: int) -> int | None:
    """Bind a new port of one domain to an unbound one of another; None when all are taken."""
    port = bind(local, Channel("interdomain", remote.id, remote_port))
    if port is None:
        return None
    remote.channels[remote_port] = Channel("interdomain", local.id, port)
    # The local end is told at once: what was sent before it was bound went unheard.
    raise_port(xen, local, port)
    return port


def close(xen: Hypervisor, domain: Domain, port: int) -> None:
    """Free a port; the other end of a pair is then unbound again.

    What was pending on it is gone, or the next owner would take it for its own.
    """
    channel = domain.channels.pop(port)
    xen.shared_of(domain).set_bit(abi.SHARED_PENDING, port, False)
    if channel.kind == "interdomain":
        remote = xen.by_id(channel.detail)
        if remote is not None and remote.channels.get(channel.port) == Channel(
            "interdomain", domain.id, port
        ):
            remote.channels[channel.port] = Channel("unbound", domain.id)
    elif channel.kind == "pirq":
        xen.lines.unbind(channel.detail)
    elif channel == _CONSOLE and domain.privileged:
        xen.lines.unbind(CONSOLE_LINE)


def send(xen: Hypervisor, domain: Domain, port: int) -> int:
    """Send through a port of a domain: 0, or -EINVAL where nobody can be at the other end."""
    channel = domain.channels.get(port)
    if channel is None:
        return -abi.EINVAL
    if channel.kind == "interdomain":
        remote = xen.by_id(channel.detail)
        if remote is not None:
            raise_port(xen, remote, channel.port, sender=domain)
        return 0
    if channel.kind == "ipi":
        raise_port(xen, domain, port)
        return 0
    # Nobody is there to hear what is sent through an unbound one.
    return 0 if channel.kind == "unbound" else -abi.EINVAL


def raise_port(xen: Hypervisor, domain: Domain, port: int, sender: Domain | None = None) -> None:
    """Make a port pending, and wake its domain if it waits for that."""
    xen.pay("event")
    shared = xen.shared_of(domain)
    # What comes from its device model is for the hypervisor, which has asked on the domain's behalf.
    own = is_hypervisors(domain, port)
    if not own:
        shared.raise_port(port)
    channel = domain.channels[port]
    name = abi.VIRQ_NAMES.get(channel.detail, "virq") if channel.kind == "virq" else channel.kind
    payload: dict[str, int | str] = {"port": port}
    if len(xen.domains) > 1:
        payload["vm"] = domain.index
        if sender is not None:
            payload["from"] = sender.index
    xen.pc.emit(events.EVENT_SENT, name, payload, HYPERVISOR, HYPERVISOR)
    vm = xen.machine_of(domain)
    if own or (vm is not None and vm.request is not None):
        if own and vm is not None and vm.request is not None:
            unblock(xen, domain)
    elif vm is not None and vm.halted:
        lines.follow_events(xen, vm)
    elif (domain.poll and port in domain.poll) or (domain.blocked and not domain.poll and shared.pending):
        unblock(xen, domain)


def is_hypervisors(domain: Domain, port: int) -> bool:
    """Whether the hypervisor is at a port of a domain, and not its guest."""
    return domain.hvm is not None and 0 < port == domain.hvm.port


def raise_virq(xen: Hypervisor, domain: Domain, virq: int) -> None:
    """Send a virtual interrupt to a domain that listens to it."""
    for port, channel in sorted(domain.channels.items()):
        if channel.kind == "virq" and channel.detail == virq:
            raise_port(xen, domain, port)


def raise_global(xen: Hypervisor, virq: int) -> None:
    """Send a virtual interrupt that concerns the whole machine: to the initial domain."""
    for domain in xen.domains:
        if domain.privileged and domain.stopped is None:
            raise_virq(xen, domain, virq)


def unblock(xen: Hypervisor, domain: Domain) -> None:
    """A domain waits no longer."""
    domain.blocked, domain.poll, domain.poll_deadline = False, (), None
    runstate.resume(xen, domain)


def can_be_woken(xen: Hypervisor, domain: Domain) -> bool:
    """Whether an event that the hypervisor makes by itself would be noticed by a domain that waits."""
    shared = xen.shared_of(domain)
    for port, channel in domain.channels.items():
        if channel.kind in ("virq", "pirq") and (port in domain.poll or shared.can_ring(port)):
            return True
    return False
