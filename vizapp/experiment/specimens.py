"""What the privilege experiment tries: an instruction of every kind of each opcode form, and the states."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from vizapp.experiment import worlds
from vizapp.experiment.laboratory import STACK, State
from vizapp.isa import registers as r
from vizapp.isa.addresses import Linear
from vizapp.isa.decode import DecodeError, decode
from vizapp.isa.instruction import Instruction
from vizapp.isa.opcodes import Opcode
from vizapp.messages import N_, Message

_CODE: Final = Linear(0x0010_0000)
_BYTE: Final = re.compile(r"[0-9A-F]{2}")
_REGISTERS: Final = {"Sw": (r.ES, r.CS, r.SS, r.DS, r.FS, r.GS), "Cd": (0, 2, 3, 4), "Dd": (0, 7)}
_IN_MEMORY, _IN_REGISTER = 0x03, 0xC3  # ModRM: [EBX], EBX
_OPERAND_SIZE: Final = b"\x66"
_LONG_ENOUGH: Final = bytes(8)


def specimens(opcode: Opcode) -> Iterator[Instruction]:
    """Instructions of one form: both operand sizes, operand in a register and in memory, every register of
    a kind that matters."""
    literal = bytes(int(part, 16) for part in opcode.encoding.split() if _BYTE.fullmatch(part))
    if opcode.plus_register:
        literal = literal[:-1] + bytes([literal[-1] + r.ECX])
    seen = set()
    of_bytes = bool(opcode.operands) and all(code[1:] in ("b", "bs", "1", "L") for code in opcode.operands)
    for prefix in (b"",) if of_bytes else (b"", _OPERAND_SIZE):
        for modrm in _modrm_bytes(opcode):
            code = prefix + literal + modrm + _constants(opcode, 2 if prefix else 4) + _LONG_ENOUGH
            try:
                instruction = decode(code, _CODE)
            except DecodeError:
                continue  # no such operand: LEA from a register, MOV to CS
            if instruction.opcode is opcode and (instruction.operands, prefix) not in seen:
                seen.add((instruction.operands, prefix))
                yield instruction


def _modrm_bytes(opcode: Opcode) -> Iterator[bytes]:
    if not opcode.has_modrm or opcode.modrm is not None:
        yield b""
        return
    registers: tuple[int, ...] = (r.ECX,) if opcode.digit is None else (opcode.digit,)
    for code in opcode.operands:
        registers = _REGISTERS.get(code, registers)
    for register in registers:
        for operand in (_IN_MEMORY, _IN_REGISTER):
            yield bytes([operand | register << 3])


def _constants(opcode: Opcode, size: int) -> bytes:
    if "Ap" in opcode.operands:
        return int(_CODE).to_bytes(4, "little")[:size] + worlds.CONFORMING.to_bytes(2, "little")
    # RETF n skips no bytes, so that what lies on the stack is found; other constants are 3.
    return b"\0\0" if "Iw" in opcode.operands else b"\x03"


_IOPL_3: Final = 3 << r.IOPL_SHIFT


def _alike(title: str, word: int, eflags: int = 0, *, code: int = worlds.USER_CODE) -> State:
    """One value in every register and everywhere in memory; on the stack it lies above a frame."""
    registers = [word] * 8
    registers[r.ESP] = STACK
    flags = (eflags ^ r.EFLAGS_IF) | _IOPL_3 | r.EFLAGS_FIXED
    return State(
        Message(title), tuple(registers), word, (word, code, flags, STACK + 0x100, worlds.USER_DATA), eflags
    )


STATES: Final = (
    State(
        Message(N_("plain numbers in the registers")),
        (1000, 3, 0, 7, STACK, 0x5000, 0x6000, 0x7000),
        7,
        (0x0010_0000, worlds.KERNEL_CODE, r.EFLAGS_IF | r.EFLAGS_FIXED, 7, 7),
        0,
    ),
    _alike(N_("everything 0, IF 1"), 0, r.EFLAGS_IF),
    _alike(N_("everywhere the selector of kernel data"), worlds.KERNEL_DATA, r.EFLAGS_OF | r.EFLAGS_CF),
    _alike(
        N_("everywhere the selector of kernel code"),
        worlds.KERNEL_CODE,
        r.EFLAGS_IF,
        code=worlds.KERNEL_CODE,
    ),
    _alike(N_("everywhere the selector of conforming code"), worlds.CONFORMING, code=worlds.CONFORMING),
    _alike(N_("everywhere the selector of user data, IF 1"), worlds.USER_DATA, r.EFLAGS_IF),
    _alike(N_("everywhere the selector of user code"), worlds.USER_CODE, r.EFLAGS_ZF | r.EFLAGS_SF),
    _alike(N_("everywhere the selector of a call gate"), worlds.CALL_GATE, _IOPL_3),
    _alike(N_("everywhere the selector of a free TSS"), worlds.FREE_TASK, r.EFLAGS_IF | r.EFLAGS_OF),
    _alike(N_("everywhere the number of an MSR, which is a selector beyond the GDT"), 0x174),
    _alike(N_("everywhere an image of EFLAGS with IF 1 and IOPL 3"), _IOPL_3 | r.EFLAGS_IF | 0x46),
)
