"""Basic blocks: instructions in a row as one Python function.

A block begins at an address and goes on through what is likely to follow: the next instruction, the target of
a jump or of a call, and behind that call once its procedure returns; a return that leads elsewhere leaves it.
Conditional jumps leave it, unless they lead back to its beginning: such a loop stays inside the function. It
ends before an instruction that is executed by itself only.

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
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, cast

from vizapp.isa.addresses import M32
from vizapp.isa.registers import GENERAL
from vizapp.machine.engine.block_source import (
    FLAGS,
    NO_FLAGS,
    PACKING,
    Exit,
    Facts,
    InstructionRewriter,
    Untranslatable,
    local,
    number_of,
)
from vizapp.machine.engine.copies import without_detours
from vizapp.machine.engine.generator import RUNTIME, statements_of
from vizapp.machine.engine.liveness import wanted_steps
from vizapp.machine.engine.postponed import Postponed, postpone
from vizapp.machine.engine.shapes import describe, meaning_of
from vizapp.machine.engine.trees import HERE, constant, statements
from vizapp.machine.engine.uses import exits, read, written

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.machine.cpu import Cpu

BlockFunction: TypeAlias = "Callable[[Cpu, int], int]"
LONGEST: Final = 32
_STATE: Final = {local(name): name for name in (*GENERAL, *FLAGS)}
_MAPS: Final = {"_readable": "readable", "_writable": "writable"}
_GLOBALS: Final[dict[str, Any]] = {**RUNTIME, **PACKING}


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A compiled block.

    Attributes:
        run: (processor, limit) -> instructions executed.
        postponed: the flags that it has not recorded where it may fail.
        addresses: EIP of each instruction.
        instructions: as they were when it was compiled.
        loops: whether it may go through more than one pass.
        guarded: whether its stores go through ``Guarded``.
    """

    run: BlockFunction
    code: CodeType
    postponed: Postponed
    addresses: tuple[int, ...]
    instructions: tuple[Instruction, ...]
    loops: bool
    guarded: bool


class Guarded(Protocol):
    """Where the stores of a block with ``Facts.guarded`` go; its KeyErrors count as the block's own."""

    def modify(self, address: int, size: int) -> int:
        """``size`` bytes that will be written."""
        ...

    def store(self, address: int, size: int, value: int) -> None:
        """Store ``size`` bytes."""
        ...


def compile_block(
    head: int, fetch: Callable[[int], Instruction | None], facts: Facts, guarded: Guarded
) -> Block | None:
    """The block that begins at EIP ``head``; None if it would have no instruction.

    ``fetch`` gives the instruction at an EIP, or None where a block must not go.
    """
    rows: list[list[ast.stmt]] = []
    addresses: list[int] = []
    instructions: list[Instruction] = []
    returns: list[int] = []  # where the calls that were gone through want their procedures to return
    eip: int | None = head
    while eip is not None and len(rows) < LONGEST and eip not in addresses:
        instruction = fetch(eip)
        body = None if instruction is None else _rewritten(instruction, facts, eip, len(rows) + 1)
        if instruction is None or body is None:
            break
        addresses.append(eip)
        instructions.append(instruction)
        rows.append(body)
        if instruction.opcode.cost == "call":
            returns.append(eip + instruction.length & M32)
        elif instruction.opcode.cost == "ret" and returns:
            body[-1:] = _returning(body[-1], returns.pop())
        last = body[-1]
        assert isinstance(last, Exit)
        # What a jump back skips is not likely to follow.
        back = any(leads <= eip for leads in map(_known_target, exits(body[:-1])) if leads is not None)
        eip = None if back else _known_target(last)
        if eip == head:
            break
    if not rows:
        return None
    for body in rows[:-1]:
        del body[-1]  # it goes on with the next row
    code, postponed, loops = _compiled(head, rows)
    run = cast("BlockFunction", FunctionType(code, {**_GLOBALS, "_guarded": guarded}, code.co_name))
    return Block(run, code, postponed, tuple(addresses), tuple(instructions), loops, facts.guarded)


def _rewritten(instruction: Instruction, facts: Facts, eip: int, place: int) -> list[ast.stmt] | None:
    meaning = meaning_of(instruction)
    if meaning is None or instruction.repeat:
        return None
    shape, numbers = describe(instruction, meaning)
    try:
        rewriter = InstructionRewriter(facts, shape, numbers, eip, place)
        return without_detours(rewriter.rewrite(statements_of(shape)))
    except Untranslatable:
        return None


def _returning(way: ast.stmt, expected: int) -> list[ast.stmt]:
    """The way out of a RET that most likely leads to ``expected``: elsewhere, or on from there."""
    assert isinstance(way, Exit)
    elsewhere = ast.Compare(way.target, [ast.NotEq()], [constant(expected)], **HERE)
    return [ast.If(elsewhere, [way], [], **HERE), Exit(constant(expected), way.done)]


def _known_target(way: Exit) -> int | None:
    """Where an exit leads to, if that does not depend on anything."""
    return number_of(way.target)


def _compiled(head: int, rows: list[list[ast.stmt]]) -> tuple[CodeType, Postponed, bool]:
    size = len(rows)
    loops = any(way.leads_back(head, size) for row in rows for way in exits(row))
    rows, postponed = postpone(wanted_steps(rows), head)
    own = [written(row) & _STATE.keys() for row in rows]
    everything: set[str] = set().union(*own)
    loaded = (everything.union(*map(read, rows)) if loops else _needed(rows)) & _STATE.keys()
    resolver = _Resolver(head, size, everything if loops else None)
    body: list[ast.stmt] = []
    changed: set[str] = set()
    for row, names in zip(rows, own, strict=True):
        changed |= names
        body += resolver.resolve(row, everything if loops else changed)
    used = set().union(*(read([statement]) for statement in body))
    prelude = [f"{name} = cpu.{_MAPS[name]}" for name in _MAPS if name in used]
    prelude += [f"{name} = cpu.{_STATE[name]}" for name in _STATE if name in loaded]
    if loops:
        body = resolver.loop(body)
    whole = [*(statement for line in prelude for statement in statements(line)), *body]
    arguments = ast.arguments(
        [], [ast.arg(name, **HERE) for name in ("cpu", "_limit")], None, [], [], None, []
    )
    name = f"block_{head:08x}"
    module = ast.Module([ast.FunctionDef(name, arguments, whole, [], **HERE)], [])
    code = compile(module, f"<{name}>", "exec")
    function = next(constant for constant in code.co_consts if isinstance(constant, CodeType))
    return function, postponed, loops


def _needed(rows: list[list[ast.stmt]]) -> set[str]:
    """What has to be loaded first in a block that does not loop: what is not certainly written before."""
    certain: set[str] = set()
    needed: set[str] = set()
    for row in rows:
        stored = written(row) & _STATE.keys()
        if any(True for _ in exits(row[:-1])):
            needed |= stored - certain
        for statement in row:
            needed |= (read([statement]) & _STATE.keys()) - certain
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)]):
                    certain.add(name)
                case _:
                    needed |= (written([statement]) & _STATE.keys()) - certain
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
        state = [name for name in _STATE if name in changed or name in flags]
        values = {name: flags.get(name, ast.Name(name, ast.Load(), **HERE)) for name in state}
        lines = [f"cpu.{_STATE[name]} = {name}" for name in state]
        total = "_done + DONE" if self._everything is not None else "DONE"
        text = "\n".join((*lines, f"cpu.eip = TARGET\nreturn {total}"))
        return statements(text, **values, TARGET=target, DONE=constant(done))
