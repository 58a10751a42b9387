"""Which instructions a block goes through, as rows of statements: one row for each.

A route begins at an address and goes on through what is likely to follow: the next instruction, the target of
a jump or of a call, and behind that call once its procedure returns; a return that leads elsewhere leaves it.
Conditional jumps leave it, unless they lead back to its beginning: such a route is a loop. It ends before an
instruction that is executed by itself only.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.isa.addresses import M32
from vizapp.machine.engine.block_source import (
    Exit,
    Facts,
    InstructionRewriter,
    Untranslatable,
    line_of,
    number_of,
)
from vizapp.machine.engine.copies import without_detours
from vizapp.machine.engine.generator import statements_of
from vizapp.machine.engine.liveness import wanted_steps
from vizapp.machine.engine.postponed import Postponed, postpone
from vizapp.machine.engine.shapes import describe, meaning_of
from vizapp.machine.engine.trees import HERE, constant
from vizapp.machine.engine.uses import exits

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction

LONGEST: Final = 32


class Route(NamedTuple):
    """Instructions in the order in which a block goes through them.

    Attributes:
        head: EIP of the first.
        rows: the statements of each; the last ends in the way out.
        addresses: EIP of each.
        instructions: as they were when it was followed.
        postponed: the flags that the rows have not recorded where they may fail.
        loops: whether a way leads from all of them back to the first.
        leads: the EIPs outside that it is known to lead to, those that procedures return to among them.
        wanted: the parts of the flag record that must be there before it.
    """

    head: int
    rows: list[list[ast.stmt]]
    addresses: tuple[int, ...]
    instructions: tuple[Instruction, ...]
    postponed: Postponed
    loops: bool
    leads: tuple[int, ...]
    wanted: frozenset[str]


def follow(
    head: int, fetch: Callable[[int], Instruction | None], facts: Facts, line: int = line_of(1)
) -> Route | None:
    """The route that begins at EIP ``head``; None if it would have no instruction.

    ``fetch`` gives the instruction at an EIP, or None where a block must not go. What may fail in the first
    instruction is given the number ``line``, and so on.
    """
    rows: list[list[ast.stmt]] = []
    addresses: list[int] = []
    instructions: list[Instruction] = []
    returns: list[int] = []  # where the calls that were gone through want their procedures to return
    returned: list[int] = []
    eip: int | None = head
    while eip is not None and len(rows) < LONGEST and eip not in addresses:
        instruction = fetch(eip)
        body = None
        if instruction is not None:
            body = _rewritten(instruction, facts, eip, len(rows) + 1, line + len(rows))
        if instruction is None or body is None:
            break
        addresses.append(eip)
        instructions.append(instruction)
        rows.append(body)
        if instruction.opcode.cost == "call":
            returns.append(eip + instruction.length & M32)
            returned.append(returns[-1])
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
    ways = [way for row in rows for way in exits(row)]
    loops = any(way.leads_back(head, len(rows)) for way in ways)
    known = (target for target in map(_known_target, ways) if target is not None)
    leads = tuple(dict.fromkeys(target for target in (*known, *returned) if target != head))
    steps, wanted = wanted_steps(rows)
    finished, postponed = postpone(steps, head)
    return Route(head, finished, tuple(addresses), tuple(instructions), postponed, loops, leads, wanted)


def _rewritten(
    instruction: Instruction, facts: Facts, eip: int, place: int, line: int
) -> list[ast.stmt] | None:
    meaning = meaning_of(instruction)
    if meaning is None or instruction.repeat:
        return None
    shape, numbers = describe(instruction, meaning)
    try:
        rewriter = InstructionRewriter(facts, shape, numbers, eip, place, line)
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
