"""Where the processor can be under the hypervisor."""

from __future__ import annotations

from typing import Final

from vizapp.machine.places import APPLICATION, GUEST_KERNEL, VMM, Place

HYPERVISOR: Final = Place(ring=0, component=VMM)


def places_of(domain: int) -> tuple[Place, ...]:
    """By ring, while the domain with this index has the processor."""
    kernel = Place(ring=1, vm=domain, component=GUEST_KERNEL)
    return HYPERVISOR, kernel, kernel._replace(ring=2), Place(ring=3, vm=domain, component=APPLICATION)
