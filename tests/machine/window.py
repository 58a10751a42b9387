"""Flat memory, and random instructions with random registers that mostly reach into it."""

from __future__ import annotations

import random
from typing import NamedTuple

from vizapp.isa.addresses import Linear
from vizapp.isa.decode import DecodeError, decode
from vizapp.isa.instruction import Instruction
from vizapp.isa.opcodes import Opcode
from vizapp.isa.registers import EFLAGS_ARITHMETIC, EFLAGS_DF

WINDOW = 0x4_0000  # bytes of memory, from linear address 0: data below CODE
CODE = 0x1_8000
BOUNDARIES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)


class OutsideError(Exception):
    """The instruction reaches outside the window: no case."""


class Window:
    """Flat memory as an ``AddressSpace``."""

    def __init__(self) -> None:
        self.bytes = bytearray(WINDOW)
        self.written: dict[int, int] = {}

    def read(self, linear: int, size: int, user: bool) -> int:
        if linear + size > CODE:
            raise OutsideError
        return int.from_bytes(self.bytes[linear : linear + size], "little")

    modify = read

    def write(self, linear: int, size: int, value: int, user: bool) -> None:
        if linear + size > CODE:
            raise OutsideError
        assert 0 <= value < 1 << 8 * size, f"{value:#x} does not fit {size} bytes"
        for index in range(size):
            self.written.setdefault(linear + index, self.bytes[linear + index])
        self.bytes[linear : linear + size] = value.to_bytes(size, "little")

    def fetch(self, linear: int, count: int, user: bool) -> bytes:
        return bytes(self.bytes[linear : linear + count])

    def flush(self) -> None:
        pass

    def invalidate(self, linear: int) -> None:
        pass


class NoPorts:
    def read(self, port: int, size: int) -> int:
        raise OutsideError

    def write(self, port: int, size: int, value: int) -> None:
        raise OutsideError


class State(NamedTuple):
    """What an instruction starts from."""

    registers: tuple[int, ...]
    eflags: int


def random_state(rng: random.Random) -> State:
    """Registers of all kinds, ESP and half of the others pointing into memory."""
    registers = []
    for _ in range(8):
        kind = rng.random()
        if kind < 0.45:
            registers.append(rng.randrange(0x1000, 0x1_0000))
        elif kind < 0.6:
            registers.append(rng.choice(BOUNDARIES))
        elif kind < 0.7:
            registers.append(rng.randrange(64))
        else:
            registers.append(rng.getrandbits(32))
    registers[4] = rng.randrange(0x2000, 0xF000)
    eflags = 2 | rng.getrandbits(12) & EFLAGS_ARITHMETIC | (EFLAGS_DF if rng.random() < 0.3 else 0)
    return State(tuple(registers), eflags)


def random_instruction(rng: random.Random, opcode: Opcode) -> Instruction | None:
    """An instruction of that row with random operands and prefixes, if the bytes are one."""
    prefixes = bytes(
        prefix for prefix, chance in ((0x66, 0.3), (0x67, 0.2), (0x64, 0.03)) if rng.random() < chance
    )
    if opcode.repeatable and rng.random() < 0.6:
        prefixes += bytes([rng.choice((0xF2, 0xF3))])
    byte = opcode.code | (rng.randrange(8) if opcode.plus_register else 0)
    code = prefixes + (b"\x0f" if opcode.two_byte else b"") + bytes([byte])
    if opcode.has_modrm:
        modrm = rng.randrange(256)
        if opcode.digit is not None:
            modrm = modrm & 0xC7 | opcode.digit << 3
        code += bytes([modrm])
    code += bytes(rng.choice((rng.randrange(256), 0, 0xFF, rng.randrange(8))) for _ in range(10))
    if opcode.mnemonic == "pause":
        code = b"\xf3\x90"
    try:
        instruction = decode(code, Linear(0))
    except DecodeError:
        return None
    return instruction if instruction.opcode is opcode else None
