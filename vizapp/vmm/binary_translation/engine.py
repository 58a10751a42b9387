"""Direct execution or binary translation: by which of the two a guest's next instruction runs, and why.

The rule is VMware's (Bugnion et al., "Bringing Virtualization to the x86 Architecture with the Original
VMware Workstation", ACM TOCS 30(4), 2012, the algorithm that selects the engine). Direct execution is for

    virtual-8086 mode          whatever depends on IOPL faults there, so all that is seen is the guest's
    protected mode with        IOPL < CPL and IF = 1, so that what POPF ignores and PUSHF shows is true, and
                               segment registers that can be loaded again from the guest's own tables

and translation for everything else: real mode, any kernel (ring 0 has no IOPL below it), an application that
may use CLI or has interrupts off, and hidden segment state that no selector leads to any more.

This monitor's cache runs at ring 1, where the pages of the guest's kernel are open. What the rule gives to
translation and is not of ring 0 is therefore interpreted, one instruction at a time; so is a kernel that
single-steps itself, or is about to fetch from beyond its segment, and a virtual-8086 task for which a virtual
interrupt is due: CR4.VME is the virtual CPU's alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.isa.registers import CR0_PE, CS, EFLAGS_IF, EFLAGS_IOPL, EFLAGS_TF, EFLAGS_VM, SS
from vizapp.machine.virtual_interrupts import is_pending

if TYPE_CHECKING:
    from vizapp.machine.cpu import Cpu

DIRECT: Final = "direct"
TRANSLATED: Final = "translated"
INTERPRETED: Final = "interpreted"

_IOPL_SHIFT: Final = 12


class Choice(NamedTuple):
    """An engine, and the condition that decided."""

    engine: str
    cause: str


def choose(cpu: Cpu, reversible: Callable[[], bool]) -> Choice:
    """The engine for a virtual CPU; ``reversible`` says whether its segment registers can be loaded again."""
    if not cpu.cr0 & CR0_PE:
        return _without_direct_execution(cpu, "real-mode")
    if cpu.eflags & EFLAGS_VM:
        return Choice(INTERPRETED, "virtual-interrupt") if is_pending(cpu) else Choice(DIRECT, "virtual-8086")
    if (cpu.eflags & EFLAGS_IOPL) >> _IOPL_SHIFT >= cpu.cpl:
        return _without_direct_execution(cpu, "iopl" if cpu.cpl else "kernel")
    if not cpu.eflags & EFLAGS_IF:
        return _without_direct_execution(cpu, "if")
    if cpu.cpl != 3:
        return Choice(INTERPRETED, "middle-ring")  # it would share ring 1 or 2 with the cache's segments
    if not reversible():
        return _without_direct_execution(cpu, "segments")
    return Choice(DIRECT, "application")


def _without_direct_execution(cpu: Cpu, cause: str) -> Choice:
    if cpu.cpl:
        return Choice(INTERPRETED, cause)
    if cpu.eflags & EFLAGS_TF:
        return Choice(INTERPRETED, "single-step")
    if not cpu.segments[SS].usable or cpu.eip > cpu.segments[CS].limit:
        return Choice(INTERPRETED, "segments")
    return Choice(TRANSLATED, cause)
