"""What is told of an instruction that a monitor ran for its guest: its event and its count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from vizapp.isa.instruction import ControlRegister, Immediate
from vizapp.isa.registers import EFLAGS_IF
from vizapp.machine import events

if TYPE_CHECKING:
    from vizapp.isa.addresses import Linear
    from vizapp.isa.instruction import Instruction
    from vizapp.machine.cpu import Cpu
    from vizapp.machine.events import Payload
    from vizapp.machine.pc import Pc


class Virtual(Protocol):
    """A virtual CPU of any monitor's."""

    @property
    def cpu(self) -> Cpu:
        """Its registers."""
        ...


class Machine(Protocol):
    """A virtual machine of any monitor's.

    Attributes:
        index: its number.
    """

    index: int

    @property
    def pc(self) -> Pc:
        """Where it is."""
        ...

    @property
    def virtual(self) -> Virtual:
        """Its virtual CPU."""
        ...

    def emit(self, kind: str, cause: str, payload: Payload, *, to_guest: bool = False) -> None:
        """Report something that the monitor did."""
        ...


def emulated(vm: Machine, instruction: Instruction, raw: bytes, linear: Linear, eip: int, cpl: int) -> None:
    """Report and count an instruction that ran on the virtual CPU; where it was, and at which virtual CPL.

    ``raw`` are its bytes in guest memory. INT n of an application is a system call, handed to the guest
    kernel by what ran. A repeated instruction counts once it is through; ``again`` says that it is not.
    """
    cpu = vm.virtual.cpu
    payload: dict[str, int | str] = {
        "mnemonic": instruction.mnemonic,
        "address": eip,
        "bytes": raw.hex(" "),
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
    if instruction.repeat and cpu.eip == eip:
        payload["again"] = 1
    else:
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
