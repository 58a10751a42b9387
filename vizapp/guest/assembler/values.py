"""What an expression is worth: a number, plus addresses and registers that only the end can resolve."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from vizapp.guest.assembler.problems import LineError
from vizapp.isa.instruction import Register
from vizapp.messages import N_, Message

SECTION = "section"
Term: TypeAlias = "Register | str"


class Value(NamedTuple):
    """A sum: ``number`` and multiples of terms.

    NASM takes the address of a label for a thing that may move, so ``label - other`` is a number and
    ``label`` is not, and an address never gets the short form of a number. The one section's origin is the
    term ``SECTION``; ``number`` already contains it.

    Attributes:
        number: signed, 64 bits.
        terms: (term, factor) pairs with no factor 0, in the order of writing.
        scaled: registers that the text multiplies, by 1 too: those are meant as an index.
        known: False while a label that comes later has no address yet.
        plain: whether a number is in it, be it 0; a register alone has none.
        summed: whether two numbers, or one thing twice, were added on the way to it: NASM then forgets which
            register was written first, and takes base and index by the alphabet.
    """

    number: int
    terms: tuple[tuple[Term, int], ...] = ()
    scaled: frozenset[Register] = frozenset()
    known: bool = True
    plain: bool = True
    summed: bool = False

    @property
    def is_number(self) -> bool:
        """Whether no address and no register is in it."""
        return not self.terms

    @property
    def is_address(self) -> bool:
        """Whether it is a label's address, perhaps with an offset."""
        return self.terms == ((SECTION, 1),)


def wrapped(number: int) -> int:
    """Two's complement in 64 bits."""
    return ((number & 0xFFFF_FFFF_FFFF_FFFF) ^ (1 << 63)) - (1 << 63)


def add(left: Value, right: Value, sign: int = 1) -> Value:
    """``left + sign * right``."""
    known = left.known and right.known
    number = wrapped(left.number + sign * right.number)
    both = left.plain and right.plain
    summed = left.summed or right.summed or (both and number != 0)
    if not left.terms and not right.terms:
        return Value(number, (), frozenset(), known, not both or number != 0, summed)
    factors = dict(left.terms)
    for term, factor in right.terms:
        factors[term] = total = factors.get(term, 0) + sign * factor
        summed = summed or (total != 0 and total != sign * factor)
    terms = tuple((term, factor) for term, factor in factors.items() if factor)
    plain = number != 0 if both else left.plain or right.plain
    return Value(number, terms, left.scaled | right.scaled, known, plain, summed)


def multiply(left: Value, right: Value, column: int) -> Value:
    """A product, one of whose sides is a number."""
    if left.terms and right.terms:
        raise not_a_number(column)
    factor, other = (right, left) if left.terms else (left, right)
    known = left.known and right.known
    terms = tuple((term, k * factor.number) for term, k in other.terms if k * factor.number)
    scaled = other.scaled | {term for term, _ in other.terms if isinstance(term, Register)}
    number = wrapped(left.number * right.number)
    return Value(number, terms, scaled, known, other.plain, left.summed or right.summed)


def not_a_number(column: int) -> LineError:
    """An address or a register where only a number will do."""
    return LineError(Message(N_("this works on numbers only, not on addresses or registers")), column)
