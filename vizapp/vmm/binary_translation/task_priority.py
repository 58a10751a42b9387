"""The local APIC's task priority as sequences of the cache have it: in a slot of the monitor segment.

While no interrupt has been requested, another priority changes nothing that happens: the virtual APIC need
not hear of it before the monitor comes in. Once one has, the slot is kept from sequences.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizapp.isa.addresses import Linear
from vizapp.machine.devices.apic import APIC_BASE, Register
from vizapp.vmm.binary_translation.layout import PRIORITY, PRIORITY_KEPT

if TYPE_CHECKING:
    from vizapp.machine.devices.apic import LocalApic
    from vizapp.vmm.binary_translation.monitor_segment import MonitorSegment
    from vizapp.vmm.guest_mmu import GuestMmu


class TaskPriority:
    """The register of one guest's local APIC; without an APIC nothing.

    Attributes:
        linear: where the guest reaches it, as sequences have it for a constant; -1: none has.
        valid: the guest's tables still lead there.
    """

    def __init__(self, segment: MonitorSegment, mmu: GuestMmu, apic: LocalApic | None) -> None:
        self._segment = segment
        self._mmu = mmu
        self._apic = apic
        self.linear = -1
        self.valid = False

    def claim(self, linear: int) -> bool:
        """Let sequences be made for an address; False if it is not the register, or they are for another."""
        if self._apic is None or self._mmu.probe(linear) != APIC_BASE + Register.TPR:
            return False
        if self.linear not in (-1, linear):
            return False
        self.linear, self.valid = linear, True
        return True

    def check(self) -> None:
        """The guest's tables may have changed."""
        if self.valid:
            self.valid = self._mmu.probe(Linear(self.linear)) == APIC_BASE + Register.TPR

    def clear(self) -> None:
        """No sequence is left."""
        self.linear, self.valid = -1, False

    def take(self) -> None:
        """The monitor has come in: the APIC hears what sequences have written."""
        if self.valid and self._apic is not None:
            now = self._segment.slot(PRIORITY)
            if now & 0xFF != self._apic.read(Register.TPR, 4):
                self._apic.write(Register.TPR, 4, now)

    def show(self) -> None:
        """The cache goes on: what sequences find."""
        if self.linear < 0 or self._apic is None:
            return
        self._segment.set_slot(PRIORITY, self._apic.read(Register.TPR, 4))
        self._segment.set_slot(PRIORITY_KEPT, int(not self.valid or self._apic.requested))

    def save(self) -> Any:
        """What is not in machine memory."""
        return self.linear, self.valid

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        self.linear, self.valid = saved
