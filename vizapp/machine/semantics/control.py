"""Near jumps, calls, returns and loops (SDM Vol. 1, "Control Transfer Instructions").

An offset beyond the limit of CS is #GP(0) of the instruction that would have gone there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.registers import SS
from vizapp.isa.vectors import BR, UD
from vizapp.machine.faults import Fault
from vizapp.machine.semantics.conditions import CONDITIONS
from vizapp.machine.semantics.declare import Conditional, Meaning

if TYPE_CHECKING:
    from vizapp.machine.semantics.language import (
        ADDRESS_MASK,
        CONDITION,
        MASK,
        NEXT,
        SEGMENT,
        SIGN,
        SIZE,
        ZF,
        Address,
        check_branch,
        cpu,
        goto,
        load,
        store,
    )


def jmp(target: int) -> None:
    """Jump, to a displacement or to an offset in a register or memory."""
    offset = target
    check_branch(offset)
    goto(offset)


def jcc(target: int) -> None:
    """Jump if."""
    if CONDITION:
        offset = target
        check_branch(offset)
        goto(offset)


def call(target: int) -> None:
    """Call: push the offset of the next instruction and jump."""
    offset = target
    check_branch(offset)
    top = cpu.sp - SIZE & cpu.stack_mask
    store(SS, top, NEXT & MASK)
    cpu.sp = top
    goto(offset)


def ret() -> None:
    """Return."""
    offset = load(SS, cpu.sp)
    check_branch(offset)
    cpu.sp = cpu.sp + SIZE & cpu.stack_mask
    goto(offset)


def ret_and_drop(size: int) -> None:
    """Return and drop ``size`` bytes of arguments."""
    offset = load(SS, cpu.sp)
    check_branch(offset)
    cpu.sp = cpu.sp + SIZE + size & cpu.stack_mask
    goto(offset)


def loop(target: int) -> None:
    """Count down and jump until zero; no flag changes."""
    left = cpu.counter - 1 & ADDRESS_MASK
    if left:
        offset = target
        check_branch(offset)
        cpu.counter = left
        goto(offset)
    else:
        cpu.counter = left


def loope(target: int) -> None:
    """Count down and jump until zero or ZF is clear."""
    left = cpu.counter - 1 & ADDRESS_MASK
    if left and ZF:
        offset = target
        check_branch(offset)
        cpu.counter = left
        goto(offset)
    else:
        cpu.counter = left


def loopne(target: int) -> None:
    """Count down and jump until zero or ZF is set."""
    left = cpu.counter - 1 & ADDRESS_MASK
    if left and not ZF:
        offset = target
        check_branch(offset)
        cpu.counter = left
        goto(offset)
    else:
        cpu.counter = left


def jcxz(target: int) -> None:
    """JCXZ and JECXZ: jump if the counter is zero."""
    if not cpu.counter:
        offset = target
        check_branch(offset)
        goto(offset)


def bound(index: int, bounds: Address) -> None:
    """#BR unless a signed index is between two bounds in memory, both included."""
    i = index ^ SIGN
    address = bounds
    lower = load(SEGMENT, address) ^ SIGN
    upper = load(SEGMENT, address + SIZE & ADDRESS_MASK) ^ SIGN
    if i < lower or i > upper:
        raise Fault(BR)


def ud2() -> None:
    """The instruction that is undefined for ever."""
    raise Fault(UD)


INSTRUCTIONS: dict[str, Meaning] = {
    "jmp": jmp,
    "jmp_indirect": jmp,
    **{"j" + name: Conditional(jcc, condition) for name, condition in CONDITIONS.items()},
    "call": call,
    "call_indirect": call,
    "ret": ret,
    "ret_and_drop": ret_and_drop,
    "loop": loop,
    "loope": loope,
    "loopne": loopne,
    "jcxz": jcxz,
    "bound": bound,
    "ud2": ud2,
}
