"""The directives that define single-line macros."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vizapp.guest.assembler.conditions import constant
from vizapp.guest.assembler.defines import Define, Defines
from vizapp.guest.assembler.lexer import Token, string_bytes
from vizapp.guest.assembler.problems import LineError
from vizapp.messages import N_, Message


@dataclass(slots=True)
class DefineDirectives:
    """%define and its kin, on the single-line macros of one source.

    Attributes:
        defines: the macros in force.
        constants: what EQU has defined so far.
    """

    defines: Defines
    constants: Mapping[str, int]

    def define(self, directive: Token, tokens: list[Token]) -> None:
        """%define, %idefine, %xdefine, %ixdefine."""
        name = macro_name(tokens, directive)
        body = tokens[1:]
        parameters: tuple[str, ...] | None = None
        if body and body[0].is_operator("(") and not body[0].spaced:
            end = next((index for index, token in enumerate(body) if token.is_operator(")")), None)
            if end is None:
                raise LineError(Message(N_("expected {what} here"), {"what": ")"}), body[-1].column)
            parameters = tuple(token.text for token in body[1:end] if token.kind == "name")
            body = body[end + 1 :]
        kind = directive.text.lower()
        if "x" in kind:
            body = self.defines.expand(body)
        self.defines.set(Define(name, parameters, tuple(body)), fold=kind.startswith("%i"))

    def undef(self, directive: Token, tokens: list[Token]) -> None:
        """%undef."""
        self.defines.remove(macro_name(tokens, directive))

    def assign(self, directive: Token, tokens: list[Token]) -> None:
        """%assign, %iassign."""
        name = macro_name(tokens, directive)
        value = self.constant(tokens[1:], directive.column)
        self._set_number(name, value, directive, fold=directive.text.lower().startswith("%i"))

    def constant(self, tokens: list[Token], column: int) -> int:
        """The value of an expression after a directive."""
        return constant(self.defines.expand(tokens), column, self.constants)

    def _set_number(self, name: str, value: int, directive: Token, fold: bool = False) -> None:
        body = [Token("number", str(abs(value)), directive.column, False)]
        if value < 0:
            body.insert(0, Token("operator", "-", directive.column, True))
        self.defines.set(Define(name, None, tuple(body)), fold)

    def strlen(self, directive: Token, tokens: list[Token]) -> None:
        """%strlen."""
        name = macro_name(tokens, directive)
        text = self.defines.expand(tokens[1:])
        if len(text) != 1 or text[0].kind != "string":
            raise LineError(
                Message(N_("expected {what} here"), {"what": Message(N_("a string"))}), directive.column
            )
        self._set_number(name, len(string_bytes(text[0].text)), directive)


def macro_name(tokens: list[Token], directive: Token) -> str:
    """The name that a directive defines or forgets; LineError if there is none."""
    if not tokens or tokens[0].kind != "name":
        column = tokens[0].column if tokens else directive.column
        raise LineError(Message(N_("{directive} needs a name"), {"directive": directive.text}), column)
    return tokens[0].text
