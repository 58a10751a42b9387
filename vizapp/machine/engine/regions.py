"""Regions: blocks that lead to one another as one Python function, which goes from one to the next by itself.

Between blocks all registers go through the processor's attributes, and what has been done is entered into the
books. In a region they stay in local variables from piece to piece, and each way out is counted by a local
variable of its own:

    def region(cpu, _units, _tally):
        _eax = cpu.eax; ...                           registers and flags of all its pieces
        _w2 = _w5 = _w7 = 0
        _at = _where(cpu.eip)
        while True:
            if _at == 0:                              a piece: the block at 0x1000
                ...
                if _eax < 2:                          a way out, behind two instructions
                    _w2 += 1
                    _units -= 1
                    if _units:
                        _at = 1                       on to the second piece
                        continue
                    _eip = 0x1010
                    break
                ...
            elif _at == 1:                            a loop, of which 3 passes are a unit
                for _pass in range(_units * 3):
                    ...                               a way out counts the passes, and breaks
                else:
                    ...
            else:
                break                                 elsewhere
        cpu.eax = _eax; ...; cpu.eip = _eip
        _tally[2] += _w2; ...
        return _w2 * 2 + _w5 * 5 + ..., ...           instructions and cycles

How much it may do is told in units: from one look at ``_at`` to the next it executes no more instructions,
and takes no more cycles, than one. A short piece is written again wherever another leads to it, and belongs
to the same look.
"""

from __future__ import annotations

import ast
from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from types import CodeType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, cast

from vizapp.machine.engine.block_source import Exit, Facts, line_of, number_of
from vizapp.machine.engine.functions import STATE, Guarded, code_of, function_of, prelude
from vizapp.machine.engine.routes import Route, follow
from vizapp.machine.engine.trees import HERE, constant, statements
from vizapp.machine.engine.uses import exits, read, written

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.machine.cpu import Cpu

RegionFunction: TypeAlias = "Callable[[Cpu, int, list[int]], tuple[int, int]]"
# Instructions of a piece that is written again wherever another leads to it, and how many times in a row.
_SHORT: Final = 5
_DEEPEST: Final = 2
_NOWHERE: Final = -1


class Part(NamedTuple):
    """A block that is to be in a region.

    Attributes:
        head: EIP of its first instruction.
        fetch: its instructions, by EIP.
        facts: what it takes for granted.
        costs: cycles of its first n instructions, for n from 0 to all.
        long: if it is a loop, whether it is likely to go through many passes.
    """

    head: int
    fetch: Mapping[int, Instruction]
    facts: Facts
    costs: Sequence[int]
    long: bool


class Piece(NamedTuple):
    """A part of a region.

    Attributes:
        route: its instructions; a loop only if passes are to be counted there and then.
        costs: as of the ``Part``.
        line: of its first instruction.
        tally: where in the tally its counts begin: those of the ways out behind n instructions.
    """

    route: Route
    costs: Sequence[int]
    line: int
    tally: int

    @property
    def size(self) -> int:
        """How many instructions it has."""
        return len(self.route.rows)

    @property
    def body(self) -> list[ast.stmt]:
        """Its statements."""
        return [statement for row in self.route.rows for statement in row]


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A compiled region.

    Attributes:
        run: (processor, units, tally) -> instructions executed and cycles taken.
        pieces: its parts, in their order.
        unit: the most instructions, and the most cycles, that it does in a unit.
        ways: of each way out that is counted: the local variable, its place in the tally, the instructions
            and the cycles that it ends.
        size: of a tally.
        guarded: whether stores of some go through ``Guarded``.
    """

    run: RegionFunction
    code: CodeType
    pieces: tuple[Piece, ...]
    unit: tuple[int, int]
    ways: tuple[Way, ...]
    size: int
    guarded: bool

    def piece_of(self, line: int) -> tuple[int, int]:
        """The number of the piece that has a line, and that of the instruction in it, both from 0."""
        number = bisect(self.pieces, line, key=lambda piece: piece.line) - 1
        return number, line - self.pieces[number].line


class Way(NamedTuple):
    """A way out that is counted; see ``Region``."""

    name: str
    tally: int
    steps: int
    cost: int


def compile_region(parts: Sequence[Part], guarded: Guarded) -> Region | None:
    """The region of some blocks, those in front where most is done; None if one of them has changed."""
    pieces: list[Piece] = []
    line, tally = line_of(1), 0
    for part in parts:
        route = follow(part.head, part.fetch.get, part.facts, line)
        if route is None or len(route.rows) != len(part.costs) - 1:
            return None
        pieces.append(Piece(route._replace(loops=route.loops and part.long), part.costs, line, tally))
        line += len(route.rows)
        tally += len(route.rows) + 1
    writer = _Writer(pieces)
    body = writer.function()
    code = code_of(f"region_{parts[0].head:08x}", ("cpu", "_units", "_tally"), body)
    function = function_of(code, guarded)
    function.__globals__["_where"] = {piece.route.head: number for number, piece in enumerate(pieces)}.get
    return Region(
        cast("RegionFunction", function),
        code,
        tuple(pieces),
        writer.unit,
        writer.ways,
        tally,
        any(part.facts.guarded for part in parts),
    )


class _Writer:
    """Writes the function of a region.

    Attributes:
        unit: see ``Region``.
    """

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._pieces = pieces
        self._numbers = {piece.route.head: number for number, piece in enumerate(pieces)}
        self._short = {
            piece.route.head: piece for piece in pieces if piece.size <= _SHORT and not piece.route.loops
        }
        # The longest and the dearest way of each through itself and the short ones behind it.
        self._behind = {piece.route.head: self._longest_behind(piece, 0) for piece in pieces}
        self.unit = (
            max(piece.size + self._behind[piece.route.head][0] for piece in pieces),
            max(piece.costs[-1] + self._behind[piece.route.head][1] for piece in pieces),
        )
        self._ways: dict[int, Way] = {}

    @property
    def ways(self) -> tuple[Way, ...]:
        """The ways out that have been written."""
        return tuple(self._ways.values())

    def function(self) -> list[ast.stmt]:
        """The body of the function."""
        whole = [statement for piece in self._pieces for statement in piece.body]
        promised = {name for way in exits(whole) for name in way.flags}
        changed = (promised | written(whole)) & STATE.keys()
        body = statements("break")
        for number, piece in reversed([*enumerate(self._pieces)]):
            chosen = statements("if _at == NUMBER: pass", NUMBER=constant(number))[0]
            assert isinstance(chosen, ast.If)
            inner = self._loop(piece) if piece.route.loops else self._resolved(piece, piece.body)
            body = [ast.If(chosen.test, inner, body, **HERE)]
        zero = [line for way in self.ways for line in statements(f"{way.name} = 0")]
        kept = [
            line for name in STATE if name in changed for line in statements(f"cpu.{STATE[name]} = {name}")
        ]
        counts = [line for way in self.ways for line in statements(f"_tally[{way.tally}] += {way.name}")]
        steps = " + ".join(f"{way.name} * {way.steps}" for way in self.ways)
        cost = " + ".join(f"{way.name} * {way.cost}" for way in self.ways)
        return [
            *prelude(whole, changed | read(whole)),
            *zero,
            *statements("_eip = cpu.eip\n_at = _where(_eip)"),
            ast.While(constant(1), body, [], **HERE),
            *kept,
            *counts,
            *statements(f"cpu.eip = _eip\nreturn {steps}, {cost}"),
        ]

    def _longest_behind(self, piece: Piece, depth: int) -> tuple[int, int]:
        steps = cost = 0
        for way in exits(piece.body):
            following = self._written_behind(way, depth)
            if following is not None:
                more_steps, more_cost = self._longest_behind(following, depth + 1)
                steps = max(steps, following.size + more_steps)
                cost = max(cost, following.costs[-1] + more_cost)
        return steps, cost

    def _written_behind(self, way: Exit, depth: int) -> Piece | None:
        """The short piece that is written again at a way out."""
        target = number_of(way.target)
        return None if target is None or depth == _DEEPEST else self._short.get(target)

    def _loop(self, piece: Piece) -> list[ast.stmt]:
        """One that leads back to its beginning, many times."""
        back = next(way for way in exits(piece.body) if way.leads_back(piece.route.head, piece.size))
        loop = statements("for _pass in range(_units * PASSES): pass", PASSES=constant(self._passes(piece)))[
            0
        ]
        assert isinstance(loop, ast.For)
        counted = self._count(piece, piece.size, f"_units * {self._passes(piece)}")
        otherwise = [*_promised(back.flags), *counted, *_elsewhere(constant(piece.route.head), inside=False)]
        return [ast.For(loop.target, loop.iter, self._resolved(piece, piece.body), otherwise, **HERE)]

    def _passes(self, piece: Piece) -> int:
        """How many passes a unit has room for, with what may follow behind the last."""
        behind_steps, behind_cost = self._behind[piece.route.head]
        passes = (self.unit[0] - behind_steps) // piece.size
        if piece.costs[-1]:
            passes = min(passes, (self.unit[1] - behind_cost) // piece.costs[-1])
        return passes

    def _count(self, piece: Piece, done: int, times: str = "1") -> list[ast.stmt]:
        """Count a way out of a piece behind its first ``done`` instructions."""
        tally = piece.tally + done
        way = self._ways.setdefault(tally, Way(f"_w{tally}", tally, done, piece.costs[done]))
        return statements(f"{way.name} += {times}")

    def _resolved(
        self, piece: Piece, body: list[ast.stmt], depth: int = 0, *, inside: bool | None = None
    ) -> list[ast.stmt]:
        """With ways out in the place of exits; ``inside`` the loop of a piece they have to leave it first."""
        inside = piece.route.loops if inside is None else inside
        result: list[ast.stmt] = []
        for statement in body:
            match statement:
                case Exit():
                    result += self._way_out(piece, statement, depth, inside)
                case ast.If(test=test, body=then, orelse=otherwise):
                    branches = (
                        self._resolved(piece, branch, depth, inside=inside) for branch in (then, otherwise)
                    )
                    result.append(ast.If(test, *branches, **HERE))
                case _:
                    result.append(statement)
        return result

    def _way_out(self, piece: Piece, way: Exit, depth: int, inside: bool) -> list[ast.stmt]:
        taken = "1"
        before: list[ast.stmt] = []
        if piece.route.loops:
            if way.leads_back(piece.route.head, piece.size):
                return [ast.Continue(**HERE)]
            before = self._count(piece, piece.size, "_pass")
            taken = f"_pass // {self._passes(piece)} + 1"
        counted = [*before, *self._count(piece, way.done)]
        following = self._written_behind(way, depth)
        if following is not None:
            used = statements(f"_units -= {taken} - 1") if piece.route.loops else []
            behind = self._resolved(following, following.body, depth + 1, inside=inside)
            return [*_promised(way.flags, following.route.wanted), *counted, *used, *behind]
        counted += statements(f"_units -= {taken}")
        onward: ast.stmt = ast.Break(**HERE) if inside else ast.Continue(**HERE)
        target = number_of(way.target)
        if target is None:
            room = statements("if _units: pass")[0]
            assert isinstance(room, ast.If)
            on = [*statements("_at = _where(_eip)"), onward]
            return [
                *_promised(way.flags),
                *counted,
                *statements("_eip = TARGET", TARGET=way.target),
                ast.If(room.test, on, [], **HERE),
                *_elsewhere(None, inside=inside),
            ]
        number = self._numbers.get(target)
        if number is None:
            return [*_promised(way.flags), *counted, *_elsewhere(way.target, inside=inside)]
        wanted = self._pieces[number].route.wanted
        room = statements("if _units: pass")[0]
        assert isinstance(room, ast.If)
        on = [*_promised(way.flags, wanted), *statements(f"_at = {number}"), onward]
        leave = [*_promised(way.flags), *_elsewhere(way.target, inside=inside)]
        return [*counted, ast.If(room.test, on, [], **HERE), *leave]


def _elsewhere(target: ast.expr | None, *, inside: bool) -> list[ast.stmt]:
    """Leave the region; ``inside`` the loop of a piece it is left by looking for no piece."""
    there = [] if target is None else statements("_eip = TARGET", TARGET=target)
    nowhere = statements(f"_at = {_NOWHERE}") if inside else []
    return [*there, *nowhere, ast.Break(**HERE)]


def _promised(flags: Mapping[str, ast.expr], wanted: AbstractSet[str] | None = None) -> list[ast.stmt]:
    """Give the variables of flags, of those ``wanted``, what was promised.

    All at once: one may be made of what another held.
    """
    promises = {name: flags[name] for name in flags if wanted is None or name in wanted}
    if not promises:
        return []
    names: list[Any] = [ast.Name(name, ast.Store(), **HERE) for name in promises]
    values = list(promises.values())
    if len(names) == 1 or not promises.keys() & read(values):
        return [ast.Assign([name], value, **HERE) for name, value in zip(names, values, strict=True)]
    target, value = ast.Tuple(names, ast.Store(), **HERE), ast.Tuple(values, ast.Load(), **HERE)
    return [ast.Assign([target], value, **HERE)]
