"""The way back from a block that could not go on to the exact state before the instruction that stopped it.

A block has no handling of faults. A lookup that fails, an access that crosses a page or a fault that the
semantics raise ends it with an exception. Nothing of the instruction has been done then (see ``commitment``),
so the block's local variables and the line that failed tell everything:

    line             which instruction
    locals           registers and flags; what is not among them has not been changed, unless
    ``postponed``    says that it is to be computed
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import error as StructError  # noqa: N812 - a class
from types import CodeType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vizapp.isa.registers import GENERAL
from vizapp.machine.engine.block_source import FLAGS, line_of, local
from vizapp.machine.faults import Fault

if TYPE_CHECKING:
    from vizapp.machine.cpu import Cpu
    from vizapp.machine.engine.blocks import Block
    from vizapp.machine.engine.postponed import Postponed
    from vizapp.machine.engine.regions import Region

DEOPTIMIZE: Final = (KeyError, StructError, Fault)
_STATE: Final = tuple((local(name), name) for name in (*GENERAL, *FLAGS))
_FIRST_LINE: Final = line_of(1)


def recover(error: BaseException, block: Block, cpu: Cpu) -> int:
    """Put the processor before the instruction that failed; the number of instructions executed until then.

    ``error`` was caught by the block's caller; if it does not come from the block itself it is raised again.
    """
    line, found = _failed(error, block.code, guarded=block.guarded)
    index = line - _FIRST_LINE
    if index < 0:
        raise error
    passes: int = found.get("_done", 0)
    _restore(cpu, found, block.postponed, index, block.run.__globals__, again=passes > 0)
    cpu.eip = block.addresses[index]
    return passes + index


class Stopped(NamedTuple):
    """Where a region stopped.

    Attributes:
        steps, cost: instructions executed until then, and cycles taken.
        piece: the number of the piece.
        done: how many instructions of it had been executed, passes of a loop included.
    """

    steps: int
    cost: int
    piece: int
    done: int


def recover_region(error: BaseException, region: Region, cpu: Cpu, tally: list[int]) -> Stopped:
    """What ``recover`` does, of a region, whose ``tally`` is completed."""
    line, found = _failed(error, region.code, guarded=region.guarded)
    if line < _FIRST_LINE:
        raise error
    number, index = region.piece_of(line)
    piece = region.pieces[number]
    passes: int = found["_pass"] if piece.route.loops else 0
    _restore(cpu, found, piece.route.postponed, index, region.run.__globals__, again=passes > 0)
    cpu.eip = piece.route.addresses[index]
    done = passes * piece.size + index
    steps, cost = done, passes * piece.costs[-1] + piece.costs[index]
    for way in region.ways:
        times = found[way.name]
        tally[way.tally] += times
        steps += times * way.steps
        cost += times * way.cost
    tally[piece.tally + piece.size] += passes
    if index or not passes:
        tally[piece.tally + index] += 1
    return Stopped(steps, cost, number, done)


def _failed(error: BaseException, code: CodeType, *, guarded: bool) -> tuple[int, Mapping[str, Any]]:
    """The line of ``code`` that failed, and the local variables; an error of any other is raised again."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_frame.f_code is not code:
        traceback = traceback.tb_next
    if traceback is None or (traceback.tb_next is not None and not guarded):
        raise error
    return traceback.tb_lineno, traceback.tb_frame.f_locals


def _restore(
    cpu: Cpu,
    found: Mapping[str, Any],
    postponed: Postponed,
    index: int,
    names: Mapping[str, Any],
    *,
    again: bool,
) -> None:
    before = {name: getattr(cpu, attribute) for name, attribute in _STATE}
    before.update(found)
    before.update([*postponed.flags(index, again, names, before)])
    for name, attribute in _STATE:
        setattr(cpu, attribute, before[name])
