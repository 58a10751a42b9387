"""Fetches the instruction at a virtual CPU's EIP, through that CPU's own segment and tables."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from vizapp.isa import vectors
from vizapp.isa.addresses import M32, PAGE_MASK, PAGE_SIZE, Linear
from vizapp.isa.decode import MAX_LENGTH, DecodeError, decode
from vizapp.isa.opcodes import ESCAPE
from vizapp.isa.registers import CS
from vizapp.machine.faults import Fault, Unimplemented
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.machine.cpu import Cpu

_REMEMBERED: Final = 1024  # instructions, by where they lie and the bytes there


def fetch(cpu: Cpu) -> Instruction:
    """The instruction at CS:EIP; its ``address`` is the offset in CS.

    A second page is touched only if the instruction needs it.

    Raises:
        Fault: the fetch faults, or the bytes are no instruction.
        Unimplemented: a real instruction that the product does not execute.
    """
    code = cpu.segments[CS]
    room = min(MAX_LENGTH, code.limit - cpu.eip + 1)
    if room <= 0:
        raise Fault(vectors.GP, 0)
    linear = code.base + cpu.eip & M32
    here = min(room, PAGE_SIZE - (linear & PAGE_MASK))
    raw = cpu.space.fetch(linear, here, cpu.cpl == 3)
    bits = 32 if code.big else 16
    try:
        return _executable(cpu, decoded(raw, cpu.eip, bits))
    except DecodeError as error:
        if error.kind != "truncated" or here == room:
            raise _refusal(error, cpu.eip, raw) from None
    raw += cpu.space.fetch(linear + here & M32, room - here, cpu.cpl == 3)
    try:
        return _executable(cpu, decoded(raw, cpu.eip, bits))
    except DecodeError as error:
        raise _refusal(error, cpu.eip, raw) from None


@lru_cache(_REMEMBERED)
def decoded(raw: bytes, eip: int, bits: int) -> Instruction:
    """As ``decode``, and an escape to the x87 is an instruction too: without an FPU it may fault.

    The same few instructions trap again and again, and what they are their bytes alone decide.
    """
    try:
        return decode(raw, Linear(eip), bits)
    except DecodeError as error:
        if error.escape is None:
            raise
        return error.escape


def _executable(cpu: Cpu, instruction: Instruction) -> Instruction:
    if instruction.opcode is ESCAPE and cpu.identity.has_fpu:
        raise DecodeError("unimplemented", "x87")
    return instruction


def _refusal(error: DecodeError, eip: int, raw: bytes) -> Fault | Unimplemented:
    """What the processor, or the product, makes of bytes that do not decode."""
    if error.kind == "unimplemented":
        return Unimplemented(
            Message(
                N_("the {kind} instruction at {address} is not implemented; its bytes: {bytes}"),
                {"kind": error.detail, "address": f"{eip:#010x}", "bytes": raw[:8].hex(" ")},
            )
        )
    # More than 15 bytes, or cut off by the limit of CS, is #GP; the rest is no instruction.
    return Fault(vectors.UD) if error.kind == "unknown" else Fault(vectors.GP, 0)
