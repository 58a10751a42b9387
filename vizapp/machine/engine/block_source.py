"""Rewrites the statements of single instructions into those of a block of them.

What an instruction by itself does to ``cpu`` is here done to local variables, so that instructions in a row
do not meet in the processor's attributes, and its checked accesses to memory become lookups in the fast maps:

    cpu.eax                             _eax
    cpu.flag_result                     _flag_result
    cpu.load4(DS, a)                    _load32(_readable[a >> 12], a & 0xfff)[0]
    cpu.eip = next                      nothing: the next instruction follows
    cpu.eip = elsewhere; return         an ``Exit``

There is no handling of faults in it. What a lookup does not find, what crosses a page and what faults all end
in an exception whose line number tells which instruction of the block it was; see ``deopt``.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from struct import Struct
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from vizapp.isa.addresses import M32, PAGE_SHIFT
from vizapp.isa.registers import GENERAL
from vizapp.machine.engine.commitment import ACCESSES
from vizapp.machine.engine.shapes import Numbers, Shape, number_names
from vizapp.machine.engine.trees import HERE, Rewriter, constant, statements

FLAGS: Final = ("flag_kind", "flag_result", "flag_x", "flag_y")
_STATE: Final = frozenset((*GENERAL, *FLAGS))
_READABLE: Final = "_readable"
_WRITABLE: Final = "_writable"
_STRUCTS: Final = {2: "16", 4: "32"}
# The names by which a block reads and writes what is wider than a byte.
PACKING: Final[dict[str, Any]] = {
    "_load16": Struct("<H").unpack_from,
    "_load32": Struct("<I").unpack_from,
    "_store16": Struct("<H").pack_into,
    "_store32": Struct("<I").pack_into,
}
_OPERATORS: Final[dict[type[ast.operator], Callable[[int, int], int]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
}
_COMPARISONS: Final[dict[type[ast.cmpop], Callable[[int, int], bool]]] = {
    ast.Gt: operator.gt,
    ast.Lt: operator.lt,
    ast.GtE: operator.ge,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


NO_FLAGS: Final[Mapping[str, ast.expr]] = MappingProxyType({})


class Untranslatable(Exception):  # noqa: N818 - no error: the block ends before the instruction
    """An instruction that is executed by itself only."""


class Facts(NamedTuple):
    """What a block takes for granted.

    Attributes:
        code_limit: the last valid offset in CS.
        stack_mask: of the stack pointer.
        flat: a bit for each segment register whose segment begins at 0 and ends at or beyond the last page
            of the fast maps, for reading and for writing.
        bits: 16 or 32, of the code segment.
        guarded: stores may go to pages that hold code too.
    """

    code_limit: int
    stack_mask: int
    flat: int
    bits: int
    guarded: bool = False


class Exit(ast.Pass):
    """Stands for: leave the block at ``target`` with ``done`` instructions of the last pass executed.

    ``flags`` says what the parts of the flag record are that their variables have not been given.
    """

    _fields = ("target",)

    def __init__(self, target: ast.expr, done: int, flags: Mapping[str, ast.expr] = NO_FLAGS) -> None:
        super().__init__(**HERE)
        self.target = target
        self.done = done
        self.flags = flags

    def leads_back(self, head: int, size: int) -> bool:
        """Whether it ends a pass over all the instructions of a block and leads to its beginning."""
        return self.done == size and number_of(self.target) == head


def local(name: str) -> str:
    """The local variable for a register or a part of the flag record."""
    return f"_{name}"


def line_of(place: int) -> int:
    """The line of what may fail in the instruction at a place of a block; all else is on the first line."""
    return place + 1


def number_of(node: ast.expr) -> int | None:
    """The value of a constant; None of anything else."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, int) else None


class InstructionRewriter(Rewriter):
    """One instruction of a block.

    Args:
        facts: what the block takes for granted.
        shape: of the instruction, with its ``numbers``.
        eip: where it is.
        place: its number in the block, from 1.
        line: of what may fail in it.

    """

    def __init__(self, facts: Facts, shape: Shape, numbers: Numbers, eip: int, place: int, line: int) -> None:
        self._facts = facts
        self._eip = eip
        self._place = place
        self._known: dict[str, ast.expr] = {
            name: constant(value) for name, value in zip(number_names(shape), numbers, strict=True)
        }
        self._target: ast.expr = constant(eip)
        self._line: dict[str, Any] = {**HERE, "lineno": line, "end_lineno": line}

    def rewrite(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """The instruction's statements. Every way through them ends at an ``Exit``, the last one included.

        Raises:
            Untranslatable: it uses what only the processor has.
        """
        result = self.visit_all(body)
        if not (result and isinstance(result[-1], Exit)):
            result = [*result, Exit(self._target, self._place)]
        return result

    # Expressions.

    def visit_Name(self, node: ast.Name) -> ast.expr:  # noqa: N802 - ast's protocol
        """A number of the instruction, or a local whose value is known."""
        return self._known.get(node.id, node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:  # noqa: N802 - ast's protocol
        """A register, a part of the flag record, or a fact."""
        name = node.attr
        match node.value:
            case ast.Name(id="cpu"):
                if name in _STATE:
                    return ast.Name(local(name), ast.Load(), **HERE)
                if name == "eip":
                    return constant(self._eip)
                if name == "stack_mask":
                    return constant(self._facts.stack_mask)
                if name == "system_flags":
                    return node
                raise Untranslatable(name)
            case ast.Subscript(value=ast.Attribute(attr="segments")) if name == "limit":
                return constant(self._facts.code_limit)
        return self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:  # noqa: N802 - ast's protocol
        """Arithmetic on constants is done here; so is masking a register with all ones, or with none."""
        left: ast.expr = self.visit(node.left)
        right: ast.expr = self.visit(node.right)
        a, b = number_of(left), number_of(right)
        compute = _OPERATORS.get(type(node.op))
        if a is not None and b is not None and compute is not None:
            return constant(compute(a, b))
        if isinstance(node.op, ast.BitAnd) and isinstance(left, ast.Name):
            if b == M32 and left.id[1:] in GENERAL:
                return left
            if b == ~M32:
                return constant(0)
        if isinstance(node.op, ast.BitAnd) and b is not None and isinstance(left, ast.BinOp):
            inner = number_of(left.right)
            if isinstance(left.op, ast.BitAnd) and inner is not None:
                return ast.BinOp(left.left, left.op, constant(inner & b), **HERE)
        if isinstance(node.op, ast.BitOr) and a == 0:
            return right
        if isinstance(node.op, ast.Add | ast.Sub) and b == 0:
            return left
        return ast.BinOp(left, node.op, right, **HERE)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:  # noqa: N802 - ast's protocol
        """As ``visit_BinOp``."""
        operand: ast.expr = self.visit(node.operand)
        value = number_of(operand)
        if isinstance(node.op, ast.Invert) and value is not None:
            return constant(~value)
        return ast.UnaryOp(node.op, operand, **HERE)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:  # noqa: N802 - ast's protocol
        """A comparison of constants is made here; no offset is beyond a limit of 4 GB."""
        left: ast.expr = self.visit(node.left)
        rest: list[ast.expr] = self.visit_all(node.comparators)
        a, b = number_of(left), number_of(rest[0])
        compare = _COMPARISONS.get(type(node.ops[0]))
        if len(rest) == 1 and b is not None and compare is not None:
            if a is not None:
                return ast.Constant(compare(a, b), **HERE)
            if b == M32 and isinstance(node.comparators[0], ast.Attribute):
                return ast.Constant(False, **HERE)
        return ast.Compare(left, node.ops, rest, **HERE)

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:  # noqa: N802 - ast's protocol
        """A test of a constant is decided here."""
        test = _positive(self.visit(node.test))
        if isinstance(test, ast.Constant):
            chosen: ast.AST = self.visit(node.body if test.value else node.orelse)
            return chosen
        return ast.IfExp(test, self.visit(node.body), self.visit(node.orelse), **HERE)

    def visit_Call(self, node: ast.Call) -> ast.AST:  # noqa: N802 - ast's protocol
        """A load from memory; calls of flag kinds and builtins stay."""
        if not (isinstance(node.func, ast.Attribute) and node.func.attr in ACCESSES):
            return self.generic_visit(node)
        access, size = node.func.attr[:-1], int(node.func.attr[-1])
        self._require_flat(node.args[0])
        if access == "modify" and self._facts.guarded:
            return self._guarded("modify", size, node.args[1])
        page, offset = self._page(_WRITABLE if access == "modify" else _READABLE, node.args[1])
        if size == 1:
            return ast.Subscript(page, offset, ast.Load(), **self._line)
        unpack = ast.Name(f"_load{_STRUCTS[size]}", ast.Load(), **HERE)
        found = ast.Call(unpack, [page, offset], [], **self._line)
        return ast.Subscript(found, constant(0), ast.Load(), **self._line)

    def _guarded(self, access: str, size: int, address: ast.expr, *value: ast.expr) -> ast.expr:
        # The line of a call of a method is that of its name.
        function = ast.Attribute(ast.Name("_guarded", ast.Load(), **HERE), access, ast.Load(), **self._line)
        arguments = [self.visit(address), constant(size), *(self.visit(part) for part in value)]
        return ast.Call(function, arguments, [], **self._line)

    def _require_flat(self, segment: ast.expr) -> None:
        number = number_of(segment)
        if number is None or not self._facts.flat >> number & 1:
            raise Untranslatable("segment")

    def _page(self, pages: str, address: ast.expr) -> tuple[ast.expr, ast.expr]:
        """The page of an address in a fast map, and the offset in it."""
        first: ast.expr = self.visit(address)
        again = first
        if not isinstance(first, ast.Name | ast.Constant):
            first = ast.NamedExpr(ast.Name("_at", ast.Store(), **HERE), first, **HERE)
            again = ast.Name("_at", ast.Load(), **HERE)
        number = ast.BinOp(first, ast.RShift(), constant(PAGE_SHIFT), **HERE)
        offset = ast.BinOp(again, ast.BitAnd(), constant((1 << PAGE_SHIFT) - 1), **HERE)
        return ast.Subscript(ast.Name(pages, ast.Load(), **HERE), number, ast.Load(), **self._line), offset

    # Statements.

    def visit_Assign(self, node: ast.Assign) -> list[ast.stmt]:  # noqa: N802 - ast's protocol
        """Write a register, a part of the flag record or a local; EIP is known without being written."""
        value = self.visit(node.value)
        match node.targets:
            case [ast.Attribute(attr="eip")]:
                self._target = value
                return []
            case [ast.Attribute(attr=name)] if name in _STATE:
                return [ast.Assign([ast.Name(local(name), ast.Store(), **HERE)], value, **HERE)]
            case [ast.Name(id=name)]:
                self._known.pop(name, None)
                if number_of(value) is not None:
                    self._known[name] = value
        return [ast.Assign(node.targets, value, **HERE)]

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:  # noqa: N802 - ast's protocol
        """A test of constants is decided here; what is known in one branch alone is not known afterwards."""
        test = _positive(self.visit(node.test))
        if isinstance(test, ast.Constant):
            chosen: list[ast.stmt] = self.visit_all(node.body if test.value else node.orelse)
            return chosen
        before = dict(self._known)
        body = self.visit_all(node.body)
        after = self._known
        self._known = dict(before)
        orelse = self.visit_all(node.orelse)
        self._known = {
            name: value
            for name, value in before.items()
            if after.get(name) is value and self._known.get(name) is value
        }
        return ast.If(test, body or [ast.Pass(**HERE)], orelse, **HERE)

    def visit_While(self, node: ast.While) -> ast.AST:  # noqa: N802 - ast's protocol
        """Loops are rare; their instructions are executed by themselves."""
        raise Untranslatable("while")

    def visit_Return(self, node: ast.Return) -> ast.AST:  # noqa: N802 - ast's protocol
        """The instruction has gone elsewhere."""
        return Exit(self._target, self._place)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:  # noqa: N802 - ast's protocol
        """A fault: the instruction is executed again by itself."""
        return ast.Raise(node.exc, None, **self._line)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | list[ast.stmt]:  # noqa: N802 - ast's protocol
        """A store, or a change of single flags, which is left to the processor."""
        match node.value:
            case ast.Call(func=ast.Attribute(attr="change_flags"), args=arguments):
                spill = "; ".join(f"cpu.{flag} = {local(flag)}" for flag in FLAGS)
                reload = "; ".join(f"{local(flag)} = cpu.{flag}" for flag in FLAGS)
                which, bits = self.visit_all(arguments)
                text = f"{spill}\ncpu.change_flags(WHICH, BITS)\n{reload}"
                return statements(text, WHICH=which, BITS=bits)
            case ast.Call(func=ast.Attribute(attr=access), args=[segment, address, value]) if (
                access in ACCESSES
            ):
                return self._store(int(access[-1]), segment, address, value)
        return self.generic_visit(node)

    def _store(self, size: int, segment: ast.expr, address: ast.expr, value: ast.expr) -> list[ast.stmt]:
        self._require_flat(segment)
        if self._facts.guarded:
            return [ast.Expr(self._guarded("store", size, address, value), **self._line)]
        page, offset = self._page(_WRITABLE, address)
        stored = self.visit(value)
        if size == 1:
            target = ast.Subscript(page, offset, ast.Store(), **self._line)
            return [ast.Assign([target], stored, **self._line)]
        pack = ast.Name(f"_store{_STRUCTS[size]}", ast.Load(), **HERE)
        return [ast.Expr(ast.Call(pack, [page, offset, stored], [], **self._line), **self._line)]


def _positive(test: ast.expr) -> ast.expr:
    """A test without a double negation; whether it holds is all that counts."""
    match test:
        case ast.UnaryOp(op=ast.Not(), operand=ast.UnaryOp(op=ast.Not(), operand=inner)):
            return _positive(inner)
        case ast.UnaryOp(op=ast.Not(), operand=ast.Constant(value=value)):
            return ast.Constant(not value, **HERE)
    return test
