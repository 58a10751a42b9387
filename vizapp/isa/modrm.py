"""Encodes a memory operand in its shortest form: ModRM, SIB and displacement (SDM Vol. 2)."""

from __future__ import annotations

from vizapp.isa.instruction import Memory
from vizapp.isa.registers import DS, EBP, EBX, EDI, ESI, ESP, SS

_RM16 = {
    (EBX, ESI): 0, (EBX, EDI): 1, (EBP, ESI): 2, (EBP, EDI): 3,
    (ESI, None): 4, (EDI, None): 5, (EBP, None): 6, (EBX, None): 7,
}  # fmt: skip
_SCALES = {1: 0, 2: 1, 4: 2, 8: 3}


def default_segment(base: int | None) -> int:
    """The segment that an address with this base has without a prefix: SS for EBP and ESP, or else DS."""
    return SS if base in (EBP, ESP) else DS


def is_encodable(memory: Memory, address_size: int) -> bool:
    """Whether ModRM and SIB can express these registers: no ESP index, BX BP SI DI only of 16 bits."""
    if address_size == 2:
        return memory.scale == 1 and (memory.base is None and memory.index is None) | (
            (memory.base, memory.index) in _RM16
        )
    return memory.index != ESP and memory.scale in _SCALES


def _displacement_size(memory: Memory, address_size: int, base_is_ebp: bool) -> int:
    sign = 1 << 8 * address_size - 1
    signed = (memory.displacement ^ sign) - sign
    if signed == 0 and not base_is_ebp:  # [EBP] without a displacement is the code of [disp32]
        return 0
    return 1 if -128 <= signed < 128 else address_size


def encode_memory(memory: Memory, address_size: int, displacement_size: int | None = None) -> bytes:
    """ModRM, with reg 0, to displacement of an encodable memory operand.

    Args:
        memory: the operand; its displacement is of the address size, unsigned.
        address_size: 2 or 4 bytes.
        displacement_size: 1 or the address size; the smallest that does if not told.
    """
    base, index = memory.base, memory.index
    if base is None and (index is None or address_size == 2):
        rm = 6 if address_size == 2 else 5
        return bytes([rm]) + memory.displacement.to_bytes(address_size, "little")
    if address_size == 2:
        rm = _RM16[base or 0, index]
        size = displacement_size or _displacement_size(memory, 2, rm == 6)
        head = [rm]
    elif base is None:  # an index without a base always has a 32-bit displacement
        assert index is not None
        head = [ESP, _SCALES[memory.scale] << 6 | index << 3 | EBP]
        return bytes(head) + memory.displacement.to_bytes(4, "little")
    else:
        size = displacement_size or _displacement_size(memory, 4, base == EBP)
        if index is None and base != ESP:
            head = [base]
        else:
            sib_index = ESP if index is None else index
            head = [ESP, _SCALES[memory.scale] << 6 | sib_index << 3 | base]
    head[0] |= {0: 0, 1: 1}.get(size, 2) << 6
    mask = (1 << 8 * size) - 1
    return bytes(head) + (memory.displacement & mask).to_bytes(size, "little")
