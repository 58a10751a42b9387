"""The arithmetic flags, kept lazily: an instruction records its result, a flag is computed when it is read.

The record is four attributes of the processor:

    flag_result          ZF = (flag_result == 0)
    flag_x, flag_y       CF = (flag_x < flag_y)
    flag_kind            how SF, PF, OF and AF follow from the other three

ZF and CF mean the same for every kind, so the commonest conditions cost one comparison. INC and DEC leave
CF alone by leaving ``flag_x`` and ``flag_y`` alone. By kind (r the result, a and b what it was made of):

    kind       record (result, x, y)    OF, AF
    ADD        (r, r, a)                from r, a and b = r - a
    SUB        (r, a, b)                from r, a and b
    LOGIC      (r, 0, 0)                both 0
    INC, DEC   (r, unchanged)           from r
    EXPLICIT   (r, 0, CF)               held in the kind
    LITERAL    (not ZF, 0, CF)          held in the kind, and so are SF and PF

What the manual leaves undefined is always the same here: AF after logic, shifts and multiplication is 0;
OF after a shift of more than one bit is that of the last bit; SF, ZF and PF after multiplication follow the
low half; division and bit tests leave what they do not define alone. SDM Vol. 1, "EFLAGS Register".
"""

from __future__ import annotations

from typing import Final

from vizapp.isa.registers import (
    EFLAGS_AC,
    EFLAGS_AF,
    EFLAGS_ARITHMETIC,
    EFLAGS_CF,
    EFLAGS_DF,
    EFLAGS_FIXED,
    EFLAGS_ID,
    EFLAGS_IF,
    EFLAGS_IOPL,
    EFLAGS_NT,
    EFLAGS_OF,
    EFLAGS_PF,
    EFLAGS_RF,
    EFLAGS_SF,
    EFLAGS_TF,
    EFLAGS_VIF,
    EFLAGS_VIP,
    EFLAGS_VM,
    EFLAGS_ZF,
)

EFLAGS_SYSTEM: Final = (
    EFLAGS_TF
    | EFLAGS_IF
    | EFLAGS_DF
    | EFLAGS_IOPL
    | EFLAGS_NT
    | EFLAGS_RF
    | EFLAGS_VM
    | EFLAGS_AC
    | EFLAGS_VIF
    | EFLAGS_VIP
    | EFLAGS_ID
)
# PF is set when the low byte of the result has an even number of ones.
EVEN_PARITY: Final = tuple(not byte.bit_count() & 1 for byte in range(256))


class Kind:
    """How four of the flags follow from a record (r, x, y) of operands of ``size`` bytes."""

    __slots__ = ("_sign_bit", "name")

    def __init__(self, name: str, size: int) -> None:
        self.name = f"{name}{size}"
        self._sign_bit = 1 << 8 * size - 1

    def __repr__(self) -> str:
        return self.name

    def sign(self, r: int) -> bool:
        """SF."""
        return r & self._sign_bit != 0

    def parity(self, r: int) -> bool:
        """PF."""
        return EVEN_PARITY[r & 0xFF]

    def overflow(self, r: int, x: int, y: int) -> bool:
        """OF: the result as a signed number does not fit."""
        raise NotImplementedError

    def adjust(self, r: int, x: int, y: int) -> bool:
        """AF: a carry or borrow out of the low four bits."""
        raise NotImplementedError

    def less(self, r: int, x: int, y: int) -> bool:
        """The condition L: SF differs from OF."""
        return self.sign(r) != self.overflow(r, x, y)

    def bits(self, r: int, x: int, y: int) -> int:
        """All six at their places in EFLAGS."""
        return (
            (EFLAGS_CF if x < y else 0)
            | (EFLAGS_PF if EVEN_PARITY[r & 0xFF] else 0)
            | (EFLAGS_AF if self.adjust(r, x, y) else 0)
            | (0 if r else EFLAGS_ZF)
            | (EFLAGS_SF if r & self._sign_bit else 0)
            | (EFLAGS_OF if self.overflow(r, x, y) else 0)
        )


class Add(Kind):
    """r = a + b, recorded as (r, r, a)."""

    __slots__ = ()

    def overflow(self, r: int, x: int, y: int) -> bool:
        """Both operands have the sign that the result has not."""
        return (r ^ y) & (r ^ r - y) & self._sign_bit != 0

    def adjust(self, r: int, x: int, y: int) -> bool:
        """A sum's bit 4 differs from the exclusive or of its operands where a carry came in."""
        return (r ^ y ^ r - y) & 0x10 != 0


class Subtract(Kind):
    """r = x - y, also of a comparison."""

    __slots__ = ()

    def overflow(self, r: int, x: int, y: int) -> bool:
        """The operands differ in sign and the result has that of the subtrahend."""
        return (x ^ y) & (x ^ r) & self._sign_bit != 0

    def adjust(self, r: int, x: int, y: int) -> bool:
        """As for a sum, with the borrow."""
        return (x ^ y ^ r) & 0x10 != 0

    def less(self, r: int, x: int, y: int) -> bool:
        """x < y as signed numbers: flipping the sign bit makes the unsigned order the signed one."""
        return x ^ self._sign_bit < y ^ self._sign_bit


class Logic(Kind):
    """AND, OR, XOR, TEST: OF and AF are 0."""

    __slots__ = ()

    def overflow(self, r: int, x: int, y: int) -> bool:
        """Never."""
        return False

    def adjust(self, r: int, x: int, y: int) -> bool:
        """Undefined by the manual."""
        return False


class Increment(Kind):
    """r = a + 1; x and y are those of an earlier instruction."""

    __slots__ = ()

    def overflow(self, r: int, x: int, y: int) -> bool:
        """From the largest positive number to the smallest negative one."""
        return r == self._sign_bit

    def adjust(self, r: int, x: int, y: int) -> bool:
        """The low digit went from 15 to 0."""
        return r & 15 == 0


class Decrement(Kind):
    """r = a - 1; x and y are those of an earlier instruction."""

    __slots__ = ()

    def overflow(self, r: int, x: int, y: int) -> bool:
        """From the smallest negative number to the largest positive one."""
        return r == self._sign_bit - 1

    def adjust(self, r: int, x: int, y: int) -> bool:
        """The low digit went from 0 to 15."""
        return r & 15 == 15


class Explicit(Kind):
    """OF and AF were computed by the instruction; SF and PF follow the result."""

    __slots__ = ("_adjust", "_overflow")

    def __init__(self, name: str, size: int, overflow: bool, adjust: bool) -> None:
        super().__init__(name, size)
        self._overflow = overflow
        self._adjust = adjust

    def overflow(self, r: int, x: int, y: int) -> bool:
        """As computed."""
        return self._overflow

    def adjust(self, r: int, x: int, y: int) -> bool:
        """As computed."""
        return self._adjust


class Literal(Explicit):
    """All flags were loaded (POPF, SAHF, IRET): SF and PF need not agree with ZF."""

    __slots__ = ("_bits", "_parity", "_sign")

    def __init__(self, bits: int) -> None:
        super().__init__("LITERAL", 4, bits & EFLAGS_OF != 0, bits & EFLAGS_AF != 0)
        self._bits = bits
        self._sign = bits & EFLAGS_SF != 0
        self._parity = bits & EFLAGS_PF != 0

    def sign(self, r: int) -> bool:
        """As loaded."""
        return self._sign

    def parity(self, r: int) -> bool:
        """As loaded."""
        return self._parity

    def bits(self, r: int, x: int, y: int) -> int:
        """As loaded."""
        return self._bits | (EFLAGS_CF if x < y else 0) | (0 if r else EFLAGS_ZF)


def _explicit(size: int) -> tuple[Kind, ...]:
    """The four kinds with OF and AF held, indexed by OF * 2 + AF."""
    return tuple(Explicit("EXPLICIT", size, bool(index & 2), bool(index & 1)) for index in range(4))


_LITERAL_BITS: Final = EFLAGS_SF | EFLAGS_PF | EFLAGS_OF | EFLAGS_AF
LITERAL: Final = {
    bits: Literal(bits) for bits in {bits & _LITERAL_BITS for bits in range(EFLAGS_ARITHMETIC + 1)}
}
EXPLICIT: Final = {size: _explicit(size) for size in (1, 2, 4)}
KINDS: Final = {
    f"{name}{size}": kind(name, size)
    for name, kind in {
        "ADD": Add, "SUB": Subtract, "LOGIC": Logic, "INC": Increment, "DEC": Decrement,
    }.items()
    for size in (1, 2, 4)
}  # fmt: skip


class FlagState:
    """EFLAGS of a processor, to be inherited by it.

    Attributes:
        system_flags: the bits of EFLAGS other than the six arithmetic ones, bit 1 always set.
        flag_kind, flag_result, flag_x, flag_y: the record that the arithmetic flags are computed from.
    """

    __slots__ = ("flag_kind", "flag_result", "flag_x", "flag_y", "system_flags")

    flag_kind: Kind
    flag_result: int
    flag_x: int
    flag_y: int
    system_flags: int

    def __init__(self) -> None:
        self.eflags = EFLAGS_FIXED

    @property
    def cf(self) -> bool:
        """Carry."""
        return self.flag_x < self.flag_y

    @property
    def zf(self) -> bool:
        """Zero."""
        return not self.flag_result

    @property
    def sf(self) -> bool:
        """Sign."""
        return self.flag_kind.sign(self.flag_result)

    @property
    def pf(self) -> bool:
        """Parity."""
        return self.flag_kind.parity(self.flag_result)

    @property
    def of(self) -> bool:
        """Overflow."""
        return self.flag_kind.overflow(self.flag_result, self.flag_x, self.flag_y)

    @property
    def af(self) -> bool:
        """Auxiliary carry."""
        return self.flag_kind.adjust(self.flag_result, self.flag_x, self.flag_y)

    @property
    def arithmetic_flags(self) -> int:
        """CF, PF, AF, ZF, SF and OF at their places in EFLAGS."""
        return self.flag_kind.bits(self.flag_result, self.flag_x, self.flag_y)

    def set_arithmetic(self, bits: int) -> None:
        """Load the six arithmetic flags from their places in ``bits``; the others stay."""
        self.flag_kind = LITERAL[bits & _LITERAL_BITS]
        self.flag_result = 0 if bits & EFLAGS_ZF else 1
        self.flag_x = 0
        self.flag_y = bits & EFLAGS_CF

    def change_flags(self, mask: int, bits: int) -> None:
        """Load those arithmetic flags that ``mask`` names; the others stay."""
        self.set_arithmetic(self.arithmetic_flags & ~mask | bits & mask)

    @property
    def eflags(self) -> int:
        """The whole register. Setting it changes every bit that exists, with no privilege check."""
        return self.system_flags | self.flag_kind.bits(self.flag_result, self.flag_x, self.flag_y)

    @eflags.setter
    def eflags(self, value: int) -> None:
        self.system_flags = value & EFLAGS_SYSTEM | EFLAGS_FIXED
        self.set_arithmetic(value)
