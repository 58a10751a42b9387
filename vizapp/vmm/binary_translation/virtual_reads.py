"""In-cache sequences that read the virtual machine where the instruction would read the real one.

    IN AL, port      the byte that the virtual device answers, where reading it changes nothing
    MOV r, Sreg      the guest's own selector; the processor's has another ring in it
    PUSH Sreg
    CPUID            the table of the virtual processor's basic leaves

All is in the monitor segment, put there by ``VirtualState`` before the cache goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa.instruction import Immediate, Instruction, Register, SegmentRegister
from vizapp.isa.registers import EAX, EBX, ECX, EDX
from vizapp.vmm.binary_translation.layout import (
    IDENTITY,
    LEAF_BYTES,
    LEAVES,
    OFFSET,
    PORT_KEPT,
    PORTS,
    SELECTORS,
    SHIFTED,
    SPILLED_EAX,
    SPILLED_EBX,
    SPILLED_ECX,
    SPILLED_EDX,
)
from vizapp.vmm.binary_translation.sequences import DOOR, dword
from vizapp.vmm.binary_translation.spots import CALLOUT, Piece

if TYPE_CHECKING:
    from collections.abc import Callable

assert LEAVES * LEAF_BYTES == 256  # what the sequence of CPUID computes with

_MONITOR_UNLESS_ZERO: Final = (
    Piece(bytes((0xE3, len(DOOR))), ecx=True),  # jecxz over the door
    Piece(DOOR, kind=CALLOUT, ecx=True),
)


def read_virtual(instruction: Instruction) -> tuple[Piece, ...]:
    """The sequence of an instruction; empty if it has none."""
    found = _SEQUENCES.get(instruction.opcode.operation)
    return found(instruction) if found is not None else ()


def _port(instruction: Instruction) -> tuple[Piece, ...]:
    port = instruction.operands[1]
    if instruction.operands[0] != Register(EAX, 1) or not isinstance(port, Immediate):
        return ()
    return (
        Piece(_store(ECX, SPILLED_ECX)),
        Piece(
            bytes.fromhex("65 0f b6 0d") + dword(PORT_KEPT + port.value), ecx=True
        ),  # movzx ecx, byte gs:[...]
        *_MONITOR_UNLESS_ZERO,
        Piece(_load(ECX, SPILLED_ECX), ecx=True),
        Piece(bytes.fromhex("65 a0") + dword(PORTS + port.value), ends=True),  # mov al, gs:[...]
    )


def _selector(instruction: Instruction) -> tuple[Piece, ...]:
    target, segment = instruction.operands
    if not isinstance(target, Register) or not isinstance(segment, SegmentRegister):
        return ()
    raw = _load(target.index, SELECTORS + 4 * segment.index)
    return (Piece(raw if target.size == 4 else b"\x66" + raw, ends=True),)


def _push_selector(instruction: Instruction) -> tuple[Piece, ...]:
    (segment,) = instruction.operands
    assert isinstance(segment, SegmentRegister)
    prefix = b"" if instruction.operand_size == 4 else b"\x66"
    return (Piece(prefix + bytes.fromhex("65 ff 35") + dword(SELECTORS + 4 * segment.index), ends=True),)


def _identity(instruction: Instruction) -> tuple[Piece, ...]:
    """Of leaf EAX < 8: EAX * 32 is where it stands in the table."""
    given = {"eax": True, "ebx": True, "ecx": True, "edx": True}
    return (
        Piece(_store(ECX, SPILLED_ECX)),
        Piece(_store(EAX, OFFSET), ecx=True),
        Piece(_load(ECX, OFFSET + 1), ecx=True),  # EAX / 256: a zero follows the slot
        *_MONITOR_UNLESS_ZERO,
        Piece(bytes.fromhex("8d 0c c5 00 00 00 00"), ecx=True),  # lea ecx, [eax*8]
        Piece(bytes.fromhex("8d 0c 8d 00 00 00 00"), ecx=True),  # lea ecx, [ecx*4]
        Piece(_store(ECX, SHIFTED), ecx=True),
        Piece(bytes.fromhex("65 0f b6 0d") + dword(SHIFTED + 1), ecx=True),
        *_MONITOR_UNLESS_ZERO,
        Piece(_load(ECX, SHIFTED), ecx=True),
        Piece(_store(EAX, SPILLED_EAX), ecx=True),
        Piece(_store(EBX, SPILLED_EBX), ecx=True),
        Piece(_store(EDX, SPILLED_EDX), ecx=True),
        Piece(_load_leaf(EAX, 0), **given),
        Piece(_load_leaf(EBX, 4), **given),
        Piece(_load_leaf(EDX, 12), **given),
        Piece(_load_leaf(ECX, 8), ends=True, **given),
    )


def _load_leaf(register: int, field: int) -> bytes:
    """MOV register, gs:[ecx + ...]."""
    return bytes((0x65, 0x8B, 0x81 | register << 3)) + dword(IDENTITY + field)


def _load(register: int, slot: int) -> bytes:
    return bytes((0x65, 0x8B, 0x05 | register << 3)) + dword(slot)


def _store(register: int, slot: int) -> bytes:
    return bytes((0x65, 0x89, 0x05 | register << 3)) + dword(slot)


_SEQUENCES: Final[dict[str, Callable[[Instruction], tuple[Piece, ...]]]] = {
    "in": _port,
    "mov_from_segment": _selector,
    "push_segment": _push_selector,
    "cpuid": _identity,
}
