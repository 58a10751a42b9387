"""What is told of an instruction that the monitor ran for the guest: its event and its count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.instruction import ControlRegister, Immediate
from vizapp.isa.registers import EFLAGS_IF
from vizapp.machine import events

if TYPE_CHECKING:
    from vizapp.isa.addresses import Linear
    from vizapp.isa.instruction import Instruction
    from vizapp.vmm.trap_and_emulate.vm import Vm


def emulated(vm: Vm, instruction: Instruction, linear: Linear, eip: int, cpl: int) -> None:
    """Report and count an instruction that ran on the virtual CPU; where it was, and at which virtual CPL.

    INT n of an application is a system call, handed to the guest kernel by what ran. A repeated instruction
    counts once it is through.
    """
    cpu = vm.virtual.cpu
    payload: dict[str, int | str] = {
        "mnemonic": instruction.mnemonic,
        "address": eip,
        "bytes": instruction.raw.hex(" "),
        "ring": cpl,
    }
    if instruction.mnemonic in ("in", "out"):
        port = instruction.operands[instruction.mnemonic == "in"]
        payload["port"] = port.value if isinstance(port, Immediate) else cpu.edx & 0xFFFF
    if instruction.opcode.operation == "mov_to_control":
        register = instruction.operands[0]
        assert isinstance(register, ControlRegister)
        payload["register"] = f"cr{register.index}"
        payload["value"] = {0: cpu.cr0, 2: cpu.cr2, 3: cpu.cr3, 4: cpu.cr4}[register.index]
    payload["if"] = int(bool(cpu.eflags & EFLAGS_IF))
    if not instruction.repeat or cpu.eip != eip:
        vm.pc.count_emulated(linear, vm.index)
    if instruction.mnemonic == "int" and cpl == 3:
        vector = instruction.operands[0]
        assert isinstance(vector, Immediate)
        payload["vector"] = vector.value
        vm.emit(events.SYSTEM_CALL_REFLECTED, f"int {vector.value:#04x}", payload, to_guest=True)
    else:
        vm.emit(events.INSTRUCTION_EMULATED, _cause(instruction, payload), payload)


def _cause(instruction: Instruction, payload: dict[str, int | str]) -> str:
    """``mov cr3`` for a load of CR3, otherwise the mnemonic."""
    register = payload.get("register")
    return f"mov {register}" if register else instruction.mnemonic
