"""Which parts of the flag record are still wanted: what nobody reads before it is replaced is not recorded.

Somebody who is not in the block may read all of it wherever the block may be left: at an exit, and before
every instruction that may have to be executed by itself because of a fault or of memory out of reach.
"""

from __future__ import annotations

import ast
from typing import Final

from vizapp.machine.engine.block_source import FLAGS, Exit, local
from vizapp.machine.engine.trees import HERE

EVERY_FLAG: Final = frozenset(local(flag) for flag in FLAGS)
_NO_FLAG: Final[frozenset[str]] = frozenset()


def _read(node: ast.AST) -> frozenset[str]:
    """The parts of the flag record that an expression or statement reads."""
    return frozenset(
        name.id
        for name in ast.walk(node)
        if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Load) and name.id in EVERY_FLAG
    )


def drop_dead_flags(
    body: list[ast.stmt], live: frozenset[str] = EVERY_FLAG
) -> tuple[list[ast.stmt], frozenset[str]]:
    """``body`` without the recording of flags that nobody reads, and what it needs of the record before it.

    ``live`` is what is needed after it.
    """
    kept: list[ast.stmt] = []
    for statement in reversed(body):
        match statement:
            case Exit() | ast.Raise():
                live = EVERY_FLAG
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in EVERY_FLAG:
                if name not in live:
                    continue
                live = live - {name} | _read(value)
            case ast.If(test=test, body=then, orelse=otherwise):
                then, before_then = drop_dead_flags(then, live)
                otherwise, before_otherwise = drop_dead_flags(otherwise, live)
                statement = ast.If(test, then or [ast.Pass(**HERE)], otherwise, **HERE)
                live = before_then | before_otherwise | _read(test)
            case _:
                live = live | _read(statement)
        if may_leave(statement):
            live = EVERY_FLAG
        kept.append(statement)
    kept.reverse()
    return kept, live


def may_leave(statement: ast.stmt) -> bool:
    """Whether an access to memory, or a fault, is in a statement: the rewriting gave it a line of its own."""
    return any(getattr(node, "lineno", 1) > 1 for node in ast.walk(statement))
