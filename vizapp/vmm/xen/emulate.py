"""What becomes of a privileged instruction in ring 1: the few that Xen emulates, and why not the others.

Source: Xen 3.1, arch/x86/traps.c, emulate_privileged_op.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vizapp.isa.registers import CR0_TS, GENERAL
from vizapp.machine.cpu import Cpu
from vizapp.machine.faults import Fault
from vizapp.machine.ports import PortBus
from vizapp.machine.segments import SegmentState
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.vmm.trap_frame import TrapFrame
    from vizapp.vmm.xen.guest_access import DirectSpace

# CLI and STI do nothing on purpose: a POPF that follows could not be trapped, and events would stay masked.
IGNORED = frozenset({"cli", "sti", "wbinvd", "invd"})
EMULATED = IGNORED | {"clts", "mov", "rdmsr", "wrmsr"}

_TABLES = N_("descriptor tables belong to the hypervisor; a ported kernel uses set_trap_table and set_gdt")
REASONS = {
    "lgdt": _TABLES,
    "lidt": _TABLES,
    "lldt": _TABLES,
    "ltr": N_("the task register belongs to the hypervisor; a ported kernel uses stack_switch"),
    "hlt": N_("the processor is not the guest's to stop; a ported kernel uses sched_op block"),
    "invlpg": N_(
        "the translation buffer is the hypervisor's; a ported kernel uses mmuext_op or a flush flag"
    ),
    "iret": N_(
        "the frame names a ring that the guest does not run in; a ported kernel uses the iret hypercall"
    ),
    "lmsw": N_("protection and paging belong to the hypervisor and stay on"),
    "in": N_(
        "ports belong to the hypervisor or to domain 0; a ported kernel uses console_io and event channels"
    ),
}
REASONS["out"] = REASONS["ins"] = REASONS["outs"] = REASONS["in"]
NO_REASON = N_("the hypervisor gives a guest no such thing")


class Controls(NamedTuple):
    """The control registers that a domain sees."""

    cr0: int
    cr2: int
    cr3: int
    cr4: int


class Outcome(NamedTuple):
    """What the emulation came to: the controls after it, or why the hypervisor cannot honour it."""

    controls: Controls
    refused: Message | None = None


def why_not(mnemonic: str) -> Message:
    """Why the hypervisor does not honour an instruction, and what a ported kernel does instead."""
    return Message(REASONS.get(mnemonic, NO_REASON))


def emulate(instruction: Instruction, frame: TrapFrame, space: DirectSpace, controls: Controls) -> Outcome:
    """Run one privileged instruction on a virtual CPU of the domain and put its results into the frame.

    The semantics are the machine's own; the hypervisor only decides which changes it allows: CR0.TS, CR2,
    CR3 and nothing else.
    """
    mnemonic = instruction.mnemonic
    if mnemonic not in EMULATED:
        return Outcome(controls, why_not(mnemonic))
    cpu = Cpu(space, PortBus())
    for name, value in zip(GENERAL, frame.general(), strict=True):
        setattr(cpu, name, value)
    cpu.eip = frame.eip
    cpu.eflags = frame.eflags
    cpu.cr0, cpu.cr2, cpu.cr3, cpu.cr4 = controls
    cpu.set_code_segment(SegmentState(frame.cs, *cpu.segments[1].descriptor), 0)
    try:
        cpu.execute(instruction)
    except Fault:
        return Outcome(controls, why_not(mnemonic))
    after = Controls(cpu.cr0, cpu.cr2, cpu.cr3, cpu.cr4)
    if (after.cr0 ^ controls.cr0) & ~CR0_TS:
        return Outcome(controls, why_not("lmsw"))
    # CR4 bits are the hypervisor's; a write is accepted and leaves them as they are.
    frame.set_general(tuple(getattr(cpu, name) for name in GENERAL))
    frame.eip = cpu.eip
    return Outcome(after._replace(cr4=controls.cr4))
