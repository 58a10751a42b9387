"""The tests of %if, %ifdef, %ifidn and their kin, and constants for the preprocessor."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field

from vizapp.guest.assembler.defines import Defines
from vizapp.guest.assembler.expression import Reader, parse_expression
from vizapp.guest.assembler.lexer import Token
from vizapp.guest.assembler.macros import Line
from vizapp.guest.assembler.problems import LineError, Origin
from vizapp.guest.assembler.values import Value
from vizapp.messages import N_, Message

TESTS = frozenset({"", "def", "idn", "idni", "macro", "id", "num", "str", "empty"})


class ConstantScope:
    """Before addresses exist no label and no ``$`` has a value; constants of EQU do from their line on."""

    def __init__(self, constants: Mapping[str, int]) -> None:
        self._constants = constants

    def lookup(self, name: str, column: int) -> Value:
        """See ``expression.Scope``."""
        if name in self._constants:
            return Value(self._constants[name])
        raise LineError(Message(N_("{name} is not known before assembly"), {"name": name}), column)

    @property
    def here(self) -> Value:
        """See ``expression.Scope``."""
        raise LineError(Message(N_("{name} is not known before assembly"), {"name": "$"}))

    @property
    def start(self) -> Value:
        """See ``expression.Scope``."""
        raise LineError(Message(N_("{name} is not known before assembly"), {"name": "$$"}))

    @property
    def position(self) -> int:
        """See ``expression.Scope``."""
        return 0


def constant(tokens: list[Token], column: int, constants: Mapping[str, int]) -> int:
    """The value of an expression that needs no labels; ``column`` is the directive's."""
    if not tokens:
        raise LineError(Message(N_("an expression is missing here")), column)
    reader = Reader(tokens)
    value = parse_expression(reader)(ConstantScope(constants))
    extra = reader.peek()
    if extra is not None:
        raise LineError(Message(N_("unexpected {text}"), {"text": extra.text}), extra.column)
    if not value.is_number:
        raise LineError(Message(N_("a register is not a number")), column)
    return value.number


def test_of(directive: str) -> tuple[str, bool] | None:
    """The test of ``%ifndef`` or ``%elifidn``, and whether it is negated; None for another directive."""
    for stem in ("%elif", "%if"):
        if directive.startswith(stem):
            name = directive[len(stem) :]
            if name in TESTS:
                return name, False
            if name[:1] == "n" and name[1:] in TESTS - {""}:
                return name[1:], True
    return None


@dataclass(slots=True)
class Tester:
    """Answers a conditional directive's test."""

    defines: Defines
    macros: Container[str]
    constants: Mapping[str, int]

    def holds(self, test: str, tokens: list[Token], column: int) -> bool:
        """Whether the test holds for what follows the directive."""
        match test:
            case "":
                return constant(self.defines.expand(tokens), column, self.constants) != 0
            case "def":
                names = [token.text for token in tokens if not token.is_operator(",")]
                return any(self.defines.find(name) is not None for name in names)
            case "macro":
                return bool(tokens) and tokens[0].text in self.macros
        expanded = self.defines.expand(tokens)
        if test in ("idn", "idni"):
            return self._identical(expanded, test == "idni", column)
        if test == "empty":
            return not expanded
        kind = {"id": "name", "num": "number", "str": "string"}[test]
        if test == "num" and len(expanded) == 2 and expanded[0].text in ("-", "+"):
            expanded = expanded[1:]
        return len(expanded) == 1 and expanded[0].kind == kind

    @staticmethod
    def _identical(tokens: list[Token], fold: bool, column: int) -> bool:
        commas = [index for index, token in enumerate(tokens) if token.is_operator(",")]
        if not commas:
            raise LineError(Message(N_("expected {what} here"), {"what": ","}), column)
        sides = []
        for side in (tokens[: commas[0]], tokens[commas[0] + 1 :]):
            texts = [_unquoted(token) for token in side]
            sides.append([text.lower() for text in texts] if fold else texts)
        return sides[0] == sides[1]


def _unquoted(token: Token) -> str:
    return "'" + token.text[1:-1] if token.kind == "string" else token.text


@dataclass(slots=True)
class _Condition:
    """An open %if: whether its lines count now, whether a branch has been taken, whether %else was seen."""

    origin: Origin
    column: int
    parent_active: bool
    active: bool = False
    taken: bool = False
    seen_else: bool = False


@dataclass(slots=True)
class ConditionStack:
    """The %if blocks that are open in one file, macro body or repetition."""

    open: list[_Condition] = field(default_factory=list)

    @property
    def active(self) -> bool:
        """Whether the lines here count."""
        return not self.open or self.open[-1].active

    def handle(self, directive: str, line: Line, tester: Tester) -> bool:
        """Do a directive of conditional assembly; False if it is another one.

        Raises:
            LineError: it has no %if, comes after %else, or its test cannot be made.
        """
        column = line.tokens[0].column
        if directive == "%endif":
            self._innermost(directive, column)
            self.open.pop()
            return True
        if directive == "%else":
            condition = self._innermost(directive, column)
            if condition.seen_else:
                raise LineError(Message(N_("a second %else for one %if")), column)
            condition.seen_else = True
            condition.active = condition.parent_active and not condition.taken
            return True
        test = test_of(directive)
        if test is None:
            return False
        if directive.startswith("%elif"):
            condition = self._innermost(directive, column)
            if condition.seen_else:
                raise LineError(Message(N_("{name} after %else"), {"name": directive}), column)
        else:
            condition = _Condition(line.origin, column, self.active)
            self.open.append(condition)
        condition.active = False
        if condition.parent_active and not condition.taken:
            condition.taken = True  # so that a test that cannot be made takes no branch at all
            name, negated = test
            holds = tester.holds(name, line.tokens[1:], column) != negated
            condition.taken = condition.active = holds
        return True

    def _innermost(self, directive: str, column: int) -> _Condition:
        if not self.open:
            raise LineError(Message(N_("{name} without %if"), {"name": directive}), column)
        return self.open[-1]
