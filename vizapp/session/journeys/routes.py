"""The routes that there are; another way of doing I/O is another route here, and all that a drawing knows."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from vizapp.messages import N_
from vizapp.session.journeys.kernel_routes import (
    KERNEL_LOCAL,
    KERNEL_READ,
    KERNEL_RECEIVE,
    KERNEL_SEND,
    KERNEL_WRITE,
)
from vizapp.session.journeys.route import (
    HARDWARE,
    INJECTED,
    RING,
    RING_0,
    RING_1,
    RING_3,
    Group,
    Node,
    Route,
    Row,
    Stage,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_XEN_ROWS: Final = (RING_3, RING_1._replace(weight=2.4), RING_0, HARDWARE)
_HOSTED_ROWS: Final = (RING_3, RING_1, RING_0, HARDWARE)

# Xen: domain 0 at the left, the domain that the packet or block belongs to at the right.
_XEN_GROUPS: Final = (
    Group(N_("domain 0"), 1, 0.085, 0.415),
    Group(N_("{vm}"), 1, 0.79, 0.995),
)
_XEN_NODES: Final = (
    Node("application", N_("application"), 0, 0.8, 0.985),
    Node("front", N_("front end"), 1, 0.8, 0.985),
    Node(RING, N_("shared ring"), 1, 0.447, 0.758),
    Node("xen", N_("Xen"), 2, 0.09, 0.99),
)
_NET_NODES: Final = (
    *_XEN_NODES,
    Node("driver", N_("driver"), 1, 0.092, 0.177),
    Node("bridge", N_("bridge"), 1, 0.208, 0.293),
    Node("back", N_("back end"), 1, 0.324, 0.407),
    Node("nic", N_("network adapter"), 3, 0.09, 0.33),
    Node("line", N_("switch"), 3, 0.5, 0.7),
)
_DISK_NODES: Final = (
    *_XEN_NODES,
    Node("driver", N_("driver"), 1, 0.092, 0.225),
    Node("back", N_("back end"), 1, 0.28, 0.407),
    Node("disk", N_("disk"), 3, 0.09, 0.33),
)
_APPLICATION: Final = Stage(
    "application", N_("system call"), "application", "front",
    N_("An application asks its kernel. Guests whose own kernel makes the data have no such stage."),
)  # fmt: skip
_PUT: Final = Stage(
    "put", N_("request in the ring"), "front", RING,
    N_("The front end writes a request into a slot of the shared ring, and moves req_prod."),
)  # fmt: skip
_EVENT: Final = Stage(
    "event", N_("event for domain 0"), "front", "xen",
    N_("A hypercall raises the channel's flag, if the back end has asked for it in req_event."),
)  # fmt: skip
_WOKEN: Final = Stage(
    "woken", N_("domain 0 sees the event"), "xen", "back",
    N_("Xen gives domain 0 the processor, or interrupts it with an upcall: it finds the flag."),
)  # fmt: skip
_ANSWERED: Final = Stage(
    "answered", N_("answer in the ring"), "back", RING,
    N_("The back end writes its answer into the ring, and moves rsp_prod."),
)  # fmt: skip
_NOTIFIED: Final = Stage(
    "notified", N_("event for the front end"), "back", "xen",
    N_("A hypercall raises the channel's flag, if the front end has asked for it in rsp_event."),
)  # fmt: skip
_HEARD: Final = Stage(
    "heard", N_("upcall"), "xen", "front",
    N_("Xen enters the domain's event callback, or interrupts it if unmodified: it looks at the ring."),
)  # fmt: skip

SPLIT_SEND: Final = Route(
    "split-send", N_("frame sent"), _XEN_ROWS, _XEN_GROUPS, _NET_NODES,
    (
        _APPLICATION,
        _PUT,
        _EVENT,
        _WOKEN,
        Stage("copied", N_("copied by grant"), RING, "back",
              N_("Xen copies the frame out of the page that the front end has granted; nothing is mapped.")),
        Stage("bridged", N_("through the bridge"), "back", "bridge",
              N_("Domain 0 looks behind which port the receiver is.")),
        Stage("driver", N_("driver's OUT"), "driver", "nic",
              N_("The driver of the real adapter tells it that a frame lies in its ring.")),
        Stage("line", N_("on the line"), "nic", "line",
              N_("The adapter reads the frame out of memory by itself and sends it to the switch.")),
        _ANSWERED,
        _NOTIFIED,
        _HEARD,
    ),
    "send",
)  # fmt: skip
SPLIT_RECEIVE: Final = Route(
    "split-receive", N_("frame received"), _XEN_ROWS, _XEN_GROUPS, _NET_NODES,
    (
        Stage("line", N_("stored by the adapter"), "line", "nic",
              N_("The adapter, which takes every frame, stores this one in domain 0's memory.")),
        Stage("interrupt", N_("interrupt"), "nic", "xen",
              N_("The adapter's line interrupts the processor; the gate is Xen's.")),
        Stage("event", N_("event for domain 0"), "xen", "driver",
              N_("Xen makes an event of it, on the channel that domain 0 has bound to that line.")),
        Stage("woken", N_("domain 0 sees the event"), "xen", "driver",
              N_("Xen gives domain 0 the processor, or interrupts it with an upcall: it finds the flag.")),
        Stage("bridged", N_("through the bridge"), "driver", "bridge",
              N_("Domain 0 looks behind which port the receiver is.")),
        Stage("copied", N_("copied by grant"), "back", RING,
              N_("Xen copies the frame into an empty page that the front end has granted for it.")),
        _ANSWERED,
        _NOTIFIED,
        _HEARD,
    ),
    "receive",
)  # fmt: skip


def _block(name: str, title: str, data: Stage) -> Route:
    drive = (
        Stage("asked", N_("command to the drive"), "driver", "disk",
              N_("The driver of the real disk writes sector and command to its ports.")),
        Stage("interrupt", N_("interrupt"), "disk", "xen",
              N_("The drive's line interrupts the processor; the gate is Xen's.")),
        Stage("virtual-irq", N_("event for the driver"), "xen", "driver",
              N_("Xen makes an event of it, on the channel that domain 0 has bound to that line.")),
    )  # fmt: skip
    moved = (*drive, data) if name == "split-read" else (drive[0], data, *drive[1:])
    return Route(
        name, title, _XEN_ROWS, _XEN_GROUPS, _DISK_NODES,
        (
            _APPLICATION,
            _PUT,
            _EVENT,
            _WOKEN,
            Stage("mapped", N_("mapped by grant"), RING, "back",
                  N_("Xen maps the page that the front end has granted into domain 0.")),
            *moved,
            Stage("unmapped", N_("unmapped"), "back", "xen",
                  N_("Domain 0 gives the grant back: the page is the front end's alone again.")),
            _ANSWERED,
            _NOTIFIED,
            _HEARD,
        ),
        "disk",
    )  # fmt: skip


SPLIT_READ: Final = _block(
    "split-read", N_("block read"),
    Stage("data", N_("data through the port"), "disk", "driver",
          N_("The driver reads the first sector, word by word, straight into the granted page.")),
)  # fmt: skip
SPLIT_WRITE: Final = _block(
    "split-write", N_("block written"),
    Stage("data", N_("data through the port"), "driver", "disk",
          N_("The driver writes the first sector, word by word, straight out of the granted page.")),
)  # fmt: skip

# Hosted: the VMM's world at the left, the host's at the right, the page that both have between.
_HOSTED_GROUPS: Final = (
    Group(N_("VMM world"), 0, 0.09, 0.415, 3),
    Group(N_("host world"), 0, 0.545, 0.99, 3),
)
_HOSTED_NODES: Final = (
    Node("guest", N_("guest kernel"), 1, 0.1, 0.405),
    Node("vmm", N_("VMM"), 2, 0.1, 0.405),
    Node("switch", N_("switch page"), 1, 0.43, 0.53, 2),
    Node("vmapp", N_("VMApp"), 0, 0.555, 0.98),
    Node("vmdriver", N_("VMDriver"), 2, 0.555, 0.69),
    Node("host", N_("host kernel, VMNet"), 2, 0.72, 0.98),
    Node("nic", N_("network adapter"), 3, 0.66, 0.99),
    Node("line", N_("switch"), 3, 0.3, 0.5),
)
_TO_VMAPP: Final = Stage(
    "vmapp", N_("back in VMApp"), "vmdriver", "vmapp",
    N_("VMDriver returns from VMApp's system call: there is something to do for it."),
)  # fmt: skip
_TO_VMM: Final = Stage(
    "back", N_("world switch to the VMM"), "vmdriver", "vmm",
    N_("VMApp asks VMDriver to run the virtual machine again, and the switch page changes worlds."),
)  # fmt: skip
HOSTED_SEND: Final = Route(
    "hosted-send", N_("frame sent"), _HOSTED_ROWS, _HOSTED_GROUPS, _HOSTED_NODES,
    (
        Stage("out", N_("guest's OUT"), "guest", "vmm",
              N_("The guest's driver has put the frame into its ring and writes to the adapter's port.")),
        Stage("switch", N_("world switch to the host"), "vmm", "vmdriver",
              N_("The VMM cannot send: the switch page gives the whole processor to the host.")),
        _TO_VMAPP,
        Stage("write", N_("write to VMNet"), "vmapp", "host",
              N_("VMApp, the virtual adapter, writes the frame to VMNet: a system call of the host.")),
        Stage("driver", N_("host driver's OUT"), "host", "nic",
              N_("The bridge hands the frame to the host's own driver.")),
        Stage("line", N_("on the line"), "nic", "line",
              N_("The adapter reads the frame out of memory by itself and sends it to the switch.")),
        _TO_VMM,
        INJECTED,
    ),
)  # fmt: skip
HOSTED_RECEIVE: Final = Route(
    "hosted-receive", N_("frame received"), _HOSTED_ROWS, _HOSTED_GROUPS, _HOSTED_NODES,
    (
        Stage("line", N_("stored by the adapter"), "line", "nic",
              N_("The adapter is promiscuous: it stores a frame for an address that is not the host's.")),
        Stage("interrupt", N_("interrupt in the VMM's world"), "nic", "vmm",
              N_("The physical interrupt comes while the guest runs: it is the VMM that meets it first.")),
        Stage("switch", N_("world switch to the host"), "vmm", "vmdriver",
              N_("The interrupt is the host's: the VMM gives the whole processor back.")),
        Stage("raised", N_("host's own interrupt"), "vmdriver", "host",
              N_("VMDriver raises it again, through the host's table: now the host's driver serves it.")),
        Stage("served", N_("interrupt in the host's world"), "nic", "host",
              N_("The physical interrupt comes while the host has the processor: its driver serves it.")),
        _TO_VMAPP,
        Stage("read", N_("read from VMNet"), "host", "vmapp",
              N_("VMApp reads the frame out of VMNet's queue and stores it in the guest's memory.")),
        _TO_VMM,
        INJECTED,
    ),
)  # fmt: skip

# One monitor with an adapter of its own making, or none at all.
_PLAIN_ROWS: Final = (Row(N_("guest"), 1), Row(N_("monitor"), 0), HARDWARE)
_EMULATED_NODES: Final = (
    Node("guest", N_("guest kernel"), 0, 0.12, 0.98),
    Node("vmm", N_("monitor"), 1, 0.12, 0.42),
    Node("adapter", N_("virtual adapter"), 1, 0.62, 0.98),
    Node("line", N_("switch"), 2, 0.62, 0.98),
)
EMULATED_SEND: Final = Route(
    "emulated-send", N_("frame sent"), _PLAIN_ROWS, (), _EMULATED_NODES,
    (
        Stage("out", N_("guest's OUT"), "guest", "vmm",
              N_("The guest's access to the adapter's port brings the monitor in.")),
        Stage("taken", N_("taken by the virtual adapter"), "vmm", "adapter",
              N_("The monitor's model of the adapter reads the frame out of the guest's memory.")),
        Stage("line", N_("on the line"), "adapter", "line",
              N_("The frame goes to the switch that the virtual adapter is plugged into.")),
        INJECTED,
    ),
)  # fmt: skip
EMULATED_RECEIVE: Final = Route(
    "emulated-receive", N_("frame received"), _PLAIN_ROWS, (), _EMULATED_NODES,
    (
        Stage("line", N_("stored by the adapter"), "line", "adapter",
              N_("The monitor's model of the adapter puts the frame into the guest's memory.")),
        Stage("interrupt", N_("the monitor comes in"), "adapter", "vmm",
              N_("A physical timer or a fault has brought the monitor in, and the virtual line is up.")),
        INJECTED,
    ),
)  # fmt: skip
_DIRECT_NODES: Final = (
    Node("guest", N_("guest kernel"), 0, 0.12, 0.98),
    Node("adapter", N_("network adapter"), 1, 0.12, 0.5),
    Node("line", N_("switch"), 1, 0.66, 0.98),
)
_DIRECT_ROWS: Final = (RING_0, HARDWARE)
_INTERRUPTED: Final = Stage(
    "injected", N_("interrupt"), "adapter", "guest",
    N_("The adapter's line interrupts the processor; the gate is the kernel's own."),
)  # fmt: skip
DIRECT_SEND: Final = Route(
    "direct-send", N_("frame sent"), _DIRECT_ROWS, (), _DIRECT_NODES,
    (
        Stage("out", N_("driver's OUT"), "guest", "adapter",
              N_("The driver tells the adapter that a frame lies in its ring.")),
        Stage("line", N_("on the line"), "adapter", "line",
              N_("The adapter reads the frame out of memory by itself and sends it to the switch.")),
        _INTERRUPTED,
    ),
)  # fmt: skip
DIRECT_RECEIVE: Final = Route(
    "direct-receive", N_("frame received"), _DIRECT_ROWS, (), _DIRECT_NODES,
    (
        Stage("line", N_("stored by the adapter"), "line", "adapter",
              N_("The adapter stores the frame in memory by itself.")),
        _INTERRUPTED,
    ),
)  # fmt: skip

ROUTES: Final[Mapping[str, Route]] = MappingProxyType(
    {
        route.name: route
        for route in (
            SPLIT_SEND, SPLIT_RECEIVE, SPLIT_READ, SPLIT_WRITE, HOSTED_SEND, HOSTED_RECEIVE,
            KERNEL_SEND, KERNEL_LOCAL, KERNEL_RECEIVE, KERNEL_READ, KERNEL_WRITE, EMULATED_SEND,
            EMULATED_RECEIVE, DIRECT_SEND, DIRECT_RECEIVE,
        )
    }
)  # fmt: skip
