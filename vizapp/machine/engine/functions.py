"""Statements of a block as a Python function: its names, its registers and flags as local variables."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from types import CodeType, FunctionType
from typing import Any, Final, Protocol

from vizapp.isa.registers import GENERAL
from vizapp.machine.engine.block_source import FLAGS, PACKING, local
from vizapp.machine.engine.generator import RUNTIME
from vizapp.machine.engine.trees import HERE, statements
from vizapp.machine.engine.uses import read
from vizapp.machine.engine.wrapping import Wrapping

STATE: Final = {local(name): name for name in (*GENERAL, *FLAGS)}
"""By local variable, what the processor calls it."""
_MAPS: Final = {"_readable": "readable", "_writable": "writable"}
_GLOBALS: Final[dict[str, Any]] = {**RUNTIME, **PACKING}


class Guarded(Protocol):
    """Where the stores of a block with ``Facts.guarded`` go; its KeyErrors count as the block's own."""

    def modify(self, address: int, size: int) -> int:
        """``size`` bytes that will be written."""
        ...

    def store(self, address: int, size: int, value: int) -> None:
        """Store ``size`` bytes."""
        ...


def function_of(code: CodeType, guarded: Guarded) -> FunctionType:
    """Code as a function, with the names that instructions use."""
    return FunctionType(code, {**_GLOBALS, "_guarded": guarded}, code.co_name)


def code_of(name: str, arguments: Sequence[str], body: list[ast.stmt]) -> CodeType:
    """The code of a function."""
    taken = ast.arguments([], [ast.arg(argument, **HERE) for argument in arguments], None, [], [], None, [])
    wrapping = Wrapping().visit_all(body)
    module = ast.Module([ast.FunctionDef(name, taken, wrapping, [], **HERE)], [])
    code = compile(module, f"<{name}>", "exec")
    return next(constant for constant in code.co_consts if isinstance(constant, CodeType))


def prelude(body: list[ast.stmt], loaded: AbstractSet[str]) -> list[ast.stmt]:
    """Loads the registers and flags ``loaded``, and the fast maps that ``body`` reads."""
    used = read(body)
    lines = [f"{name} = cpu.{_MAPS[name]}" for name in _MAPS if name in used]
    lines += [f"{name} = cpu.{STATE[name]}" for name in STATE if name in loaded]
    return [statement for line in lines for statement in statements(line)]
