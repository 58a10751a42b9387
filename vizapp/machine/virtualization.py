"""Which virtualization hardware a processor has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.machine.inputs import SVM
from vizapp.machine.svm.unit import SvmUnit

if TYPE_CHECKING:
    from vizapp.machine.guest_mode import VirtualizationUnit
    from vizapp.machine.identity import Identity
    from vizapp.machine.memory import PhysicalMemory
    from vizapp.machine.mmu import Mmu


def unit_for(identity: Identity, memory: PhysicalMemory, mmu: Mmu) -> VirtualizationUnit | None:
    """VMX or SVM of a processor with that identity; None: it has neither."""
    if SVM in identity.virtualization:
        return SvmUnit(identity, memory, mmu)
    return None
