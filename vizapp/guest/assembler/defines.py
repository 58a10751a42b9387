"""Single-line macros: %define and %assign, and the expansion of a line by them."""

from __future__ import annotations

from dataclasses import dataclass, field

from vizapp.guest.assembler.lexer import Token, tokenize
from vizapp.guest.assembler.problems import LineError
from vizapp.messages import N_, Message

MAX_TOKENS = 20_000
"""Tokens that one line may expand to."""


@dataclass(frozen=True, slots=True)
class Define:
    """A single-line macro; ``parameters`` is None if it takes none."""

    name: str
    parameters: tuple[str, ...] | None
    body: tuple[Token, ...]


@dataclass(slots=True)
class Defines:
    """The single-line macros in force; those of ``%idefine`` and ``%iassign`` by their lower-case names."""

    exact: dict[str, dict[int, Define]] = field(default_factory=dict)
    folded: dict[str, dict[int, Define]] = field(default_factory=dict)

    def set(self, define: Define, fold: bool = False) -> None:
        """Define, or define anew; macros that differ in the number of parameters stand side by side."""
        table, name = (self.folded, define.name.lower()) if fold else (self.exact, define.name)
        arity = -1 if define.parameters is None else len(define.parameters)
        forms = table.setdefault(name, {})
        if (arity == -1) != (-1 in forms):
            forms.clear()
        forms[arity] = define

    def remove(self, name: str) -> None:
        """Forget a name."""
        self.exact.pop(name, None)
        self.folded.pop(name.lower(), None)

    def find(self, name: str) -> dict[int, Define] | None:
        """The forms of a name by their number of parameters, -1: without parentheses."""
        return self.exact.get(name) or self.folded.get(name.lower())

    def expand(self, tokens: list[Token]) -> list[Token]:
        """The tokens with every macro expanded and every ``%+`` joined.

        A macro's own name in its expansion stays as it is, so expansion always ends.

        Raises:
            LineError: parameters do not fit, or the line grows beyond ``MAX_TOKENS``.
        """
        for _ in range(8):  # what %+ joins may be a macro's name again
            tokens = self._expand(tokens, frozenset())
            if not any(token.is_operator("%+") for token in tokens):
                return tokens
            tokens = _joined(tokens)
        return tokens

    def _expand(self, tokens: list[Token], hidden: frozenset[str]) -> list[Token]:
        if not any(token.kind == "name" for token in tokens):
            return tokens
        result: list[Token] = []
        position = 0
        while position < len(tokens):
            token = tokens[position]
            position += 1
            forms = self.find(token.text) if token.kind == "name" and token.text not in hidden else None
            if forms is None:
                result.append(token)
                continue
            define = forms.get(-1)
            arguments: list[list[Token]] = []
            if define is None:
                if position == len(tokens) or not tokens[position].is_operator("("):
                    result.append(token)
                    continue
                arguments, position = _arguments(tokens, position, token)
                define = forms.get(len(arguments)) or (forms.get(0) if arguments == [[]] else None)
                if define is None:
                    raise LineError(
                        Message(
                            N_("{name} does not take {count} parameters"),
                            {"name": token.text, "count": len(arguments)},
                        ),
                        token.column,
                    )
                arguments = [self._expand(argument, hidden) for argument in arguments]
            body = _substituted(define, arguments, token)
            result += self._expand(body, hidden | {token.text})
            if len(result) > MAX_TOKENS:
                raise LineError(
                    Message(
                        N_("{name} expands to more than {limit} tokens"),
                        {"name": token.text, "limit": MAX_TOKENS},
                    ),
                    token.column,
                )
        return result


def _arguments(tokens: list[Token], position: int, name: Token) -> tuple[list[list[Token]], int]:
    """The arguments in the parentheses that open at ``position``, and the position after them."""
    arguments: list[list[Token]] = [[]]
    depth = 0
    for index in range(position, len(tokens)):
        token = tokens[index]
        if token.kind == "operator":
            if token.text in "([{":
                depth += 1
                if depth == 1:
                    continue
            elif token.text in ")]}":
                depth -= 1
                if depth == 0:
                    return arguments, index + 1
            elif token.text == "," and depth == 1:
                arguments.append([])
                continue
        arguments[-1].append(token)
    raise LineError(Message(N_("the parameters of {name} do not end"), {"name": name.text}), name.column)


def _substituted(define: Define, arguments: list[list[Token]], name: Token) -> list[Token]:
    values = dict(zip(define.parameters or (), arguments, strict=False))
    result: list[Token] = []
    for token in define.body:
        if token.kind == "name" and token.text in values:
            result += values[token.text]
        else:
            result.append(token._replace(column=name.column))
    if result:
        result[0] = result[0]._replace(spaced=name.spaced)
    return result


def _joined(tokens: list[Token]) -> list[Token]:
    """Tokens with each ``left %+ right`` made one."""
    result: list[Token] = []
    position = 0
    while position < len(tokens):
        token = tokens[position]
        if token.is_operator("%+") and result and position + 1 < len(tokens):
            result[-1:] = retokenized(result[-1], tokens[position + 1])
            position += 2
            continue
        result.append(token)
        position += 1
    return result


def retokenized(left: Token, right: Token) -> list[Token]:
    """What two tokens read as when written together."""
    return [
        token._replace(column=left.column, spaced=left.spaced) for token in tokenize(left.text + right.text)
    ]
