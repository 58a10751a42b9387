"""Multi-line macros: their definitions, their parameters, and what a call makes of the body."""

from __future__ import annotations

from dataclasses import dataclass, field

from vizapp.guest.assembler.defines import retokenized
from vizapp.guest.assembler.lexer import Token, tokenize
from vizapp.guest.assembler.problems import LineError, Origin
from vizapp.isa.names import CONDITION_CODES
from vizapp.messages import N_, Message


@dataclass(frozen=True, slots=True)
class RawLine:
    """A line of a file, split into tokens and not yet expanded."""

    tokens: list[Token]
    file: str
    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line that the preprocessor made: its tokens, and the line that a person wrote for it."""

    tokens: list[Token]
    origin: Origin


@dataclass(frozen=True, slots=True)
class Macro:
    """A multi-line macro.

    Attributes:
        name: as defined.
        least: the fewest parameters that it takes.
        most: the most; None: any number.
        greedy: whether the last parameter takes all that is left, commas too.
        defaults: for the parameters after the ``least`` ones.
        body: its lines.
    """

    name: str
    least: int
    most: int | None
    greedy: bool
    defaults: tuple[list[Token], ...]
    body: tuple[RawLine, ...]

    def takes(self, count: int) -> bool:
        """Whether it can be called with ``count`` parameters."""
        return self.least <= count and (self.most is None or self.greedy or count <= self.most)


@dataclass(slots=True)
class Call:
    """A macro being expanded: its parameters, which %rotate turns, and its number among all calls."""

    macro: Macro
    parameters: list[list[Token]]
    serial: int
    column: int
    origin: Origin
    outer: Call | None = None

    def active(self, macro: Macro) -> bool:
        """Whether ``macro`` is being expanded by this call or one around it."""
        call: Call | None = self
        while call is not None:
            if call.macro is macro:
                return True
            call = call.outer
        return False


@dataclass(slots=True)
class Collection:
    """The lines between %macro or %rep and its end, while they are read."""

    ends: str
    begins: tuple[str, ...]
    header: list[Token]
    origin: Origin
    column: int
    lines: list[RawLine] = field(default_factory=list)
    depth: int = 1

    def take(self, raw: RawLine, directive: str) -> bool:
        """Keep the next line; True if it was the end. Blocks of the same kind nest."""
        if directive in self.begins:
            self.depth += 1
        elif directive == self.ends or (self.ends == "%endmacro" and directive == "%endm"):
            self.depth -= 1
            if self.depth == 0:
                return True
        self.lines.append(raw)
        return False


@dataclass(slots=True)
class MacroTable:
    """The multi-line macros in force; forms that differ in their numbers of parameters stand side by side."""

    forms: dict[str, list[Macro]] = field(default_factory=dict)
    folded: dict[str, str] = field(default_factory=dict)

    def __contains__(self, name: object) -> bool:
        return name in self.forms

    def find(self, token: Token) -> list[Macro] | None:
        """The forms of the macro that a token names, if it names one."""
        if token.kind != "name":
            return None
        return self.forms.get(token.text) or self.forms.get(self.folded.get(token.text.lower(), ""))

    def define(self, macro: Macro, fold: bool) -> bool:
        """Add a form, found in any case of its name if ``fold``; False if there is one like it."""
        forms = self.forms.setdefault(macro.name, [])
        if any((form.least, form.most) == (macro.least, macro.most) for form in forms):
            return False
        forms.append(macro)
        if fold:
            self.folded[macro.name.lower()] = macro.name
        return True

    def remove(self, name: str) -> None:
        """Forget all forms of a name."""
        self.forms.pop(name, None)


def split_lines(source: str, file: str) -> list[RawLine]:
    """The lines of a text; one that ends in a backslash goes on in the next."""
    result = []
    pending, first = "", 0
    for number, text in enumerate(source.split("\n"), 1):
        text = text.removesuffix("\r")
        if not pending:
            first = number
        if text.endswith("\\"):
            pending += text[:-1] + " "
            continue
        whole, pending = pending + text, ""
        result.append(RawLine(tokenize(whole), file, first, whole))
    if pending:
        result.append(RawLine(tokenize(pending), file, first, pending))
    return result


def split_parameters(tokens: list[Token]) -> list[list[Token]]:
    """Parameters between commas; braces keep commas together and are taken away."""
    if not tokens:
        return []
    parameters: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        if token.is_operator("{"):
            depth += 1
            if depth == 1:
                continue
        elif token.is_operator("}"):
            depth -= 1
            if depth == 0:
                continue
        elif token.is_operator(",") and depth == 0:
            parameters.append([])
            continue
        parameters[-1].append(token)
    return parameters


def substitute(tokens: list[Token], call: Call) -> list[Token]:
    """A macro body's tokens with ``%1``, ``%0``, ``%%local`` replaced; a parameter joins its neighbours."""
    result: list[Token] = []
    glue = False  # whether the token before was a parameter, so that what is written against it joins
    for token in tokens:
        if token.kind == "parameter":
            values = _parameter(token, call)
            if values and not token.spaced and result and _is_word(result[-1]) and _is_word(values[0]):
                result[-1:] = retokenized(result[-1], values[0])
                values = values[1:]
            elif values:
                values = [values[0]._replace(spaced=token.spaced), *values[1:]]
            result += values
            glue = True
            continue
        if token.kind == "local":
            token = Token("name", f"..@{call.serial}.{token.text[2:]}", call.column, token.spaced)
        else:
            token = token._replace(column=call.column)
        if glue and not token.spaced and result and _is_word(result[-1]) and _is_word(token):
            result[-1:] = retokenized(result[-1], token)
        else:
            result.append(token)
        glue = False
    return result


def _is_word(token: Token) -> bool:
    return token.kind in ("name", "number")


def _parameter(token: Token, call: Call) -> list[Token]:
    text = token.text[2:-1] if token.text[1] == "{" else token.text[1:]
    inverted = text.startswith("-")
    is_condition = text[:1] in ("+", "-")
    digits = text.lstrip("+-")
    if not digits.isdecimal():
        raise LineError(Message(N_("{text} is not a macro parameter"), {"text": token.text}), call.column)
    number = int(digits)
    if number == 0:
        return [Token("number", str(len(call.parameters)), call.column, token.spaced)]
    value = call.parameters[number - 1] if number <= len(call.parameters) else []
    if not is_condition:
        return value
    code = CONDITION_CODES.get(value[0].text.lower()) if len(value) == 1 else None
    if code is None:
        raise LineError(Message(N_("parameter {number} is not a condition"), {"number": number}), call.column)
    inverse = {other: name for name, other in reversed(CONDITION_CODES.items())}
    name = inverse[code ^ 1] if inverted else value[0].text
    return [value[0]._replace(kind="name", text=name)]


def parse_macro(name: str, tokens: list[Token], body: list[RawLine], column: int) -> Macro:
    """A macro from what follows its name: ``1-3+ default, default``; errors stand at ``column``."""
    if not tokens or tokens[0].kind != "number":
        raise LineError(Message(N_("macro {name} needs its number of parameters"), {"name": name}), column)
    least = int(tokens[0].text)
    most: int | None = least
    position = 1
    if position < len(tokens) and tokens[position].is_operator("-"):
        limit = tokens[position + 1] if position + 1 < len(tokens) else tokens[position]
        most = None if limit.is_operator("*") else int(limit.text) if limit.text.isdecimal() else least
        position += 2
    greedy = position < len(tokens) and tokens[position].is_operator("+")
    position += greedy
    if position < len(tokens) and tokens[position].text == ".nolist":
        position += 1
    defaults = tuple(split_parameters(tokens[position:]))
    return Macro(name, least, most, greedy, defaults, tuple(body))


def fill_parameters(macro: Macro, parameters: list[list[Token]]) -> list[list[Token]]:
    """The parameters with defaults for those left out, and what a greedy last one takes put together."""
    if macro.greedy and macro.most is not None and len(parameters) > macro.most:
        kept, rest = parameters[: macro.most - 1], parameters[macro.most - 1 :]
        last: list[Token] = []
        for position, parameter in enumerate(rest):
            if position:
                last.append(Token("operator", ",", parameter[0].column if parameter else 1, False))
            last += parameter
        return [*kept, last]
    missing = len(parameters) - macro.least
    return parameters + list(macro.defaults[missing:]) if macro.most is None or missing >= 0 else parameters
