"""Basic blocks: the instructions of a route as one Python function.

    def block(cpu, _limit):
        _ecx = cpu.ecx; ...                          registers and flags that it uses
        for _done in range(0, _limit + 1, 5):        of a loop only: as long as there is room for a pass
            ...
            if _ecx:
                continue
            cpu.ecx = _ecx; ...; cpu.eip = 0x1000c; return _done + 5
        cpu.ecx = _ecx; ...; cpu.eip = 0x10000; return _done + 5

It returns the number of instructions executed. The caller has made sure that nothing is due before the end of
one pass; ``_limit`` is how many instructions may have been done for a loop to begin another.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import CodeType
from typing import TYPE_CHECKING, TypeAlias, cast

from vizapp.machine.engine.block_source import NO_FLAGS, Exit, Facts
from vizapp.machine.engine.functions import STATE, Guarded, code_of, function_of, prelude
from vizapp.machine.engine.routes import Route, follow
from vizapp.machine.engine.trees import HERE, constant, statements
from vizapp.machine.engine.uses import exits, read, written

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.machine.cpu import Cpu
    from vizapp.machine.engine.postponed import Postponed

BlockFunction: TypeAlias = "Callable[[Cpu, int], int]"


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A compiled block.

    Attributes:
        run: (processor, limit) -> instructions executed.
        postponed: the flags that it has not recorded where it may fail.
        addresses: EIP of each instruction.
        instructions: as they were when it was compiled.
        loops: whether it may go through more than one pass.
        leads: the EIPs outside that it is known to lead to.
        guarded: whether its stores go through ``Guarded``.
    """

    run: BlockFunction
    code: CodeType
    postponed: Postponed
    addresses: tuple[int, ...]
    instructions: tuple[Instruction, ...]
    loops: bool
    leads: tuple[int, ...]
    guarded: bool


def compile_block(
    head: int, fetch: Callable[[int], Instruction | None], facts: Facts, guarded: Guarded
) -> Block | None:
    """The block that begins at EIP ``head``; None if it would have no instruction.

    ``fetch`` gives the instruction at an EIP, or None where a block must not go.
    """
    route = follow(head, fetch, facts)
    if route is None:
        return None
    code = _compiled(route)
    return Block(
        cast("BlockFunction", function_of(code, guarded)),
        code,
        route.postponed,
        route.addresses,
        route.instructions,
        route.loops,
        route.leads,
        facts.guarded,
    )


def _compiled(route: Route) -> CodeType:
    rows, size = route.rows, len(route.rows)
    own = [written(row) & STATE.keys() for row in rows]
    everything: set[str] = set().union(*own)
    loaded = (everything.union(*map(read, rows)) if route.loops else _needed(rows)) & STATE.keys()
    resolver = _Resolver(route.head, size, everything if route.loops else None)
    body: list[ast.stmt] = []
    changed: set[str] = set()
    for row, names in zip(rows, own, strict=True):
        changed |= names
        body += resolver.resolve(row, everything if route.loops else changed)
    before = prelude(body, loaded)
    if route.loops:
        body = resolver.loop(body)
    return code_of(f"block_{route.head:08x}", ("cpu", "_limit"), [*before, *body])


def _needed(rows: list[list[ast.stmt]]) -> set[str]:
    """What has to be loaded first in a block that does not loop: what is not certainly written before."""
    certain: set[str] = set()
    needed: set[str] = set()
    for row in rows:
        stored = written(row) & STATE.keys()
        if any(True for _ in exits(row[:-1])):
            needed |= stored - certain
        for statement in row:
            needed |= (read([statement]) & STATE.keys()) - certain
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)]):
                    certain.add(name)
                case _:
                    needed |= (written([statement]) & STATE.keys()) - certain
    return needed


class _Resolver:
    """Puts the way out in the place of every ``Exit``."""

    def __init__(self, head: int, size: int, everything: set[str] | None) -> None:
        """``everything`` that a loop changes; None of a block that does not loop."""
        self._head = head
        self._size = size
        self._everything = everything
        self._carried = NO_FLAGS

    def resolve(self, body: list[ast.stmt], changed: set[str]) -> list[ast.stmt]:
        """``changed`` is what has to be written back."""
        result: list[ast.stmt] = []
        for statement in body:
            match statement:
                case Exit():
                    result += self._way_out(statement, changed)
                case ast.If(test=test, body=then, orelse=otherwise):
                    branches = self.resolve(then, changed), self.resolve(otherwise, changed)
                    result.append(ast.If(test, *branches, **HERE))
                case _:
                    result.append(statement)
        return result

    def loop(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """Passes as long as there is room for another, and the way out after the last of them."""
        assert self._everything is not None
        loop = statements("for _done in range(0, _limit + 1, SIZE): pass", SIZE=constant(self._size))[0]
        assert isinstance(loop, ast.For)
        passes = ast.For(loop.target, loop.iter, body, [], **HERE)
        return [passes, *self._leave(constant(self._head), self._size, self._everything, self._carried)]

    def _way_out(self, way: Exit, changed: set[str]) -> list[ast.stmt]:
        if self._everything is None or not way.leads_back(self._head, self._size):
            return self._leave(way.target, way.done, changed, way.flags)
        self._carried = way.flags
        return [ast.Continue(**HERE)]

    def _leave(
        self, target: ast.expr, done: int, changed: set[str], flags: Mapping[str, ast.expr]
    ) -> list[ast.stmt]:
        state = [name for name in STATE if name in changed or name in flags]
        values = {name: flags.get(name, ast.Name(name, ast.Load(), **HERE)) for name in state}
        lines = [f"cpu.{STATE[name]} = {name}" for name in state]
        total = "_done + DONE" if self._everything is not None else "DONE"
        text = "\n".join((*lines, f"cpu.eip = TARGET\nreturn {total}"))
        return statements(text, **values, TARGET=target, DONE=constant(done))
