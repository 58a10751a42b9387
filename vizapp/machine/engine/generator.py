"""Turns the semantics of an instruction into Python functions, one for each shape of instruction.

    specification             shape: add r32, imm               compiled once, bound to each instruction

    def add(dst, src):        def add(cpu, _length, _number1):
        a = dst                   a = cpu.ebx
        r = a + src & MASK        r = a + _number1 & 0xffffffff
        dst = r                   cpu.ebx = r
        flags(ADD, r, r, a)       cpu.flag_kind = ADD4; cpu.flag_result = r; cpu.flag_x = r; cpu.flag_y = a
                                  cpu.eip = cpu.eip + _length & 0xffffffff

``expand`` gives the statements, ``template`` compiles them, ``Template.bind`` makes the function of one
instruction: a code object with the instruction's numbers as defaults, which costs about a microsecond.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from vizapp.machine.engine.access import locate
from vizapp.machine.engine.commitment import check_commitment
from vizapp.machine.engine.expansion import Expander, SpecificationError
from vizapp.machine.engine.shapes import PLACES, MemoryShape, Numbers, Shape, number_names, width
from vizapp.machine.engine.specification import source_of
from vizapp.machine.engine.trees import HERE, put_attributes
from vizapp.machine.faults import Fault
from vizapp.machine.flags import EXPLICIT, KINDS
from vizapp.machine.semantics import INSTRUCTIONS
from vizapp.machine.semantics.declare import Conditional, Meaning, Repeated

if TYPE_CHECKING:
    from vizapp.machine.cpu import Cpu

Executor: TypeAlias = "Callable[[Cpu], None]"

# What a generated function can name besides its locals and ``cpu``.
RUNTIME: Final[dict[str, Any]] = {
    "Fault": Fault,
    "abs": abs,
    **KINDS,
    **{f"EXPLICIT{size}": kinds for size, kinds in EXPLICIT.items()},
}


@dataclass(frozen=True, slots=True)
class Template:
    """The compiled function of one shape."""

    code: CodeType

    def bind(self, numbers: Numbers) -> Executor:
        """The function of the instruction that has these numbers."""
        return FunctionType(self.code, RUNTIME, None, numbers)


def expand(meaning: Meaning, shape: Shape) -> list[ast.stmt]:
    """The statements that do what ``meaning`` says to a processor ``cpu``, for instructions of a shape.

    Their free names are ``cpu``, ``number_names(shape)`` and ``RUNTIME``. They leave EIP at the next
    instruction to be executed, and may end with a return.

    Raises:
        SpecificationError: the specification is not written in its language.
        CommitError: something could fault after a change.
    """
    condition = iteration = None
    if isinstance(meaning, Conditional):
        source = operation = source_of(meaning.specification)
        condition = source_of(meaning.condition)
    elif isinstance(meaning, Repeated):
        source, operation = source_of(meaning.specification), source_of(meaning.of)
        iteration = operation
    else:
        source = operation = source_of(meaning)
    if operation.parameters and len(operation.parameters) != len(shape.operands):
        raise SpecificationError(f"{operation.name} does not take {len(shape.operands)} operands")
    locations = {}
    for position, (parameter, operand) in enumerate(zip(operation.parameters, shape.operands, strict=False)):
        if isinstance(operand, MemoryShape) and parameter.reads > 1 and not parameter.address:
            raise SpecificationError(f"{operation.name} reads memory twice: {parameter.name}")
        locations[parameter.name] = locate(
            operand, position, address=parameter.address, modified=parameter.modified
        )
    body = Expander(
        source,
        shape,
        locations,
        size=operation.size or width(shape),
        runtime=RUNTIME,
        condition=condition,
        iteration=iteration,
    ).statements()
    check_commitment(shape.meaning, body, restartable=operation.restartable)
    return body


@cache
def _general(shape: Shape) -> list[ast.stmt]:
    """``expand`` for the meaning that a generalised shape names; not to be changed."""
    return expand(INSTRUCTIONS[shape.meaning], shape)


@cache
def statements_of(shape: Shape) -> list[ast.stmt]:
    """``expand`` for the meaning that a shape names; not to be changed."""
    general, registers = shape.generalised()
    return put_attributes(_general(general), dict(zip(PLACES, registers, strict=False)))


@cache
def _compiled(shape: Shape) -> CodeType:
    """The code of a generalised shape."""
    parameters = [ast.arg(parameter, **HERE) for parameter in ("cpu", *number_names(shape))]
    arguments = ast.arguments([], parameters, None, [], [], None, [])
    function = ast.FunctionDef(shape.meaning, arguments, _general(shape), [], **HERE)
    code = compile(ast.Module([function], []), f"<semantics of {shape.meaning}>", "exec")
    return next(constant for constant in code.co_consts if isinstance(constant, CodeType))


@cache
def template(shape: Shape) -> Template:
    """The compiled function of a shape of instruction.

    Shapes that differ in registers alone are compiled once: the names of attributes are no part of the
    compiled instructions, so the registers are put into the list of names.
    """
    general, registers = shape.generalised()
    code = _compiled(general)
    names = dict(zip(PLACES, registers, strict=False))
    return Template(code.replace(co_names=tuple(names.get(name, name) for name in code.co_names)))
