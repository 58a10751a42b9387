"""What the stage shows where there are HVM domains: two ring systems, the hypervisor below both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.machine.places import APPLICATION, BARE, GUEST_KERNEL, VMM
from vizapp.messages import N_, Message
from vizapp.vmm.hardware_assisted.stage import TITLES
from vizapp.vmm.stage import StageComponent, StageWorld

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizapp.vmm.xen.hvm.support import HvmSupport


def hvm_stage(hvm: HvmSupport, domains: Sequence[tuple[str, bool]]) -> tuple[StageWorld, ...]:
    """``domains`` are (name, whether an HVM domain), by index."""
    worlds = hvm.technique.worlds
    several = len(domains) > 1
    inside: list[StageComponent] = []
    outside = [StageComponent(VMM, Message(N_("Xen")), 0)]
    for index, (name, unmodified) in enumerate(domains):
        into, kernel = (inside, 0) if unmodified else (outside, 1)
        shown = name if several else ""
        into.append(StageComponent(GUEST_KERNEL, Message(N_("guest kernel")), kernel, index, shown))
        into.append(StageComponent(APPLICATION, Message(N_("applications")), 3, index, shown))
    return (
        StageWorld(worlds.guest, TITLES[worlds.guest], _by_ring(inside)),
        StageWorld(BARE, TITLES[worlds.monitor], _by_ring(outside)),
    )


def _by_ring(components: list[StageComponent]) -> tuple[StageComponent, ...]:
    return tuple(sorted(components, key=lambda component: component.ring))
