"""Basic blocks: instructions in a row as one Python function.

A block begins at an address and goes on through what is likely to follow: the next instruction, the target of
a jump or of a call, and behind that call once its procedure returns; a return that leads elsewhere leaves it.
Conditional jumps leave it, unless they lead back to its beginning: such a loop stays inside the function. It
ends before an instruction that is executed by itself only.

    def block(cpu, _limit):
        _ecx = cpu.ecx; ...                          registers and flags that it uses
        _done = 0
        while True:                                  of a loop only
            ...
            if _flag_result:
                _done += 5
                if _done <= _limit: continue         there is room for another pass
                cpu.ecx = _ecx; ...; cpu.eip = 0x10000; return _done
            cpu.ecx = _ecx; ...; cpu.eip = 0x1000c; return _done + 5

It returns the number of instructions executed. The caller has made sure that nothing is due before the end of
one pass; ``_limit`` is how many instructions may have been done for a loop to begin another.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, cast

from vizapp.isa.addresses import M32
from vizapp.isa.registers import GENERAL
from vizapp.machine.engine.block_source import (
    FLAGS,
    PACKING,
    Exit,
    Facts,
    InstructionRewriter,
    Untranslatable,
    local,
    number_of,
)
from vizapp.machine.engine.generator import RUNTIME, statements_of
from vizapp.machine.engine.liveness import EVERY_FLAG, drop_dead_flags
from vizapp.machine.engine.shapes import describe, meaning_of
from vizapp.machine.engine.trees import HERE, constant, statements

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
        addresses: EIP of each instruction.
        instructions: as they were when it was compiled.
        loops: whether it may go through more than one pass.
        guarded: whether its stores go through ``Guarded``.
    """

    run: BlockFunction
    code: CodeType
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
        back = any(leads <= eip for leads in map(_known_target, _exits(body[:-1])) if leads is not None)
        eip = None if back else _known_target(last)
        if eip == head:
            break
    if not rows:
        return None
    for body in rows[:-1]:
        del body[-1]  # it goes on with the next row
    code, loops = _compiled(head, rows)
    run = cast("BlockFunction", FunctionType(code, {**_GLOBALS, "_guarded": guarded}, code.co_name))
    return Block(run, code, tuple(addresses), tuple(instructions), loops, facts.guarded)


def _rewritten(instruction: Instruction, facts: Facts, eip: int, place: int) -> list[ast.stmt] | None:
    meaning = meaning_of(instruction)
    if meaning is None or instruction.repeat:
        return None
    shape, numbers = describe(instruction, meaning)
    try:
        return _without_unused(
            InstructionRewriter(facts, shape, numbers, eip, place).rewrite(statements_of(shape))
        )
    except Untranslatable:
        return None


def _without_unused(body: list[ast.stmt]) -> list[ast.stmt]:
    """Without the names that an instruction gives to what is known, where nothing asks for them."""
    wanted = _names(body, ast.Load) | _STATE.keys()
    kept: list[ast.stmt] = []
    for statement in body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant() | ast.Name()) if (
                name not in wanted
            ):
                continue
        kept.append(statement)
    return kept


def _returning(way: ast.stmt, expected: int) -> list[ast.stmt]:
    """The way out of a RET that most likely leads to ``expected``: elsewhere, or on from there."""
    assert isinstance(way, Exit)
    elsewhere = ast.Compare(way.target, [ast.NotEq()], [constant(expected)], **HERE)
    return [ast.If(elsewhere, [way], [], **HERE), Exit(constant(expected), way.done)]


def _exits(body: Iterable[ast.stmt]) -> Iterator[Exit]:
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, Exit):
                yield node


def _known_target(way: Exit) -> int | None:
    """Where an exit leads to, if that does not depend on anything."""
    return number_of(way.target)


def _names(body: Iterable[ast.AST], context: type[ast.expr_context]) -> set[str]:
    return {
        node.id
        for statement in body
        for node in _walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, context)
    }


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """As ``ast.walk``, into the targets of exits too."""
    for inner in ast.walk(node):
        yield inner
        if isinstance(inner, Exit):
            yield from ast.walk(inner.target)


def _compiled(head: int, rows: list[list[ast.stmt]]) -> tuple[CodeType, bool]:
    size = len(rows)
    loops = any(_known_target(way) == head and way.done == size for row in rows for way in _exits(row))
    live = EVERY_FLAG
    for index in reversed(range(size)):
        rows[index], live = drop_dead_flags(rows[index], live)
    written = [_names(row, ast.Store) & _STATE.keys() for row in rows]
    everything: set[str] = set().union(*written)
    used = everything.union(*(_names(row, ast.Load) for row in rows))
    loaded = used & _STATE.keys() if loops else _needed(rows)
    resolver = _Resolver(head, size, loops)
    body: list[ast.stmt] = []
    changed: set[str] = set()
    for row, own in zip(rows, written, strict=True):
        changed |= own
        body += resolver.resolve(row, everything if loops else changed)
    prelude = [f"{name} = cpu.{_MAPS[name]}" for name in _MAPS if name in used]
    prelude += [f"{name} = cpu.{_STATE[name]}" for name in _STATE if name in loaded]
    if loops:
        prelude.append("_done = 0")
        body = [ast.While(ast.Constant(True, **HERE), body, [], **HERE)]
    whole = [*(statement for line in prelude for statement in statements(line)), *body]
    arguments = ast.arguments(
        [], [ast.arg(name, **HERE) for name in ("cpu", "_limit")], None, [], [], None, []
    )
    name = f"block_{head:08x}"
    module = ast.Module([ast.FunctionDef(name, arguments, whole, [], **HERE)], [])
    code = compile(module, f"<{name}>", "exec")
    return next(constant for constant in code.co_consts if isinstance(constant, CodeType)), loops


def _needed(rows: list[list[ast.stmt]]) -> set[str]:
    """What has to be loaded first in a block that does not loop: what is not certainly written before."""
    certain: set[str] = set()
    needed: set[str] = set()
    for row in rows:
        stored = _names(row, ast.Store) & _STATE.keys()
        if any(True for _ in _exits(row[:-1])):
            needed |= stored - certain
        for statement in row:
            needed |= (_names([statement], ast.Load) & _STATE.keys()) - certain
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)]):
                    certain.add(name)
                case _:
                    needed |= (_names([statement], ast.Store) & _STATE.keys()) - certain
    return needed


class _Resolver:
    """Puts the way out in the place of every ``Exit``."""

    def __init__(self, head: int, size: int, loops: bool) -> None:
        self._head = head
        self._size = size
        self._loops = loops

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

    def _way_out(self, way: Exit, changed: set[str]) -> list[ast.stmt]:
        state = [name for name in _STATE if name in changed]
        leave = "\n".join((*(f"cpu.{_STATE[name]} = {name}" for name in state), "cpu.eip = TARGET"))
        done = constant(way.done)
        if self._loops and way.done == self._size and _known_target(way) == self._head:
            again = statements("_done += SIZE\nif _done <= _limit: continue", SIZE=done)
            return [*again, *statements(f"{leave}\nreturn _done", TARGET=way.target)]
        total = "_done + DONE" if self._loops else "DONE"
        return statements(f"{leave}\nreturn {total}", TARGET=way.target, DONE=done)
