"""What a specification says of itself beyond its source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

Specification: TypeAlias = "Callable[..., None]"
Condition: TypeAlias = "Callable[[], bool]"
_Function = TypeVar("_Function", bound=Specification)


@dataclass(frozen=True, slots=True)
class Conditional:
    """A specification whose word ``CONDITION`` stands for ``condition``."""

    specification: Specification
    condition: Condition


@dataclass(frozen=True, slots=True)
class Repeated:
    """A repetition whose word ``ITERATION`` stands for the specification ``of`` a string instruction."""

    specification: Specification
    of: Specification


Meaning: TypeAlias = "Specification | Conditional | Repeated"


def of_size(size: int) -> Callable[[_Function], _Function]:
    """The width is ``size`` bytes, where neither an operand nor the operand size tells."""

    def declare(specification: _Function) -> _Function:
        specification.size = size  # type: ignore[attr-defined]
        return specification

    return declare


def restartable(specification: _Function) -> _Function:
    """It stores more than once, and a fault after the first store does no harm.

    What was stored lies beyond the stack pointer, which has not moved, and will be stored again.
    """
    specification.restartable = True  # type: ignore[attr-defined]
    return specification
