"""Syntax trees as values: parsed once, never changed, and rewritten by making new nodes where they differ.

Every node has the same position, so that a node may stand in many trees and all of them compile.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, ClassVar, Final

HERE: Final[dict[str, Any]] = {"lineno": 1, "col_offset": 0, "end_lineno": 1, "end_col_offset": 0}


def parse(source: str) -> list[ast.stmt]:
    """The statements of a source text."""
    body = ast.parse(source).body
    for statement in body:
        move_here(statement)
    return body


def move_here(tree: ast.AST) -> None:
    """Give a tree the position that every node has."""
    fields = vars(tree)
    if "lineno" in fields:
        fields.update(HERE)
    for field in fields.values():
        if isinstance(field, ast.AST):
            move_here(field)
        elif type(field) is list:
            for member in field:
                if isinstance(member, ast.AST):
                    move_here(member)


class _Parts(dict[type[ast.AST], tuple[str, ...]]):
    """By kind of node, the fields in which there may be statements and expressions."""

    def __missing__(self, kind: type[ast.AST]) -> tuple[str, ...]:
        leaf = issubclass(kind, ast.Constant | ast.Name)
        parts = () if leaf else tuple(name for name in kind._fields if name not in _NO_PARTS)
        self[kind] = parts
        return parts


_NO_PARTS: Final = ("attr", "ctx", "op", "ops", "type_comment", "simple", "is_async", "conversion")
PARTS: Final = _Parts()


class Rewriter(ast.NodeVisitor):
    """Makes a new tree of an old one; a ``visit_`` method may turn one statement into several.

    Without such a method a node stays, or is made anew if something under it is new.
    """

    _methods: ClassVar[dict[type[ast.AST], Callable[[Any, Any], Any]]] = {}

    def __init_subclass__(cls) -> None:
        names = (name for name in dir(cls) if name.startswith("visit_") and hasattr(ast, name[6:]))
        cls._methods = {getattr(ast, name[6:]): getattr(cls, name) for name in names}

    def visit(self, node: ast.AST) -> Any:
        """What takes the place of a node."""
        method = self._methods.get(type(node))
        return self.generic_visit(node) if method is None else method(self, node)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """The node with its fields rewritten."""
        new: dict[str, Any] | None = None
        for name in PARTS[type(node)]:
            old = getattr(node, name)
            if type(old) is list:
                part = self.visit_all(old)
            elif isinstance(old, ast.expr):
                part = self.visit(old)
            else:
                continue
            if part is not old:
                if new is None:
                    new = vars(node).copy()
                new[name] = part
        if new is None:
            return node
        made = type(node).__new__(type(node))
        vars(made).update(new)
        return made

    def visit_all(self, nodes: list[Any]) -> list[Any]:
        """A list of nodes rewritten: the same list if all stay."""
        result: list[Any] = []
        changed = False
        for node in nodes:
            new = self.visit(node) if isinstance(node, ast.expr | ast.stmt) else node
            if type(new) is list:
                result += new
                changed = True
            else:
                result.append(new)
                changed = changed or new is not node
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
    for child in vars(node).values():
        if isinstance(child, ast.expr):
            yield from in_order(child)
        elif type(child) is list:
            for member in child:
                if isinstance(member, ast.expr):
                    yield from in_order(member)
    yield node
