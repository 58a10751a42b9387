"""NASM's preprocessor: macros, conditional assembly, repetition and inclusion."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from vizapp.guest.assembler.conditions import ConditionStack, Tester
from vizapp.guest.assembler.defines import Define, Defines
from vizapp.guest.assembler.directives import DefineDirectives, macro_name
from vizapp.guest.assembler.lexer import Token, string_bytes, tokenize
from vizapp.guest.assembler.macros import (
    Call,
    Collection,
    Line,
    MacroTable,
    RawLine,
    fill_parameters,
    parse_macro,
    split_lines,
    split_parameters,
    substitute,
)
from vizapp.guest.assembler.problems import LineError, Origin, Problems
from vizapp.messages import N_, Message

MAX_LINES = 100_000
MAX_DEPTH = 64
MAX_REPEAT = 65_536

Include = Callable[[str], str]
"""Gives the text of an included file by the name as written; raises OSError if there is none."""


@dataclass(slots=True)
class _Frame:
    """A source of lines: a file, a macro's body or a repetition."""

    kind: str
    lines: Iterable[RawLine]
    call: Call | None
    conditions: ConditionStack = field(default_factory=ConditionStack)


class Preprocessor:
    """One run over one source.

    Args:
        include: gives the text of a file.
        problems: where problems are noted.
        constants: what EQU has defined so far; grows while the lines handed on are parsed.
        is_reserved: whether a name is an instruction or a directive.
        take: takes the expanded lines, in order.
    """

    def __init__(
        self,
        include: Include,
        problems: Problems,
        constants: Mapping[str, int],
        is_reserved: Callable[[str], bool],
        take: Callable[[Line], None],
    ) -> None:
        self._include = include
        self._problems = problems
        self._is_reserved = is_reserved
        self._defines = Defines()
        self._macros = MacroTable()
        self._take = take
        self._tester = Tester(self._defines, self._macros, constants)
        self._frames: list[_Frame] = []
        self._collection: Collection | None = None
        self._serial = 0
        self._lines_read = 0
        single = self._single = DefineDirectives(self._defines, constants)
        self._defining: dict[str, Callable[[Token, list[Token]], None]] = {
            "%define": single.define,
            "%idefine": single.define,
            "%xdefine": single.define,
            "%ixdefine": single.define,
            "%undef": single.undef,
            "%assign": single.assign,
            "%iassign": single.assign,
            "%strlen": single.strlen,
        }
        self._directives: dict[str, Callable[[Token, list[Token], Line], None]] = {
            "%include": self._include_file,
            "%error": self._error,
            "%fatal": self._error,
            "%warning": self._warning,
            "%macro": self._collect,
            "%imacro": self._collect,
            "%rep": self._collect,
            "%rotate": self._rotate,
            "%exitrep": self._exit,
            "%exitmacro": self._exit,
            "%unmacro": self._unmacro,
        }

    def run(self, source: str, file: str, defines: Mapping[str, str | int]) -> None:
        """Hand on the lines of ``source`` one by one; problems are noted, and their lines left out."""
        for name, value in defines.items():
            self._defines.set(Define(name, None, tuple(tokenize(str(value)))))
        self._push(_Frame("file", iter(split_lines(source, file)), None))
        try:
            while self._frames:
                frame = self._frames[-1]
                raw = next(iter(frame.lines), None)
                if raw is None:
                    self._end(frame)
                else:
                    self._line(raw, frame)
        except _StopError as stop:
            self._problems.add(stop.origin, stop.error)

    def _push(self, frame: _Frame) -> None:
        self._frames.append(frame)

    def _end(self, frame: _Frame) -> None:
        self._frames.pop()
        collection = self._collection
        if collection is not None:
            error = LineError(Message(N_("{end} is missing"), {"end": collection.ends}), collection.column)
            self._problems.add(collection.origin, error)
            self._collection = None
        for condition in frame.conditions.open:
            self._problems.add(
                condition.origin,
                LineError(Message(N_("{end} is missing"), {"end": "%endif"}), condition.column),
            )

    def _line(self, raw: RawLine, frame: _Frame) -> None:
        origin = _origin_of(raw, frame.call)
        self._lines_read += 1
        if self._lines_read > MAX_LINES:
            raise _StopError(
                origin, LineError(Message(N_("the source grows beyond {limit} lines"), {"limit": MAX_LINES}))
            )
        first = raw.tokens[0] if raw.tokens else None
        directive = first.text.lower() if first is not None and first.kind == "directive" else ""
        try:
            if self._collection is not None:
                self._continue_collection(raw, directive, frame)
                return
            if first is None or not (directive or frame.conditions.active):
                return
            tokens = raw.tokens if frame.call is None else substitute(raw.tokens, frame.call)
            if directive and frame.conditions.handle(directive, Line(tokens, origin), self._tester):
                return
            if not frame.conditions.active:
                return
            if directive:
                self._direct(directive, tokens, origin)
            else:
                self._ordinary(tokens, origin, frame.call)
        except LineError as error:
            self._problems.add(origin, error)

    def _direct(self, directive: str, tokens: list[Token], origin: Origin) -> None:
        define = self._defining.get(directive)
        if define is not None:
            define(tokens[0], tokens[1:])
            return
        handler = self._directives.get(directive)
        if handler is None:
            raise LineError(
                _unknown_directive(directive, [*self._defining, *self._directives]), tokens[0].column
            )
        handler(tokens[0], tokens[1:], Line(tokens, origin))

    def _include_file(self, directive: Token, tokens: list[Token], line: Line) -> None:
        tokens = self._defines.expand(tokens)
        if len(tokens) != 1 or tokens[0].kind != "string":
            raise LineError(Message(N_("%include needs a file's name in quotes")), directive.column)
        name = string_bytes(tokens[0].text).decode()
        if sum(frame.kind == "file" for frame in self._frames) >= MAX_DEPTH:
            raise _StopError(
                line.origin,
                LineError(Message(N_("{name} is included without end"), {"name": name}), directive.column),
            )
        try:
            source = self._include(name)
        except (OSError, KeyError, UnicodeDecodeError):
            raise LineError(
                Message(N_("the file {name} cannot be read"), {"name": name}), tokens[0].column
            ) from None
        self._push(_Frame("file", iter(split_lines(source, name)), None))

    def _error(self, directive: Token, tokens: list[Token], line: Line) -> None:
        words = self._defines.expand(tokens)
        text = "".join(
            " " * token.spaced + (string_bytes(token.text).decode() if token.kind == "string" else token.text)
            for token in words
        ).strip()
        error = LineError(Message("{text}", {"text": text}), directive.column)
        if directive.text.lower() == "%fatal":
            raise _StopError(line.origin, error)
        raise error

    def _warning(self, directive: Token, tokens: list[Token], line: Line) -> None:
        """A warning changes nothing in the image, so it is passed over."""

    def _collect(self, directive: Token, tokens: list[Token], line: Line) -> None:
        is_repeat = directive.text.lower() == "%rep"
        self._collection = Collection(
            "%endrep" if is_repeat else "%endmacro",
            ("%rep",) if is_repeat else ("%macro", "%imacro"),
            [directive, *tokens],
            line.origin,
            directive.column,
        )

    def _continue_collection(self, raw: RawLine, directive: str, frame: _Frame) -> None:
        collection = self._collection
        assert collection is not None
        if not collection.take(raw, directive):
            return
        self._collection = None
        if collection.ends == "%endrep":
            self._repeat(collection, frame)
        else:
            self._define_macro(collection)

    def _repeat(self, collection: Collection, frame: _Frame) -> None:
        try:
            count = self._single.constant(collection.header[1:], collection.column)
            if count > MAX_REPEAT:
                raise LineError(
                    Message(N_("%rep repeats at most {limit} times"), {"limit": MAX_REPEAT}),
                    collection.column,
                )
        except LineError as error:
            self._problems.add(collection.origin, error)
            return
        lines = (line for _ in range(count if collection.lines else 0) for line in collection.lines)
        self._push(_Frame("rep", lines, frame.call))

    def _define_macro(self, collection: Collection) -> None:
        directive, *header = collection.header
        try:
            macro = parse_macro(
                macro_name(header, directive),
                self._defines.expand(header[1:]),
                collection.lines,
                collection.column,
            )
        except LineError as error:
            self._problems.add(collection.origin, error)
            return
        if not self._macros.define(macro, fold=directive.text.lower() == "%imacro"):
            twice = Message(N_("macro {name} is already defined"), {"name": macro.name})
            self._problems.add(collection.origin, LineError(twice, collection.column))

    def _unmacro(self, directive: Token, tokens: list[Token], line: Line) -> None:
        self._macros.remove(macro_name(tokens, directive))

    def _rotate(self, directive: Token, tokens: list[Token], line: Line) -> None:
        call = self._frames[-1].call
        if call is None:
            raise LineError(
                Message(N_("{name} works inside a macro only"), {"name": "%rotate"}), directive.column
            )
        count = self._single.constant(tokens, directive.column)
        if call.parameters:
            turn = count % len(call.parameters)
            call.parameters = call.parameters[turn:] + call.parameters[:turn]

    def _exit(self, directive: Token, tokens: list[Token], line: Line) -> None:
        kind = directive.text.lower()[len("%exit") :]
        if not any(frame.kind == kind for frame in self._frames):
            text = N_("{name} is in no %rep") if kind == "rep" else N_("{name} is in no macro")
            raise LineError(Message(text, {"name": directive.text}), directive.column)
        while self._frames.pop().kind != kind:
            pass

    def _ordinary(self, tokens: list[Token], origin: Origin, outer: Call | None) -> None:
        tokens = self._defines.expand(tokens)
        if not tokens:
            return
        start = 0
        if len(tokens) > 1 and tokens[0].kind == "name" and self._macros.find(tokens[0]) is None:
            # a label may stand before a macro's name
            start = 2 if tokens[1].is_operator(":") else 1
        name = tokens[start] if start < len(tokens) else None
        forms = self._macros.find(name) if name is not None else None
        if name is None or forms is None or (start == 1 and self._is_reserved(tokens[0].text)):
            self._take(Line(tokens, origin))
            return
        parameters = split_parameters(tokens[start + 1 :])
        macro = next((form for form in forms if form.takes(len(parameters))), None)
        if macro is None:
            raise LineError(
                Message(
                    N_("macro {name} does not take {count} parameters"),
                    {"name": name.text, "count": len(parameters)},
                ),
                name.column,
            )
        if outer is not None and outer.active(macro):
            # As in NASM, a macro's own name inside it is the instruction of that name.
            if not self._is_reserved(name.text):
                raise LineError(Message(N_("macro {name} calls itself"), {"name": name.text}), name.column)
            self._take(Line(tokens, origin))
            return
        if start:
            self._take(Line([tokens[0], Token("operator", ":", tokens[0].column, False)], origin))
        self._serial += 1
        call = Call(macro, fill_parameters(macro, parameters), self._serial, name.column, origin, outer)
        self._push(_Frame("macro", iter(macro.body), call))


class _StopError(Exception):
    """A problem after which going on makes no sense."""

    def __init__(self, origin: Origin, error: LineError) -> None:
        super().__init__(error.message.in_english())
        self.origin = origin
        self.error = error


def _unknown_directive(directive: str, known: list[str]) -> Message:
    names = [*known, "%if", "%ifdef", "%ifndef", "%elif", "%else", "%endif", "%endmacro", "%endrep"]
    close = get_close_matches(directive, names, n=1)
    if close:
        return Message(
            N_("unknown directive {name}; did you mean {close}?"), {"name": directive, "close": close[0]}
        )
    return Message(N_("unknown directive {name}"), {"name": directive})


def _origin_of(raw: RawLine, call: Call | None) -> Origin:
    if call is None:
        return Origin(raw.file, raw.number, raw.text)
    outer = call.origin
    return Origin(outer.file, outer.number, outer.text, (call.macro.name, raw.file, raw.number))
