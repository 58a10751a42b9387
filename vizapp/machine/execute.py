"""The function that executes a decoded instruction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.machine.engine.generator import Executor, template
from vizapp.machine.engine.shapes import describe, meaning_of
from vizapp.machine.system import handled

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction


def executor(instruction: Instruction) -> Executor:
    """What the instruction does to a processor: one call is one execution, or one iteration of a repetition.

    The call reads the operands, changes the processor and leaves EIP at the next instruction to be executed:
    the same one while a repetition goes on. If it raises ``Fault``, nothing has changed.
    """
    meaning = meaning_of(instruction)
    if meaning is not None:
        shape, numbers = describe(instruction, meaning)
        return template(shape).bind(numbers)
    return handled(instruction)
