"""The areas in memory from which entries and exits load MSRs, and where exits store them.

     0  index     4  0     8  value (8 bytes)          16 bytes an entry

SDM Vol. 3, "VM-Exit Controls for MSRs", "Loading MSRs". What a write of an MSR means is not repeated here:
those that can be loaded are the ones whose loading cannot fault.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import M32
from vizapp.machine.control import MSR_SYSENTER_CS, MSR_SYSENTER_EIP, MSR_TSC, read_msr, write_msr

if TYPE_CHECKING:
    from vizapp.machine.cpu import Cpu
    from vizapp.machine.memory import PhysicalMemory

_ENTRY_BYTES: Final = 16
_LOADABLE: Final = frozenset({MSR_TSC, *range(MSR_SYSENTER_CS, MSR_SYSENTER_EIP + 1)})


def unloadable(memory: PhysicalMemory, area: int, count: int) -> int:
    """The number (from 1) of the first entry that cannot be loaded; 0: all can."""
    for number in range(count):
        at = area + number * _ENTRY_BYTES
        if memory.read(at, 4) not in _LOADABLE or memory.read(at + 4, 4):
            return number + 1
    return 0


def load_msrs(cpu: Cpu, memory: PhysicalMemory, area: int, count: int) -> None:
    """Load an area that ``unloadable`` has found good."""
    for at in range(area, area + count * _ENTRY_BYTES, _ENTRY_BYTES):
        write_msr(cpu, memory.read(at, 4), memory.read(at + 8, 8))


def store_msrs(cpu: Cpu, memory: PhysicalMemory, area: int, count: int) -> bool:
    """Store what an area's entries name; False: there is no such MSR."""
    for at in range(area, area + count * _ENTRY_BYTES, _ENTRY_BYTES):
        value = None if memory.read(at + 4, 4) else read_msr(cpu, memory.read(at, 4) & M32)
        if value is None:
            return False
        memory.write(at + 8, 8, value)
    return True
