"""A specification as data: its syntax tree, and what its source says of its operands."""

from __future__ import annotations

import ast
import inspect
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import ModuleType

from vizapp.machine.engine.trees import move_here


@dataclass(frozen=True, slots=True, eq=False)
class Parameter:
    """An operand.

    Attributes:
        name: in the specification.
        address: its offset alone is wanted.
        reads: how often it is read.
        modified: whether it is both read and written.
    """

    name: str
    address: bool
    reads: int
    modified: bool


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A function whose source matters.

    Attributes:
        name: of the function.
        body: its statements; documentation included.
        parameters: the operands.
        names: every name that it assigns to.
        constants: the names of its module.
        size: the declared width in bytes, if any.
        restartable: whether it may fault after it has stored.
    """

    name: str
    body: list[ast.stmt]
    parameters: tuple[Parameter, ...]
    names: frozenset[str]
    constants: Mapping[str, object]
    size: int | None
    restartable: bool

    @property
    def value(self) -> ast.expr:
        """What the last statement returns."""
        last = self.body[-1]
        assert isinstance(last, ast.Return)
        assert last.value is not None
        return last.value


@cache
def _functions(module: ModuleType) -> dict[str, ast.FunctionDef]:
    body = ast.parse(inspect.getsource(module)).body
    return {node.name: node for node in body if isinstance(node, ast.FunctionDef)}


@cache
def source_of(function: Callable[..., object]) -> Source:
    """The source of a specification or a condition."""
    module = inspect.getmodule(function)
    assert module is not None
    tree = _functions(module)[function.__name__]
    move_here(tree)
    read: Counter[str] = Counter()
    written: Counter[str] = Counter()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (written if isinstance(node.ctx, ast.Store) else read)[node.id] += 1
    parameters = tuple(
        Parameter(
            argument.arg,
            address=isinstance(argument.annotation, ast.Name) and argument.annotation.id == "Address",
            reads=read[argument.arg],
            modified=argument.arg in read and argument.arg in written,
        )
        for argument in tree.args.args
    )
    return Source(
        tree.name,
        tree.body,
        parameters,
        frozenset(written),
        vars(module),
        getattr(function, "size", None),
        getattr(function, "restartable", False),
    )
