"""The VM-exit instruction-information field: an instruction's operands, for a monitor that emulates it.

    31:28 second register   27 base invalid    26:23 base    22 index invalid   21:18 index
    17:15 segment           11 operand size    10 register   9:7 address size   6:3 register   1:0 scaling

SDM Vol. 3, "Information for VM Exits Due to Instruction Execution". Bits that an instruction does not define
are 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa.instruction import Memory, Register

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction

_IS_REGISTER: Final = 1 << 10
_WIDE: Final = 1 << 11
_NO_INDEX, _NO_BASE = 1 << 22, 1 << 27
_SCALES: Final = {1: 0, 2: 1, 4: 2, 8: 3}
_DESCRIPTOR_TABLES: Final = {"sgdt": 0, "sidt": 1, "lgdt": 2, "lidt": 3}
_SYSTEM_SEGMENTS: Final = {"sldt": 0, "str": 1, "lldt": 2, "ltr": 3}
_IDENTITY_SHIFT: Final = 28


def _address_size(instruction: Instruction) -> int:
    return (1 if instruction.address_size == 4 else 0) << 7


def _memory(instruction: Instruction, operand: Memory) -> int:
    info = _address_size(instruction) | operand.segment << 15
    if operand.index is None:
        info |= _NO_INDEX
    else:
        info |= operand.index << 18 | _SCALES[operand.scale]
    return info | (_NO_BASE if operand.base is None else operand.base << 23)


def ins_outs_info(instruction: Instruction, memory: Memory) -> int:
    """INS and OUTS: address size, and the segment of OUTS."""
    segment = memory.segment << 15 if instruction.mnemonic == "outs" else 0
    return _address_size(instruction) | segment


def pointer_info(instruction: Instruction) -> int:
    """VMPTRLD, VMPTRST, VMCLEAR and VMXON."""
    operand = instruction.operands[0]
    assert isinstance(operand, Memory)
    return _memory(instruction, operand)


def register_info(instruction: Instruction) -> int:
    """VMREAD and VMWRITE: the second register holds the encoding."""
    value, encoding = instruction.operands
    if instruction.mnemonic == "vmwrite":
        value, encoding = encoding, value
    assert isinstance(encoding, Register)
    second = encoding.index << _IDENTITY_SHIFT
    if isinstance(value, Register):
        return second | _IS_REGISTER | value.index << 3
    assert isinstance(value, Memory)
    return second | _memory(instruction, value)


def invalidation_info(instruction: Instruction) -> int:
    """INVEPT and INVVPID: the second register holds the type."""
    kind, descriptor = instruction.operands
    assert isinstance(kind, Register)
    assert isinstance(descriptor, Memory)
    return kind.index << _IDENTITY_SHIFT | _memory(instruction, descriptor)


def descriptor_table_info(instruction: Instruction) -> int:
    """LGDT, LIDT, SGDT and SIDT."""
    operand = instruction.operands[0]
    assert isinstance(operand, Memory)
    wide = _WIDE if instruction.operand_size == 4 else 0
    return _memory(instruction, operand) | wide | _DESCRIPTOR_TABLES[instruction.mnemonic] << _IDENTITY_SHIFT


def system_segment_info(instruction: Instruction) -> int:
    """LLDT, LTR, SLDT and STR."""
    operand = instruction.operands[0]
    identity = _SYSTEM_SEGMENTS[instruction.mnemonic] << _IDENTITY_SHIFT
    if isinstance(operand, Register):
        return identity | _IS_REGISTER | operand.index << 3
    assert isinstance(operand, Memory)
    return identity | _memory(instruction, operand)
