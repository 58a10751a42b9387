"""Split devices: guests become domains U, and domain 0, which makes them, is what the hypervisor starts.

The machine has one disk, on which each domain's virtual disks lie one behind the other, and one network
adapter, which domain 0 bridges to the domains' virtual ones.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from vizapp.errors import ScenarioError
from vizapp.guest.archive import ArchivedDomain, Order, make_archive
from vizapp.guest.library import build_guest
from vizapp.isa.addresses import PAGE_SIZE
from vizapp.messages import N_, Message
from vizapp.session.scenario import VmScenario

if TYPE_CHECKING:
    from vizapp.machine.image import Image
    from vizapp.session.scenario import Scenario

SPLIT: Final = "split"
ALONE: Final = "alone"
"""The guest by itself, for somebody who puts domain 0 beside several."""
DOMAIN_0: Final = "dom0"
MEMORY: Final = 8 << 20  # domain 0's own; an ISA adapter reaches no further than 16 MB
SLICE_SECONDS: Final = 0.5e-3  # what runs here is shorter than Xen's 30 ms
SECTOR_BYTES: Final = 512


def with_domain_0(scenario: Scenario) -> Scenario:
    """The same guests as domains U of a machine that domain 0 runs; it is machine 0 then, they follow.

    Raises:
        ScenarioError: domain 0 cannot make them.
    """
    disk = b""
    domains = []
    for number, vm in enumerate(scenario.machines):
        contents = (*vm.image.disks, *vm.disks)
        if len(contents) > 1:
            sentence = N_("a domain has one virtual disk, and {count} are asked for")
            raise ScenarioError(Message(sentence, {"count": len(contents)}))
        contents = contents or tuple(filter(None, [vm.image.spare_disk]))
        sectors = None
        if contents:
            data = contents[0].ljust(-(-len(contents[0]) // SECTOR_BYTES) * SECTOR_BYTES, b"\0")
            sectors = len(disk) // SECTOR_BYTES, len(data) // SECTOR_BYTES
            disk += data
        later = any(action.kind == "create" and action.vm == number for action in scenario.actions)
        name = vm.name or vm.image.name
        domains.append(ArchivedDomain(vm.image, name, vm.memory, vm.weight, True, sectors, later))
    orders = [Order(action.seconds, action.kind, action.vm, action.value) for action in scenario.actions]
    archive = make_archive(domains, orders)
    image = replace(_kernel(), ramdisk=archive, needs_pc=True, needs_network=True)
    others = tuple(
        VmScenario(vm.image, vm.memory, domain.name, vm.weight, disks=vm.disks, yardstick=vm.yardstick)
        for vm, domain in zip(scenario.machines, domains, strict=True)
    )
    return replace(
        scenario,
        image=image,
        memory=MEMORY + -(-len(archive) // PAGE_SIZE) * PAGE_SIZE,
        name="domain-0",
        weight=sum(vm.weight for vm in scenario.machines),  # all that the others do may need it
        slice_seconds=scenario.slice_seconds or SLICE_SECONDS,
        disks=(disk,) if disk else (),
        others=others,
        actions=(),
        yardstick=None,
    )


@lru_cache(maxsize=1)
def _kernel() -> Image:
    """Domain 0's kernel: five thousand lines, assembled once."""
    return build_guest(DOMAIN_0, "xen")
