"""The priced primitives: everything that can advance the cycle counter, by name.

An input belongs to one group. Instruction classes are charged once an instruction retired; transitions and
memory operations once each time the hardware does one; monitor operations by what the monitor's code does
(a memory reference, a port access), never by a price a handler. How many cycles each takes is a processor's
data, not the machine's. An input that only some processors can charge names the features, of which any one
makes it theirs: the others raise #UD instead, and have no price for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vizapp.messages import N_

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

INSTRUCTION = "instruction"
TRANSITION = "transition"
MEMORY = "memory"
MONITOR = "monitor"
IDLE = "idle"

# What a processor may have that prices depend on. VT-x came in generations: at first without secondary
# controls, then with EPT and VPIDs (2008), then with unrestricted guests.
TSC = "tsc"
MSR = "msr"
SYSENTER = "sysenter"
VT_X = "vt-x"
EPT = "ept"
VPID = "vpid"
UNRESTRICTED_GUEST = "unrestricted-guest"
SVM = "svm"
NPT = "npt"
NEXT_RIP = "next-rip"
FEATURES: tuple[str, ...] = (
    TSC, MSR, SYSENTER, VT_X, EPT, VPID, UNRESTRICTED_GUEST, SVM, NPT, NEXT_RIP
)  # fmt: skip


class Input(NamedTuple):
    """A primitive: its name in processor files, its group, and what it is, for people.

    ``features``: a processor that has any of them prices it, one that has none does not; empty: all price it.
    """

    name: str
    group: str
    gloss: str
    features: tuple[str, ...] = ()


INPUTS: tuple[Input, ...] = (
    Input("nop", INSTRUCTION, N_("no operation")),
    Input("alu", INSTRUCTION, N_("arithmetic or logic between registers")),
    Input("alu_load", INSTRUCTION, N_("arithmetic or logic that reads memory")),
    Input("alu_store", INSTRUCTION, N_("arithmetic or logic that writes its result to memory")),
    Input("alu_rmw", INSTRUCTION, N_("arithmetic or logic that reads and writes memory")),
    Input("mov", INSTRUCTION, N_("move between registers")),
    Input("mov_load", INSTRUCTION, N_("move from memory")),
    Input("mov_store", INSTRUCTION, N_("move to memory")),
    Input("shift", INSTRUCTION, N_("shift or rotate of a register")),
    Input("shift_load", INSTRUCTION, N_("shift or rotate that reads memory")),
    Input("shift_rmw", INSTRUCTION, N_("shift or rotate of memory")),
    Input("mul", INSTRUCTION, N_("multiplication")),
    Input("mul_load", INSTRUCTION, N_("multiplication by memory")),
    Input("div", INSTRUCTION, N_("division")),
    Input("div_load", INSTRUCTION, N_("division by memory")),
    Input("bit", INSTRUCTION, N_("bit scan or bit test")),
    Input("bit_load", INSTRUCTION, N_("bit scan or bit test that reads memory")),
    Input("bit_rmw", INSTRUCTION, N_("bit test and change of memory")),
    Input("locked", INSTRUCTION, N_("exchange with memory, or a locked read and write")),
    Input("stack", INSTRUCTION, N_("push or pop")),
    Input("stack_many", INSTRUCTION, N_("push or pop of all registers, or a stack frame made")),
    Input("branch", INSTRUCTION, N_("jump, or conditional jump")),
    Input("branch_indirect", INSTRUCTION, N_("jump through a register or memory")),
    Input("call", INSTRUCTION, N_("near call")),
    Input("call_indirect", INSTRUCTION, N_("near call through a register or memory")),
    Input("ret", INSTRUCTION, N_("near return")),
    Input("string_iteration", INSTRUCTION, N_("one iteration of a string instruction")),
    Input("flags_move", INSTRUCTION, N_("push or pop of the flags")),
    Input("interrupt_flag", INSTRUCTION, N_("interrupts disabled or enabled")),
    Input("segment_store", INSTRUCTION, N_("segment selector read")),
    Input("segment_load", INSTRUCTION, N_("segment register loaded, descriptor fetched")),
    Input("far_transfer", INSTRUCTION, N_("far jump, call or return within a ring")),
    Input("system", INSTRUCTION, N_("other system instruction")),
    Input("system_load", INSTRUCTION, N_("descriptor table, task or control register loaded")),
    Input("cpuid", INSTRUCTION, N_("processor identified")),
    Input("rdtsc", INSTRUCTION, N_("time stamp counter read")),
    Input("msr", INSTRUCTION, N_("model-specific register read or written")),
    Input("io", INSTRUCTION, N_("port of an off-chip device read or written")),
    Input("hlt", INSTRUCTION, N_("processor halted")),
    Input("vmread", INSTRUCTION, N_("field of the VMCS read"), (VT_X,)),
    Input("vmwrite", INSTRUCTION, N_("field of the VMCS written"), (VT_X,)),
    Input("vmcs_switch", INSTRUCTION, N_("VMCS made current, or cleared"), (VT_X,)),
    Input("vmload_save", INSTRUCTION, N_("rest of a VMCB's state loaded or saved"), (SVM,)),
    Input("exception", TRANSITION, N_("exception delivered through a gate")),
    Input("interrupt", TRANSITION, N_("external interrupt delivered through a gate")),
    Input("software_interrupt", TRANSITION, N_("INT n delivered through a gate")),
    Input("iret_same", TRANSITION, N_("interrupt return within a ring")),
    Input("iret_outer", TRANSITION, N_("interrupt return to an outer ring")),
    Input("gate_call", TRANSITION, N_("call through a gate, or far return to an outer ring")),
    Input("sysenter", TRANSITION, N_("fast system call entered or left")),
    Input("vm_entry", TRANSITION, N_("virtual machine entered"), (VT_X, SVM)),
    Input("vm_exit", TRANSITION, N_("virtual machine left for its monitor"), (VT_X, SVM)),
    Input("walk_step", MEMORY, N_("page-table entry read by a walk")),
    Input("tlb_flush", MEMORY, N_("translation buffer flushed")),
    Input("cr3_write", MEMORY, N_("address space switched")),
    Input("invlpg", MEMORY, N_("one translation invalidated")),
    Input("uncached", MEMORY, N_("device in memory read or written")),
    Input("nested_walk_step", MEMORY, N_("nested page-table entry read by a walk"), (EPT, NPT)),
    Input("invept", MEMORY, N_("translations made through nested tables invalidated"), (EPT,)),
    Input("mon_instruction", MONITOR, N_("instruction of the monitor between registers")),
    Input("mon_memory_reference", MONITOR, N_("memory reference of the monitor")),
    Input("mon_locked", MONITOR, N_("locked memory access of the monitor")),
    Input("mon_branch", MONITOR, N_("branch of the monitor that predicts badly")),
    Input("mon_pte_write", MONITOR, N_("page-table entry written by the monitor")),
    Input("mon_decode", MONITOR, N_("guest instruction decoded by the monitor")),
    Input("mon_lookup", MONITOR, N_("table looked up by the monitor")),
    Input("mon_dispatch", MONITOR, N_("handler dispatched by the monitor")),
    Input("mon_segment_load", MONITOR, N_("segment register loaded by the monitor")),
    Input("mon_port", MONITOR, N_("port of an off-chip device accessed by the monitor")),
    Input("idle_cycle", IDLE, N_("cycle waited in HLT")),
)

NAMES: tuple[str, ...] = tuple(item.name for item in INPUTS)
INDEX: dict[str, int] = {name: index for index, name in enumerate(NAMES)}
INSTRUCTION_CLASSES: frozenset[str] = frozenset(item.name for item in INPUTS if item.group == INSTRUCTION)


def priced(charges: Iterable[tuple[str, int]], prices: Sequence[int]) -> int:
    """The cycles of charges, (input, count) each, at prices in the order of ``INPUTS``."""
    return sum(count * prices[INDEX[name]] for name, count in charges)
