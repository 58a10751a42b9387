"""The routes on bare metal: guests with virtual devices of their monitor, the VMkernel with the real ones."""

from __future__ import annotations

from typing import Final

from vizapp.messages import N_
from vizapp.session.journeys.route import HARDWARE, INJECTED, RING_0, RING_1, Node, Route, Stage

_ROWS: Final = (RING_1, RING_0, HARDWARE)
_NODES: Final = (
    Node("guest", N_("guest kernel"), 0, 0.1, 0.36),
    Node("vmm", N_("VMM"), 1, 0.1, 0.36),
    Node("switch", N_("VMkernel: switch"), 1, 0.42, 0.66),
    Node("driver", N_("VMkernel: driver"), 1, 0.72, 0.98),
)
_NET: Final = (
    *_NODES,
    Node("peer", N_("another guest"), 0, 0.42, 0.98),
    Node("nic", N_("network adapter"), 2, 0.72, 0.98),
    Node("line", N_("switch"), 2, 0.42, 0.6),
)
_DISK: Final = (
    _NODES[0],
    _NODES[1],
    Node("kernel", N_("VMkernel: extents"), 1, 0.42, 0.66),
    _NODES[3],
    Node("disk", N_("disk"), 2, 0.72, 0.98),
)
_TAKEN: Final = (
    Stage("out", N_("guest's OUT"), "guest", "vmm",
          N_("The guest's driver has put the frame into its ring and writes to the adapter's port.")),
    Stage("taken", N_("taken by the VMkernel"), "vmm", "switch",
          N_("The VMkernel reads the frame out of the guest's memory, by way of the virtual adapter.")),
)  # fmt: skip
KERNEL_SEND: Final = Route(
    "kernel-send", N_("frame sent"), _ROWS, (), _NET,
    (
        *_TAKEN,
        Stage("switched", N_("to the uplink"), "switch", "driver",
              N_("The switch has nobody of that address among its guests.")),
        Stage("driver", N_("driver's OUT"), "driver", "nic",
              N_("The VMkernel's driver tells the machine's adapter that a frame lies in its ring.")),
        Stage("line", N_("on the line"), "nic", "line",
              N_("The adapter reads the frame out of memory by itself and sends it to the switch.")),
        INJECTED,
    ),
)  # fmt: skip
KERNEL_LOCAL: Final = Route(
    "kernel-local", N_("frame to another guest"), _ROWS, (), _NET,
    (
        *_TAKEN,
        Stage("switched", N_("to another guest"), "switch", "switch",
              N_("The switch knows the receiver: a virtual machine of its own.")),
        Stage("stored", N_("stored for the other"), "switch", "peer",
              N_("The frame goes from memory to memory: no adapter and no line take part.")),
        INJECTED,
    ),
)  # fmt: skip
KERNEL_RECEIVE: Final = Route(
    "kernel-receive", N_("frame received"), _ROWS, (), _NET,
    (
        Stage("line", N_("stored by the adapter"), "line", "nic",
              N_("The adapter, which takes every frame, stores this one in the VMkernel's memory.")),
        Stage("interrupt", N_("interrupt"), "nic", "driver",
              N_("The adapter's line interrupts the processor; the gate leads to the monitor.")),
        Stage("switched", N_("through the switch"), "driver", "switch",
              N_("The switch looks which virtual machine has that address.")),
        Stage("stored", N_("stored for the guest"), "switch", "vmm",
              N_("The VMkernel puts the frame into the guest's memory, by way of the virtual adapter.")),
        INJECTED,
    ),
)  # fmt: skip


def _kernel_block(name: str, title: str, about: str) -> Route:
    return Route(
        name, title, _ROWS, (), _DISK,
        (
            Stage("asked", N_("guest's command"), "guest", "vmm",
                  N_("The guest's driver writes sector and command to the ports of its virtual disk.")),
            Stage("request", N_("command to the disk"), "kernel", "disk", about),
            Stage("interrupt", N_("interrupt"), "disk", "driver",
                  N_("The drive's line interrupts the processor; the gate leads to the monitor.")),
            Stage("injected", N_("virtual interrupt"), "vmm", "guest",
                  N_("The VMM delivers the interrupt of the virtual disk through the guest's own table.")),
        ),
    )  # fmt: skip


KERNEL_READ: Final = _kernel_block(
    "kernel-read", N_("block read"),
    N_("The VMkernel finds the sector in the guest's extent, and its driver commands the machine's disk."),
)  # fmt: skip
KERNEL_WRITE: Final = _kernel_block(
    "kernel-write", N_("block written"),
    N_("The guest has given the data; the VMkernel finds the sector in its extent and commands the disk."),
)  # fmt: skip
