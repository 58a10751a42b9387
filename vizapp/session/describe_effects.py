"""What a plain instruction did, in one sentence, told from the state before and after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.instruction import Memory, Register, SegmentRegister
from vizapp.isa.registers import GENERAL
from vizapp.messages import N_, Message
from vizapp.session.moment import LastStep

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.isa.instruction import Instruction

_STRING = frozenset({"movs", "stos", "lods", "scas", "cmps", "ins", "outs"})
_COMPARING = frozenset({"cmp", "test", "bt", "scas", "cmps"})
_FLAG_NAMES = (("ZF", 6), ("CF", 0), ("SF", 7), ("OF", 11))


def hexadecimal(value: int) -> str:
    """A doubleword as the panels show it: ``0010104A``."""
    return f"{value & 0xFFFFFFFF:08X}"


def _changed_registers(step: LastStep) -> list[tuple[str, int]]:
    before, after = step.before.guest, step.after.guest
    return [(name, after[name]) for name in GENERAL if before.get(name) != after.get(name)]


def _flags(step: LastStep) -> str:
    eflags = step.after.guest["eflags"]
    return " ".join(f"{name}={eflags >> bit & 1}" for name, bit in _FLAG_NAMES)


def _jump(step: LastStep, instruction: Instruction) -> Message:
    target = step.after.guest["eip"]
    if target == instruction.address + instruction.length:
        return Message(
            N_("{text}: the condition does not hold, so execution goes on with the next instruction."),
            {"text": step.before.text},
        )
    return Message(
        N_("{text}: execution goes on at {address}."),
        {"text": step.before.text, "address": hexadecimal(target)},
    )


def _call(step: LastStep, instruction: Instruction) -> Message:
    return Message(
        N_("{text} pushes the return address {back} and goes on at {address}."),
        {
            "text": step.before.text,
            "back": hexadecimal(instruction.address + instruction.length),
            "address": hexadecimal(step.after.guest["eip"]),
        },
    )


def _return(step: LastStep, instruction: Instruction) -> Message:
    return Message(
        N_("{text} takes the return address from the stack: execution goes on at {address}."),
        {"text": step.before.text, "address": hexadecimal(step.after.guest["eip"])},
    )


def _push(step: LastStep, instruction: Instruction) -> Message:
    return Message(
        N_("{text} puts {value} on the stack; ESP is now {esp}."),
        {
            "text": step.before.text,
            "value": hexadecimal(step.after.top or 0),
            "esp": hexadecimal(step.after.guest["esp"]),
        },
    )


def _pop(step: LastStep, instruction: Instruction) -> Message:
    return Message(
        N_("{text} takes {value} from the stack; ESP is now {esp}."),
        {
            "text": step.before.text,
            "value": hexadecimal(step.before.top or 0),
            "esp": hexadecimal(step.after.guest["esp"]),
        },
    )


def _output(step: LastStep, instruction: Instruction) -> Message:
    return Message(N_("{text} sends a value to a device through an I/O port."), {"text": step.before.text})


def _input(step: LastStep, instruction: Instruction) -> Message:
    return Message(
        N_("{text} reads a device through an I/O port; EAX is now {value}."),
        {"text": step.before.text, "value": hexadecimal(step.after.guest["eax"])},
    )


_BY_MNEMONIC: dict[str, Callable[[LastStep, Instruction], Message]] = {
    "jmp": _jump,
    "call": _call,
    "ret": _return,
    "push": _push,
    "pushf": _push,
    "pop": _pop,
    "popf": _pop,
    "out": _output,
    "in": _input,
    **dict.fromkeys(("loop", "loope", "loopne", "loopz", "loopnz", "jcxz", "jecxz"), _jump),
}


_PLAIN = {
    "cli": N_("{text} clears IF: device interrupts have to wait."),
    "sti": N_("{text} sets IF: after the next instruction device interrupts may come."),
    "cld": N_("{text} clears DF: string instructions go upwards."),
    "std": N_("{text} sets DF: string instructions go downwards."),
    "hlt": N_("{text} stops the processor until an interrupt comes."),
    "nop": N_("{text} does nothing."),
    "lgdt": N_("{text} tells the processor where the descriptor table is."),
    "lidt": N_("{text} tells the processor where the table of handlers is."),
    "ltr": N_("{text} tells the processor which task state segment holds the stacks of inner rings."),
    "invlpg": N_("{text} makes the TLB forget one page."),
    "mov_to_control": N_("{text} loads a control register."),
    "jmp_far": N_("{text} loads CS with a new descriptor and goes on there."),
}


def effect(step: LastStep, instruction: Instruction) -> Message:
    """What the retired ``instruction`` did."""
    mnemonic = instruction.mnemonic
    known = _BY_MNEMONIC.get(mnemonic)
    if known is not None:
        return known(step, instruction)
    text = step.before.text
    plain = _PLAIN.get(instruction.opcode.operation)
    if plain is not None:
        return Message(plain, {"text": text})
    if mnemonic[0] == "j":
        return _jump(step, instruction)
    if mnemonic in _STRING and instruction.repeat:
        return Message(
            N_("{text}: ECX is {ecx}, ESI {esi}, EDI {edi}."),
            {"text": text, **{name: hexadecimal(step.after.guest[name]) for name in ("ecx", "esi", "edi")}},
        )
    if mnemonic in _COMPARING:
        return Message(N_("{text} only sets flags: {flags}."), {"text": text, "flags": _flags(step)})
    changed = _changed_registers(step)
    if len(changed) == 1:
        name, value = changed[0]
        return Message(
            N_("{text}: {register} is now {value}."),
            {"text": text, "register": name.upper(), "value": hexadecimal(value)},
        )
    if changed:
        values = ", ".join(f"{name.upper()} {hexadecimal(value)}" for name, value in changed)
        return Message(N_("{text} changes {registers}."), {"text": text, "registers": values})
    match instruction.operands[:1]:
        case (Memory(),):
            return Message(N_("{text} writes to memory."), {"text": text})
        case (SegmentRegister(),):
            return Message(
                N_("{text} loads a segment register by the descriptor table that the processor uses."),
                {"text": text},
            )
        case (Register(index=index, size=4),):
            return Message(
                N_("{text}: {register} keeps the value {value}."),
                {
                    "text": text,
                    "register": GENERAL[index].upper(),
                    "value": hexadecimal(step.after.guest[GENERAL[index]]),
                },
            )
    return Message(N_("{text} executes."), {"text": text})
