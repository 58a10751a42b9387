"""Addition, subtraction and comparison (SDM Vol. 1, "Binary Arithmetic Instructions")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.registers import EFLAGS_ZF
from vizapp.machine.semantics.declare import Meaning, of_size

if TYPE_CHECKING:
    from vizapp.machine.semantics.language import (
        ADD,
        BITS,
        CF,
        DEC,
        INC,
        MASK,
        SEGMENT,
        SIGN,
        SUB,
        Address,
        change_flags,
        cpu,
        flags,
        modify,
        set_flags,
        store,
    )


def add(dst: int, src: int) -> None:
    """Add."""
    a = dst
    r = a + src & MASK
    dst = r
    flags(ADD, r, r, a)


def adc(dst: int, src: int) -> None:
    """Add with carry."""
    a = dst
    b = src
    total = a + b + CF
    r = total & MASK
    dst = r
    set_flags(r, cf=total > MASK, of=(a ^ r) & (b ^ r) & SIGN != 0, af=(a ^ b ^ r) & 0x10 != 0)


def sub(dst: int, src: int) -> None:
    """Subtract."""
    a = dst
    b = src
    r = a - b & MASK
    dst = r
    flags(SUB, r, a, b)


def sbb(dst: int, src: int) -> None:
    """Subtract with borrow."""
    a = dst
    b = src
    total = a - b - CF
    r = total & MASK
    dst = r
    set_flags(r, cf=total < 0, of=(a ^ b) & (a ^ r) & SIGN != 0, af=(a ^ b ^ r) & 0x10 != 0)


def cmp(dst: int, src: int) -> None:
    """Compare: a subtraction of which only the flags remain."""
    a = dst
    b = src
    flags(SUB, a - b & MASK, a, b)


def inc(dst: int) -> None:
    """Increment; CF stays."""
    r = dst + 1 & MASK
    dst = r
    flags(INC, r)


def dec(dst: int) -> None:
    """Decrement; CF stays."""
    r = dst - 1 & MASK
    dst = r
    flags(DEC, r)


def neg(dst: int) -> None:
    """Subtract from zero."""
    a = dst
    r = -a & MASK
    dst = r
    flags(SUB, r, 0, a)


def xadd(dst: int, src: int) -> None:
    """Exchange and add."""
    a = dst
    r = a + src & MASK
    src = a
    dst = r
    flags(ADD, r, r, a)


def cmpxchg(dst: int, src: int) -> None:
    """Compare the accumulator with the destination; equal, store the source, else load the destination."""
    a = cpu.accumulator
    b = dst
    r = a - b & MASK
    if r:
        dst = b  # the bus cycle is always one of reading and writing
        cpu.accumulator = b
    else:
        dst = src
    flags(SUB, r, a, b)


@of_size(4)
def cmpxchg8b(dst: Address) -> None:
    """Compare EDX:EAX with eight bytes; equal, store ECX:EBX, else load them. Only ZF changes."""
    low_address = dst
    high_address = low_address + 4  # one operand of eight bytes: nothing wraps round inside it
    low = modify(SEGMENT, low_address)
    high = modify(SEGMENT, high_address)
    if low == cpu.eax and high == cpu.edx:
        store(SEGMENT, low_address, cpu.ebx)
        store(SEGMENT, high_address, cpu.ecx)
        change_flags(EFLAGS_ZF, EFLAGS_ZF)
    else:
        store(SEGMENT, low_address, low)
        store(SEGMENT, high_address, high)
        cpu.eax = low
        cpu.edx = high
        change_flags(EFLAGS_ZF, 0)


def cbw() -> None:
    """CBW and CWDE: sign-extend AL to AX, or AX to EAX."""
    half = cpu.accumulator & MASK >> BITS // 2
    top = 1 << BITS // 2 - 1
    cpu.accumulator = (half ^ top) - top & MASK


def cwd() -> None:
    """CWD and CDQ: fill DX or EDX with the sign of AX or EAX."""
    cpu.extension = MASK if cpu.accumulator & SIGN else 0


INSTRUCTIONS: dict[str, Meaning] = {
    "add": add,
    "adc": adc,
    "sub": sub,
    "sbb": sbb,
    "cmp": cmp,
    "inc": inc,
    "dec": dec,
    "neg": neg,
    "xadd": xadd,
    "cmpxchg": cmpxchg,
    "cmpxchg8b": cmpxchg8b,
    "cbw": cbw,
    "cwd": cwd,
}
