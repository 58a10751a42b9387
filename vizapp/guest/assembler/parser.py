"""Parses expanded lines into labels, constants and statements."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches

from vizapp.guest.assembler.conditions import ConstantScope, constant
from vizapp.guest.assembler.expression import Expression, Reader, parse_expression, unexpected
from vizapp.guest.assembler.instructions import InstructionStatement
from vizapp.guest.assembler.lexer import Token, string_bytes
from vizapp.guest.assembler.macros import Line
from vizapp.guest.assembler.operands import RESERVED, SEGMENT_REGISTERS, parse_operand
from vizapp.guest.assembler.problems import LineError, Origin, Problems
from vizapp.guest.assembler.statements import Align, Data, Reserve, Statement
from vizapp.guest.assembler.values import Value
from vizapp.isa.names import NAMES
from vizapp.messages import N_, Message

_DATA = {"db": 1, "dw": 2, "dd": 4, "dq": 8}
_RESERVE = {"resb": 1, "resw": 2, "resd": 4, "resq": 8}
_DIRECTIVES = frozenset(
    {"bits", "use16", "use32", "org", "section", "segment", "global", "extern", "common", "cpu", "default",
     "align", "alignb", "absolute", "struc", "endstruc", "istruc", "iend", "at", "incbin"}
)  # fmt: skip
_REPEATS = {"rep": "rep", "repe": "rep", "repz": "rep", "repne": "repne", "repnz": "repne"}
_SIZE_PREFIXES = {"o16": 2, "o32": 4, "a16": 2, "a32": 4}
_PREFIXES = frozenset({*_REPEATS, *_SIZE_PREFIXES, "lock", *SEGMENT_REGISTERS})
KEYWORDS = frozenset({*NAMES, *_DATA, *_RESERVE, *_DIRECTIVES, *_PREFIXES, "times", "equ"})


def is_keyword(name: str) -> bool:
    """Whether a name, in any case, is an instruction, a directive or a prefix."""
    return name.lower() in KEYWORDS


@dataclass(slots=True)
class Item:
    """A parsed line.

    Attributes:
        origin: the line that a person wrote.
        label: defined here, in full; None: none.
        label_column: where it stands.
        value: of a label that EQU defines, instead of its address.
        statement: what makes bytes here, if anything does.
        times: how often, if it says so.
        column: of the statement.
    """

    origin: Origin
    label: str | None = None
    label_column: int = 1
    value: Expression | None = None
    statement: Statement | None = None
    times: Expression | None = None
    column: int = 1


class Parser:
    """Reads the lines in order; the mode, the origin and the last label carry on from line to line.

    Attributes:
        items: the parsed lines that define a label or make bytes.
        constants: numbers that EQU has defined so far.
        labels: every name defined, with its line.
        start_bits: the mode of the first statement.
        origin: what ORG says, if anything.
    """

    def __init__(self, problems: Problems, bits: int) -> None:
        self.items: list[Item] = []
        self.constants: dict[str, int] = {}
        self.labels: dict[str, Origin] = {}
        self.start_bits: int | None = None
        self.origin: int | None = None
        self._problems = problems
        self._bits = bits
        self._local_to = ""

    def take(self, line: Line) -> None:
        """Parse the next line; a problem is noted."""
        try:
            self._line(line)
        except LineError as error:
            self._problems.add(line.origin, error)

    def _line(self, line: Line) -> None:
        reader = Reader(line.tokens, self._local_to)
        item = Item(line.origin)
        if reader.accept("["):
            self._directive(reader, item)
            reader.expect("]")
        else:
            self._label(reader, item)
            reader.local_to = self._local_to
            if reader.peek() is not None:
                self._body(reader, item)
        extra = reader.peek()
        if extra is not None:
            raise LineError(unexpected(extra), extra.column)
        if item.label is not None or item.statement is not None:
            if item.statement is not None and self.start_bits is None:
                self.start_bits = self._bits
            self.items.append(item)

    def _label(self, reader: Reader, item: Item) -> None:
        token = reader.peek()
        if token is None or token.kind != "name":
            return
        follower = reader.peek(1)
        if follower is None and not token.text.startswith(".") and not is_keyword(token.text):
            raise LineError(_lone_word(token), token.column)
        has_colon = follower is not None and follower.is_operator(":")
        if is_keyword(token.text) and not (has_colon and token.text.lower() not in SEGMENT_REGISTERS):
            return
        if token.text in ("$", "$$"):
            raise LineError(unexpected(token), token.column)
        if token.text.lower() in RESERVED:
            raise LineError(Message(N_("{name} is a register"), {"name": token.text}), token.column)
        if not has_colon and follower is not None and not _begins_statement(follower):
            raise LineError(_unknown_word(token), token.column)
        reader.position += 1 + has_colon
        name = reader.qualified(token.text)
        is_constant = reader.peek() is not None and _text(reader.peek()) == "equ"
        if token.text.startswith(".") and not token.text.startswith("..") and not self._local_to:
            raise LineError(Message(N_("{name} has no label before it"), {"name": token.text}), token.column)
        if not token.text.startswith(".") and not is_constant:
            self._local_to = name  # a constant leaves .local labels where they are
        known = self.labels.get(name)
        if known is not None:
            raise LineError(
                Message(
                    N_("{name} is already defined in {file}:{line}"),
                    {"name": name, "file": known.file, "line": known.number},
                ),
                token.column,
            )
        self.labels[name] = item.origin
        item.label, item.label_column = name, token.column
        if is_constant:
            reader.position += 1
            reader.local_to = self._local_to
            item.value = parse_expression(reader)
            with suppress(LineError):  # an address, which a later pass knows
                value = item.value(ConstantScope(self.constants))
                if value.is_number:
                    self.constants[name] = value.number

    def _body(self, reader: Reader, item: Item) -> None:
        if reader.accept_word("times") is not None:
            item.times = parse_expression(reader)
        token = reader.peek()
        if token is None:
            raise LineError(Message(N_("an instruction is missing here")), reader.column)
        item.column = token.column
        word = token.text.lower()
        if token.kind != "name":
            raise LineError(unexpected(token), token.column)
        if word == "equ":
            raise LineError(Message(N_("{directive} needs a name"), {"directive": "equ"}), token.column)
        if word in _DATA:
            reader.position += 1
            item.statement = Data(_DATA[word], _data_items(reader))
        elif word in _RESERVE:
            reader.position += 1
            item.statement = Reserve(_RESERVE[word], parse_expression(reader), token.column)
        elif word in _DIRECTIVES:
            self._directive(reader, item)
        else:
            item.statement = self._instruction(reader)

    def _instruction(self, reader: Reader) -> InstructionStatement:
        repeat, lock = "", False
        sizes: dict[str, int] = {}
        segment: int | None = None
        while (word := reader.accept_word(*_PREFIXES)) is not None:
            if word in _REPEATS:
                repeat = _REPEATS[word]
            elif word == "lock":
                lock = True
            elif word in SEGMENT_REGISTERS:
                segment = SEGMENT_REGISTERS[word]
            else:
                sizes[word[0]] = _SIZE_PREFIXES[word]
        token = reader.peek()
        if token is None:
            raise LineError(Message(N_("an instruction is missing here")), reader.column)
        name = NAMES.get(token.text.lower()) if token.kind == "name" else None
        if name is None:
            raise LineError(_unknown_word(token), token.column)
        reader.position += 1
        operands = []
        if reader.peek() is not None:
            operands.append(parse_operand(reader))
            while reader.accept(","):
                operands.append(parse_operand(reader))
        return InstructionStatement(
            name,
            operands,
            self._bits,
            token.column,
            repeat,
            lock,
            segment,
            operand_size=sizes.get("o"),
            address_size=sizes.get("a"),
        )

    def _directive(self, reader: Reader, item: Item) -> None:
        token = reader.peek()
        if token is None or token.kind != "name":
            raise LineError(Message(N_("a directive is missing here")), reader.column)
        reader.position += 1
        match token.text.lower():
            case "bits":
                self._bits = self._number(reader, token.column)
                if self._bits not in (16, 32):
                    raise LineError(Message(N_("{name} takes 16 or 32"), {"name": "bits"}), token.column)
            case "use16":
                self._bits = 16
            case "use32":
                self._bits = 32
            case "org":
                value = self._number(reader, token.column)
                if self.origin not in (None, value):
                    raise LineError(Message(N_("a second org with another address")), token.column)
                self.origin = value
            case "section" | "segment":
                name = reader.peek()
                if name is None or name.text != ".text":
                    raise LineError(Message(N_("a flat image has the section .text only")), reader.column)
                reader.position += 1
            case "global" | "cpu" | "default":
                reader.position = next(
                    (i for i, one in enumerate(reader.tokens) if one.is_operator("]")), len(reader.tokens)
                )
            case "align" | "alignb" as word:
                boundary = parse_expression(reader)
                item.statement = Align(boundary, self._filler(reader, word), token.column)
            case _:
                raise LineError(
                    Message(N_("{name} has no place in a flat image"), {"name": token.text}), token.column
                )

    def _filler(self, reader: Reader, word: str) -> Statement:
        if reader.accept(","):
            item = Item(Origin("", 0, ""))
            self._body(reader, item)
            if item.statement is not None:
                return item.statement
        return InstructionStatement(NAMES["nop"], [], self._bits, 1) if word == "align" else Data(1, [b"\0"])

    def _number(self, reader: Reader, column: int) -> int:
        end = next((i for i, one in enumerate(reader.tokens) if one.is_operator("]")), len(reader.tokens))
        tokens = reader.tokens[reader.position : end]
        reader.position = end
        return constant(tokens, column, self.constants)


def _text(token: Token | None) -> str:
    return token.text.lower() if token is not None and token.kind == "name" else ""


def _begins_statement(token: Token) -> bool:
    return token.kind == "name" and is_keyword(token.text)


def _unknown_word(token: Token) -> Message:
    close = get_close_matches(token.text.lower(), KEYWORDS, n=1)
    if close:
        return Message(
            N_("{name} is no instruction, directive or macro; did you mean {close}?"),
            {"name": token.text, "close": close[0]},
        )
    return Message(N_("{name} is no instruction, directive or macro"), {"name": token.text})


def _lone_word(token: Token) -> Message:
    close = get_close_matches(token.text.lower(), KEYWORDS, n=1, cutoff=0.75)
    if close:
        return Message(
            N_("{name} is no instruction; did you mean {close}, or a label, {name}:?"),
            {"name": token.text, "close": close[0]},
        )
    return Message(N_("{name} is no instruction; a label alone ends in a colon"), {"name": token.text})


def _data_items(reader: Reader) -> list[bytes | tuple[Expression, int]]:
    items: list[bytes | tuple[Expression, int]] = []
    while True:
        token, follower = reader.peek(), reader.peek(1)
        if token is None and items:
            return items  # NASM lets a list end in a comma
        if token is not None and token.is_operator("?"):
            reader.position += 1
            items.append((lambda _: Value(0), token.column))
        elif token is not None and token.kind == "string" and (follower is None or follower.is_operator(",")):
            reader.position += 1
            items.append(string_bytes(token.text))
        else:
            column = reader.column
            items.append((parse_expression(reader), column))
        if not reader.accept(","):
            return items
