"""One instruction at a time on this processor and on unicorn; registers, flags, memory, faults compared."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import NamedTuple

from unicorn import (
    UC_ARCH_X86,
    UC_ERR_FETCH_UNMAPPED,
    UC_HOOK_INSN_INVALID,
    UC_HOOK_INTR,
    UC_MODE_32,
    Uc,
    UcError,
)
from unicorn import x86_const as x86

from tests.machine.window import (
    CODE,
    WINDOW,
    NoPorts,
    OutsideError,
    State,
    Window,
    random_instruction,
    random_state,
)
from vizapp.isa.instruction import Immediate, Instruction, Memory, Register, Relative
from vizapp.isa.opcodes import Opcode
from vizapp.isa.registers import (
    ECX,
    EFLAGS_AF,
    EFLAGS_ARITHMETIC,
    EFLAGS_CF,
    EFLAGS_DF,
    EFLAGS_OF,
    GENERAL,
)
from vizapp.isa.vectors import GP, SS, UD
from vizapp.machine.cpu import Cpu
from vizapp.machine.faults import Fault

CODE_END = 0x3_F000
SLOT = 32  # code is placed anew for each case, since unicorn caches what it has translated
# An operand that wraps round at 4 GiB is beyond the limit of its segment; unicorn has no limits.
LIMIT_FAULTS = (SS, GP)
# Aliases that Intel never documented, which every processor has; and the hints of the P6.
UNKNOWN_TO_UNICORN = frozenset({"F6 /1 ib", "F7 /1 iz", *(f"0F {code:02X}" for code in range(0x18, 0x1F))})
GENERAL_IDS = tuple(getattr(x86, f"UC_X86_REG_{name.upper()}") for name in GENERAL)


class Outcome(NamedTuple):
    """What it leaves: ``vector`` is None if it did not fault; EIP is counted from the instruction."""

    registers: tuple[int, ...]
    eip: int
    eflags: int
    vector: int | None
    memory: tuple[tuple[int, int], ...]


def undefined_flags(instruction: Instruction, state: State) -> int:
    """EFLAGS bits that the manual leaves undefined for this very case."""
    name = instruction.mnemonic
    undefined = instruction.opcode.flags_undefined
    if name in ("shl", "shr", "sar", "rol", "ror", "rcl", "rcr", "shld", "shrd"):
        count = instruction.operands[-1]
        value = state.registers[ECX] if isinstance(count, Register) else count.value  # type: ignore[union-attr]
        value &= 31
        first = instruction.operands[0]
        bits = 8 * first.size  # type: ignore[union-attr]
        undefined = EFLAGS_AF if name.startswith("s") else 0
        if value > 1:
            undefined |= EFLAGS_OF
        if value >= bits:
            undefined |= EFLAGS_CF if name in ("shl", "shr", "shld", "shrd") else 0
            undefined |= EFLAGS_ARITHMETIC if name in ("shld", "shrd") and value > bits else 0
        if value == 0:
            undefined = 0
    return undefined


def _goes_round(bound: Instruction, state: State) -> bool:
    """Whether the upper bound lies beyond 64 KB of 16-bit addresses.

    It does not go on there with unicorn: SDM Vol. 1, "Effective Address", has 16 bits of it, and on Bochs
    (as a case of ``tests.oracle.probe``) it is read from the segment's beginning as well.
    """
    memory = bound.operands[1]
    if bound.address_size != 2 or not isinstance(memory, Memory):
        return False
    parts = [state.registers[index] for index in (memory.base, memory.index) if index is not None]
    return (sum(parts) + memory.displacement & 0xFFFF) + bound.operand_size > 0xFFFF


@dataclass
class Ours:
    """This processor."""

    space: Window = field(default_factory=Window)

    def __post_init__(self) -> None:
        self.cpu = Cpu(self.space, NoPorts())

    def run(self, instruction: Instruction, state: State, address: int) -> Outcome:
        cpu = self.cpu
        self.space.written.clear()
        for name, value in zip(GENERAL, state.registers, strict=True):
            setattr(cpu, name, value)
        cpu.eflags = state.eflags
        cpu.eip = address
        vector = None
        try:
            while True:
                cpu.execute(instruction)
                if not (instruction.repeat and cpu.eip == address):
                    break
        except Fault as fault:
            vector = fault.vector
        registers = tuple(getattr(cpu, name) for name in GENERAL)
        memory = tuple((at, self.space.bytes[at]) for at in sorted(self.space.written))
        return Outcome(registers, cpu.eip - address & 0xFFFF_FFFF, cpu.eflags, vector, memory)

    def undo(self) -> None:
        for at, value in self.space.written.items():
            self.space.bytes[at] = value


class Unicorn:
    """The oracle."""

    def __init__(self) -> None:
        self.uc = Uc(UC_ARCH_X86, UC_MODE_32)
        self.uc.mem_map(0, WINDOW)
        self.uc.mem_write(CODE, b"\x90" * (WINDOW - CODE))
        self.uc.hook_add(UC_HOOK_INTR, self._interrupt)
        self.uc.hook_add(UC_HOOK_INSN_INVALID, self._invalid)
        self.vector: int | None = None
        self.clean = self.uc.context_save()

    def _interrupt(self, uc: Uc, number: int, data: object) -> None:
        self.vector = number
        uc.emu_stop()

    def _invalid(self, uc: Uc, data: object) -> bool:
        self.vector = UD
        uc.emu_stop()
        return True

    def run(self, instruction: Instruction, state: State, address: int) -> tuple[Outcome, bytearray]:
        uc = self.uc
        if self.vector is not None:
            # Else the next exception would be a double fault.
            uc.context_restore(self.clean)
        for register, value in zip(GENERAL_IDS, state.registers, strict=True):
            uc.reg_write(register, value)
        uc.reg_write(x86.UC_X86_REG_EFLAGS, state.eflags)
        uc.mem_write(address, instruction.raw)
        self.vector = None
        eip = address
        while True:
            try:
                uc.emu_start(eip, 0xFFFF_FFFF, count=1)
            except UcError as error:
                if error.errno != UC_ERR_FETCH_UNMAPPED:  # of the instruction that a branch leads to
                    raise
            eip = uc.reg_read(x86.UC_X86_REG_EIP)
            if self.vector is not None or not (instruction.repeat and eip == address):
                break
        registers = tuple(uc.reg_read(register) for register in GENERAL_IDS)
        eflags = uc.reg_read(x86.UC_X86_REG_EFLAGS) | 2
        outcome = Outcome(registers, eip - address & 0xFFFF_FFFF, eflags, self.vector, ())
        return outcome, uc.mem_read(0, CODE)


class Comparison:
    """Runs cases on both; memory of the two is kept equal."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.ours = Ours()
        self.oracle = Unicorn()
        self.address = CODE
        data = self.rng.randbytes(CODE)
        self.ours.space.bytes[:CODE] = data
        self.oracle.uc.mem_write(0, data)

    def case(self, opcode: Opcode) -> str | None:
        """Compare one random instruction of a row. None: it was no case. ``""``: equal. Else what differs."""
        instruction = random_instruction(self.rng, opcode)
        state = random_state(self.rng)
        if instruction is None or self._is_no_case(instruction, state):
            return None
        self.address += SLOT
        if self.address >= CODE_END:
            self.address = CODE
            self.oracle.uc.ctl_flush_tb()
        elif instruction.mnemonic.startswith(("j", "loop", "call")):
            # The last one may have made unicorn translate what stood here before.
            self.oracle.uc.ctl_flush_tb()
        try:
            ours = self.ours.run(instruction, state, self.address)
        except OutsideError:
            self.ours.undo()
            return None
        if ours.vector in LIMIT_FAULTS:
            self.ours.undo()
            return None
        try:
            theirs, memory = self.oracle.run(instruction, state, self.address)
        except UcError as error:
            return f"unicorn: {error}\n{self._describe(instruction, state)}"
        mask = EFLAGS_ARITHMETIC & ~undefined_flags(instruction, state)
        if ours.vector is not None:
            mask = EFLAGS_ARITHMETIC
        problems = []
        for name, a, b in zip(GENERAL, ours.registers, theirs.registers, strict=True):
            if a != b:
                problems.append(f"{name}: {a:#x}, unicorn {b:#x}")
        if ours.vector != theirs.vector:
            problems.append(f"vector: {ours.vector}, unicorn {theirs.vector}")
        if ours.eip != theirs.eip:
            problems.append(f"eip: +{ours.eip:#x}, unicorn +{theirs.eip:#x}")
        different = (ours.eflags ^ theirs.eflags) & (mask | EFLAGS_DF)
        if different:
            problems.append(f"eflags: {ours.eflags:#x}, unicorn {theirs.eflags:#x}, differ in {different:#x}")
        if memory != self.ours.space.bytes[:CODE]:
            at = next(i for i in range(CODE) if memory[i] != self.ours.space.bytes[i])
            problems.append(f"memory at {at:#x}: {self.ours.space.bytes[at]:#x}, unicorn {memory[at]:#x}")
            self.oracle.uc.mem_write(0, bytes(self.ours.space.bytes[:CODE]))
        if not problems:
            return ""
        return "\n".join((*problems, self._describe(instruction, state)))

    @staticmethod
    def _is_no_case(instruction: Instruction, state: State) -> bool:
        """A repetition of more than a few elements, or one of unicorn's own errors."""
        name, operands = instruction.mnemonic, instruction.operands
        mask = 0xFFFF if instruction.address_size == 2 else 0xFFFF_FFFF
        if instruction.repeat and state.registers[ECX] & mask > 40:
            return True
        if name == "ret" and operands:  # it takes the bytes to drop as a signed number
            return isinstance(operands[0], Immediate) and operands[0].value > 0x7FFF
        if name == "enter":  # it changes all of EBP, where the SDM says BP
            return instruction.operand_size == 2
        if name == "bound":
            return _goes_round(instruction, state)
        if operands and isinstance(operands[0], Relative):  # it goes on beyond one instruction
            return -SLOT < operands[0].displacement < SLOT
        return instruction.opcode.encoding in UNKNOWN_TO_UNICORN

    @staticmethod
    def _describe(instruction: Instruction, state: State) -> str:
        registers = " ".join(f"{n}={v:#x}" for n, v in zip(GENERAL, state.registers, strict=True))
        what = f"{instruction.raw.hex()} {instruction.mnemonic} {instruction.operands}"
        return f"{what}\n{registers} eflags={state.eflags:#x}"
