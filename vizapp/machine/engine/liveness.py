"""What is still wanted: flags that nobody reads before they are replaced, and names that nobody reads, go.

Somebody who is not in the block may read all flags wherever the block may be left: at an exit, and before
every instruction that may have to be executed by itself because of a fault or of memory out of reach. The
names of a specification are read by their own instruction only.
"""

from __future__ import annotations

import ast
from typing import Final, NamedTuple

from vizapp.isa.registers import GENERAL
from vizapp.machine.engine.block_source import FLAGS, Exit, local
from vizapp.machine.engine.trees import HERE
from vizapp.machine.engine.uses import failing_line, read

EVERY_FLAG: Final = frozenset(local(flag) for flag in FLAGS)
_REGISTERS: Final = frozenset(local(name) for name in GENERAL)


class Step(NamedTuple):
    """A statement and which flags and names are wanted after it."""

    statement: ast.stmt
    wanted: frozenset[str]


def wanted_steps(rows: list[list[ast.stmt]]) -> tuple[list[list[Step]], frozenset[str]]:
    """The statements of instructions in a row without what nobody reads, and the flags wanted before them."""
    result: list[list[Step]] = []
    wanted = EVERY_FLAG
    for row in reversed(rows):
        steps, wanted = _kept(row, wanted & EVERY_FLAG)
        result.append(steps)
    result.reverse()
    return result, wanted & EVERY_FLAG


def _kept(body: list[ast.stmt], wanted: frozenset[str]) -> tuple[list[Step], frozenset[str]]:
    """What stays of ``body``, and what is wanted before it if ``wanted`` is wanted after it."""
    kept: list[Step] = []
    for statement in reversed(body):
        after = wanted
        match statement:
            case Exit():
                wanted = EVERY_FLAG | read([statement])
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name not in _REGISTERS:
                if name not in wanted and not failing_line(statement):
                    continue
                wanted = wanted - {name} | read([value])
            case ast.If(test=test, body=then, orelse=otherwise):
                then_kept, before_then = _kept(then, wanted)
                otherwise_kept, before_otherwise = _kept(otherwise, wanted)
                then = [step.statement for step in then_kept] or [ast.Pass(**HERE)]
                statement = ast.If(test, then, [step.statement for step in otherwise_kept], **HERE)
                wanted = before_then | before_otherwise | read([test])
            case _:
                wanted = wanted | read([statement])
        if failing_line(statement):
            wanted = wanted | EVERY_FLAG
        kept.append(Step(statement, after))
    kept.reverse()
    return kept, wanted
