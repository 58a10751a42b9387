"""Selectors that a guest gives the hypervisor to enter it with: which are harmless, and which are not.

A gate takes the ring of the code segment that it names, whatever the RPL of its selector. A guest that could
name the hypervisor's own code segment in a direct gate would run in ring 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.descriptors import SELECTOR_RPL, unpack
from vizapp.vmm.xen import segment_tables

if TYPE_CHECKING:
    from vizapp.isa.descriptors import Descriptor
    from vizapp.vmm.xen.hypervisor import Hypervisor


def deprivileged(selector: int) -> int:
    """A selector with an RPL of at least 1: no guest names ring 0."""
    return selector if selector & SELECTOR_RPL else selector | 1


def is_guest_code(xen: Hypervisor, selector: int) -> bool:
    """Whether a selector names code of rings 1 to 3."""
    descriptor = _descriptor(xen, selector)
    return descriptor is not None and descriptor.is_code and descriptor.dpl > 0


def is_guest_stack(xen: Hypervisor, selector: int) -> bool:
    """Whether SS can hold a selector in the ring of its RPL, outside ring 0."""
    descriptor = _descriptor(xen, selector)
    ring = selector & SELECTOR_RPL
    return descriptor is not None and descriptor.is_writable and descriptor.dpl == ring > 0


def _descriptor(xen: Hypervisor, selector: int) -> Descriptor | None:
    """What a selector names for the current domain."""
    raw = segment_tables.raw_descriptor(xen, selector)
    if raw is None:
        return None
    descriptor = unpack(int.from_bytes(raw[:4], "little"), int.from_bytes(raw[4:], "little"))
    return descriptor if descriptor.present else None
