"""Sums and differences of a register and a small number, modulo 2**32, as Python does them fastest.

    _esp - 4 & 0xffffffff           _esp - 4 if _esp >= 4 else _esp + 0xfffffffc

Numbers beyond 2**30 take Python two digits, and an AND of two digits costs as much as the rest.
"""

from __future__ import annotations

import ast
from typing import Final

from vizapp.isa.addresses import M32
from vizapp.isa.registers import GENERAL
from vizapp.machine.engine.block_source import local, number_of
from vizapp.machine.engine.trees import HERE, Rewriter, constant

_REGISTERS: Final = frozenset(local(name) for name in GENERAL)
_SMALL: Final = 1 << 16


class Wrapping(Rewriter):
    """Rewrites what wraps around; positions stay those of the expressions."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:  # noqa: N802 - ast's protocol
        """An AND with all ones of a register's sum or difference."""
        match node:
            case ast.BinOp(
                left=ast.BinOp(
                    left=ast.Name(id=name) as register, op=ast.Add() | ast.Sub() as op, right=right
                ),
                op=ast.BitAnd(),
                right=mask,
            ) if name in _REGISTERS and number_of(mask) == M32:
                number = number_of(right)
                if number is not None and 0 < number < _SMALL:
                    return _wrapped(register, number if isinstance(op, ast.Add) else -number)
        return self.generic_visit(node)


def _wrapped(register: ast.Name, number: int) -> ast.expr:
    test, bound, around = (
        (ast.GtE(), -number, number + M32 + 1)
        if number < 0
        else (ast.Lt(), M32 + 1 - number, number - M32 - 1)
    )
    within = ast.Compare(register, [test], [constant(bound)], **HERE)
    return ast.IfExp(within, _sum(register, number), _sum(register, around), **HERE)


def _sum(register: ast.Name, number: int) -> ast.expr:
    op = ast.Add() if number >= 0 else ast.Sub()
    return ast.BinOp(register, op, constant(abs(number)), **HERE)
