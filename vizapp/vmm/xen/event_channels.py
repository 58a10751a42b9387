"""Event channels of a domain: binding a port, and sending through it.

Source: Xen 3.1, common/event_channel.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.machine import events
from vizapp.vmm.xen import abi
from vizapp.vmm.xen.places import HYPERVISOR

if TYPE_CHECKING:
    from vizapp.vmm.xen.domain import Channel
    from vizapp.vmm.xen.hypervisor import Hypervisor


def bind(xen: Hypervisor, channel: Channel) -> int | None:
    """Give a channel the lowest free port; None when all are taken."""
    channels = xen.domain.channels
    # Port 0 is never given out, so that a guest can use it for "none".
    port = next((port for port in range(1, abi.EVENT_CHANNELS) if port not in channels), None)
    if port is not None:
        channels[port] = channel
    return port


def close(xen: Hypervisor, port: int) -> None:
    """Free a port; what was pending on it is gone, or the next owner would take it for its own."""
    del xen.domain.channels[port]
    xen.shared.set_bit(abi.SHARED_PENDING, port, False)


def send(xen: Hypervisor, port: int) -> None:
    """Make a port pending."""
    xen.pay("event")
    xen.shared.raise_port(port)
    channel = xen.domain.channels[port]
    name = abi.VIRQ_NAMES.get(channel.detail, "virq") if channel.kind == "virq" else channel.kind
    xen.pc.emit(events.EVENT_SENT, name, {"port": port}, HYPERVISOR, HYPERVISOR)
