"""Moves, exchanges and the stack (SDM Vol. 1, "Data Transfer Instructions")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.registers import SS
from vizapp.machine.semantics.conditions import CONDITIONS
from vizapp.machine.semantics.declare import Conditional, Meaning, restartable

if TYPE_CHECKING:
    from vizapp.machine.semantics.language import (
        ADDRESS_MASK,
        BITS,
        CONDITION,
        MASK,
        SEGMENT,
        SIZE,
        SOURCE_SIGN,
        Address,
        cpu,
        load,
        modify,
        store,
    )


def mov(dst: int, src: int) -> None:
    """Move; also MOVZX, since a narrow operand reads as an unsigned number."""
    dst = src


def movsx(dst: int, src: int) -> None:
    """Move with sign extension."""
    dst = (src ^ SOURCE_SIGN) - SOURCE_SIGN & MASK


def lea(dst: int, src: Address) -> None:
    """Load the offset of a memory operand; nothing is read."""
    dst = src & MASK


def xchg(dst: int, src: int) -> None:
    """Exchange; with memory always locked."""
    a = dst
    b = src
    src = a
    dst = b


def bswap(dst: int) -> None:
    """Reverse the bytes; of a 16-bit register undefined, and 0 as on most processors."""
    a = dst
    if BITS == 16:
        dst = 0
    else:
        dst = a >> 24 | a >> 8 & 0xFF00 | (a & 0xFF00) << 8 | (a & 0xFF) << 24


def xlat(table: Address) -> None:
    """Look AL up in the table at EBX."""
    cpu.al = load(SEGMENT, table + cpu.al & ADDRESS_MASK)


def setcc(dst: int) -> None:
    """Store a condition as 0 or 1."""
    dst = 1 if CONDITION else 0


def cmov(dst: int, src: int) -> None:
    """Move if; the source is read even if not."""
    value = src
    if CONDITION:
        dst = value


def push(src: int) -> None:
    """Push; PUSH ESP pushes the value before."""
    value = src
    top = cpu.sp - SIZE & cpu.stack_mask
    store(SS, top, value)
    cpu.sp = top


def pop(dst: int) -> None:
    """Pop to a register; POP ESP leaves the value popped."""
    value = load(SS, cpu.sp)
    cpu.sp = cpu.sp + SIZE & cpu.stack_mask
    dst = value


def pop_memory(dst: int) -> None:
    """Pop to memory; an address made from ESP uses ESP after the pop, which the operand allows for."""
    dst = load(SS, cpu.sp)
    cpu.sp = cpu.sp + SIZE & cpu.stack_mask


@restartable
def pusha() -> None:
    """Push all eight registers, ESP as it was before."""
    top = cpu.sp
    store(SS, top - SIZE & cpu.stack_mask, cpu.eax & MASK)
    store(SS, top - SIZE * 2 & cpu.stack_mask, cpu.ecx & MASK)
    store(SS, top - SIZE * 3 & cpu.stack_mask, cpu.edx & MASK)
    store(SS, top - SIZE * 4 & cpu.stack_mask, cpu.ebx & MASK)
    store(SS, top - SIZE * 5 & cpu.stack_mask, cpu.esp & MASK)
    store(SS, top - SIZE * 6 & cpu.stack_mask, cpu.ebp & MASK)
    store(SS, top - SIZE * 7 & cpu.stack_mask, cpu.esi & MASK)
    store(SS, top - SIZE * 8 & cpu.stack_mask, cpu.edi & MASK)
    cpu.sp = top - SIZE * 8 & cpu.stack_mask


def popa() -> None:
    """Pop all registers but ESP."""
    top = cpu.sp
    di = load(SS, top)
    si = load(SS, top + SIZE & cpu.stack_mask)
    bp = load(SS, top + SIZE * 2 & cpu.stack_mask)
    bx = load(SS, top + SIZE * 4 & cpu.stack_mask)
    dx = load(SS, top + SIZE * 5 & cpu.stack_mask)
    cx = load(SS, top + SIZE * 6 & cpu.stack_mask)
    ax = load(SS, top + SIZE * 7 & cpu.stack_mask)
    cpu.edi = cpu.edi & ~MASK | di
    cpu.esi = cpu.esi & ~MASK | si
    cpu.ebp = cpu.ebp & ~MASK | bp
    cpu.ebx = cpu.ebx & ~MASK | bx
    cpu.edx = cpu.edx & ~MASK | dx
    cpu.ecx = cpu.ecx & ~MASK | cx
    cpu.eax = cpu.eax & ~MASK | ax
    cpu.sp = top + SIZE * 8 & cpu.stack_mask


@restartable
def enter(size: int, level: int) -> None:
    """Make a stack frame with a display of the frames that enclose it."""
    top = cpu.sp - SIZE & cpu.stack_mask
    store(SS, top, cpu.frame)
    frame = cpu.esp & ~cpu.stack_mask | top  # all of ESP, with a 16-bit stack too
    depth = level & 31
    if depth:
        outer = cpu.ebp
        while depth > 1:
            outer = outer - SIZE & cpu.stack_mask
            top = top - SIZE & cpu.stack_mask
            store(SS, top, load(SS, outer))
            depth = depth - 1
        top = top - SIZE & cpu.stack_mask
        store(SS, top, frame & MASK)
    top = top - size & cpu.stack_mask
    modify(SS, top)  # a write with the final stack pointer would fault: so does ENTER
    cpu.frame = frame & MASK
    cpu.sp = top


def leave() -> None:
    """Drop a stack frame."""
    frame = cpu.ebp & cpu.stack_mask
    value = load(SS, frame)
    cpu.sp = frame + SIZE & cpu.stack_mask
    cpu.frame = value


def nop() -> None:
    """Nothing; also PAUSE, and NOP with an operand, which is not read."""


INSTRUCTIONS: dict[str, Meaning] = {
    "mov": mov,
    "movzx": mov,
    "movsx": movsx,
    "lea": lea,
    "xchg": xchg,
    "bswap": bswap,
    "xlat": xlat,
    "push": push,
    "pop": pop,
    "pop_memory": pop_memory,
    "pusha": pusha,
    "popa": popa,
    "enter": enter,
    "leave": leave,
    "nop": nop,
    **{"set" + name: Conditional(setcc, condition) for name, condition in CONDITIONS.items()},
    **{"cmov" + name: Conditional(cmov, condition) for name, condition in CONDITIONS.items()},
}
