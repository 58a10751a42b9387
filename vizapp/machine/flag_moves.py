"""PUSHF, POPF, CLI and STI: what the CPL and IOPL let them change (SDM Vol. 2, POPF's table of effects)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa import registers as r
from vizapp.isa import vectors
from vizapp.machine.faults import Fault
from vizapp.machine.operands import next_eip

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.machine.cpu import Cpu

_ALWAYS: Final = r.EFLAGS_ARITHMETIC | r.EFLAGS_TF | r.EFLAGS_DF | r.EFLAGS_NT | r.EFLAGS_AC | r.EFLAGS_ID


def require_iopl(cpu: Cpu) -> None:
    """#GP(0) of CLI and STI, and in virtual-8086 mode of all that touches IF."""
    if cpu.cpl > cpu.iopl:
        raise Fault(vectors.GP, 0)


def require_iopl_of_task(cpu: Cpu) -> None:
    """#GP(0) of PUSHF, POPF, IRET and INT n in a virtual-8086 task whose IOPL is below 3."""
    if cpu.virtual_8086:
        require_iopl(cpu)


def pushf(cpu: Cpu, instruction: Instruction) -> None:
    """PUSHF and PUSHFD; VM and RF are never shown."""
    require_iopl_of_task(cpu)
    cpu.push(instruction.operand_size, _image(cpu) & (0xFFFF if instruction.operand_size == 2 else ~0))
    cpu.eip = next_eip(cpu, instruction)


def _image(cpu: Cpu) -> int:
    return cpu.eflags & ~(r.EFLAGS_VM | r.EFLAGS_RF)


def popf(cpu: Cpu, instruction: Instruction) -> None:
    """POPF and POPFD: outside CPL 0 IOPL stays, outside IOPL also IF, and neither faults."""
    require_iopl_of_task(cpu)
    size = instruction.operand_size
    value = cpu.stack_load(cpu.esp, size)
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
    require_iopl(cpu)
    cpu.system_flags &= ~r.EFLAGS_IF
    cpu.eip = next_eip(cpu, instruction)


def sti(cpu: Cpu, instruction: Instruction) -> None:
    """STI: interrupts come after the next instruction, if they were off."""
    require_iopl(cpu)
    if not cpu.system_flags & r.EFLAGS_IF:
        cpu.system_flags |= r.EFLAGS_IF
        cpu.shadow = True
        if cpu.unit is not None:
            cpu.unit.stack_loaded = False
    cpu.eip = next_eip(cpu, instruction)
