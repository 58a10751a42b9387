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
    """Selector and hidden part of a segment register, unless it is what the block has."""
    if block.states.get(name) is not state:
        block.set_segment(name, _packed(state))
        block.states[name] = state


def load_segment(block: Block, name: str) -> SegmentState:
    """A segment register as the block has it; one that is not present cannot be used."""
    state = block.states.get(name)
    if state is None:
        raw = block.segment(name)
        state = _unpacked(raw)
        if _packed(state) == raw:  # else storing it would change something
            block.states[name] = state
    return state


def store(cpu: Cpu, block: Block, efer: int, *, rip: int) -> None:
    """What VMRUN saves of the host, and #VMEXIT of the guest, debug registers, CR2 and CPL aside."""
    segments = cpu.segments
    for name, index in SWITCHED:
        store_segment(block, name, segments[index])
    block.update({
        "gdtr.base": cpu.gdtr.base, "gdtr.limit": cpu.gdtr.limit,
        "idtr.base": cpu.idtr.base, "idtr.limit": cpu.idtr.limit,
        "efer": efer, "cr0": cpu.cr0, "cr3": cpu.cr3, "cr4": cpu.cr4,
        "rflags": cpu.eflags, "rip": rip, "rsp": cpu.esp, "rax": cpu.eax,
    })  # fmt: skip


def store_guest(cpu: Cpu, block: Block) -> None:
    """What #VMEXIT saves of the guest alone."""
    block.update({"cpl": cpu.cpl, "cr2": cpu.cr2, "dr6": cpu.debug[6], "dr7": cpu.debug[7]})


def load(cpu: Cpu, block: Block, *, not_flags: int = 0) -> None:
    """Registers but for CS with the CPL, which are loaded last, and paging; of RFLAGS not ``not_flags``."""
    numbers = block.numbers
    flags = numbers["rflags"] & RFLAGS & ~not_flags | r.EFLAGS_FIXED
    if not numbers["cr0"] & r.CR0_PE:
        flags &= ~r.EFLAGS_VM
    cpu.eflags = flags
    cpu.gdtr = TableRegister(numbers["gdtr.base"] & M32, numbers["gdtr.limit"] & 0xFFFF)
    cpu.idtr = TableRegister(numbers["idtr.base"] & M32, numbers["idtr.limit"] & 0xFFFF)
    cpu.cr0 = numbers["cr0"] & CR0_BITS | r.CR0_ET
    cpu.cr3, cpu.cr4 = numbers["cr3"] & M32, numbers["cr4"] & M32
    cpu.eip, cpu.esp, cpu.eax = numbers["rip"] & M32, numbers["rsp"] & M32, numbers["rax"] & M32
    for name, index in SWITCHED:
        if index != r.CS:
            cpu.set_segment(index, load_segment(block, name))
    cpu.halted = cpu.shadow = cpu.single_step = False
    cpu.traps = 0


def load_guest(cpu: Cpu, block: Block) -> None:
    """What VMRUN loads of the guest alone."""
    numbers = block.numbers
    cpu.cr2 = numbers["cr2"] & M32
    cpu.debug[6], cpu.debug[7] = (debug.fixed(index, numbers[f"dr{index}"] & M32) for index in (6, 7))


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
