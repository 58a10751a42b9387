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
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from vizapp.machine.access import place
from vizapp.machine.commitment import check_commitment
from vizapp.machine.expansion import Expander, SpecificationError
from vizapp.machine.faults import Fault
from vizapp.machine.flags import EXPLICIT, KINDS
from vizapp.machine.semantics import INSTRUCTIONS
from vizapp.machine.semantics.declare import Conditional, Meaning, Repeated
from vizapp.machine.shapes import Numbers, Shape, number_names, width

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
        return cast("Executor", FunctionType(self.code, RUNTIME, self.code.co_name, numbers))


@cache
def _trees(module: ModuleType) -> dict[str, ast.FunctionDef]:
    """The functions of a module as syntax trees."""
    tree = ast.parse(inspect.getsource(module))
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


def tree_of(function: Callable[..., object]) -> ast.FunctionDef:
    """The source of a specification; not to be changed."""
    module = inspect.getmodule(function)
    assert module is not None
    return _trees(module)[function.__name__]


def expand(meaning: Meaning, shape: Shape) -> list[ast.stmt]:
    """The statements that do what ``meaning`` says to a processor ``cpu``, for instructions of a shape.

    Their free names are ``cpu``, ``number_names(shape)`` and ``RUNTIME``. They leave EIP at the next
    instruction to be executed, and may end with a return.

    Raises:
        SpecificationError: the specification is not written in its language.
        CommitError: something could fault after a change.
    """
    condition = None
    iteration = None
    if isinstance(meaning, Conditional):
        specification = outer = meaning.specification
        condition = tree_of(meaning.condition)
    elif isinstance(meaning, Repeated):
        specification, outer = meaning.of, meaning.specification
        iteration = tree_of(specification)
    else:
        specification = outer = meaning
    size = getattr(specification, "size", None) or width(shape)
    operands = tree_of(specification)
    parameters = operands.args.args
    if parameters and len(parameters) != len(shape.operands):
        raise SpecificationError(f"{operands.name} takes {len(parameters)} operands, not {shape.operands}")
    places = {}
    for position, (parameter, operand) in enumerate(zip(parameters, shape.operands, strict=False)):
        uses = [
            type(node.ctx)
            for node in ast.walk(operands)
            if isinstance(node, ast.Name) and node.id == parameter.arg
        ]
        is_address = isinstance(parameter.annotation, ast.Name) and parameter.annotation.id == "Address"
        places[parameter.arg] = place(
            operand, position, address=is_address, modified=ast.Load in uses and ast.Store in uses
        )
    expander = Expander(
        tree_of(outer),
        shape,
        places,
        size=size,
        constants=vars(inspect.getmodule(specification)),
        runtime=frozenset(RUNTIME),
        condition=condition,
        iteration=iteration,
    )
    body = expander.statements()
    check_commitment(shape.meaning, body, restartable=getattr(specification, "restartable", False))
    return body


@cache
def template(shape: Shape) -> Template:
    """The compiled function of a shape of instruction."""
    body = expand(INSTRUCTIONS[shape.meaning], shape)
    name = shape.meaning
    function = ast.FunctionDef(
        name=name,
        args=ast.arguments(
            posonlyargs=[],
            args=[ast.arg("cpu"), *(ast.arg(number) for number in number_names(shape))],
            kwonlyargs=[],
            kw_defaults=[],
            defaults=[],
        ),
        body=body,
        decorator_list=[],
    )
    module = ast.fix_missing_locations(ast.Module([function], []))
    code = compile(module, f"<semantics of {name}>", "exec")
    return Template(next(constant for constant in code.co_consts if isinstance(constant, CodeType)))
