"""Parses NASM expressions into functions of a scope, so that each pass can evaluate them anew."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

from vizapp.guest.assembler.lexer import Token, number_value, string_bytes
from vizapp.guest.assembler.operators import COMPARISONS, NUMBERS_ONLY
from vizapp.guest.assembler.problems import LineError
from vizapp.guest.assembler.values import Value, add, multiply, not_a_number, wrapped
from vizapp.isa.instruction import Register
from vizapp.isa.registers import BYTES, GENERAL, WORDS
from vizapp.messages import N_, Message

REGISTERS: Mapping[str, Register] = {
    name: Register(index, size)
    for names, size in ((BYTES, 1), (WORDS, 2), (GENERAL, 4))
    for index, name in enumerate(names)
}


class Scope(Protocol):
    """What names mean at one place of the source."""

    @property
    def here(self) -> Value:
        """``$``: the address at which the line begins."""
        ...

    @property
    def start(self) -> Value:
        """``$$``: the section's first address."""
        ...

    @property
    def position(self) -> int:
        """The address of the next byte; inside TIMES it runs ahead of ``$``."""
        ...

    def lookup(self, name: str, column: int) -> Value:
        """The value of a label or constant; raises LineError if there is none."""
        ...


Expression: TypeAlias = Callable[[Scope], Value]


class Reader:
    """The tokens of a line, read from left to right."""

    def __init__(self, tokens: list[Token], local_to: str = "") -> None:
        self.tokens = tokens
        self.position = 0
        self.local_to = local_to

    @property
    def column(self) -> int:
        """Of the next token, or just after the last one."""
        if self.position < len(self.tokens):
            return self.tokens[self.position].column
        return self.tokens[-1].column + len(self.tokens[-1].text) if self.tokens else 1

    def peek(self, ahead: int = 0) -> Token | None:
        """The next token, or None at the end."""
        index = self.position + ahead
        return self.tokens[index] if index < len(self.tokens) else None

    def accept(self, text: str) -> bool:
        """Take the next token if it is this operator."""
        token = self.peek()
        if token is not None and token.is_operator(text):
            self.position += 1
            return True
        return False

    def expect(self, text: str) -> None:
        """Take this operator; raises LineError if something else comes."""
        if not self.accept(text):
            raise LineError(Message(N_("expected {what} here"), {"what": text}), self.column)

    def accept_word(self, *words: str) -> str | None:
        """Take the next token if it is one of these names, in any case; the name in lower case."""
        token = self.peek()
        if token is not None and token.kind == "name" and token.text.lower() in words:
            self.position += 1
            return token.text.lower()
        return None

    def qualified(self, name: str) -> str:
        """The whole name of a label: ``.local`` belongs to the last label without a dot."""
        if name.startswith("$"):
            name = name[1:]
        if name.startswith(".") and not name.startswith(".."):
            return self.local_to + name
        return name


def _number(value: Value, column: int) -> int:
    if value.terms:
        raise not_a_number(column)
    return value.number


# NASM's levels, the loosest first ("Expressions").
_LEVELS: tuple[frozenset[str], ...] = (
    frozenset({"||"}),
    frozenset({"^^"}),
    frozenset({"&&"}),
    frozenset(COMPARISONS),
    frozenset({"|"}),
    frozenset({"^"}),
    frozenset({"&"}),
    frozenset({"<<", ">>", "<<<", ">>>"}),
    frozenset({"+", "-"}),
    frozenset({"*", "/", "//", "%", "%%"}),
)
_BINDING = {name: level for level, names in enumerate(_LEVELS) for name in names}
_MAX_DEPTH = 100


def parse_expression(reader: Reader, depth: int = 0) -> Expression:
    """Parse the longest expression that comes next.

    Raises:
        LineError: no expression begins here, or it is not complete.
    """
    test = _parse_binary(reader, 0, depth)
    column = reader.column
    if not reader.accept("?"):
        return test
    then = parse_expression(reader, depth + 1)
    reader.expect(":")
    return _conditional(test, then, parse_expression(reader, depth + 1), column)


def _parse_binary(reader: Reader, loosest: int, depth: int) -> Expression:
    """Operands and the operators between them that bind no looser than ``loosest``."""
    if depth > _MAX_DEPTH:
        raise LineError(Message(N_("this expression is nested too deeply")), reader.column)
    left = _unary(reader, depth)
    while True:
        token = reader.peek()
        level = _BINDING.get(token.text, -1) if token is not None and token.kind == "operator" else -1
        if token is None or level < loosest:
            return left
        reader.position += 1
        left = _binary(token, left, _parse_binary(reader, level + 1, depth))


def _conditional(test: Expression, then: Expression, otherwise: Expression, column: int) -> Expression:
    def evaluate(scope: Scope) -> Value:
        return then(scope) if _number(test(scope), column) else otherwise(scope)

    return evaluate


def _binary(token: Token, left: Expression, right: Expression) -> Expression:
    name, column = token.text, token.column
    if name in ("+", "-"):
        sign = 1 if name == "+" else -1
        return lambda scope: add(left(scope), right(scope), sign)
    if name == "*":
        return lambda scope: multiply(left(scope), right(scope), column)
    if name in COMPARISONS:
        compare = COMPARISONS[name]

        def evaluate_comparison(scope: Scope) -> Value:
            difference = add(left(scope), right(scope), -1)
            known = difference.known
            result = compare(_number(difference, column), 0)
            return Value(result, (), frozenset(), known, summed=difference.summed)

        return evaluate_comparison
    function = NUMBERS_ONLY[name]

    def evaluate(scope: Scope) -> Value:
        one, other = left(scope), right(scope)
        first, second = _number(one, column), _number(other, column)
        known = one.known and other.known
        if second == 0 and name in ("/", "//", "%", "%%"):
            if not known:
                return Value(0, (), frozenset(), False)
            raise LineError(Message(N_("division by zero")), column)
        summed = one.summed or other.summed
        return Value(wrapped(function(first, second)), (), frozenset(), known, summed=summed)

    return evaluate


def _unary(reader: Reader, depth: int) -> Expression:
    token = reader.peek()
    if token is not None and token.kind == "operator" and token.text in ("-", "+", "~", "!"):
        reader.position += 1
        if depth >= _MAX_DEPTH:
            raise LineError(Message(N_("this expression is nested too deeply")), token.column)
        operand = _unary(reader, depth + 1)
        column = token.column
        match token.text:
            case "-":
                return lambda scope: add(Value(0, plain=False), operand(scope), -1)
            case "+":
                return operand
            case "~":
                return lambda scope: _mapped(operand(scope), operator.invert, column)
            case _:
                return lambda scope: _mapped(operand(scope), lambda number: int(not number), column)
    return _primary(reader, depth)


def _mapped(value: Value, function: Callable[[int], int], column: int) -> Value:
    number = wrapped(function(_number(value, column)))
    return Value(number, (), frozenset(), value.known, summed=value.summed)


def _constant(value: Value) -> Expression:
    return lambda _: value


def _primary(reader: Reader, depth: int) -> Expression:
    token = reader.peek()
    if token is None:
        raise LineError(Message(N_("an expression is missing here")), reader.column)
    reader.position += 1
    text, column = token.text, token.column
    match token.kind:
        case "number":
            number = number_value(text)
            if number is None:
                raise LineError(Message(N_("{text} is not a number"), {"text": text}), column)
            return _constant(Value(wrapped(number)))
        case "string":
            characters = string_bytes(text)
            if len(characters) > 8:
                raise LineError(Message(N_("a character constant has at most 8 characters")), column)
            return _constant(Value(wrapped(int.from_bytes(characters, "little"))))
        case "name":
            if text == "$":
                return lambda scope: scope.here
            if text == "$$":
                return lambda scope: scope.start
            register = REGISTERS.get(text.lower())
            if register is not None:
                return _constant(Value(0, ((register, 1),), plain=False))
            name = reader.qualified(text)
            return lambda scope: scope.lookup(name, column)
        case "operator" if text == "(":
            inner = parse_expression(reader, depth + 1)
            reader.expect(")")
            return inner
    raise LineError(unexpected(token), column)


def unexpected(token: Token) -> Message:
    """The complaint about a token that nothing can be made of here."""
    if token.kind == "bad" and len(token.text) > 1:
        return Message(N_("this string does not end on its line"))
    if token.kind in {"bad", "operator"}:
        return Message(N_("unexpected {text}"), {"text": token.text})
    if token.kind in ("parameter", "local"):
        return Message(N_("{text} means something inside a macro only"), {"text": token.text})
    return Message(N_("unexpected {text}"), {"text": token.text})
