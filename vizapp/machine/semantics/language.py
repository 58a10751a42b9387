"""The words that a specification may use, declared for the reader and for the type checker alone.

A specification is a function of an instruction's operands. Reading a parameter reads the operand, assigning
to it writes it; of a parameter annotated ``Address`` reading gives the offset in its segment. No word has a
value at run time: ``machine.engine`` rewrites the source of a specification for each shape of instruction and
every word becomes a constant or an access to the processor.

Values are unsigned; what is written must fit (``& MASK``). Every fault comes before the first change of a
register or flag, so that an instruction that faults has done nothing; ``engine.commitment`` checks it.
"""

from __future__ import annotations

from typing import NewType, Protocol

Address = NewType("Address", int)

# Of the instruction's width: that of its first operand, or else the operand size.
SIZE: int  # bytes: 1, 2 or 4
BITS: int  # 8, 16 or 32
MASK: int  # all ones
SIGN: int  # the sign bit; (a ^ SIGN) - SIGN is a as a signed number
SOURCE_SIGN: int  # the sign bit of the second operand
ADDRESS_MASK: int  # all ones of the address size
STEP: int  # SIZE, or -SIZE if DF is set
SEGMENT: int  # the segment of the memory operand, 0-5
NEXT: int  # the offset of the next instruction

# Flags as they are before the instruction, or as it has just set them.
CF: bool
ZF: bool
SF: bool
OF: bool
PF: bool
AF: bool
LESS: bool  # SF differs from OF
CONDITION: bool  # the condition in the mnemonic (vizapp.machine.semantics.conditions)

# Kinds of flag record, see vizapp.machine.flags.
ADD: int
SUB: int
LOGIC: int
INC: int
DEC: int


def flags(kind: int, result: int, x: int = ..., y: int = ...) -> None:
    """Record the result that the flags follow from."""


def set_flags(result: int, cf: int, of: int, af: int) -> None:
    """Set CF, OF and AF to what was computed; SF, ZF and PF follow the result."""


def change_flags(mask: int, bits: int) -> None:
    """Set the arithmetic flags in ``mask`` to those in ``bits``; the others stay."""


def load(segment: int, offset: int) -> int:
    """Read memory, as wide as the instruction. May fault, as may the next three."""
    raise NotImplementedError


def modify(segment: int, offset: int) -> int:
    """Read memory that is to be written: a fault is one of writing. The store after it cannot fault."""
    raise NotImplementedError


def store(segment: int, offset: int, value: int) -> None:
    """Write memory."""


def check_branch(target: int) -> None:
    """#GP(0) if the target is outside the limit of CS."""


def goto(target: int) -> None:
    """Go on at an offset in CS; ends the instruction."""


def again() -> None:
    """Leave EIP where it is, so that the instruction comes again; an interrupt may come first."""


def ITERATION() -> None:  # noqa: N802 - a word of this language, not a function
    """The string instruction that a repetition repeats."""


class Processor(Protocol):
    """Registers by name and by role, and the little else that an integer instruction sees."""

    eax: int
    ecx: int
    edx: int
    ebx: int
    esp: int
    ebp: int
    esi: int
    edi: int
    ax: int
    cx: int
    dx: int
    bx: int
    bp: int
    si: int
    di: int
    al: int
    cl: int
    dl: int
    bl: int
    ah: int
    ch: int
    dh: int
    bh: int
    accumulator: int  # AL, AX or EAX by width
    extension: int  # AH, DX or EDX by width: the high half of products and dividends
    frame: int  # BP or EBP by width
    counter: int  # CX or ECX by address size
    source: int  # SI or ESI by address size
    destination: int  # DI or EDI by address size
    sp: int  # SP or ESP by the size of the stack (SS.B)
    stack_mask: int  # all ones of that size
    system_flags: int  # EFLAGS other than the arithmetic ones
    arithmetic_flags: int


cpu: Processor
