"""Assembles a source: passes over its statements until every address and every jump's size has settled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NamedTuple

from vizapp.errors import AssemblyError
from vizapp.guest.assembler.instructions import InstructionStatement
from vizapp.guest.assembler.parser import Item, Parser, is_keyword
from vizapp.guest.assembler.preprocessor import Include, Preprocessor
from vizapp.guest.assembler.problems import LineError, Origin, Problems
from vizapp.guest.assembler.statements import MAX_BYTES, count_of
from vizapp.guest.assembler.values import SECTION, Value
from vizapp.isa.addresses import Linear
from vizapp.machine.image import SourceLine
from vizapp.messages import N_, Message

MAX_PASSES = 60
GROWING_PASSES = 20
"""From this pass on a jump that was long stays so, and sizes can only grow until they settle."""


@dataclass(frozen=True, slots=True)
class Assembly:
    """What a source makes.

    Attributes:
        origin: address of the first byte.
        data: the bytes.
        symbols: labels to their addresses; ``.local`` ones by their whole names (``main.loop``).
        constants: names that EQU defines to their values.
        lines: the source lines that made bytes, sorted by address; a macro's bytes belong to the line that
            calls it, one entry for the bytes that lie together.
        bits: 16 or 32, the mode of the first statement.
    """

    origin: Linear
    data: bytes
    symbols: dict[str, Linear]
    constants: dict[str, int]
    lines: tuple[SourceLine, ...]
    bits: int


class _Scope:
    """The names at one place, in one pass."""

    def __init__(self, values: dict[str, Value], labels: Mapping[str, Origin], origin: int) -> None:
        self.values = values
        self.labels = labels
        self.start = Value(origin, ((SECTION, 1),))
        self.here = self.start
        self.position = origin

    def move_to(self, address: int) -> None:
        """Begin a line at this address."""
        self.here = Value(address, ((SECTION, 1),))
        self.position = address

    def lookup(self, name: str, column: int) -> Value:
        """See ``expression.Scope``."""
        value = self.values.get(name)
        if value is not None:
            return value
        if name in self.labels:
            return Value(self.here.number, ((SECTION, 1),), frozenset(), False)
        close = get_close_matches(name, self.labels, n=1)
        if close:
            message = Message(
                N_("{name} is not defined; did you mean {close}?"), {"name": name, "close": close[0]}
            )
        else:
            message = Message(N_("{name} is not defined"), {"name": name})
        raise LineError(message, column)


class _Span(NamedTuple):
    """The bytes from ``start`` to ``end`` that a line made; whether they are instructions."""

    start: int
    end: int
    origin: Origin
    code: bool


@dataclass(slots=True)
class _Pass:
    """One pass: the bytes, what went wrong, and whether any name changed its value."""

    data: bytearray
    spans: list[_Span]
    problems: list[tuple[Origin, LineError]]
    unsettled: Item | None = None


def _run_pass(items: list[Item], scope: _Scope, origin: int, number: int) -> _Pass:
    """Lay out all statements once, with the values of the pass before for what comes later."""
    result = _Pass(bytearray(), [], [])
    data = result.data
    for item in items:
        scope.move_to(origin + len(data))
        start = len(data)
        try:
            if item.label is not None:
                value = scope.here if item.value is None else item.value(scope)._replace(summed=False)
                if scope.values.get(item.label) != value or not value.known:
                    result.unsettled = result.unsettled or item
                    scope.values[item.label] = value
            if item.statement is not None:
                _emit(item, scope, data, number >= GROWING_PASSES)
        except LineError as error:
            result.problems.append((item.origin, error))
            del data[start:]
        if len(data) > MAX_BYTES:
            large = Message(N_("the source makes more than {limit} bytes"), {"limit": MAX_BYTES})
            result.problems.append((item.origin, LineError(large, item.column)))
            break
        if len(data) > start:
            code = isinstance(getattr(item.statement, "fill", item.statement), InstructionStatement)
            result.spans.append(_Span(start, len(data), item.origin, code))
    return result


def _emit(item: Item, scope: _Scope, data: bytearray, growing: bool) -> None:
    statement = item.statement
    assert statement is not None
    if item.times is None:
        data += statement.emit(scope, growing)
        return
    count = count_of(item.times(scope), 1, item.column)
    if not statement.depends_on_place:
        if count:
            code = statement.emit(scope, growing)
            if len(code) * count > MAX_BYTES:
                raise LineError(
                    Message(
                        N_("{count} bytes are more than the {limit} that a source may make"),
                        {"count": len(code) * count, "limit": MAX_BYTES},
                    ),
                    item.column,
                )
            data += code * count
        return
    start, base = scope.here.number, len(data)
    if count > 1 << 16:
        raise LineError(Message(N_("{count} repetitions are too many here"), {"count": count}), item.column)
    for _ in range(count):
        data += statement.emit(scope, growing)
        scope.position = start + len(data) - base


def _no_files(name: str) -> str:
    raise FileNotFoundError(name)


def assemble(
    source: str,
    file: str = "<source>",
    defines: Mapping[str, str | int] | None = None,
    include: Include = _no_files,
    bits: int = 16,
    origin: int = 0,
) -> Assembly:
    """Assemble NASM source into a flat image.

    Args:
        source: the text.
        file: its name in problems and in the line map.
        defines: macros as by ``-D``; a value may be any text.
        include: gives the text of a file that ``%include`` names; raises OSError if there is none.
        bits: the mode before the first ``bits`` directive; NASM's own is 16.
        origin: address of the first byte of a source without ``org``; NASM's own is 0.

    Raises:
        AssemblyError: with every problem found, in the order of the source.
    """
    problems = Problems()
    parser = Parser(problems, bits)
    preprocessor = Preprocessor(include, problems, parser.constants, is_keyword, parser.take)
    preprocessor.run(source, file, defines or {})
    if parser.origin is not None:
        origin = parser.origin
    scope = _Scope({}, parser.labels, origin)
    for number in range(MAX_PASSES):
        result = _run_pass(parser.items, scope, origin, number)
        if result.unsettled is None:
            break
    if result.unsettled is not None and not (result.problems or problems.found):
        item = result.unsettled
        endless = Message(N_("the value of {name} does not settle"), {"name": item.label or ""})
        result.problems.append((item.origin, LineError(endless, item.label_column)))
    for where, error in result.problems:
        problems.add(where, error)
    if problems.found:
        raise AssemblyError(problems.in_order())
    named = [(item.label, item) for item in parser.items if item.label is not None]
    return Assembly(
        Linear(origin),
        bytes(result.data),
        {name: Linear(scope.values[name].number) for name, item in named if item.value is None},
        {name: scope.values[name].number for name, item in named if item.value is not None},
        _source_lines(result.spans, origin),
        parser.start_bits or bits,
    )


def _source_lines(spans: list[_Span], origin: int) -> tuple[SourceLine, ...]:
    """The spans by line: what one line made in one piece is one entry, code and data apart."""
    merged: list[_Span] = []
    for span in spans:
        if merged:
            last = merged[-1]
            here, there = last.origin, span.origin
            same_line = (here.file, here.number) == (there.file, there.number)
            if last.end == span.start and last.code == span.code and same_line:
                merged[-1] = last._replace(end=span.end)
                continue
        merged.append(span)
    return tuple(
        SourceLine(Linear(origin + start), end - start, where.file, where.number, where.text, code)
        for start, end, where, code in merged
    )
