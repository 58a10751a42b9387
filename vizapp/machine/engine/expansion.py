"""Rewrites the source of a specification for one shape: every word of the language becomes plain Python."""

from __future__ import annotations

import ast
from collections.abc import Container, Mapping

from vizapp.isa.registers import CS, EAX, EBP, ECX, EDI, EDX, EFLAGS_DF, ESI
from vizapp.isa.vectors import GP
from vizapp.machine.engine.access import MASKS, REGISTER_NAMES, Location, read_register, write_register
from vizapp.machine.engine.shapes import LENGTH, MemoryShape, RegisterShape, Shape
from vizapp.machine.engine.specification import Source
from vizapp.machine.engine.trees import HERE, Rewriter, constant, expression, statements

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
ACCESS_WORDS = ("load", "modify", "store")
RETURN = ast.Return(None, **HERE)


class SpecificationError(Exception):
    """A specification is not written in its language: a defect of the product."""


def _decided(test: ast.expr) -> bool | None:
    """Whether a test of constants alone holds; None for any other."""
    match test:
        case ast.Compare(left=ast.Constant(value=a), ops=[ast.Eq()], comparators=[ast.Constant(value=b)]):
            return bool(a == b)
    return None


class Expander(Rewriter):
    """One specification on its way to statements over ``cpu``.

    Args:
        source: the specification.
        shape: of the instruction.
        locations: the operands by parameter name.
        size: the instruction's width in bytes.
        runtime: the names that the generated function finds as globals.
        condition: what ``CONDITION`` stands for.
        iteration: what ``ITERATION`` stands for.
    """

    def __init__(
        self,
        source: Source,
        shape: Shape,
        locations: Mapping[str, Location],
        *,
        size: int,
        runtime: Container[str],
        condition: Source | None = None,
        iteration: Source | None = None,
    ) -> None:
        self._source = source
        self._locations = locations
        self._size = size
        self._runtime = runtime
        self._condition = condition
        self._iteration = iteration
        self._constants = source.constants
        self._locals = source.names | (iteration.names if iteration else frozenset())
        self._numbers = self._number_words(shape)
        self._roles = {
            "accumulator": RegisterShape(EAX, size),
            "extension": REGISTER_NAMES["ah"] if size == 1 else RegisterShape(EDX, size),
            "frame": RegisterShape(EBP, size),
            "counter": RegisterShape(ECX, shape.address_size),
            "source": RegisterShape(ESI, shape.address_size),
            "destination": RegisterShape(EDI, shape.address_size),
        }
        reserved = [name for name in self._locals if name.startswith("_")]
        if reserved:
            raise self._error(f"the generator's own names begin with an underscore: {reserved}")

    def _number_words(self, shape: Shape) -> dict[str, int]:
        bits = 8 * self._size
        words = {
            "SIZE": self._size,
            "BITS": bits,
            "MASK": MASKS[self._size],
            "SIGN": 1 << bits - 1,
            "ADDRESS_MASK": MASKS[shape.address_size],
        }
        for operand in shape.operands:
            if isinstance(operand, MemoryShape):
                words.setdefault("SEGMENT", operand.segment)
        if len(shape.operands) > 1:
            second = shape.operands[1]
            if isinstance(second, RegisterShape | MemoryShape) and second.size:
                words["SOURCE_SIGN"] = 1 << 8 * second.size - 1
        return words

    def statements(self) -> list[ast.stmt]:
        """The whole instruction."""
        body = [statement for where in self._locations.values() for statement in where.prelude()]
        body += self.visit_all(self._source.body)
        if not (body and isinstance(body[-1], ast.Return | ast.Raise)):
            body += statements(f"cpu.eip = {NEXT}")
        return body

    def _error(self, problem: str) -> SpecificationError:
        return SpecificationError(f"{self._source.name}: {problem}")

    def _value(self, node: ast.expr) -> ast.expr:
        result = self.visit(node)
        assert isinstance(result, ast.expr)
        return result

    # Expressions.

    def visit_Name(self, node: ast.Name) -> ast.expr:  # noqa: N802 - ast's protocol
        """A word, an operand, a local, or a constant of the specification's module."""
        name = node.id
        if name in self._locations:
            return self._locations[name].read()
        if name in self._locals or name in self._runtime:
            return node
        if name in self._numbers:
            return constant(self._numbers[name])
        if name in FLAG_WORDS:
            return expression(FLAG_WORDS[name])
        if name == "NEXT":
            return expression(NEXT)
        if name == "STEP":
            return expression(f"-{self._size} if cpu.system_flags & {EFLAGS_DF:#x} else {self._size}")
        if name == "CONDITION" and self._condition is not None:
            return self._value(self._condition.value)
        value = self._constants.get(name)
        if isinstance(value, int):
            return constant(value)
        raise self._error(f"no such word: {name}")

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:  # noqa: N802 - ast's protocol
        """A register, by its name or its role; or a method of a number."""
        if not (isinstance(node.value, ast.Name) and node.value.id == "cpu"):
            return self.generic_visit(node)
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

    def visit_Call(self, node: ast.Call) -> ast.AST:  # noqa: N802 - ast's protocol
        """An access to memory as wide as the instruction; or a call of a builtin or a number's method."""
        if isinstance(node.func, ast.Name) and node.func.id in ACCESS_WORDS:
            function = expression(f"cpu.{node.func.id}{self._size}")
            return ast.Call(function, self.visit_all(node.args), [], **HERE)
        return self.generic_visit(node)

    # Statements.

    def visit_Assign(self, node: ast.Assign) -> list[ast.stmt]:  # noqa: N802 - ast's protocol
        """Write an operand, a register or a local."""
        value = self._value(node.value)
        match node.targets:
            case [ast.Name(id=name)] if name in self._locations:
                return self._locations[name].write(value)
            case [ast.Attribute(value=ast.Name(id="cpu"), attr="sp")]:
                return statements(SET_STACK_POINTER, VALUE=value)
            case [ast.Attribute(value=ast.Name(id="cpu"), attr=attribute)]:
                register = self._register(attribute)
                if register is not None:
                    return write_register(register, value)
                if attribute not in PLAIN_ATTRIBUTES:
                    raise self._error(f"no such register: {attribute}")
        return [ast.Assign(node.targets, value, **HERE)]

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:  # noqa: N802 - ast's protocol
        """A test of constants is decided here."""
        test = self._value(node.test)
        known = _decided(test)
        if known is None:
            return ast.If(test, self.visit_all(node.body), self.visit_all(node.orelse), **HERE)
        chosen: list[ast.stmt] = self.visit_all(node.body if known else node.orelse)
        return chosen

    def visit_Expr(self, node: ast.Expr) -> ast.AST | list[ast.stmt]:  # noqa: N802 - ast's protocol
        """A statement of the language; documentation is dropped."""
        match node.value:
            case ast.Constant():
                return []
            case ast.Call(func=ast.Name(id=word), args=arguments, keywords=keywords):
                if word in ACCESS_WORDS:
                    return self.generic_visit(node)
                if word == "flags":
                    return self._flags(arguments)
                given = self.visit_all(arguments)
                named = {keyword.arg: self._value(keyword.value) for keyword in keywords if keyword.arg}
                return self._statement_word(word, given, named)
        raise self._error(f"not a statement: {ast.unparse(node)}")

    def _statement_word(self, word: str, given: list[ast.expr], named: dict[str, ast.expr]) -> list[ast.stmt]:
        match word:
            case "set_flags":
                return self._set_flags(*given, **named)
            case "change_flags":
                return statements("cpu.change_flags(WHICH, BITS)", WHICH=given[0], BITS=given[1])
            case "check_branch":
                text = f"if TARGET > cpu.segments[{CS}].limit: raise Fault({GP}, 0)"
                return statements(text, TARGET=given[0])
            case "goto":
                return [*statements("cpu.eip = TARGET", TARGET=given[0]), RETURN]
            case "again":
                return [RETURN]
            case "ITERATION" if self._iteration is not None:
                body: list[ast.stmt] = self.visit_all(self._iteration.body)
                return body
        raise self._error(f"no such word: {word}")

    def _flags(self, arguments: list[ast.expr]) -> list[ast.stmt]:
        kind, *record = arguments
        if not isinstance(kind, ast.Name) or f"{kind.id}{self._size}" not in self._runtime:
            raise self._error(f"no such kind of flags: {ast.unparse(kind)}")
        result = statements(f"cpu.flag_kind = {kind.id}{self._size}")
        for name, value in zip(("result", "x", "y"), record, strict=False):
            result += statements(f"cpu.flag_{name} = VALUE", VALUE=self._value(value))
        return result

    def _set_flags(self, result: ast.expr, cf: ast.expr, of: ast.expr, af: ast.expr) -> list[ast.stmt]:
        """The new flags may be made of the old ones, so all are computed before the first is written."""
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
