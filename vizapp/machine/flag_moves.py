"""PUSHF, POPF, CLI and STI: what the CPL and IOPL let them change (SDM Vol. 2, POPF's table of effects).

Where VIF stands for IF it is VIF that they show and change; see ``virtual_interrupts``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa import registers as r
from vizapp.isa import vectors
from vizapp.machine.faults import Fault
from vizapp.machine.operands import next_eip
from vizapp.machine.virtual_interrupts import replace_if, require_frame, shown_flags, taken_flags

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.machine.cpu import Cpu

_ALWAYS: Final = r.EFLAGS_ARITHMETIC | r.EFLAGS_TF | r.EFLAGS_DF | r.EFLAGS_NT | r.EFLAGS_AC | r.EFLAGS_ID


def pushf(cpu: Cpu, instruction: Instruction) -> None:
    """PUSHF and PUSHFD; VM and RF are never shown."""
    size = instruction.operand_size
    shown = shown_flags(cpu.eflags) if require_frame(cpu, size) else _image(cpu)
    cpu.push(size, shown & (0xFFFF if size == 2 else ~0))
    cpu.eip = next_eip(cpu, instruction)


def _image(cpu: Cpu) -> int:
    return cpu.eflags & ~(r.EFLAGS_VM | r.EFLAGS_RF)


def popf(cpu: Cpu, instruction: Instruction) -> None:
    """POPF and POPFD: outside CPL 0 IOPL stays, outside IOPL also IF, and neither faults."""
    size = instruction.operand_size
    replaced = require_frame(cpu, size)
    value = cpu.stack_load(cpu.esp, size)
    if replaced:
        cpu.eflags = taken_flags(cpu, value)
        cpu.move_stack(size)
        cpu.eip = next_eip(cpu, instruction)
        return
    changed = _ALWAYS
    if cpu.cpl <= cpu.iopl:
        changed |= r.EFLAGS_IF
    if cpu.cpl == 0:
        changed |= r.EFLAGS_IOPL
    if size == 2:
        changed &= 0xFFFF
    before = cpu.system_flags
    cpu.eflags = cpu.eflags & ~(changed | r.EFLAGS_RF) | value & changed
    cpu.move_stack(size)
    if (before ^ cpu.system_flags) & r.EFLAGS_AC:
        cpu.mode_changed()
    cpu.eip = next_eip(cpu, instruction)


def cli(cpu: Cpu, instruction: Instruction) -> None:
    """CLI."""
    if cpu.cpl <= cpu.iopl:
        cpu.system_flags &= ~r.EFLAGS_IF
    elif replace_if(cpu):
        cpu.system_flags &= ~r.EFLAGS_VIF
    else:
        raise Fault(vectors.GP, 0)
    cpu.eip = next_eip(cpu, instruction)


def sti(cpu: Cpu, instruction: Instruction) -> None:
    """STI: interrupts come after the next instruction, if they were off."""
    if cpu.cpl > cpu.iopl:
        if not replace_if(cpu) or cpu.system_flags & r.EFLAGS_VIP:
            raise Fault(vectors.GP, 0)
        cpu.system_flags |= r.EFLAGS_VIF
    elif not cpu.system_flags & r.EFLAGS_IF:
        cpu.system_flags |= r.EFLAGS_IF
        cpu.shadow = True
        if cpu.unit is not None:
            cpu.unit.stack_loaded = False
    cpu.eip = next_eip(cpu, instruction)
