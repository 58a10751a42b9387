"""The monitor segment: the virtual CPU as far as the translation cache reads and changes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizapp.isa.registers import EFLAGS_IF, EFLAGS_IOPL, EFLAGS_NT, EFLAGS_TF, SS
from vizapp.vmm.binary_translation.layout import (
    CONTROL,
    FLAGS_BASE,
    PENDING,
    POPF_TABLE,
    SPILLED_EAX,
    SPILLED_EBX,
    SPILLED_ECX,
    SPILLED_EDX,
    TARGET,
    VIRTUAL_IF,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.isa.addresses import HostPhysical
    from vizapp.machine.cpu import Cpu
    from vizapp.machine.memory import PhysicalMemory
    from vizapp.vmm.binary_translation.spots import Spot


class MonitorSegment:
    """The pages at host-physical ``address``; writes are charged."""

    def __init__(
        self, memory: PhysicalMemory, address: HostPhysical, charge: Callable[[str, int], None]
    ) -> None:
        self.address = address
        self._memory = memory
        self._charge = charge
        self._table = (-1, False)  # virtual IOPL and whether an interrupt waits, as the POPF table has them

    def slot(self, offset: int) -> int:
        """A slot."""
        return self._memory.read(self.address + offset, 4)

    def set_slot(self, offset: int, value: int) -> None:
        """Change a slot."""
        if self.slot(offset) != value:
            self._memory.write(self.address + offset, 4, value)
            self._charge("mon_memory_reference", 1)

    def show(self, cpu: Cpu, *, pending: bool) -> None:
        """Put the virtual CPU's flags and control registers where in-cache sequences find them."""
        iopl = cpu.eflags & EFLAGS_IOPL
        self.set_slot(VIRTUAL_IF, cpu.eflags & EFLAGS_IF)
        self.set_slot(FLAGS_BASE, iopl - EFLAGS_IF & 0xFFFF_FFFF)
        self.set_slot(PENDING, int(pending))
        for index, value in ((0, cpu.cr0), (2, cpu.cr2), (3, cpu.cr3), (4, cpu.cr4)):
            self.set_slot(CONTROL + 4 * index, value)
        if (iopl, pending) != self._table:
            self._table = (iopl, pending)
            self._fill_table(iopl, pending)

    def restore(self, cpu: Cpu, spot: Spot) -> None:
        """Complete the registers and IF that a trap at ``spot`` has left; EIP becomes the guest's."""
        flag = self.slot(VIRTUAL_IF)
        if spot.flag:
            flag = cpu.ecx
        if spot.ecx:
            cpu.ecx = self.slot(SPILLED_ECX)
        if spot.edx:
            cpu.edx = self.slot(SPILLED_EDX)
        if spot.eax:
            cpu.eax = self.slot(SPILLED_EAX)
        if spot.ebx:
            cpu.ebx = self.slot(SPILLED_EBX)
        cpu.esp = moved(cpu.esp, spot.esp, cpu.segments[SS].stack_mask)
        cpu.eip = self.slot(TARGET) if spot.target else spot.eip
        cpu.eflags = cpu.eflags & ~EFLAGS_IF | flag & EFLAGS_IF

    def save(self) -> Any:
        """The state outside machine memory."""
        return self._table

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        self._table = saved

    def _fill_table(self, iopl: int, pending: bool) -> None:
        table = bytearray()
        for high in range(256):
            flags = high << 8
            refused = flags & (EFLAGS_TF | EFLAGS_NT) or flags & EFLAGS_IOPL != iopl
            waiting = pending and flags & EFLAGS_IF
            table += (0 if refused or waiting else (flags & EFLAGS_IF) + 1).to_bytes(4, "little")
        self._memory.load(self.address + POPF_TABLE, bytes(table))  # type: ignore[arg-type]
        self._charge("mon_memory_reference", 256)


def moved(esp: int, by: int, mask: int) -> int:
    """ESP after a stack pointer with the bits of ``mask`` has moved."""
    return esp & ~mask | esp + by & mask
