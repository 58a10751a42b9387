"""In-cache sequences for accesses that would fault: to a traced page, or to the local APIC's task priority.

A traced page is read-only in the shadow. Its window, a page of the monitor segment, is not:

    lea ecx, [what the instruction accesses - the page]     the offset, in the slot OFFSET
    the selector is the one that it was translated for?     not: the monitor runs the instruction
    less than 64 KB, and REFUSED has nothing against it?    not: the monitor runs the instruction
    WRITTEN notes it
    the instruction, with gs:[ecx + the window] for its operand

The page, its window and the selector are constants of the sequence. Whoever makes them untrue closes the
window, by refusing all of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import M32, PAGE_SHIFT, PAGE_SIZE
from vizapp.isa.decode import DecodeError
from vizapp.isa.encode import EncodeError, encode
from vizapp.isa.instruction import Immediate, Instruction, Memory, Register, SegmentRegister
from vizapp.isa.registers import DS, ECX, EDX, ES, ESP, GS, SS
from vizapp.vmm.binary_translation.layout import (
    GRANULES,
    OFFSET,
    PRIORITY,
    PRIORITY_KEPT,
    REFUSED,
    SHIFTED,
    SPILLED_ECX,
    SPILLED_EDX,
    TABLE_WRITTEN,
    WINDOW,
    WRITTEN,
)
from vizapp.vmm.binary_translation.sequences import DOOR
from vizapp.vmm.binary_translation.spots import CALLOUT, Piece
from vizapp.vmm.instruction_fetch import decoded

if TYPE_CHECKING:
    from vizapp.isa.instruction import Operand

# What is the same with another address for its operand: it has one in memory and nothing implied.
_MOVABLE: Final = frozenset({
    "mov", "add", "or", "adc", "sbb", "and", "sub", "xor", "inc", "dec", "not", "neg", "xchg", "pop",
})  # fmt: skip
_BOTH: Final = frozenset({ECX, EDX})
_JECXZ_OVER_DOOR: Final = bytes((0xE3, len(DOOR)))


def memory_operand(instruction: Instruction) -> Memory | None:
    """The operand in memory of an instruction that sequences can do; None of others."""
    if instruction.mnemonic not in _MOVABLE or instruction.address_size != 4 or instruction.repeat:
        return None
    if instruction.opcode.privilege != "innocuous" or instruction.lock:
        return None
    found = [operand for operand in instruction.operands if isinstance(operand, Memory)]
    if len(found) != 1 or found[0].segment not in (DS, ES, SS):
        return None
    if instruction.mnemonic == "pop" and ESP in (found[0].base, found[0].index):
        return None  # its address is that of behind the pop
    return found[0]


def window_access(instruction: Instruction, number: int, page: int, selector: int) -> tuple[Piece, ...]:
    """An access through window ``number`` of linear page ``page``; empty if the instruction has no such form.

    ``selector`` is what the processor has to hold in the operand's segment register, for a flat segment.
    """
    operand = memory_operand(instruction)
    used = _registers(instruction)
    if operand is None or used >= _BOTH:
        return ()
    pointer = EDX if ECX in used else ECX
    window = Memory(GS, pointer, None, 1, WINDOW + number * PAGE_SIZE, operand.size)
    moved = _with_operand(instruction, window)
    if not moved:
        return ()
    return (
        *_check(operand, page << PAGE_SHIFT, selector),
        Piece(bytes.fromhex("65 0f b7 0d") + _dword(OFFSET + 2), ecx=True),  # movzx ecx, word gs:[...]
        *_monitor_unless_zero(),
        Piece(_load(ECX, OFFSET), ecx=True),
        Piece(bytes.fromhex("8d 0c cd 00 00 00 00"), ecx=True),  # lea ecx, [ecx*8]
        Piece(bytes.fromhex("8d 0c 09"), ecx=True),  # lea ecx, [ecx + ecx]
        Piece(_store(ECX, SHIFTED), ecx=True),
        Piece(bytes.fromhex("65 0f b7 0d") + _dword(SHIFTED + 1), ecx=True),  # movzx: the offset / 16
        Piece(bytes.fromhex("65 0f b6 89") + _dword(REFUSED + number * PAGE_SIZE), ecx=True),
        *_monitor_unless_zero(),
        Piece(bytes.fromhex("65 0f b7 0d") + _dword(SHIFTED + 1), ecx=True),
        Piece(bytes.fromhex("65 c6 81") + _dword(WRITTEN + number * GRANULES) + b"\x01", ecx=True),
        Piece(bytes.fromhex("65 c7 05") + _dword(TABLE_WRITTEN) + _dword(1), ecx=True),
        *_do(moved, pointer),
    )


def priority_access(instruction: Instruction, linear: int, selector: int) -> tuple[Piece, ...]:
    """MOV to or from the task priority register at ``linear``; empty if the instruction is another."""
    operand = memory_operand(instruction)
    if operand is None or instruction.mnemonic != "mov" or operand.size != 4:
        return ()
    target, source = instruction.operands
    slot = Memory(GS, None, None, 1, PRIORITY, 4)
    if isinstance(target, Memory):
        if not isinstance(source, Register | Immediate):
            return ()
        access = encode("mov", (slot, source), 32)
    else:
        # Only its low byte is a register, the rest reads as zero.
        access = encode("movzx", (target, replace(slot, size=1)), 32)
    loaded = isinstance(target, Register) and target.index == ECX
    return (
        *_check(operand, linear, selector),
        Piece(_load(ECX, OFFSET), ecx=True),
        *_monitor_unless_zero(),
        Piece(_load(ECX, PRIORITY_KEPT), ecx=True),
        *_monitor_unless_zero(),
        *((Piece(access, ends=True, ecx=True),) if loaded else _do(access, EDX, spill=False)),
    )


def _check(operand: Memory, origin: int, selector: int) -> tuple[Piece, ...]:
    """OFFSET becomes that of the operand from ``origin``, and its selector is what it was."""
    address = replace(operand, displacement=operand.displacement - origin & M32, size=0)
    return (
        Piece(_store(ECX, SPILLED_ECX)),
        Piece(encode("lea", (Register(ECX, 4), address), 32, address_size=4), ecx=True),
        Piece(_store(ECX, OFFSET), ecx=True),
        Piece(encode("mov", (Register(ECX, 4), SegmentRegister(operand.segment)), 32), ecx=True),
        Piece(bytes.fromhex("8d 89") + _dword(-selector), ecx=True),  # lea ecx, [ecx - selector]
        *_monitor_unless_zero(),
    )


def _do(access: bytes, pointer: int, *, spill: bool = True) -> tuple[Piece, ...]:
    """The access itself, with the offset in ``pointer`` if that is spilled for it; then all is put back."""
    if pointer == ECX:
        return (
            Piece(_load(ECX, OFFSET), ecx=True),
            Piece(access, ends=True, ecx=True),
            Piece(_load(ECX, SPILLED_ECX), after=True, ecx=True),
        )
    if not spill:
        return (Piece(_load(ECX, SPILLED_ECX), ecx=True), Piece(access, ends=True))
    return (
        Piece(_store(EDX, SPILLED_EDX), ecx=True),
        Piece(_load(EDX, OFFSET), ecx=True, edx=True),
        Piece(_load(ECX, SPILLED_ECX), ecx=True, edx=True),
        Piece(access, ends=True, edx=True),
        Piece(_load(EDX, SPILLED_EDX), after=True, edx=True),
    )


def _monitor_unless_zero() -> tuple[Piece, ...]:
    return Piece(_JECXZ_OVER_DOOR, ecx=True), Piece(DOOR, kind=CALLOUT, ecx=True)


def _registers(instruction: Instruction) -> frozenset[int]:
    """The general registers among the operands, those of AH and its like too."""
    return frozenset(
        operand.index & 3 if operand.size == 1 else operand.index
        for operand in instruction.operands
        if isinstance(operand, Register)
    )


def _with_operand(instruction: Instruction, memory: Memory) -> bytes:
    """The instruction with another operand in memory; empty if that cannot be written down."""
    operands: tuple[Operand, ...] = tuple(
        memory if isinstance(operand, Memory) else operand for operand in instruction.operands
    )
    try:
        raw = encode(instruction.mnemonic, operands, 32, address_size=4)
        again = decoded(raw, 0, 32)
    except (EncodeError, DecodeError):
        return b""
    same = (again.opcode.operation, again.operands) == (instruction.opcode.operation, operands)
    return raw if same else b""


def _load(register: int, slot: int) -> bytes:
    return bytes((0x65, 0x8B, 0x05 | register << 3)) + _dword(slot)


def _store(register: int, slot: int) -> bytes:
    return bytes((0x65, 0x89, 0x05 | register << 3)) + _dword(slot)


def _dword(value: int) -> bytes:
    return (value & M32).to_bytes(4, "little")
