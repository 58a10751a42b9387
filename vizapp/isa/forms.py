"""Matches operands with the forms of the opcode table: which row takes them, and of which operand size."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from vizapp.isa.instruction import (
    ControlRegister,
    DebugRegister,
    FarPointer,
    Immediate,
    Memory,
    Operand,
    Register,
    Relative,
    SegmentRegister,
)
from vizapp.isa.opcodes import SEGMENT_NAMES, Opcode
from vizapp.isa.registers import CS, EAX, EBX, ECX, EDI, EDX, ES, ESI

# The size of a register and of a memory operand by operand code; 0 is the operand size, None: not allowed.
_SIZES: dict[str, tuple[int | None, int | None]] = {
    "Eb": (1, 1), "Ew": (2, 2), "Ev": (0, 0), "Ed": (0, 2), "Gb": (1, None), "Gw": (2, None), "Gv": (0, None),
    "Zb": (1, None), "Zv": (0, None), "Rd": (4, None), "Ob": (None, 1), "Ov": (None, 0),
    "Ey": (4, 4), "Gy": (4, None),
    "Mw": (None, 2), "Xb": (None, 1), "Xv": (None, 0), "Yb": (None, 1), "Yv": (None, 0), "BBb": (None, 1),
}  # fmt: skip
_ANY_MEMORY = frozenset({"M", "Ma", "Mp", "Ms"})
_WIDE = {"Mq": 8, "Mdq": 16}
IMPLIED_BASE = {"Xb": ESI, "Xv": ESI, "Yb": EDI, "Yv": EDI, "BBb": EBX}
_FIXED: dict[str, Operand] = {
    "AL": Register(EAX, 1),
    "AX": Register(EAX, 2),
    "CL": Register(ECX, 1),
    "DX": Register(EDX, 2),
    **{name: SegmentRegister(index) for index, name in enumerate(SEGMENT_NAMES)},
}
# These take a 32-bit register for a selector as well: only its low half is used, so no prefix is needed.
_SELECTOR_SOURCES = frozenset({"mov_to_segment", "lar", "lsl"})


def fits(value: int, size: int) -> bool:
    """Whether a number is meant to be ``size`` bytes long, signed or unsigned or a complement."""
    return -(1 << 8 * size) <= value < 1 << 8 * size


def _is_sign_extended_byte(value: int, size: int) -> bool:
    value &= (1 << 8 * size) - 1
    return value < 0x80 or value >= (1 << 8 * size) - 0x80


@dataclass(slots=True)
class Request:
    """What is to be encoded, and the sizes in force.

    Attributes:
        operands: in the order of the table.
        default_size: operand and address size of the mode, in bytes.
        operand_size: the size that is asked for; None: what the operands tell.
        address_size: in bytes.
        address: of the instruction's first byte.
        wide: positions of immediates that keep their full width.
        displacement_size: of a memory operand's displacement, in bytes; None: the smallest.
    """

    operands: tuple[Operand, ...]
    default_size: int
    operand_size: int | None
    address_size: int
    address: int
    wide: Collection[int]
    displacement_size: int | None

    def size_for(self, opcode: Opcode) -> int | None:
        """The operand size that the operands tell, or 0 if none does, or None if they disagree."""
        told = {self.operand_size} if self.operand_size else set()
        for code, operand in zip(opcode.operands, self.operands, strict=True):
            if isinstance(operand, Register):
                if code == "eAX" or _SIZES.get(code, (None, None))[0] == 0:
                    told.add(operand.size)
            elif isinstance(operand, Memory):
                if _SIZES.get(code, (None, None))[1] == 0 and operand.size:
                    told.add(operand.size)
            elif isinstance(operand, Immediate) and (code == "Iz" or (code == "Ibs" and operand.size != 1)):
                told |= {operand.size} - {0}
        if len(told) > 1 or not told <= {2, 4}:
            return None
        return told.pop() if told else 0

    def accepts(self, opcode: Opcode, position: int, size: int) -> bool:
        """Whether the form takes this operand, its range aside."""
        code, operand = opcode.operands[position], self.operands[position]
        match operand:
            case Register(index, register_size):
                if code == "eAX":
                    return index == EAX and register_size == size
                if code in _FIXED:
                    return _FIXED[code] == operand
                if code == "Ew" and register_size == 4 and opcode.operation in _SELECTOR_SOURCES:
                    return True
                expected = _SIZES.get(code, (None, None))[0]
                return expected is not None and register_size == (expected or size)
            case Memory():
                return self._accepts_memory(code, operand, size)
            case Immediate():
                return self._accepts_immediate(code, operand, size, position in self.wide)
            case SegmentRegister(index):
                return _FIXED.get(code) == operand or (
                    code == "Sw" and not (index == CS and opcode.operation == "mov_to_segment")
                )
            case Relative(displacement):
                return code == "Jz" or (code == "Jb" and -128 <= displacement < 128)
            case FarPointer(_, offset):
                return code == "Ap" and fits(offset, size)
            case ControlRegister():
                return code == "Cd"
            case DebugRegister():
                return code == "Dd"

    def _accepts_memory(self, code: str, memory: Memory, size: int) -> bool:
        if code in _ANY_MEMORY:
            return True
        if code in _WIDE:
            return memory.size in (0, _WIDE[code])
        expected = _SIZES.get(code, (None, None))[1]
        if expected is None or memory.size not in (0, expected or size):
            return False
        if code in IMPLIED_BASE:
            plain = (memory.base, memory.index, memory.displacement) == (IMPLIED_BASE[code], None, 0)
            return plain and (code[0] != "Y" or memory.segment == ES)
        return code[0] != "O" or (memory.base is None and memory.index is None)

    def _accepts_immediate(self, code: str, operand: Immediate, size: int, wide: bool) -> bool:
        value = operand.value
        match code:
            case "Ib":
                return operand.size in (0, 1)
            case "Iw":
                return operand.size in (0, 2)
            case "Iz":
                return operand.size in (0, size)
            case "Ibs":
                if operand.size == 1:
                    return _is_sign_extended_byte(value, size) or 0 <= value < 0x100
                return not wide and operand.size in (0, size) and _is_sign_extended_byte(value, size)
            case "1":
                return value == 1 and operand.size == 0 and not wide
            case "Jb" | "Jz":
                return True
        return False

    def unsized_memory(self, opcode: Opcode, told: int) -> set[int]:
        """The size that a form gives to a memory operand without one; 0 if that is the default only."""
        found = set()
        for code, operand in zip(opcode.operands, self.operands, strict=True):
            if isinstance(operand, Memory) and operand.size == 0 and code in _SIZES:
                found.add(_SIZES[code][1] or told)
        return found
