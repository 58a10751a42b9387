"""The commit rule: an instruction that faults must have changed nothing.

Once a register or a flag has changed, nothing may fault any more; nor once memory has been written, unless
the specification is restartable. A store to an address that the instruction has read with ``modify`` cannot
fault, because the right to write was checked then.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace

from vizapp.machine.engine.trees import in_order

ACCESSES = frozenset(f"{kind}{size}" for kind in ("load", "modify", "store") for size in (1, 2, 4))


class CommitError(Exception):
    """A specification could leave half an instruction behind: a defect of the product."""


@dataclass(frozen=True, slots=True)
class _State:
    """What has happened before a statement, on some path to it.

    Attributes:
        changed: the first register that was changed.
        stored: whether memory was.
        writable: what was checked for writing, as (size, segment, local variable with the offset).
    """

    changed: str = ""
    stored: bool = False
    writable: frozenset[tuple[str, int, str]] = frozenset()

    def merge(self, other: _State | None) -> _State:
        if other is None:
            return self
        return _State(
            self.changed or other.changed, self.stored or other.stored, self.writable & other.writable
        )


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
                # Twice round: the second time meets what the first has done.
                once = state.merge(self.body(body, self._evaluated(test, state)))
                return once.merge(self.body(body, self._evaluated(test, once)))
            case ast.Return():
                return None
            case ast.Raise():
                self._may_fault(statement, state)
                return None
        raise CommitError(f"{self._name}: a specification has no {type(statement).__name__}")

    def _assigned(self, target: ast.expr, state: _State) -> _State:
        if isinstance(target, ast.Attribute):
            return state if state.changed else replace(state, changed=target.attr)
        if isinstance(target, ast.Name) and state.writable:
            kept = frozenset(key for key in state.writable if key[2] != target.id)
            return replace(state, writable=kept)
        return state

    def _evaluated(self, value: ast.expr, state: _State) -> _State:
        """The state after an expression."""
        if isinstance(value, ast.Name | ast.Constant):
            return state
        for node in in_order(value):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            method = node.func.attr
            if method == "change_flags":
                state = replace(state, changed=state.changed or "eflags")
            elif method in ACCESSES:
                state = self._accessed(method, node, state)
        return state

    def _accessed(self, access: str, node: ast.Call, state: _State) -> _State:
        key = None
        match node.args:
            case [ast.Constant(value=int(segment)), ast.Name(id=local), *_]:
                key = access[-1], segment, local
        if access.startswith("store"):
            if key not in state.writable:
                self._may_fault(node, state)
            return replace(state, stored=True)
        self._may_fault(node, state)
        if access.startswith("modify") and key is not None:
            return replace(state, writable=state.writable | {key})
        return state

    def _may_fault(self, what: ast.AST, state: _State) -> None:
        if state.changed:
            raise CommitError(
                f"{self._name}: {ast.unparse(what)} may fault after {state.changed} has changed"
            )
        if state.stored and not self._restartable:
            raise CommitError(f"{self._name}: {ast.unparse(what)} may fault after a store")


def check_commitment(name: str, body: list[ast.stmt], *, restartable: bool = False) -> None:
    """Raise ``CommitError`` if something in ``body`` can fault after a change of processor or memory."""
    _Checker(name, restartable).body(body, _State())
