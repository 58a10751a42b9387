"""Tooltips that teach: what a register, flag or table is, and the section of the manual that defines it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vizapp.messages import N_

if TYPE_CHECKING:
    from vizapp.messages import Translator


class Entry(NamedTuple):
    """What it is, and where the Intel SDM (volume, section title) says so."""

    text: str
    source: str


_BASIC = "SDM Vol. 1, “Basic Program Execution Registers”"
_FLAGS = "SDM Vol. 3, “System Flags and Fields in the EFLAGS Register”"
_CONTROL = "SDM Vol. 3, “Control Registers”"
_TABLES = "SDM Vol. 3, “Memory-Management Registers”"
_SEGMENTS = "SDM Vol. 3, “Segment Registers”"
_STATUS = "SDM Vol. 1, “EFLAGS Register”"

_ENTRIES = {
    "cpl": Entry(
        N_(
            "Current privilege level: the ring that the processor executes in, 0 to 3. It stands in the "
            "lowest two bits of CS, where every program can read it."
        ),
        "SDM Vol. 3, “Privilege Levels”",
    ),
    "eflags": Entry(
        N_("Arithmetic flags and the system flags IF, IOPL, NT, VM and others in one register."), _STATUS
    ),
    "eflags.if": Entry(
        N_(
            "Interrupt flag: 1 lets external interrupts in. CLI and STI change it and fault where CPL > "
            "IOPL; POPF there leaves it unchanged and says nothing, which is what betrays plain "
            "trap-and-emulate."
        ),
        _FLAGS,
    ),
    "eflags.iopl": Entry(
        N_(
            "I/O privilege level: the outermost ring that may execute IN, OUT, CLI and STI. Only ring 0 "
            "can change it; elsewhere POPF and IRET leave it as it is."
        ),
        _FLAGS,
    ),
    "cs": Entry(
        N_(
            "Code segment selector. Its lowest two bits are the CPL, so a deprivileged kernel can read "
            "its real ring."
        ),
        _SEGMENTS,
    ),
    "ds": Entry(
        N_("Data segment selector: index into the GDT or LDT, table bit, requested privilege level."),
        _SEGMENTS,
    ),
    "ds.limit": Entry(
        N_(
            "Highest offset that DS reaches. A monitor that deprivileges truncates guest segments, so "
            "that the guest cannot touch the monitor's memory above them."
        ),
        "SDM Vol. 3, “Segment Descriptors”",
    ),
    "es": Entry(N_("Extra data segment selector; destination of string instructions."), _SEGMENTS),
    "fs": Entry(N_("Data segment selector, free for the operating system's use."), _SEGMENTS),
    "gs": Entry(N_("Data segment selector, free for the operating system's use."), _SEGMENTS),
    "ss": Entry(N_("Stack segment selector. Its privilege must equal the CPL."), _SEGMENTS),
    "cr0": Entry(N_("Protection, paging, write protection and FPU control bits."), _CONTROL),
    "cr2": Entry(N_("The linear address of the last page fault."), _CONTROL),
    "cr3": Entry(
        N_(
            "Physical address of the page directory. Under shadow paging the guest sees its own "
            "directory, and the processor holds the monitor's shadow of it."
        ),
        _CONTROL,
    ),
    "cr4": Entry(N_("Enables architectural extensions, page size among them."), _CONTROL),
    "gdtr": Entry(
        N_(
            "Base of the global descriptor table. SGDT reads it at any ring without a trap: a guest can "
            "see that the table is not its own."
        ),
        _TABLES,
    ),
    "idtr": Entry(
        N_(
            "Base of the interrupt descriptor table. SIDT reads it at any ring without a trap (the “red "
            "pill”)."
        ),
        _TABLES,
    ),
    "ldtr": Entry(N_("Selector of the local descriptor table."), _TABLES),
    "tr": Entry(
        N_("Task register: the TSS, which holds the stack for each inner ring and the I/O permission map."),
        _TABLES,
    ),
    "eax": Entry(N_("General register: accumulator, result of calls."), _BASIC),
    "ebx": Entry(N_("General register."), _BASIC),
    "ecx": Entry(N_("General register: count of loops, shifts and repeated string instructions."), _BASIC),
    "edx": Entry(N_("General register: upper half of products and dividends, I/O port number."), _BASIC),
    "esi": Entry(N_("General register: source of string instructions."), _BASIC),
    "edi": Entry(N_("General register: destination of string instructions."), _BASIC),
    "ebp": Entry(N_("General register: usually the base of the stack frame."), _BASIC),
    "esp": Entry(N_("Stack pointer. A gate to an inner ring takes another stack, from the TSS."), _BASIC),
    "eip": Entry(N_("Address of the next instruction, an offset in CS."), _BASIC),
    "cf": Entry(N_("Carry flag: unsigned overflow."), _STATUS),
    "pf": Entry(N_("Parity flag: the lowest byte of the result has an even number of ones."), _STATUS),
    "af": Entry(N_("Auxiliary carry flag: carry out of bit 3, for decimal arithmetic."), _STATUS),
    "zf": Entry(N_("Zero flag: the result was zero."), _STATUS),
    "sf": Entry(N_("Sign flag: the highest bit of the result."), _STATUS),
    "tf": Entry(N_("Trap flag: a debug exception after each instruction."), _FLAGS),
    "df": Entry(N_("Direction flag: string instructions go downwards."), _STATUS),
    "of": Entry(N_("Overflow flag: signed overflow."), _STATUS),
    "vm": Entry(N_("Virtual-8086 mode: a task of protected mode that addresses as the 8086 does."), _FLAGS),
    "vif": Entry(
        N_(
            "Virtual interrupt flag: what CLI and STI change in a virtual-8086 task with CR4.VME, and at "
            "ring 3 with CR4.PVI, where IOPL keeps them from IF."
        ),
        _FLAGS,
    ),
    "vip": Entry(
        N_(
            "Virtual interrupt pending: the operating system has an interrupt for the task. Setting VIF is "
            "then a general-protection fault, which brings the operating system."
        ),
        _FLAGS,
    ),
    "nt": Entry(N_("Nested task: IRET returns through the TSS link."), _FLAGS),
    "equivalence": Entry(
        N_(
            "A program under the monitor does what it does on the bare machine, apart from timing. "
            "Checked by replay: the bare machine gets the same interrupts at the same instructions, then "
            "the traces must be identical."
        ),
        "Popek and Goldberg 1974",
    ),
    "resource-control": Entry(
        N_(
            "The monitor alone owns memory, devices and the processor. An auditor beside the machine "
            "checks every page that is mapped and every port that is touched."
        ),
        "Popek and Goldberg 1974",
    ),
    "efficiency": Entry(
        N_("Most instructions run directly on the processor, without the monitor."), "Popek and Goldberg 1974"
    ),
}


def explain(key: str, translator: Translator) -> str:
    """The tooltip of a key, wrapped by Qt as rich text; empty where there is none."""
    entry = _ENTRIES.get(key)
    if entry is None:
        return ""
    return f"<p>{translator.text(entry.text)}</p><p><i>{entry.source}</i></p>"
