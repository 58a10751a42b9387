"""What statements of a block read and write, and where they may fail."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping

from vizapp.machine.engine.block_source import Exit
from vizapp.machine.engine.trees import PARTS, Rewriter


def nodes_of(node: ast.AST) -> list[ast.AST]:
    """The statements and expressions in one, itself the first; of exits that they are there."""
    found = [node]
    for inner in found:
        if type(inner) is Exit:
            continue
        for name in PARTS[type(inner)]:
            part = getattr(inner, name)
            if type(part) is list:
                found += part
            elif part is not None:
                found.append(part)
    return found


def _names(body: Iterable[ast.AST], context: type[ast.expr_context]) -> set[str]:
    names: set[str] = set()
    for statement in body:
        for node in nodes_of(statement):
            if type(node) is ast.Name:
                if type(node.ctx) is context:
                    names.add(node.id)
            elif type(node) is Exit:
                names |= _names((node.target, *node.flags.values()), context)
    return names


def read(body: Iterable[ast.AST]) -> set[str]:
    """The names that statements or expressions read."""
    return _names(body, ast.Load)


def written(body: Iterable[ast.AST]) -> set[str]:
    """The names that they write."""
    return _names(body, ast.Store)


def exits(body: Iterable[ast.stmt]) -> Iterator[Exit]:
    """Every way out of the block."""
    for statement in body:
        for node in nodes_of(statement):
            if type(node) is Exit:
                yield node


def failing_line(statement: ast.stmt) -> int:
    """The line that an access to memory, or a fault, in a statement was given; 0 if there is none."""
    line: int = max([getattr(node, "lineno", 1) for node in nodes_of(statement)])
    return line if line > 1 else 0


class Substitution(Rewriter):
    """Reads expressions in the place of names; where a name is written it stays."""

    def __init__(self, values: Mapping[str, ast.expr]) -> None:
        self._values = values

    def visit_Name(self, node: ast.Name) -> ast.expr:  # noqa: N802 - ast's protocol
        """A name."""
        return self._values.get(node.id, node) if isinstance(node.ctx, ast.Load) else node
