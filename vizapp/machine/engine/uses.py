"""What statements of a block read and write, and where they may fail."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping

from vizapp.machine.engine.block_source import Exit
from vizapp.machine.engine.trees import Rewriter


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """As ``ast.walk``, into what exits say too."""
    for inner in ast.walk(node):
        yield inner
        if isinstance(inner, Exit):
            for part in (inner.target, *inner.flags.values()):
                yield from ast.walk(part)


def _names(body: Iterable[ast.AST], context: type[ast.expr_context]) -> set[str]:
    return {
        node.id
        for statement in body
        for node in walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, context)
    }


def read(body: Iterable[ast.AST]) -> set[str]:
    """The names that statements or expressions read."""
    return _names(body, ast.Load)


def written(body: Iterable[ast.AST]) -> set[str]:
    """The names that they write."""
    return _names(body, ast.Store)


def exits(body: Iterable[ast.stmt]) -> Iterator[Exit]:
    """Every way out of the block."""
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, Exit):
                yield node


def failing_line(statement: ast.stmt) -> int:
    """The line that an access to memory, or a fault, in a statement was given; 0 if there is none."""
    return max((line for node in ast.walk(statement) if (line := getattr(node, "lineno", 1)) > 1), default=0)


class Substitution(Rewriter):
    """Reads expressions in the place of names; where a name is written it stays."""

    def __init__(self, values: Mapping[str, ast.expr]) -> None:
        self._values = values

    def visit_Name(self, node: ast.Name) -> ast.expr:  # noqa: N802 - ast's protocol
        """A name."""
        return self._values.get(node.id, node) if isinstance(node.ctx, ast.Load) else node
