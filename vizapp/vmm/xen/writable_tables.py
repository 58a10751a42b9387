"""Writable page tables: a guest that stores into a page table as if it were its own to write.

With the assist on, such a store, which faults because page tables are read-only, is done by the hypervisor:
the instruction runs on a virtual processor whose stores into page tables become checked updates.

Source: Xen 3.1, arch/x86/mm.c (ptwr_do_page_fault, ptwr_emulated_update); Xen's public header xen.h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import PAGE_SHIFT, HostPhysical
from vizapp.isa.descriptors import SELECTOR_RPL
from vizapp.isa.paging import PF_RSVD, PF_W
from vizapp.isa.registers import EFLAGS_AF, EFLAGS_CF, EFLAGS_OF, EFLAGS_PF, EFLAGS_SF, EFLAGS_ZF
from vizapp.machine.faults import Fault, Unimplemented
from vizapp.vmm.processor_view import general
from vizapp.vmm.xen import abi, emulate
from vizapp.vmm.xen.frame_info import PageType, RefusedError
from vizapp.vmm.xen.guest_access import DirectSpace

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.vmm.xen.hypervisor import Hypervisor

_STATUS: Final = EFLAGS_CF | EFLAGS_PF | EFLAGS_AF | EFLAGS_ZF | EFLAGS_SF | EFLAGS_OF


class TableSpace(DirectSpace):
    """The current domain's memory, in which a store into one of its page tables is an update."""

    def __init__(self, xen: Hypervisor) -> None:
        super().__init__(xen.memory, xen.format, lambda: xen.domain.page_directory, xen.pay_references)
        self._xen = xen

    def write(self, linear: int, size: int, value: int, user: bool) -> None:
        """Store ``size`` bytes.

        Raises:
            Fault: they cannot be stored.
            RefusedError: what becomes of the entry breaks the rules.
        """
        xen = self._xen
        address = table_entry(xen, linear)
        if address is None:
            super().write(linear, size, value, user)
            return
        width = xen.format.entry_bytes
        where = HostPhysical(address & ~(width - 1))
        within = address - where
        old = bytearray(xen.memory.read(where, width).to_bytes(width, "little"))
        if within + size > width:
            raise Unimplemented(emulate.why_not("", 0))
        old[within : within + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
        xen.types.write_entry(where, int.from_bytes(old, "little"), xen.domain.id)

    def modify(self, linear: int, size: int, user: bool) -> int:
        """As ``read``, by an instruction that will write the same bytes."""
        if table_entry(self._xen, linear) is None:
            return super().modify(linear, size, user)
        return self.read(linear, size, user)


def table_entry(xen: Hypervisor, linear: int) -> int | None:
    """The machine address behind a linear one if it is in a page table of the current domain."""
    if linear >= xen.format.hole:
        return None
    address = xen.format.translate(xen.memory, xen.domain.page_directory, linear)
    if address is None:
        return None
    info = xen.types.info(address >> PAGE_SHIFT)
    mine = xen.types.owner(address >> PAGE_SHIFT) == xen.domain.id
    return address if mine and info.uses and info.type is PageType.L1 else None


def is_wanted(xen: Hypervisor, error: int) -> bool:
    """Whether a page fault is a store of a guest kernel into a page table, and the assist is on."""
    if not xen.domain.assists >> abi.VMASST_WRITABLE_PAGETABLES & 1 or xen.frame.cs & SELECTOR_RPL != 1:
        return False
    return error & (PF_W | PF_RSVD) == PF_W and table_entry(xen, xen.fault_address) is not None


def run(xen: Hypervisor) -> Instruction | None:
    """Do the instruction that faulted; None where it cannot be done, with nothing changed."""
    cpu = emulate.virtual_cpu(xen, TableSpace(xen))
    instruction = emulate.trapped_instruction(cpu)
    if instruction is None or instruction.opcode.privilege != "innocuous":
        return None
    try:
        cpu.execute(instruction)
    except (Fault, Unimplemented):
        return None
    except RefusedError as refusal:
        xen.refused("writable page table", refusal)
        return None
    frame = xen.frame
    frame.set_general(general(cpu))
    frame.eip = cpu.eip
    frame.eflags = frame.eflags & ~_STATUS | cpu.eflags & _STATUS
    return instruction
