"""Decodes one instruction: prefixes, opcode, operands (SDM Vol. 2, "Instruction Format")."""

from __future__ import annotations

from vizapp.isa.addresses import Linear
from vizapp.isa.fields import MAX_LENGTH, READERS, Cursor, DecodeError, Field, Reader
from vizapp.isa.instruction import Instruction, Operand
from vizapp.isa.opcodes import (
    ESCAPE,
    MEMORY_ONLY,
    ONE_BYTE,
    OPCODES,
    PAUSE,
    TWO_BYTE,
    UNIMPLEMENTED_SETS,
    VARIED,
    WITH_MODRM,
    X87,
    Opcode,
)
from vizapp.isa.registers import CS, DS, ES, FS, GS, SS

__all__ = ["MAX_LENGTH", "DecodeError", "Field", "decode", "dissect"]

_SEGMENT_PREFIXES = {0x26: ES, 0x2E: CS, 0x36: SS, 0x3E: DS, 0x64: FS, 0x65: GS}
_REPEATS = {"rep": "F3", "repne": "F2"}
_THREE_BYTE = 0x0F38
_PREFIXES = frozenset({*_SEGMENT_PREFIXES, 0x66, 0x67, 0xF0, 0xF2, 0xF3})


def _plan(opcode: Opcode) -> tuple[tuple[Reader, ...], bool]:
    needs_memory = not MEMORY_ONLY.isdisjoint(opcode.operands)
    return tuple(READERS[code] for code in opcode.operands), needs_memory


_PLANS = {opcode: _plan(opcode) for opcode in (*OPCODES, ESCAPE)}


def _select(cursor: Cursor, repeat: str, wide: bool) -> Opcode:
    """Read the opcode and the ModRM byte if it has one; ``wide``: an operand-size prefix stands before it."""
    byte = cursor.byte()
    if byte == 0x0F:
        byte = cursor.byte()
        slot, number = TWO_BYTE[byte], 0x0F00 | byte
        if number in VARIED or number == _THREE_BYTE:
            return _select_varied(cursor, number, _REPEATS.get(repeat) or ("66" if wide else "NP"))
    else:
        slot, number = ONE_BYTE[byte], byte
        if byte in X87:
            return _select_x87(cursor, byte)
    cursor.opcode_byte = byte
    if slot is None:
        name = UNIMPLEMENTED_SETS.get(number)
        if name is None:
            raise DecodeError("unknown")
        raise DecodeError("unimplemented", name)
    if isinstance(slot, Opcode):
        if slot.has_modrm:
            cursor.rm = cursor.byte()
            cursor.reg = cursor.rm >> 3 & 7
            return slot
        return PAUSE if number == 0x90 and repeat == "rep" else slot
    cursor.rm = cursor.byte()
    cursor.reg = cursor.rm >> 3 & 7
    member = WITH_MODRM.get((number, cursor.rm)) or slot[cursor.reg]
    if member is None or (member.prefix and (repeat or wide)):
        raise DecodeError("unknown")
    return member


def _select_varied(cursor: Cursor, number: int, prefix: str) -> Opcode:
    """Of the rows that share an opcode, the one for this prefix and this ModRM byte."""
    group = TWO_BYTE[number & 0xFF]
    sets = UNIMPLEMENTED_SETS.get(number)
    if number == _THREE_BYTE:
        number = number << 8 | cursor.byte()
    rows = VARIED.get(number, ())
    if rows:
        cursor.rm = cursor.byte()
        cursor.reg = cursor.rm >> 3 & 7
    for opcode in rows:
        if opcode.prefix == prefix and opcode.digit in (None, cursor.reg):
            return opcode
    member = group[cursor.reg] if isinstance(group, tuple) else None
    if member is not None:
        return member
    raise DecodeError("unknown") if sets is None else DecodeError("unimplemented", sets)


def _select_x87(cursor: Cursor, byte: int) -> Opcode:
    cursor.rm = cursor.byte()
    cursor.reg = cursor.rm >> 3 & 7
    if cursor.rm >= 0xC0:
        return WITH_MODRM.get((byte, cursor.rm), ESCAPE)
    slot = ONE_BYTE[byte]
    return (slot[cursor.reg] if isinstance(slot, tuple) else None) or ESCAPE


def decode(code: bytes, address: Linear, bits: int = 32) -> Instruction:
    """Decode the instruction that ``code`` begins with.

    Args:
        code: from 1 byte on; 15 are always enough, and more than the instruction has do no harm.
        address: of the first byte, kept in the result.
        bits: 16 or 32, the D flag of the code segment: the default operand and address size.

    Raises:
        DecodeError: these bytes are no instruction that can be executed.
    """
    return dissect(code, address, bits)[0]


def dissect(code: bytes, address: Linear, bits: int = 32) -> tuple[Instruction, tuple[Field | None, ...]]:
    """As ``decode``, and where each operand's number lies, of those that have one.

    Numbers come last in an instruction, in the order of the operands; of a far pointer, the selector.
    """
    cursor = Cursor(code)
    operand_size = address_size = bits >> 3
    repeat, lock = "", False
    limit = min(len(code), MAX_LENGTH)
    position = 0
    while position < limit and code[position] in _PREFIXES:
        byte = code[position]
        if byte == 0x66:
            operand_size = 6 - (bits >> 3)
        elif byte == 0x67:
            address_size = 6 - (bits >> 3)
        elif byte == 0xF0:
            lock = True
        elif byte == 0xF2:
            repeat = "repne"
        elif byte == 0xF3:
            repeat = "rep"
        else:
            cursor.segment = _SEGMENT_PREFIXES[byte]
        position += 1
    cursor.position = position
    cursor.operand_size = operand_size
    cursor.address_size = address_size
    opcode = _select(cursor, repeat, operand_size != bits >> 3)
    if opcode.prefix == "66":
        operand_size = bits >> 3  # the prefix is spent
    readers, needs_memory = _PLANS[opcode]
    if needs_memory and cursor.rm >= 0xC0:
        raise DecodeError("unknown")
    operands: list[Operand] = []
    numbers: list[Field | None] = []
    for read in readers:
        cursor.number = None
        operands.append(read(cursor))
        numbers.append(cursor.number)
    if opcode.operation == "mov_to_segment" and cursor.reg == CS:
        raise DecodeError("unknown")
    if lock and not (opcode.lockable and cursor.rm < 0xC0):
        raise DecodeError("unknown")
    instruction = Instruction(
        opcode,
        address,
        bytes(code[: cursor.position]),
        tuple(operands),
        operand_size,
        address_size,
        repeat if opcode.repeatable else "",
        lock,
        cursor.segment,
    )
    if opcode is ESCAPE:
        raise DecodeError("unimplemented", UNIMPLEMENTED_SETS[X87.start], instruction)
    return instruction, tuple(numbers)
