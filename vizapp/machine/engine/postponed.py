"""Flags that a block does not record until somebody looks.

Most flags are replaced before anybody reads them, but somebody who is not in the block may want them wherever
it can be left. So what an instruction says of the flags becomes a promise: an expression in local variables
that still hold what they held. It is kept

    where flags are read                in the expression that reads them
    at an exit                          when the processor's flags are written
    where an instruction fails          by ``deopt``, from the variables that it finds
    before a variable of it changes     there and then, if it is still wanted
    where a pass of a loop ends         by the next pass, if it can; the first has the flags it began with
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import CodeType
from typing import Any, Final

from vizapp.machine.engine.block_source import Exit
from vizapp.machine.engine.liveness import EVERY_FLAG, Step
from vizapp.machine.engine.trees import HERE
from vizapp.machine.engine.uses import Substitution, exits, failing_line, nodes_of, read, written

Promises = dict[str, ast.expr]
_KEPT: Final = (ast.Name, ast.Constant, ast.BinOp, ast.operator, ast.expr_context)


@dataclass(slots=True)
class Postponed:
    """What was promised where a block may fail.

    Attributes:
        promised: by the index of the instruction, in the same pass.
        carried: in the pass before.
    """

    promised: dict[int, Promises] = field(default_factory=dict)
    carried: dict[int, Promises] = field(default_factory=dict)
    _compiled: dict[tuple[int, bool], tuple[tuple[str, ...], CodeType]] = field(default_factory=dict)

    def flags(
        self, index: int, again: bool, names: Mapping[str, Any], variables: Mapping[str, Any]
    ) -> Iterable[tuple[str, int]]:
        """Each part of the flag record that is only promised, as (its variable, its value).

        Args:
            index: of the instruction that failed.
            again: it was not in the first pass.
            names: the block's global ones.
            variables: the block's variables, and what the processor has in the place of those that it lacks.

        """
        carried = self.carried.get(index, {}) if again else {}
        promises = {**carried, **self.promised.get(index, {})}
        if not promises:
            return ()
        compiled = self._compiled.get((index, again))
        if compiled is None:
            values = ast.Expression(ast.Tuple(list(promises.values()), ast.Load(), **HERE))
            compiled = tuple(promises), compile(values, "<flags>", "eval")
            self._compiled[index, again] = compiled
        found, code = compiled
        return zip(found, eval(code, dict(names), variables), strict=True)


def postpone(rows: list[list[Step]], head: int) -> tuple[list[list[ast.stmt]], Postponed]:
    """The statements of a block that begins at ``head``, with promises in the place of flags."""
    postponed = Postponed()
    pending: Promises = {}
    result = []
    for index, row in enumerate(rows):
        result.append(_row(row, index, pending, postponed))
    back = [way for row in result for way in exits(row) if way.leads_back(head, len(rows))]
    carried: set[str] = set()
    for name, promise in back[0].flags.items() if len(back) == 1 else ():
        failing = _carried(rows, name, read([promise]))
        if failing is not None:
            carried.add(name)
            for index in failing:
                postponed.carried.setdefault(index, {})[name] = promise
    return [_passing(row, back, carried) for row in result], postponed


def _passing(body: list[ast.stmt], back: list[Exit], carried: set[str]) -> list[ast.stmt]:
    """``body`` with all promises but ``carried`` kept before another pass."""
    result: list[ast.stmt] = []
    for statement in body:
        match statement:
            case Exit() if statement in back:
                flags = dict(statement.flags)
                result += _kept_now(flags, [name for name in flags if name not in carried])
                result.append(Exit(statement.target, statement.done, flags))
            case ast.If(test=test, body=then, orelse=otherwise):
                branches = _passing(then, back, carried), _passing(otherwise, back, carried)
                result.append(ast.If(test, *branches, **HERE))
            case _:
                result.append(statement)
    return result


def _failing(row: list[Step]) -> list[ast.stmt]:
    """The statements of an instruction up to the last that may fail."""
    last = max((place for place, step in enumerate(row) if failing_line(step.statement)), default=-1)
    return [step.statement for step in row[: last + 1]]


def _row(row: list[Step], index: int, pending: Promises, postponed: Postponed) -> list[ast.stmt]:
    """One instruction; changes ``pending``."""
    result: list[ast.stmt] = []
    failing = _failing(row)
    if failing:
        changed = written(failing)
        # What is promised has to be the same wherever in the instruction it fails.
        result += _kept_now(pending, [
            name for name, promise in pending.items() if changed & {name, *read([promise])}
        ])  # fmt: skip
        if pending:
            postponed.promised[index] = dict(pending)
    for place, (statement, wanted) in enumerate(row):
        result += _read_before(statement, pending)
        match statement:
            case Exit():
                result.append(Exit(statement.target, statement.done, dict(pending)))
                continue
            case ast.If():
                result += _branching(statement, pending)
                continue
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in EVERY_FLAG:
                value = _with(pending, value)
                if place >= len(failing) and all(isinstance(node, _KEPT) for node in nodes_of(value)):
                    pending[name] = value
                    continue
                pending.pop(name, None)
        statement = _with(pending, statement)
        changed = written([statement])
        stale = [name for name, promise in pending.items() if changed & read([promise])]
        result += _kept_now(pending, [name for name in stale if name in wanted])
        for name in stale:
            pending.pop(name, None)
        result.append(statement)
    return result


def _with(pending: Promises, node: Any) -> Any:
    return Substitution(pending).visit(node) if pending else node


def _kept_now(pending: Promises, names: Iterable[str]) -> list[ast.stmt]:
    """Keep promises by giving the variables their values."""
    return [ast.Assign([ast.Name(name, ast.Store(), **HERE)], pending.pop(name), **HERE) for name in names]


def _read_before(statement: ast.stmt, pending: Promises) -> list[ast.stmt]:
    """Compute once what a statement reads more than once."""
    if not pending:
        return []
    reads = [node.id for node in nodes_of(statement) if isinstance(node, ast.Name) and node.id in pending]
    return _kept_now(
        pending,
        [
            name
            for name in [*pending]
            if reads.count(name) > 1 and not isinstance(pending[name], ast.Name | ast.Constant)
        ],
    )


def _branching(statement: ast.If, pending: Promises) -> list[ast.stmt]:
    """A choice. Behind one that changes what promises are made of, or flags, there are none."""
    branches = [*statement.body, *statement.orelse]
    changed = written(branches)
    result: list[ast.stmt] = []
    if changed & (EVERY_FLAG | read(pending.values())):
        result = _kept_now(pending, [*pending])
    test, body, orelse = statement.test, statement.body, statement.orelse
    if pending:
        test = _with(pending, test)
        body, orelse = _branch(body, pending), _branch(orelse, pending)
    return [*result, ast.If(test, body, orelse, **HERE)]


def _branch(body: list[ast.stmt], pending: Promises) -> list[ast.stmt]:
    result: list[ast.stmt] = []
    for statement in body:
        match statement:
            case Exit():
                result.append(Exit(statement.target, statement.done, dict(pending)))
            case ast.If(test=test, body=then, orelse=otherwise):
                branches = _branch(then, pending), _branch(otherwise, pending)
                result.append(ast.If(_with(pending, test), *branches, **HERE))
            case _:
                result.append(_with(pending, statement))
    return result


def _carried(rows: list[list[Step]], name: str, variables: set[str]) -> list[int] | None:
    """The instructions that may fail while the promise of the pass before stands for ``name``.

    None if the pass cannot keep it: somebody reads it, or may leave, or changes one of its ``variables``.
    """
    result: list[int] = []
    for index, row in enumerate(rows):
        failing = _failing(row)
        if failing:
            if written(failing) & {name, *variables}:
                return None
            result.append(index)
        for statement, wanted in row:
            if name in read([statement]) or any(True for _ in exits([statement])):
                return None
            changed = written([statement])
            if name in changed:
                return result if isinstance(statement, ast.Assign) else None
            if changed & variables:
                return None if name in wanted else result
    return None
