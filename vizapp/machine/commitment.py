"""The commit rule: an instruction that faults must have changed nothing.

Once a register or a flag has changed, nothing may fault any more; nor once memory has been written, unless
the specification is restartable. A store to an address that the instruction has read with ``modify`` cannot
fault, because the right to write was checked then.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

ACCESSES = tuple(f"{kind}{size}" for kind in ("load", "modify", "store") for size in (1, 2, 4))


class CommitError(Exception):
    """A specification could leave half an instruction behind: a defect of the product."""


@dataclass(frozen=True)
class _State:
    """What has happened before a statement, on some path to it.

    ``changed`` is the first register that was changed, ``stored`` whether memory was; ``modified`` are the
    accesses that were checked for writing, as size and segment, offset.
    """

    changed: str = ""
    stored: bool = False
    modified: frozenset[tuple[str, str]] = frozenset()

    def merge(self, other: _State | None) -> _State:
        if other is None:
            return self
        return _State(
            self.changed or other.changed, self.stored or other.stored, self.modified & other.modified
        )


def _in_order(node: ast.AST) -> Iterator[ast.AST]:
    """A tree's nodes in the order of their evaluation: arguments before their call."""
    for child in ast.iter_child_nodes(node):
        yield from _in_order(child)
    yield node


class _Checker:
    def __init__(self, name: str, restartable: bool) -> None:
        self._name = name
        self._restartable = restartable

    def body(self, body: list[ast.stmt], state: _State | None) -> _State | None:
        """The state after a list of statements; None if control never comes out of it."""
        for statement in body:
            if state is None:
                raise CommitError(f"{self._name}: unreachable: {ast.unparse(statement)}")
            state = self._statement(statement, state)
        return state

    def _statement(self, statement: ast.stmt, state: _State) -> _State | None:
        match statement:
            case ast.Assign(targets=[target], value=value):
                return self._assigned(target, self._evaluated(value, state))
            case ast.Expr(value=value):
                return self._evaluated(value, state)
            case ast.If(test=test, body=body, orelse=orelse):
                state = self._evaluated(test, state)
                taken, other = self.body(body, state), self.body(orelse, state)
                return other if taken is None else taken.merge(other)
            case ast.While(test=test, body=body):
                once = self.body(body, self._evaluated(test, state))
                again = state.merge(once)
                return again.merge(self.body(body, self._evaluated(test, again)))
            case ast.Return():
                return None
            case ast.Raise():
                self._may_fault(ast.unparse(statement), state)
                return None
        raise CommitError(f"{self._name}: a specification has no {type(statement).__name__}")

    def _assigned(self, target: ast.expr, state: _State) -> _State:
        text = ast.unparse(target)
        word = re.compile(rf"(?<![\w.]){re.escape(text)}(?!\w)")
        kept = frozenset(key for key in state.modified if not word.search(key[1]))
        changed = state.changed
        if isinstance(target, ast.Attribute):
            changed = changed or text
        return replace(state, changed=changed, modified=kept)

    def _evaluated(self, value: ast.expr, state: _State) -> _State:
        """The state after an expression."""
        for node in _in_order(value):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            name = node.func.attr
            if name == "change_flags":
                state = replace(state, changed=state.changed or "the flags")
            elif name in ACCESSES:
                state = self._accessed(name[:-1], node, state)
        return state

    def _accessed(self, kind: str, node: ast.Call, state: _State) -> _State:
        size = ast.unparse(node.func)[-1]
        key = size, ast.unparse(ast.Tuple(node.args[:2], ast.Load()))
        if kind != "store" or key not in state.modified:
            self._may_fault(ast.unparse(node), state)
        if kind == "store":
            # What the value stored is made of was read before.
            return replace(state, stored=True)
        return replace(state, modified=state.modified | {key}) if kind == "modify" else state

    def _may_fault(self, what: str, state: _State) -> None:
        if state.changed:
            raise CommitError(f"{self._name}: {what} may fault after {state.changed} has changed")
        if state.stored and not self._restartable:
            raise CommitError(f"{self._name}: {what} may fault after a store")


def check_commitment(name: str, body: list[ast.stmt], *, restartable: bool = False) -> None:
    """Raise ``CommitError`` if something in ``body`` can fault after a change of processor or memory."""
    _Checker(name, restartable).body(body, _State())
