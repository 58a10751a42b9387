"""Reads the fields of an instruction after its opcode as operands: ModRM, SIB, displacement, immediates.

    | ModRM          | SIB                | displacement | immediate |
      mod  reg  r/m    scale index base     0 1 2 4        0 1 2 4
      7 6  5-3  2-0    7 6   5-3   2-0

SDM Vol. 2, "Instruction Format"; the operand codes are explained in ``vizapp.isa.table``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

from vizapp.isa.instruction import (
    ControlRegister,
    DebugRegister,
    FarPointer,
    Immediate,
    Instruction,
    Memory,
    Operand,
    Register,
    Relative,
    SegmentRegister,
)
from vizapp.isa.opcodes import SEGMENT_NAMES
from vizapp.isa.registers import DS, EAX, EBP, EBX, ECX, EDI, EDX, ES, ESI, ESP, GS, SS

MAX_LENGTH = 15
"""Bytes; the processor raises #GP(0) for a longer instruction (SDM Vol. 3, "Interrupt 13")."""

DecodeErrorKind: TypeAlias = Literal["truncated", "too-long", "unknown", "unimplemented"]


class DecodeError(Exception):
    """These bytes are no instruction that this processor executes.

    Attributes:
        kind: ``truncated``: more bytes are needed; ``too-long``: over 15 bytes, #GP(0) on a processor;
            ``unknown``: #UD by the architecture; ``unimplemented``: real processors do more here.
        detail: of ``unimplemented``, the name of the instruction set (``x87``).
        escape: of an x87 instruction, what a processor without an FPU makes of it: its length and operand.
    """

    def __init__(self, kind: DecodeErrorKind, detail: str = "", escape: Instruction | None = None) -> None:
        super().__init__(f"{kind} {detail}".rstrip())
        self.kind = kind
        self.detail = detail
        self.escape = escape


REGISTERS: dict[int, tuple[Register, ...]] = {
    size: tuple(Register(index, size) for index in range(8)) for size in (1, 2, 4)
}
_SEGMENTS = tuple(SegmentRegister(index) for index in range(6))
_CONTROLS = {index: ControlRegister(index) for index in (0, 2, 3, 4)}
_DEBUGS = tuple(DebugRegister(index) for index in range(8))
_ONE = Immediate(1, 1)

# 16-bit r/m: base, index, default segment (SDM Vol. 2, "16-Bit Addressing Forms with the ModR/M Byte")
_RM16 = (
    (EBX, ESI, DS), (EBX, EDI, DS), (EBP, ESI, SS), (EBP, EDI, SS),
    (ESI, None, DS), (EDI, None, DS), (EBP, None, SS), (EBX, None, DS),
)  # fmt: skip


class Field(NamedTuple):
    """A displacement, an immediate or a branch distance: ``size`` bytes, ``position`` in the instruction."""

    position: int
    size: int
    signed: bool


class Cursor:
    """The bytes of one instruction while they are read.

    Attributes:
        number: the last displacement, immediate or distance that was read.
    """

    __slots__ = (
        "address_size", "code", "number", "opcode_byte", "operand_size", "position", "reg", "rm", "segment",
    )  # fmt: skip

    def __init__(self, code: bytes) -> None:
        self.code = code
        self.position = 0
        self.number: Field | None = None
        self.operand_size = 0
        self.address_size = 0
        self.opcode_byte = 0
        self.segment: int | None = None
        self.reg = 0
        self.rm = 0  # the ModRM byte

    def byte(self) -> int:
        """The next byte of what comes before the numbers: opcode, ModRM, SIB."""
        position = self.position
        if position < len(self.code) and position < MAX_LENGTH:
            self.position = position + 1
            return self.code[position]
        raise DecodeError("too-long" if position >= MAX_LENGTH else "truncated")

    def take(self, size: int) -> int:
        """The next ``size`` bytes as an unsigned number."""
        return self._take(size, signed=False)

    def take_signed(self, size: int) -> int:
        """The next ``size`` bytes as a two's complement number."""
        return self._take(size, signed=True)

    def _take(self, size: int, *, signed: bool) -> int:
        start = self.position
        end = start + size
        if end > MAX_LENGTH:
            raise DecodeError("too-long")
        if end > len(self.code):
            raise DecodeError("truncated")
        self.position = end
        self.number = Field(start, size, signed)
        return int.from_bytes(self.code[start:end], "little", signed=signed)

    def memory(self, size: int) -> Memory:
        """The r/m operand in memory, from the ModRM byte on."""
        if self.address_size == 2:
            return self._memory16(size)
        mod, rm = self.rm >> 6, self.rm & 7
        base: int | None = rm
        index: int | None = None
        scale = 1
        if rm == ESP:  # a SIB byte follows
            sib = self.byte()
            base = sib & 7
            if sib >> 3 & 7 != ESP:  # ESP cannot be an index
                index = sib >> 3 & 7
                scale = 1 << (sib >> 6)
        if mod == 0:
            if base == EBP:
                base = None
                displacement = self.take(4)
            else:
                displacement = 0
        elif mod == 1:
            displacement = self.take_signed(1) & 0xFFFF_FFFF
        else:
            displacement = self.take(4)
        segment = self.segment
        if segment is None:
            segment = SS if base in (ESP, EBP) else DS
        return Memory(segment, base, index, scale, displacement, size)

    def _memory16(self, size: int) -> Memory:
        mod, rm = self.rm >> 6, self.rm & 7
        base: int | None
        base, index, segment = _RM16[rm]
        if mod == 0:
            if rm == 6:
                base, segment = None, DS
                displacement = self.take(2)
            else:
                displacement = 0
        elif mod == 1:
            displacement = self.take_signed(1) & 0xFFFF
        else:
            displacement = self.take(2)
        return Memory(segment if self.segment is None else self.segment, base, index, 1, displacement, size)

    def implied(self, base: int, size: int) -> Memory:
        """DS:[base], where DS gives way to a segment prefix."""
        return Memory(DS if self.segment is None else self.segment, base, None, 1, 0, size)

    def offset(self, size: int) -> Memory:
        """DS:[moffs]."""
        displacement = self.take(self.address_size)
        return Memory(DS if self.segment is None else self.segment, None, None, 1, displacement, size)


Reader: TypeAlias = Callable[[Cursor], Operand]


def _register_or_memory(register_size: int, memory_size: int) -> Reader:
    """An r/m operand; a size of 0 is the operand size."""

    def read(cursor: Cursor) -> Operand:
        if cursor.rm >= 0xC0:
            return REGISTERS[register_size or cursor.operand_size][cursor.rm & 7]
        return cursor.memory(memory_size or cursor.operand_size)

    return read


def _far_pointer(cursor: Cursor) -> Operand:
    offset = cursor.take(cursor.operand_size)
    return FarPointer(cursor.take(2), offset)


def _control(cursor: Cursor) -> Operand:
    control = _CONTROLS.get(cursor.reg)
    if control is None:
        raise DecodeError("unknown")
    return control


def _segment(cursor: Cursor) -> Operand:
    if cursor.reg > GS:
        raise DecodeError("unknown")
    return _SEGMENTS[cursor.reg]


def _sign_extended_byte(cursor: Cursor) -> Operand:
    mask = 0xFFFF_FFFF if cursor.operand_size == 4 else 0xFFFF
    return Immediate(cursor.take_signed(1) & mask, cursor.operand_size)


def _fixed(operand: Operand) -> Reader:
    return lambda _: operand


READERS: dict[str, Reader] = {
    "Eb": _register_or_memory(1, 1),
    "Ew": _register_or_memory(2, 2),
    "Ev": _register_or_memory(0, 0),
    "Ed": _register_or_memory(0, 2),
    "Ee": _register_or_memory(4, 0),
    "Ey": _register_or_memory(4, 4),
    "Mw": lambda c: c.memory(2),
    "Rd": lambda c: REGISTERS[4][c.rm & 7],
    "Gb": lambda c: REGISTERS[1][c.reg],
    "Gw": lambda c: REGISTERS[2][c.reg],
    "Gv": lambda c: REGISTERS[c.operand_size][c.reg],
    "Gy": lambda c: REGISTERS[4][c.reg],
    "Zb": lambda c: REGISTERS[1][c.opcode_byte & 7],
    "Zv": lambda c: REGISTERS[c.operand_size][c.opcode_byte & 7],
    "Sw": _segment,
    "Cd": _control,
    "Dd": lambda c: _DEBUGS[c.reg],
    "M": lambda c: c.memory(0),
    "Ma": lambda c: c.memory(0),
    "Mp": lambda c: c.memory(0),
    "Ms": lambda c: c.memory(0),
    "Mq": lambda c: c.memory(8),
    "Mdq": lambda c: c.memory(16),
    "Ob": lambda c: c.offset(1),
    "Ov": lambda c: c.offset(c.operand_size),
    "Xb": lambda c: c.implied(ESI, 1),
    "Xv": lambda c: c.implied(ESI, c.operand_size),
    "Yb": lambda _: Memory(ES, EDI, None, 1, 0, 1),
    "Yv": lambda c: Memory(ES, EDI, None, 1, 0, c.operand_size),
    "BBb": lambda c: c.implied(EBX, 1),
    "Ib": lambda c: Immediate(c.take(1), 1),
    "Ibs": _sign_extended_byte,
    "Iw": lambda c: Immediate(c.take(2), 2),
    "Iz": lambda c: Immediate(c.take(c.operand_size), c.operand_size),
    "Jb": lambda c: Relative(c.take_signed(1)),
    "Jz": lambda c: Relative(c.take_signed(c.operand_size)),
    "Ap": _far_pointer,
    "1": _fixed(_ONE),
    "AL": _fixed(REGISTERS[1][EAX]),
    "AX": _fixed(REGISTERS[2][EAX]),
    "CL": _fixed(REGISTERS[1][ECX]),
    "DX": _fixed(REGISTERS[2][EDX]),
    "eAX": lambda c: REGISTERS[c.operand_size][EAX],
} | {name: _fixed(_SEGMENTS[index]) for index, name in enumerate(SEGMENT_NAMES)}
