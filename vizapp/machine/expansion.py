"""Rewrites the source of a specification for one shape: every word of the language becomes plain Python."""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping

from vizapp.isa.registers import CS, EAX, EBP, ECX, EDI, EDX, EFLAGS_DF, ESI
from vizapp.isa.vectors import GP
from vizapp.machine.access import (
    MASKS,
    REGISTER_NAMES,
    Place,
    expression,
    read_register,
    statements,
    write_register,
)
from vizapp.machine.shapes import LENGTH, MemoryShape, RegisterShape, Shape

FLAG_WORDS = {
    "CF": "cpu.flag_x < cpu.flag_y",
    "ZF": "not cpu.flag_result",
    "SF": "cpu.flag_kind.sign(cpu.flag_result)",
    "PF": "cpu.flag_kind.parity(cpu.flag_result)",
    "OF": "cpu.flag_kind.overflow(cpu.flag_result, cpu.flag_x, cpu.flag_y)",
    "AF": "cpu.flag_kind.adjust(cpu.flag_result, cpu.flag_x, cpu.flag_y)",
    "LESS": "cpu.flag_kind.less(cpu.flag_result, cpu.flag_x, cpu.flag_y)",
}
# Attributes of the processor that a specification may use as they are.
PLAIN_ATTRIBUTES = frozenset({"stack_mask", "system_flags", "arithmetic_flags"})
STACK_POINTER = "cpu.esp & cpu.stack_mask"
SET_STACK_POINTER = "cpu.esp = cpu.esp & ~cpu.stack_mask | VALUE"
NEXT = f"cpu.eip + {LENGTH} & 0xffffffff"


class SpecificationError(Exception):
    """A specification is not written in its language: a defect of the product."""


def _constant(node: ast.expr) -> bool | None:
    """Whether an expression of constants alone is true; None for any other."""
    if any(isinstance(part, ast.Name | ast.Attribute | ast.Call) for part in ast.walk(node)):
        return None
    return bool(eval(compile(ast.fix_missing_locations(ast.Expression(node)), "<constant>", "eval")))


class Expander(ast.NodeTransformer):
    """One specification on its way to statements over ``cpu``.

    Args:
        tree: the specification.
        shape: of the instruction.
        places: the operands by parameter name.
        size: the instruction's width in bytes.
        constants: the names of the specification's module; integers become literals.
        runtime: the names that the generated function finds as globals.
        condition: what ``CONDITION`` stands for.
        iteration: what ``ITERATION`` stands for.
    """

    def __init__(
        self,
        tree: ast.FunctionDef,
        shape: Shape,
        places: Mapping[str, Place],
        *,
        size: int,
        constants: Mapping[str, object],
        runtime: frozenset[str],
        condition: ast.FunctionDef | None = None,
        iteration: ast.FunctionDef | None = None,
    ) -> None:
        self._tree = tree
        self._shape = shape
        self._places = places
        self._size = size
        self._constants = constants
        self._runtime = runtime
        self._condition = condition
        self._iteration = iteration
        self._numbers = self._number_words()
        self._roles = {
            "accumulator": RegisterShape(EAX, size),
            "extension": RegisterShape(4, 1) if size == 1 else RegisterShape(EDX, size),
            "frame": RegisterShape(EBP, size),
            "counter": RegisterShape(ECX, shape.address_size),
            "source": RegisterShape(ESI, shape.address_size),
            "destination": RegisterShape(EDI, shape.address_size),
        }
        self._locals = {
            node.id
            for part in (tree, iteration)
            if part is not None
            for node in ast.walk(part)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        } - set(places)

    def _number_words(self) -> dict[str, int]:
        bits = 8 * self._size
        words = {
            "SIZE": self._size,
            "BITS": bits,
            "MASK": MASKS[self._size],
            "SIGN": 1 << bits - 1,
            "ADDRESS_MASK": MASKS[self._shape.address_size],
        }
        for operand in self._shape.operands:
            if isinstance(operand, MemoryShape):
                words.setdefault("SEGMENT", operand.segment)
        if len(self._shape.operands) > 1:
            second = self._shape.operands[1]
            if isinstance(second, RegisterShape | MemoryShape) and second.size:
                words["SOURCE_SIGN"] = 1 << 8 * second.size - 1
        return words

    def statements(self) -> list[ast.stmt]:
        """The whole instruction."""
        body = [statement for where in self._places.values() for statement in where.prelude()]
        body += self._body(self._tree)
        if not (body and isinstance(body[-1], ast.Return | ast.Raise)):
            body += statements(f"cpu.eip = {NEXT}")
        return body

    def _body(self, tree: ast.FunctionDef) -> list[ast.stmt]:
        result: list[ast.stmt] = []
        for statement in tree.body:
            result += self._flat(statement)
        return result

    def _flat(self, statement: ast.stmt) -> list[ast.stmt]:
        result = self.visit(copy.deepcopy(statement))
        return result if isinstance(result, list) else [result]

    def _error(self, problem: str) -> SpecificationError:
        return SpecificationError(f"{self._tree.name}: {problem}")

    def _value(self, node: ast.expr) -> ast.expr:
        result = self.visit(node)
        assert isinstance(result, ast.expr)
        return result

    # Expressions.

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """A word, an operand, a local, or a constant of the specification's module."""
        name = node.id
        if name in self._places:
            return self._places[name].read()
        if name in self._locals:
            if name.startswith("_"):
                raise self._error(f"the generator's own names begin with an underscore: {name}")
            return node
        if name in self._numbers:
            return ast.Constant(self._numbers[name])
        if name in FLAG_WORDS:
            return expression(FLAG_WORDS[name])
        if name == "NEXT":
            return expression(NEXT)
        if name == "STEP":
            return expression(f"-{self._size} if cpu.system_flags & {EFLAGS_DF:#x} else {self._size}")
        if name == "CONDITION" and self._condition is not None:
            (*_, result) = self._condition.body
            assert isinstance(result, ast.Return)
            assert result.value is not None
            return self._value(copy.deepcopy(result.value))
        if name in self._runtime:
            return node
        value = self._constants.get(name)
        if isinstance(value, int):
            return ast.Constant(value)
        raise self._error(f"no such word: {name}")

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        """A register, by its name or its role; or a method of a number."""
        if not (isinstance(node.value, ast.Name) and node.value.id == "cpu"):
            return ast.Attribute(self._value(node.value), node.attr, node.ctx)
        if node.attr == "sp":
            return expression(STACK_POINTER)
        register = self._register(node.attr)
        if register is not None:
            return read_register(register)
        if node.attr not in PLAIN_ATTRIBUTES:
            raise self._error(f"no such register: {node.attr}")
        return node

    def _register(self, name: str) -> RegisterShape | None:
        return self._roles.get(name) or REGISTER_NAMES.get(name)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """An access to memory as wide as the instruction; or a call of a builtin or a number's method."""
        arguments = [self._value(argument) for argument in node.args]
        if isinstance(node.func, ast.Name) and node.func.id in ("load", "modify"):
            return self._access(node.func.id, arguments)
        return ast.Call(self._value(node.func), arguments, [])

    def _access(self, kind: str, arguments: list[ast.expr]) -> ast.expr:
        return ast.Call(expression(f"cpu.{kind}{self._size}"), arguments, [])

    # Statements.

    def visit_Assign(self, node: ast.Assign) -> ast.stmt | list[ast.stmt]:
        """Write an operand, a register or a local."""
        value = self._value(node.value)
        match node.targets:
            case [ast.Name(id=name)] if name in self._places:
                return self._places[name].write(value)
            case [ast.Name()]:
                return ast.Assign(node.targets, value)
            case [ast.Attribute(value=ast.Name(id="cpu"), attr="sp")]:
                return statements(SET_STACK_POINTER, VALUE=value)
            case [ast.Attribute(value=ast.Name(id="cpu"), attr=attribute)]:
                register = self._register(attribute)
                if register is not None:
                    return write_register(register, value)
                if attribute in PLAIN_ATTRIBUTES:
                    return ast.Assign(node.targets, value)
        raise self._error(f"cannot assign: {ast.unparse(node)}")

    def visit_If(self, node: ast.If) -> ast.stmt | list[ast.stmt]:
        """A test of constants alone is decided here."""
        test = self._value(node.test)
        body = [inner for statement in node.body for inner in self._flat(statement)]
        orelse = [inner for statement in node.orelse for inner in self._flat(statement)]
        known = _constant(test)
        if known is None:
            return ast.If(test, body, orelse)
        return body if known else orelse

    def visit_While(self, node: ast.While) -> ast.stmt:
        """A loop."""
        body = [inner for statement in node.body for inner in self._flat(statement)]
        return ast.While(self._value(node.test), body, [])

    def visit_Expr(self, node: ast.Expr) -> ast.stmt | list[ast.stmt]:
        """A statement of the language; documentation is dropped."""
        match node.value:
            case ast.Constant():
                return []
            case ast.Call(func=ast.Name(id=word), args=arguments, keywords=keywords):
                named = {keyword.arg: self._value(keyword.value) for keyword in keywords if keyword.arg}
                if word == "flags":
                    return self._flags(arguments)
                given = [self._value(argument) for argument in arguments]
                match word:
                    case "set_flags":
                        return self._set_flags(*given, **named)
                    case "change_flags":
                        return statements("cpu.change_flags(MASK, BITS)", MASK=given[0], BITS=given[1])
                    case "check_branch":
                        text = f"if TARGET > cpu.segments[{CS}].limit: raise Fault({GP}, 0)"
                        return statements(text, TARGET=given[0])
                    case "goto":
                        return [*statements("cpu.eip = TARGET", TARGET=given[0]), ast.Return()]
                    case "again":
                        return [ast.Return()]
                    case "ITERATION" if self._iteration is not None:
                        return self._body(self._iteration)
                    case "store" | "modify":
                        return ast.Expr(self._access(word, given))
        raise self._error(f"not a statement: {ast.unparse(node)}")

    def _flags(self, arguments: list[ast.expr]) -> list[ast.stmt]:
        kind, *record = arguments
        if not isinstance(kind, ast.Name) or f"{kind.id}{self._size}" not in self._runtime:
            raise self._error(f"no such kind of flags: {ast.unparse(kind)}")
        result = statements(f"cpu.flag_kind = {kind.id}{self._size}")
        for name, value in zip(("result", "x", "y"), record, strict=False):
            result += statements(f"cpu.flag_{name} = VALUE", VALUE=self._value(value))
        return result

    def _set_flags(self, result: ast.expr, cf: ast.expr, of: ast.expr, af: ast.expr) -> list[ast.stmt]:
        """Where the new flags are made of the old ones, all are computed before the first is written."""
        return statements(
            f"_kind = EXPLICIT{self._size}[(OF) << 1 | (AF)]\n"
            "_carry = CF\n"
            "cpu.flag_kind = _kind\n"
            "cpu.flag_result = RESULT\n"
            "cpu.flag_x = 0\n"
            "cpu.flag_y = _carry",
            RESULT=result,
            CF=cf,
            OF=of,
            AF=af,
        )
