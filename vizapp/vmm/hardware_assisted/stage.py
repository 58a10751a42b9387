"""What the stage shows of a monitor that the processor helps: two ring systems, the guests in all rings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.machine.places import (
    APPLICATION,
    GUEST_KERNEL,
    SVM_GUEST,
    SVM_HOST,
    VMKERNEL,
    VMM,
    VMX_NON_ROOT,
    VMX_ROOT,
)
from vizapp.messages import N_, Message
from vizapp.vmm.stage import StageComponent, StageWorld

if TYPE_CHECKING:
    from collections.abc import Sequence

TITLES = {
    VMX_ROOT: Message(N_("VMX root operation")),
    VMX_NON_ROOT: Message(N_("VMX non-root operation")),
    SVM_HOST: Message(N_("SVM host")),
    SVM_GUEST: Message(N_("SVM guest mode")),
}


def two_ring_systems(
    monitor: str, guest: str, vms: Sequence[str], *, kernel: bool = False
) -> tuple[StageWorld, ...]:
    """The monitor in ring 0 of its own world; kernels in ring 0 and applications in ring 3 of the guests'.

    ``kernel``: beside the monitor there is a VMkernel.
    """
    components: list[StageComponent] = []
    for index, name in enumerate(vms):
        for ring, kind, title in (
            (0, GUEST_KERNEL, Message(N_("guest kernel"))),
            (3, APPLICATION, Message(N_("applications"))),
        ):
            components.append(StageComponent(kind, title, ring, index, name if len(vms) > 1 else ""))
    below = [StageComponent(VMM, Message(N_("virtual machine monitor")), 0)]
    if kernel:
        below.append(StageComponent(VMKERNEL, Message(N_("VMkernel")), 0))
    return (
        StageWorld(guest, TITLES[guest], tuple(sorted(components, key=lambda component: component.ring))),
        StageWorld(monitor, TITLES[monitor], tuple(below)),
    )
