"""Compares the guest's memory with the bare machine's at the end of a run.

What hardware writes by itself is left out where a monitor may have let it write to a copy: accessed and dirty
bits of page tables, the accessed bit of segment descriptors, and RF of a saved EFLAGS, which every fault
sets, hidden ones included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.addresses import PAGE_SHIFT, PAGE_SIZE, GuestPhysical, HostPhysical, Linear
from vizapp.isa.paging import PTE_A, PTE_D, PTE_FRAME, PTE_P
from vizapp.isa.registers import EFLAGS_FIXED, EFLAGS_IF, EFLAGS_RF
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vizapp.machine.memory import PhysicalMemory
    from vizapp.machine.pc import Pc
    from vizapp.vmm.base import Monitor

_HARDWARE_BITS = PTE_A | PTE_D
_ACCESSED = 1 << 8  # of a descriptor's high doubleword
_DESCRIPTOR_BYTES = 8
_NEVER_FLAGS = 0xFFC0_8028


def memory_difference(
    monitor: Monitor, pc: Pc, bare: Pc, directories: Iterable[int], vm: int = 0
) -> Message | None:
    """The first doubleword of a virtual machine's memory that differs, or None.

    ``directories`` are the page directories (values of CR3) that the guest has used.
    """
    tables = _tables(bare.memory, directories)
    descriptors = _descriptors(bare)
    for frame in range(bare.memory.frames):
        host = monitor.guest_physical(GuestPhysical(frame << PAGE_SHIFT), vm)
        if host is None:
            continue
        expected = bytes(bare.memory.page(frame))
        found = pc.memory.dump(HostPhysical(host), PAGE_SIZE)
        if found == expected:
            continue
        for offset in range(0, PAGE_SIZE, 4):
            mine = int.from_bytes(found[offset : offset + 4], "little")
            real = int.from_bytes(expected[offset : offset + 4], "little")
            different = mine ^ real
            if frame in tables:
                different &= ~_HARDWARE_BITS
            address = frame << PAGE_SHIFT | offset
            if address in descriptors:
                different &= ~_ACCESSED
            if different and _saved_flags(mine, real):
                different &= ~EFLAGS_RF
            if different == EFLAGS_IF and _saved_flags(mine, real):
                return Message(
                    N_(
                        "at the end the EFLAGS saved at {address} has IF = {value} here and IF = "
                        "{expected} on the bare machine"
                    ),
                    {
                        "address": f"{address:08X}",
                        "value": int(bool(mine & EFLAGS_IF)),
                        "expected": int(bool(real & EFLAGS_IF)),
                    },
                )
            if different:
                return Message(
                    N_(
                        "at the end memory at {address} holds {value} here and {expected} on the bare machine"
                    ),
                    {"address": f"{address:08X}", "value": f"{mine:08X}", "expected": f"{real:08X}"},
                )
    return None


def _saved_flags(*values: int) -> bool:
    """Whether all can be images of EFLAGS: the bit that is always 1 is, and those that are always 0 are."""
    return all(value & EFLAGS_FIXED and not value & _NEVER_FLAGS for value in values)


def _tables(memory: PhysicalMemory, directories: Iterable[int]) -> set[int]:
    """The frames of page directories and of the tables that they name."""
    frames: set[int] = set()
    for directory in directories:
        frame = (directory & PTE_FRAME) >> PAGE_SHIFT
        frames.add(frame)
        for index in range(1024):
            entry = memory.read(frame << PAGE_SHIFT | index * 4, 4)
            if entry & PTE_P:
                frames.add(entry >> PAGE_SHIFT)
    return frames


def _descriptors(bare: Pc) -> set[int]:
    """Where the high doublewords of the guest's GDT lie in its memory."""
    base, limit = bare.cpu.gdtr
    found: set[int] = set()
    for offset in range(0, limit + 1, _DESCRIPTOR_BYTES):
        frame = bare.mmu.probe(Linear(base + offset + 4))
        if frame is not None:
            found.add(frame << PAGE_SHIFT | base + offset + 4 & PAGE_SIZE - 1)
    return found
