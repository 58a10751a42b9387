"""Which virtualization hardware a processor has."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vizapp.machine.inputs import SVM, VT_X
from vizapp.machine.svm.unit import SvmUnit
from vizapp.machine.vmx.unit import VmxUnit

if TYPE_CHECKING:
    from vizapp.machine.guest_mode import VirtualizationUnit
    from vizapp.machine.identity import Identity
    from vizapp.machine.memory import PhysicalMemory
    from vizapp.machine.mmu import Mmu


def unit_for(
    identity: Identity, memory: PhysicalMemory, mmu: Mmu, acknowledge: Callable[[], int]
) -> VirtualizationUnit | None:
    """VMX or SVM of a processor with that identity; None: it has neither.

    ``acknowledge`` takes an interrupt from the machine's controllers and gives its vector.
    """
    if SVM in identity.virtualization:
        return SvmUnit(identity, memory, mmu)
    if VT_X in identity.virtualization:
        return VmxUnit(identity, memory, mmu, acknowledge)
    return None
