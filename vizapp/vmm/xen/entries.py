"""Where the guest kernel is entered without the hypervisor: the direct gate of INT 0x80 and its stack.

Every other entry bounces: the processor enters the hypervisor, which makes the frame (see ``bounce``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.addresses import HostPhysical
from vizapp.isa.descriptors import (
    DESCRIPTOR_BYTES,
    TRAP_GATE_32,
    TSS_ESP0,
    TSS_SS0,
    Gate,
    pack_gate,
    to_bytes,
)
from vizapp.vmm.host_tables import IDT, TSS
from vizapp.vmm.xen import abi
from vizapp.vmm.xen.selectors import is_guest_code

if TYPE_CHECKING:
    from vizapp.vmm.xen.domain import Entry
    from vizapp.vmm.xen.hypervisor import Hypervisor

TSS_ESP1 = TSS_ESP0 + 8
TSS_SS1 = TSS_SS0 + 8


def set_direct_gate(xen: Hypervisor, entry: Entry | None) -> None:
    """Let INT 0x80 enter the guest kernel without the hypervisor, or no longer.

    An entry that masks events cannot be direct: no gate clears the guest's upcall mask.
    """
    if entry is None or entry.flags & abi.TI_MASK_EVENTS or not is_guest_code(xen, entry.selector):
        xen.tables.set_gate(abi.SYSTEM_CALL_VECTOR, dpl=0)
    else:
        gate = Gate(entry.selector, entry.offset, TRAP_GATE_32, entry.flags & abi.TI_DPL, present=True)
        where = xen.tables.physical(IDT) + abi.SYSTEM_CALL_VECTOR * DESCRIPTOR_BYTES
        xen.memory.load(HostPhysical(where), to_bytes(pack_gate(gate)))
    xen.pay_references(2)


def set_kernel_stack(xen: Hypervisor, selector: int, pointer: int) -> None:
    """The stack for entries from rings 2 and 3: for bounced ones, and in the TSS for the direct gate."""
    xen.domain.kernel_ss, xen.domain.kernel_esp = selector, pointer
    tss = xen.tables.physical(TSS)
    xen.memory.write(tss + TSS_ESP1, 4, pointer)
    xen.memory.write(tss + TSS_SS1, 4, selector)
    xen.pay_references(2)
