"""The way in and out of virtual-8086 mode, whose code the processor executes directly at ring 3.

A trap out of it pushes four segment registers more, and leaves them empty:

    trap frame   52 es   56 ds   60 fs   64 gs      pushed by the processor, for ESP0 stands at 68 here

The usual stubs would store the empty registers over them. So there are gates and stubs of their own, which do
not; the monitor points IDTR and ESP0 at them on its way into virtual-8086 mode, and back when it has arrived.

    base + 60000  stub code, 2 pages        base + 62000  IDT
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import PAGE_SHIFT, PAGE_SIZE, HostPhysical, Linear
from vizapp.isa.descriptors import (
    DESCRIPTOR_BYTES,
    INTERRUPT_GATE_32,
    TSS_ESP0,
    Gate,
    pack_gate,
    to_bytes,
)
from vizapp.isa.paging import PTE_A, PTE_P
from vizapp.machine.doors import Door
from vizapp.machine.segments import TableRegister
from vizapp.vmm import stubs
from vizapp.vmm.host_tables import CODE_SELECTOR, IDT, TSS
from vizapp.vmm.trap_frame import FRAME_BYTES, HARDWARE_TOP

if TYPE_CHECKING:
    from vizapp.machine.pc import Pc
    from vizapp.vmm.frame_allocator import FrameAllocator
    from vizapp.vmm.host_tables import HostTables

_CODE: Final = 0x6_0000
_IDT: Final = 0x6_2000
_READ_ONLY: Final = PTE_P | PTE_A
_IDT_LIMIT: Final = 256 * DESCRIPTOR_BYTES - 1


class Passage:
    """The stubs and gates for one virtual machine; what they keep is in machine memory or the processor.

    Attributes:
        base: linear address of the stubs; ``door`` is where they lead, in host-physical memory.
    """

    def __init__(self, pc: Pc, frames: FrameAllocator, tables: HostTables, owner: str, phase: str) -> None:
        self._pc = pc
        self._tables = tables
        self.base = Linear(tables.base + _CODE)
        code, idt = frames.allocate(owner, stubs.CODE_PAGES), frames.allocate(owner)
        for page in range(stubs.CODE_PAGES):
            tables.map(Linear(self.base + page * PAGE_SIZE), code + page, _READ_ONLY)
        tables.map(Linear(tables.base + _IDT), idt, _READ_ONLY)
        pc.memory.load(HostPhysical(code << PAGE_SHIFT), stubs.virtual_8086_pages())
        for vector in range(256):
            gate = Gate(CODE_SELECTOR, stubs.entry(self.base, vector), INTERRUPT_GATE_32, 0, present=True)
            at = HostPhysical((idt << PAGE_SHIFT) + vector * DESCRIPTOR_BYTES)
            pc.memory.load(at, to_bytes(pack_gate(gate)))
        self.door = HostPhysical((code << PAGE_SHIFT) + stubs.VIRTUAL_8086_DOOR)
        pc.doors[self.door] = Door(0, phase)

    @property
    def is_open(self) -> bool:
        """Whether a trap now would come by these gates."""
        return self._pc.cpu.idtr.base == self._tables.base + _IDT

    def open(self) -> None:
        """LIDT and a new ESP0, on the way into virtual-8086 mode."""
        self._point(_IDT, FRAME_BYTES)

    def close(self) -> None:
        """Back to the gates for everything else."""
        self._point(IDT, HARDWARE_TOP)

    def _point(self, idt: int, top: int) -> None:
        pc, tables = self._pc, self._tables
        pc.meter.charge("mon_instruction")
        pc.cpu.idtr = TableRegister(tables.base + idt, _IDT_LIMIT)
        pc.meter.charge("mon_memory_reference")
        pc.memory.write(tables.physical(TSS) + TSS_ESP0, 4, tables.frame_linear + top)
