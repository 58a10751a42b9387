"""Syntax trees as values: parsed once, never changed, and rewritten by making new nodes where they differ.

Every node has the same position, so that a node may stand in many trees and all of them compile.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

HERE: Final[dict[str, Any]] = {"lineno": 1, "col_offset": 0, "end_lineno": 1, "end_col_offset": 0}


def parse(source: str) -> list[ast.stmt]:
    """The statements of a source text."""
    body = ast.parse(source).body
    for statement in body:
        for node in ast.walk(statement):
            if hasattr(node, "lineno"):
                vars(node).update(HERE)
    return body


class Rewriter(ast.NodeVisitor):
    """Makes a new tree of an old one; a ``visit_`` method may turn one statement into several.

    Without such a method a node stays, or is made anew if something under it is new.
    """

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """The node with its fields rewritten."""
        fields = {}
        changed = False
        for name in node._fields:
            old = getattr(node, name)
            new = old
            if isinstance(old, list):
                new = self.visit_all(old)
            elif isinstance(old, ast.expr):
                new = self.visit(old)
            fields[name] = new
            changed = changed or new is not old
        return type(node)(**fields, **HERE) if changed else node

    def visit_all(self, nodes: list[Any]) -> list[Any]:
        """A list of nodes rewritten: the same list if all stay."""
        result: list[Any] = []
        changed = False
        for node in nodes:
            new = self.visit(node) if isinstance(node, ast.expr | ast.stmt) else node
            changed = changed or new is not node
            if isinstance(new, list):
                result += new
            else:
                result.append(new)
        return result if changed else nodes

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        """A constant stays."""
        return node


class _Fill(Rewriter):
    """Puts trees in the place of names."""

    def __init__(self, parts: Mapping[str, ast.expr]) -> None:
        self._parts = parts

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._parts.get(node.id, node)


class _Rename(Rewriter):
    """Gives attributes other names."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        name = self._names.get(node.attr)
        return self.generic_visit(node) if name is None else ast.Attribute(node.value, name, node.ctx, **HERE)


def put_attributes(body: list[ast.stmt], names: Mapping[str, str]) -> list[ast.stmt]:
    """Statements with other attributes in the place of those in ``names``."""
    return _Rename(names).visit_all(body) if names else body


_parsed = cache(parse)


def statements(text: str, **parts: ast.expr) -> list[ast.stmt]:
    """Parse statements, with ``parts`` in the place of the names that they have in the text."""
    body = _parsed(text)
    return list(_Fill(parts).visit_all(body) if parts else body)


def expression(text: str, **parts: ast.expr) -> ast.expr:
    """Parse one expression, as ``statements`` does."""
    (statement,) = statements(text, **parts)
    assert isinstance(statement, ast.Expr)
    return statement.value


def constant(value: int) -> ast.expr:
    """A literal."""
    return ast.Constant(value, **HERE)


def in_order(node: ast.AST) -> Iterator[ast.AST]:
    """An expression's nodes in the order of their evaluation: arguments before their call."""
    for name in node._fields:
        child = getattr(node, name)
        if isinstance(child, ast.expr):
            yield from in_order(child)
        elif isinstance(child, list):
            for member in child:
                if isinstance(member, ast.expr):
                    yield from in_order(member)
    yield node
