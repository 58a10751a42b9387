"""What the translation cache reads of the virtual machine besides flags and control registers.

Ports count as still if reading them changes nothing and what they answer changes only by the monitor's hand:
those that no device claims, the masks of the interrupt controllers, and logs. Every other is kept for the
monitor to answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizapp.isa.addresses import HostPhysical
from vizapp.vmm.binary_translation.layout import (
    IDENTITY,
    LEAF_BYTES,
    LEAVES,
    PORT_KEPT,
    PORTS,
    SELECTORS,
)

if TYPE_CHECKING:
    from vizapp.machine.cpu import Cpu
    from vizapp.machine.memory import PhysicalMemory
    from vizapp.vmm.bill import Bill
    from vizapp.vmm.binary_translation.monitor_segment import MonitorSegment
    from vizapp.vmm.virtual_devices import VirtualDevices

_PORTS = 256
_MASTER_MASK, _SLAVE_MASK = 0x21, 0xA1


class VirtualState:
    """That of one guest, in its monitor segment."""

    def __init__(
        self, memory: PhysicalMemory, segment: MonitorSegment, devices: VirtualDevices, bill: Bill
    ) -> None:
        self._memory = memory
        self._segment = segment
        self._devices = devices
        self._bill = bill
        self._masks: tuple[int | None, ...] = ()

    def show(self, cpu: Cpu) -> None:
        """The cache goes on: bring it in step."""
        for index, state in enumerate(cpu.segments):
            self._segment.set_slot(SELECTORS + 4 * index, state.selector)
        if not self._masks:
            self._set_up(cpu)
        pic = self._devices.pic
        masks = (pic.master.mask_to_read, pic.slave.mask_to_read)
        if masks != self._masks:
            self._masks = masks
            for port, mask in zip((_MASTER_MASK, _SLAVE_MASK), masks, strict=True):
                self._set(PORT_KEPT + port, int(mask is None))
                self._set(PORTS + port, mask or 0)
            self._bill.charge("mon_memory_reference", 4)

    def save(self) -> Any:
        """What is not in machine memory."""
        return self._masks

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        self._masks = saved

    def _set_up(self, cpu: Cpu) -> None:
        ports = self._devices.ports
        for port in range(_PORTS):
            answer = ports.constant(port)
            self._set(PORT_KEPT + port, int(answer is None))
            self._set(PORTS + port, answer or 0)
        for leaf in range(LEAVES):
            found = cpu.identity.leaf(leaf)
            for index, value in enumerate(found):
                at = HostPhysical(self._segment.address + IDENTITY + leaf * LEAF_BYTES + 4 * index)
                self._memory.write(at, 4, value)

    def _set(self, offset: int, value: int) -> None:
        self._memory.write(HostPhysical(self._segment.address + offset), 1, value)
