"""Takes the detours out of one instruction of a block: values that pass through names of the specification.

    a = _eax                            _eax = _eax + _ecx & M32
    r = a + _ecx & M32          ──▶     _flag_result = _eax
    _eax = r
    _flag_result = r

A specification names what it computes; in a block such a name is a second home for what a register holds.
"""

from __future__ import annotations

import ast
from typing import Final

from vizapp.isa.registers import GENERAL
from vizapp.machine.engine.block_source import FLAGS, Exit, local
from vizapp.machine.engine.trees import HERE
from vizapp.machine.engine.uses import Substitution, failing_line, read, written

_REGISTERS: Final = frozenset(local(name) for name in GENERAL)
_STATE: Final = _REGISTERS | {local(name) for name in FLAGS}


def without_detours(body: list[ast.stmt]) -> list[ast.stmt]:
    """One instruction's statements without its own names where a register or a constant says the same."""
    index = 0
    while index < len(body):
        match body[index]:
            case ast.Assign(targets=[ast.Name(id=register)], value=ast.Name(id=name)) if (
                register in _REGISTERS and name not in _STATE
            ):
                body = _computed_in_place(body, index, register, name)
        index += 1
    return _read_at_the_source(body)


def _computed_in_place(body: list[ast.stmt], index: int, register: str, name: str) -> list[ast.stmt]:
    """With ``register = name``, at ``index``, done where ``name`` is computed, unless somebody could tell."""
    origin = next((place for place in reversed(range(index)) if name in written([body[place]])), None)
    if origin is None:
        return body
    between, after = body[origin + 1 : index], body[index + 1 :]
    if any(isinstance(statement, ast.If | Exit) or failing_line(statement) for statement in between):
        return body
    again = written([*between, *after])
    if register in read(between) or register in again or name in again:
        return body
    match body[origin]:
        case ast.Assign(targets=[ast.Name()], value=value):
            # The position of what may fail is that of the expression.
            first = ast.Assign([ast.Name(register, ast.Store(), **HERE)], value, **HERE)
            instead = Substitution({name: ast.Name(register, ast.Load(), **HERE)})
            return [*body[:origin], first, *instead.visit_all([*between, *after])]
    return body


def _read_at_the_source(body: list[ast.stmt]) -> list[ast.stmt]:
    """A name for a register or a constant is not read as long as these have not changed."""
    copies: dict[str, ast.expr] = {}
    result: list[ast.stmt] = []
    for statement in body:
        changed = written([statement])
        stale = {name for name, value in copies.items() if changed & {name, *read([value])}}
        current = copies
        if isinstance(statement, ast.If):  # which of its branches changes it, and when, is not looked at
            current = {name: value for name, value in copies.items() if name not in stale}
        if current:
            statement = Substitution(current).visit(statement)
        copies = {name: value for name, value in copies.items() if name not in stale}
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Name() | ast.Constant() as value) if (
                name not in _STATE
            ):
                copies[name] = value
        result.append(statement)
    return result
