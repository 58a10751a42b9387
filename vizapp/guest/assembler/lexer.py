"""Splits a line of NASM source into tokens, each with its column."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["name", "number", "string", "operator", "directive", "parameter", "local", "bad"]


class Token(NamedTuple):
    """A token.

    Attributes:
        kind: ``name``: also ``.local``, ``$`` and ``$$``; ``directive``: ``%define``, percent sign included;
            ``parameter``: of a macro, ``%1``, ``%0`` or ``%{1}``; ``local``: ``%%label``; ``bad``: a
            character that means nothing, or a string without an end.
        text: as written; of a string with its quotes.
        column: from 1.
        spaced: whether white space comes before it.
    """

    kind: Kind
    text: str
    column: int
    spaced: bool

    def is_operator(self, text: str) -> bool:
        """Whether it is this operator."""
        return self.kind == "operator" and self.text == text


_TOKEN = re.compile(
    r"""(?P<space>[ \t\r]+)
    | (?P<comment>;.*)
    | (?P<string>'[^']*'|"[^"]*"|`(?:\\.|[^`\\])*`)
    | (?P<number>\$?[0-9][0-9A-Za-z_]*)
    | (?P<parameter>%\{[^}]*\}|%[0-9]+|%[+-][0-9]+)
    | (?P<local>%%[A-Za-z_.@][\w.?@$\#~]*)
    | (?P<directive>%[A-Za-z]\w*)
    | (?P<name>\$\$|[A-Za-z_.@][\w.?@$\#~]*|\$[A-Za-z_.@][\w.?@$\#~]*|\$)
    | (?P<operator>%\+|\|\||&&|\^\^|<<<|>>>|<<|>>|<=>|==|!=|<>|<=|>=|//|%%|[-+*/%&|^~!<>=()\[\]{},:?])
    | (?P<bad>.)""",
    re.VERBOSE,
)
_ESCAPES = {
    "a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, "e": 27,
    "'": 39, '"': 34, "`": 96, "\\": 92, "?": 63,
}  # fmt: skip
_ESCAPE = re.compile(rb"\\(x[0-9A-Fa-f]{1,2}|[0-7]{1,3}|.)", re.DOTALL)


def tokenize(line: str) -> list[Token]:
    """The tokens of a line, its comment left out."""
    tokens = []
    spaced = False
    for match in _TOKEN.finditer(line):
        kind = match.lastgroup
        if kind == "comment":
            break
        if kind == "space":
            spaced = True
            continue
        text = match.group()
        if kind == "bad" and text in "'\"`":
            text = line[match.start() :]
            tokens.append(Token("bad", text, match.start() + 1, spaced))
            break
        tokens.append(Token(kind, text, match.start() + 1, spaced))  # type: ignore[arg-type]
        spaced = False
    return tokens


def string_bytes(text: str) -> bytes:
    """The bytes of a quoted string, UTF-8; escapes count in back quotes alone."""
    raw = text[1:-1].encode()
    if text[0] != "`":
        return raw

    def escape(match: re.Match[bytes]) -> bytes:
        body = match.group(1).decode("latin-1")
        if body[0] == "x" and len(body) > 1:
            return bytes([int(body[1:], 16)])
        if body[0] in "01234567":
            return bytes([int(body, 8) & 0xFF])
        return bytes([_ESCAPES[body]]) if body in _ESCAPES else body.encode("latin-1")

    return _ESCAPE.sub(escape, raw)


_SUFFIXES = {"h": 16, "x": 16, "q": 8, "o": 8, "b": 2, "y": 2, "d": 10, "t": 10}


def number_value(text: str) -> int | None:
    """The value of a number in any of NASM's notations (``0x1F``, ``1Fh``, ``$1F``, ``1010b``), or None."""
    digits = text.replace("_", "").lower()
    if digits[0] == "$":
        candidates = [(digits[1:], 16)]
    elif digits[0] == "0" and len(digits) > 2 and digits[1] in _SUFFIXES:
        # 0b1h could be read both ways; the suffix decides where it makes a number
        candidates = [(digits[2:], _SUFFIXES[digits[1]]), (digits[:-1], _SUFFIXES.get(digits[-1], 0))]
    else:
        candidates = [(digits, 10), (digits[:-1], _SUFFIXES.get(digits[-1], 0))]
    for body, base in candidates:
        if base:
            try:
                return int(body, base)
            except ValueError:
                continue
    return None
