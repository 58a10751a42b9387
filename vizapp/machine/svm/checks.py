"""What VMRUN checks of a VMCB before it enters: APM Vol. 2, "Canonicalization and Consistency Checks".

A guest state that breaks a rule is not entered: the exit code is VMEXIT_INVALID.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa import registers as r
from vizapp.isa import vectors
from vizapp.isa.addresses import M32
from vizapp.machine.guest_mode import EXTERNAL, HARDWARE_EXCEPTION, NMI, SOFTWARE_INTERRUPT
from vizapp.machine.page_tables import read_pointers
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from vizapp.machine.identity import Identity
    from vizapp.machine.memory import PhysicalMemory
    from vizapp.machine.svm.vmcb import Block

EFER_SVME: Final = 1 << 12
EFER_LME: Final = 1 << 8
EFER_LMA: Final = 1 << 10
PHYSICAL_BITS: Final = 40
IOPM_BYTES: Final = 0x3000
MSRPM_BYTES: Final = 0x2000
EVENT_VALID: Final = 1 << 31
EVENT_ERROR: Final = 1 << 11
VMRUN_BIT: Final = 1 << 0  # of the second word of intercepts
NP_ENABLE: Final = 1 << 0
_CR3_ZERO: Final = -1 << 52
_EXCEPTIONS: Final = 32


def find_fault(block: Block, identity: Identity, memory: PhysicalMemory, *, nested: bool) -> Message | None:
    """Why a VMCB cannot be entered, or None. ``nested``: nested paging is on."""
    return (
        _registers(block, identity) or _controls(block) or _event(block) or _pointers(block, memory, nested)
    )


def _registers(block: Block, identity: Identity) -> Message | None:
    numbers = block.numbers
    efer, cr0, cr4 = numbers["efer"], numbers["cr0"], numbers["cr4"]
    if not efer & EFER_SVME:
        return Message(N_("EFER.SVME is 0"))
    if efer & (EFER_LME | EFER_LMA):
        return Message(N_("EFER asks for long mode, which this processor has not"))
    if efer & ~EFER_SVME:
        return Message(N_("a reserved bit of {register} is set"), {"register": "EFER"})
    if cr0 & r.CR0_NW and not cr0 & r.CR0_CD:
        return Message(N_("CR0.NW is set without CR0.CD"))
    for name in ("cr0", "dr6", "dr7"):
        if numbers[name] > M32:
            return Message(N_("the upper half of {register} is not 0"), {"register": name.upper()})
    if numbers["cr3"] & _CR3_ZERO:
        return Message(N_("a reserved bit of {register} is set"), {"register": "CR3"})
    if cr4 & ~identity.cr4_bits:
        return Message(N_("a reserved bit of {register} is set"), {"register": "CR4"})
    return None


def _controls(block: Block) -> Message | None:
    if not block["intercept_misc2"] & VMRUN_BIT:
        return Message(N_("VMRUN is not intercepted"))
    if not block["guest_asid"]:
        return Message(N_("the ASID is 0, which is the host's"))
    for name, length in (("iopm_base_pa", IOPM_BYTES), ("msrpm_base_pa", MSRPM_BYTES)):
        if (block[name] & ~0xFFF) + length > 1 << PHYSICAL_BITS:
            return Message(N_("{field} is beyond the physical address space"), {"field": name})
    return None


def _event(block: Block) -> Message | None:
    event = block["eventinj"]
    if not event & EVENT_VALID:
        return None
    vector, kind = event & 0xFF, event >> 8 & 7
    if kind not in (EXTERNAL, NMI, HARDWARE_EXCEPTION, SOFTWARE_INTERRUPT):
        return Message(N_("EVENTINJ has the reserved type {type}"), {"type": kind})
    if kind == HARDWARE_EXCEPTION and (vector == vectors.NMI or vector >= _EXCEPTIONS):
        return Message(N_("EVENTINJ has vector {vector}, which is no exception"), {"vector": vector})
    return None


def _pointers(block: Block, memory: PhysicalMemory, nested: bool) -> Message | None:
    """With nested paging the guest's PDPTEs are read by the walks that need them."""
    if nested or not (block["cr0"] & r.CR0_PG and block["cr4"] & r.CR4_PAE):
        return None
    if read_pointers(memory, block["cr3"] & M32) is None:
        return Message(N_("a reserved bit of a PDPTE is set"))
    return None
