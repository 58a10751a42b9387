"""A processor's registers in a VMCB's state save area, both ways.

Segment attributes are the access rights of a descriptor without the four bits between them:

    VMCB            11 10  9   8   7  6  5 4  3    0
                    G  DB  L  AVL  P  DPL  S  type
    isa.descriptors 15 14  13 12   7 ...
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING, Final

from vizapp.isa import registers as r
from vizapp.isa.addresses import M32
from vizapp.machine import debug
from vizapp.machine.control import CR0_BITS
from vizapp.machine.real_mode import code_in_real_mode
from vizapp.machine.segments import SegmentState, TableRegister
from vizapp.machine.svm.vmcb import Block

if TYPE_CHECKING:
    from vizapp.machine.cpu import Cpu

SWITCHED: Final = (("es", r.ES), ("cs", r.CS), ("ss", r.SS), ("ds", r.DS))
"""What VMRUN and #VMEXIT move; FS, GS, LDTR and TR are VMLOAD's and VMSAVE's."""

RFLAGS: Final = (
    r.EFLAGS_ARITHMETIC | r.EFLAGS_TF | r.EFLAGS_IF | r.EFLAGS_DF | r.EFLAGS_IOPL | r.EFLAGS_NT
    | r.EFLAGS_RF | r.EFLAGS_VM | r.EFLAGS_AC | r.EFLAGS_VIF | r.EFLAGS_VIP | r.EFLAGS_ID
)  # fmt: skip
# A guest has few segments, and each entry and exit moves them.
_REMEMBERED: Final = 4096
_SEGMENT: Final = Struct("<HHIQ")
_LOW: Final = 0xFF
_HIGH: Final = 0xF000


@lru_cache(_REMEMBERED)
def _packed(state: SegmentState) -> bytes:
    attributes = state.access & _LOW | (state.access & _HIGH) >> 4
    return _SEGMENT.pack(state.selector, attributes, state.limit, state.base)


@lru_cache(_REMEMBERED)
def _unpacked(raw: bytes) -> SegmentState:
    selector, attributes, limit, base = _SEGMENT.unpack(raw)
    return SegmentState(selector, base & M32, limit, attributes & _LOW | (attributes << 4 & _HIGH))


def store_segment(block: Block, name: str, state: SegmentState) -> None:
    """Selector and hidden part of a segment register."""
    block.set_segment(name, _packed(state))


def load_segment(block: Block, name: str) -> SegmentState:
    """A segment register as the block has it; one that is not present cannot be used."""
    return _unpacked(block.segment(name))


def store(cpu: Cpu, block: Block, efer: int, *, rip: int) -> None:
    """What VMRUN saves of the host, and #VMEXIT of the guest, debug registers, CR2 and CPL aside."""
    for name, index in SWITCHED:
        store_segment(block, name, cpu.segments[index])
    for name, table in (("gdtr", cpu.gdtr), ("idtr", cpu.idtr)):
        block[f"{name}.base"], block[f"{name}.limit"] = table
    block["efer"] = efer
    block["cr0"], block["cr3"], block["cr4"] = cpu.cr0, cpu.cr3, cpu.cr4
    block["rflags"] = cpu.eflags
    block["rip"], block["rsp"], block["rax"] = rip, cpu.esp, cpu.eax


def store_guest(cpu: Cpu, block: Block) -> None:
    """What #VMEXIT saves of the guest alone."""
    block["cpl"] = cpu.cpl
    block["cr2"] = cpu.cr2
    block["dr6"], block["dr7"] = cpu.debug[6], cpu.debug[7]


def load(cpu: Cpu, block: Block) -> None:
    """Registers but for CS with the CPL, which are loaded last, and paging."""
    flags = block["rflags"] & RFLAGS | r.EFLAGS_FIXED
    if not block["cr0"] & r.CR0_PE:
        flags &= ~r.EFLAGS_VM
    cpu.eflags = flags
    cpu.gdtr = TableRegister(block["gdtr.base"] & M32, block["gdtr.limit"] & 0xFFFF)
    cpu.idtr = TableRegister(block["idtr.base"] & M32, block["idtr.limit"] & 0xFFFF)
    cpu.cr0 = block["cr0"] & CR0_BITS | r.CR0_ET
    cpu.cr3, cpu.cr4 = block["cr3"] & M32, block["cr4"] & M32
    cpu.eip, cpu.esp, cpu.eax = block["rip"] & M32, block["rsp"] & M32, block["rax"] & M32
    for name, index in SWITCHED:
        if index != r.CS:
            cpu.set_segment(index, load_segment(block, name))
    cpu.halted = cpu.shadow = cpu.single_step = False
    cpu.traps = 0


def load_guest(cpu: Cpu, block: Block) -> None:
    """What VMRUN loads of the guest alone."""
    cpu.cr2 = block["cr2"] & M32
    cpu.debug[6], cpu.debug[7] = (debug.fixed(index, block[f"dr{index}"] & M32) for index in (6, 7))


def load_code(cpu: Cpu, block: Block, cpl: int) -> None:
    """CS and CPL; the change of mode is told now."""
    state = load_segment(block, "cs")
    if not cpu.cr0 & r.CR0_PE:
        state, cpl = code_in_real_mode(state), 0
    elif cpu.virtual_8086:
        cpl = 3
    cpu.set_code_segment(state, cpl)
    if not cpu.watched:  # there is no breakpoint that RF could hold off; see IRET
        cpu.system_flags &= ~r.EFLAGS_RF
