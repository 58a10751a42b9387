"""A fault leaves nothing behind: whichever access of an instruction faults, it can be tried again."""

import random

import pytest

from tests.machine.window import (
    CODE,
    NoPorts,
    OutsideError,
    State,
    Window,
    random_instruction,
    random_state,
)
from vizapp.isa.instruction import Instruction
from vizapp.isa.opcodes import OPCODES
from vizapp.isa.registers import GENERAL
from vizapp.isa.vectors import PF
from vizapp.machine.cpu import Cpu
from vizapp.machine.faults import Fault
from vizapp.machine.semantics import INSTRUCTIONS

OPERATIONS = sorted({opcode.operation for opcode in OPCODES if opcode.operation in INSTRUCTIONS})
RESTARTABLE = {"pusha", "enter"}
CASES = 4


class Faulting(Window):
    """A window whose access number ``faulty`` (from 0) is a page fault; ``calls`` counts them.

    The store of what was read with ``modify`` is not counted: the right to write was checked then.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.bytes[:CODE] = data
        self.calls = 0
        self.faulty = -1
        self.checked: set[int] = set()

    def _count(self, linear: int) -> None:
        self.calls += 1
        if self.calls - 1 == self.faulty:
            raise Fault(PF, 0, linear)

    def read(self, linear: int, size: int, user: bool) -> int:
        self._count(linear)
        return super().read(linear, size, user)

    def modify(self, linear: int, size: int, user: bool) -> int:
        value = self.read(linear, size, user)
        self.checked.add(linear)
        return value

    def write(self, linear: int, size: int, value: int, user: bool) -> None:
        if linear not in self.checked:
            self._count(linear)
        super().write(linear, size, value, user)


def start(cpu: Cpu, state: State) -> None:
    for name, value in zip(GENERAL, state.registers, strict=True):
        setattr(cpu, name, value)
    cpu.eflags = state.eflags
    cpu.eip = CODE


def state_of(cpu: Cpu) -> tuple[int, ...]:
    return (*(getattr(cpu, name) for name in GENERAL), cpu.eip, cpu.eflags)


def execute(cpu: Cpu, instruction: Instruction) -> bool:
    """Whether it ran to its end."""
    try:
        cpu.execute(instruction)
    except Fault:
        return False
    return True


def check(rng: random.Random, instruction: Instruction, state: State) -> None:
    data = rng.randbytes(CODE)
    clean = Faulting(data)
    cpu = Cpu(clean, NoPorts())
    start(cpu, state)
    try:
        if not execute(cpu, instruction):
            return
    except OutsideError:
        return
    after = state_of(cpu)
    for faulty in range(clean.calls):
        space = Faulting(data)
        space.faulty = faulty
        cpu = Cpu(space, NoPorts())
        start(cpu, state)
        before = state_of(cpu)
        assert not execute(cpu, instruction), (instruction, faulty)
        assert state_of(cpu) == before, (instruction, faulty)
        if instruction.opcode.operation not in RESTARTABLE:
            assert space.bytes[:CODE] == data, (instruction, faulty)
        space.faulty = -1
        assert execute(cpu, instruction)
        assert state_of(cpu) == after, (instruction, faulty)
        assert space.bytes == clean.bytes, (instruction, faulty)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_fault_changes_nothing_and_the_instruction_can_be_tried_again(operation):
    rng = random.Random(operation)
    for opcode in OPCODES:
        if opcode.operation != operation:
            continue
        for _ in range(CASES):
            instruction = random_instruction(rng, opcode)
            if instruction is not None:
                check(rng, instruction, random_state(rng))
