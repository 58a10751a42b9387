"""Where the processor can be under the hypervisor."""

from __future__ import annotations

from typing import Final

from vizapp.machine.places import APPLICATION, GUEST_KERNEL, VMM, Place

HYPERVISOR: Final = Place(ring=0, component=VMM)
KERNEL: Final = Place(ring=1, vm=0, component=GUEST_KERNEL)
PLACES: Final = (HYPERVISOR, KERNEL, KERNEL._replace(ring=2), Place(ring=3, vm=0, component=APPLICATION))
"""By ring."""
