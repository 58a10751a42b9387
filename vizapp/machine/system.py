"""The instructions of system nature, written by hand: one table of handlers by ``Opcode.operation``.

A handler runs the whole instruction: it checks, raises its Fault before the first change, and moves EIP last.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from vizapp.isa import vectors
from vizapp.isa.classes import SENSITIVE
from vizapp.isa.instruction import Immediate
from vizapp.isa.registers import CR4_VIRTUALIZABLE, EFLAGS_VM
from vizapp.machine import control, flag_moves, fpu, port_io, segment_moves, tables, transfers
from vizapp.machine.faults import Fault
from vizapp.machine.interrupts import software_interrupt
from vizapp.machine.operands import next_eip
from vizapp.machine.svm import instructions as svm_instructions
from vizapp.machine.virtual_interrupts import stays_in_task
from vizapp.machine.vmx import instructions as vmx_instructions

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.machine.cpu import Cpu

Handler: TypeAlias = "Callable[[Cpu, Instruction], None]"


def _int(cpu: Cpu, instruction: Instruction) -> None:
    operand = instruction.operands[0]
    assert isinstance(operand, Immediate)
    # Neither IOPL nor the map in the TSS concerns INT3 and INTO.
    stays = bool(cpu.system_flags & EFLAGS_VM) and stays_in_task(cpu, operand.value)
    software_interrupt(cpu, instruction, operand.value, stays=stays)


def _int3(cpu: Cpu, instruction: Instruction) -> None:
    software_interrupt(cpu, instruction, vectors.BP)


def _int1(cpu: Cpu, instruction: Instruction) -> None:
    # No look at the gate's DPL: SDM calls it a privileged software exception.
    cpu.eip = next_eip(cpu, instruction)
    raise Fault(vectors.DB, length=instruction.length)


def _into(cpu: Cpu, instruction: Instruction) -> None:
    if cpu.of:
        software_interrupt(cpu, instruction, vectors.OF)
    else:
        cpu.eip = next_eip(cpu, instruction)


def _ud2(cpu: Cpu, instruction: Instruction) -> None:
    raise Fault(vectors.UD)


def _rsm(cpu: Cpu, instruction: Instruction) -> None:
    # Outside system management mode, which nothing here enters.
    raise Fault(vectors.UD)


def _pause(cpu: Cpu, instruction: Instruction) -> None:
    # No operation, but one that a monitor may want to know of.
    cpu.eip = next_eip(cpu, instruction)


HANDLERS: Final[dict[str, Handler]] = {
    "mov_to_control": control.mov_to_control,
    "mov_from_control": control.mov_from_control,
    "mov_to_debug": control.mov_to_debug,
    "mov_from_debug": control.mov_from_debug,
    "lmsw": control.lmsw,
    "smsw": control.smsw,
    "clts": control.clts,
    "invlpg": control.invlpg,
    "invd": control.invalidate_caches,
    "wbinvd": control.invalidate_caches,
    "hlt": control.hlt,
    "pause": _pause,
    "cpuid": control.cpuid,
    "rdtsc": control.rdtsc,
    "rdpmc": control.rdpmc,
    "rdmsr": control.rdmsr,
    "wrmsr": control.wrmsr,
    "lgdt": tables.lgdt,
    "lidt": tables.lidt,
    "sgdt": tables.sgdt,
    "sidt": tables.sidt,
    "lldt": tables.lldt,
    "ltr": tables.ltr,
    "sldt": tables.sldt,
    "str": tables.store_task,
    "lar": tables.lar,
    "lsl": tables.lsl,
    "verr": tables.verr,
    "verw": tables.verw,
    "arpl": tables.arpl,
    "pushf": flag_moves.pushf,
    "popf": flag_moves.popf,
    "cli": flag_moves.cli,
    "sti": flag_moves.sti,
    "in": port_io.port_in,
    "out": port_io.port_out,
    "ins": port_io.ins,
    "outs": port_io.outs,
    "mov_to_segment": segment_moves.mov_to_segment,
    "mov_from_segment": segment_moves.mov_from_segment,
    "push_segment": segment_moves.push_segment,
    "pop_segment": segment_moves.pop_segment,
    "lds": segment_moves.load_far_pointer,
    "les": segment_moves.load_far_pointer,
    "lfs": segment_moves.load_far_pointer,
    "lgs": segment_moves.load_far_pointer,
    "lss": segment_moves.load_far_pointer,
    "jmp_far": transfers.jmp_far,
    "call_far": transfers.call_far,
    "retf": transfers.retf,
    "iret": transfers.iret,
    "sysenter": transfers.sysenter,
    "sysexit": transfers.sysexit,
    "fwait": fpu.fwait,
    "esc": fpu.escape,
    "fninit": fpu.fninit,
    "fnclex": fpu.fnclex,
    "fnstsw": fpu.fnstsw,
    "fnstcw": fpu.fnstcw,
    "fldcw": fpu.fldcw,
    "fxsave": fpu.fxsave,
    "fxrstor": fpu.fxrstor,
    "int": _int,
    "int3": _int3,
    "int1": _int1,
    "into": _into,
    "ud2": _ud2,
    "rsm": _rsm,
    **svm_instructions.HANDLERS,
    **vmx_instructions.HANDLERS,
}

SELF_PRICED: Final = frozenset({
    "mov_to_control", "invlpg", "jmp_far", "call_far", "retf", "iret", "sysenter", "sysexit",
    "int", "int3", "int1", "into", "vmrun", "invlpga",
}) | vmx_instructions.SELF_PRICED  # fmt: skip
"""Operations whose price depends on what they do: their handlers charge it, not the run loop by class."""


def handled(instruction: Instruction) -> Callable[[Cpu], None]:
    """What one of them does to a processor.

    Under VMX or SVM the monitor is asked first. With the option ``virtualizable`` a sensitive one faults
    outside ring 0.
    """
    operation = instruction.opcode.operation
    handler = HANDLERS[operation]

    def execute(cpu: Cpu) -> None:
        if cpu.guest_mode is not None:
            cpu.guest_mode.before(cpu, instruction)
        handler(cpu, instruction)

    def trap_or_execute(cpu: Cpu) -> None:
        if cpu.guest_mode is not None:
            cpu.guest_mode.before(cpu, instruction)
        if cpu.cpl and cpu.cr4 & CR4_VIRTUALIZABLE:
            raise Fault(vectors.GP, 0)
        handler(cpu, instruction)

    return trap_or_execute if operation in SENSITIVE else execute
