"""Instruction sequences of the translation cache for what cannot be copied.

All work on the monitor segment through GS and leave the arithmetic flags as they are: what would change them
(AND, CMP, ADD) is not used; MOV, LEA, MOVZX and JECXZ do. A register that is needed goes to its slot first.
The cache's code segment has 32 bits: what works on a guest's words takes the operand-size prefix there, and
where the guest's stack segment has 16 bits SP alone moves. ``size`` is the operand size, 2 or 4 bytes,
``stack`` the bits of the stack segment.
"""

from __future__ import annotations

from typing import Final

from vizapp.isa.encode import encode
from vizapp.isa.instruction import ControlRegister, Immediate, Instruction, Memory, Register
from vizapp.isa.registers import EAX, ECX, EFLAGS_IF
from vizapp.vmm.binary_translation.layout import (
    CONTROL,
    DOOR_VECTOR,
    FLAGS_BASE,
    PENDING,
    POPF_TABLE,
    SPILLED_ECX,
    SPILLED_EDX,
    TARGET,
    VIRTUAL_IF,
)
from vizapp.vmm.binary_translation.spots import CALLOUT, LOOKUP, Piece

JUMP: Final = 0xE9
JUMP_BYTES: Final = 5
DOOR: Final = bytes((0xCD, DOOR_VECTOR))
"""The instruction that calls the monitor."""

_LOAD_ECX: Final = "65 8b 0d"  # mov ecx, gs:[...]
_STORE_ECX: Final = "65 89 0d"
_LOAD_EDX: Final = "65 8b 15"
_STORE_EDX: Final = "65 89 15"
_STORE_NUMBER: Final = "65 c7 05"
_ADD_TO_ECX: Final = "8d 89"  # lea ecx, [ecx + ...]


def dword(value: int) -> bytes:
    """Four bytes, little-endian, of a number modulo 2**32."""
    return (value & 0xFFFF_FFFF).to_bytes(4, "little")


def _code(opcode: str, *numbers: int) -> bytes:
    return bytes.fromhex(opcode) + b"".join(map(dword, numbers))


def callout() -> tuple[Piece, ...]:
    """The monitor runs the instruction."""
    return (Piece(DOOR, kind=CALLOUT),)


def clear_interrupts() -> tuple[Piece, ...]:
    """CLI."""
    return (Piece(_code(_STORE_NUMBER, VIRTUAL_IF, 0), ends=True),)


def set_interrupts() -> tuple[Piece, ...]:
    """STI; the monitor does it while an interrupt waits for it."""
    return (
        Piece(_code(_STORE_ECX, SPILLED_ECX)),
        Piece(_code(_LOAD_ECX, PENDING), ecx=True),
        Piece(bytes.fromhex("e3 02"), ecx=True),  # jecxz over the door
        Piece(DOOR, kind=CALLOUT, ecx=True),
        Piece(_code(_LOAD_ECX, SPILLED_ECX), ecx=True),
        Piece(_code(_STORE_NUMBER, VIRTUAL_IF, EFLAGS_IF), ends=True),
    )


def push_flags(size: int = 4, stack: int = 32) -> tuple[Piece, ...]:
    """PUSHF: what the processor pushes, with the virtual IF and IOPL for its own."""
    return (
        Piece(_code(_STORE_ECX, SPILLED_ECX)),
        Piece(_code(_STORE_EDX, SPILLED_EDX), ecx=True),
        Piece(_sized(size, b"\x9c"), ecx=True, edx=True),  # pushf
        Piece(_sized(size, b"\x5a"), ecx=True, edx=True, esp=size),  # pop edx
        Piece(_code(_LOAD_ECX, FLAGS_BASE), ecx=True, edx=True),
        Piece(bytes.fromhex("8d 0c 11"), ecx=True, edx=True),  # lea ecx, [ecx + edx]
        Piece(_code(_LOAD_EDX, VIRTUAL_IF), ecx=True, edx=True),
        Piece(bytes.fromhex("8d 0c 11"), ecx=True, edx=True),
        Piece(_code(_LOAD_EDX, SPILLED_EDX), ecx=True, edx=True),
        Piece(_sized(size, b"\x51"), ends=True, ecx=True),  # push ecx
        Piece(_code(_LOAD_ECX, SPILLED_ECX), after=True, ecx=True),
    )


def pop_flags(size: int = 4, stack: int = 32) -> tuple[Piece, ...]:
    """POPF: the processor takes what it may, the virtual IF the rest, the monitor what the table refuses.

    An entry of the table is the virtual IF plus 1, or 0: TF, NT or another IOPL, or an IF for which an
    interrupt waits.
    """
    if stack == 16:  # movzx ecx, sp; mov ecx, ss:[ecx]
        top = ["0f b7 cc", "36 8b 09" if size == 4 else "36 0f b7 09"]
    else:  # mov ecx, [esp]
        top = ["8b 0c 24" if size == 4 else "0f b7 0c 24"]
    popf = _sized(size, b"\x9d")
    return (
        Piece(_code(_STORE_ECX, SPILLED_ECX)),
        *(Piece(bytes.fromhex(raw), ecx=True) for raw in top),
        Piece(bytes.fromhex("0f b6 cd"), ecx=True),  # movzx ecx, ch
        Piece(_code("65 8b 0c 8d", POPF_TABLE), ecx=True),  # mov ecx, gs:[ecx*4 + ...]
        Piece(bytes((0xE3, 15 + len(popf))), ecx=True),  # jecxz: to the door
        Piece(_code(_ADD_TO_ECX, -1), ecx=True),
        Piece(popf, ends=True, ecx=True),
        Piece(_code(_STORE_ECX, VIRTUAL_IF), after=True, ecx=True, flag=True),
        Piece(bytes.fromhex("eb 02"), after=True, ecx=True),  # jmp over the door
        Piece(DOOR, kind=CALLOUT, ecx=True),
        Piece(_code(_LOAD_ECX, SPILLED_ECX), after=True, ecx=True),
    )


def read_control(instruction: Instruction) -> tuple[Piece, ...]:
    """MOV of a control register to a general one."""
    register, control = instruction.operands
    assert isinstance(register, Register)
    assert isinstance(control, ControlRegister)
    slot = CONTROL + 4 * control.index
    if register.index == EAX:
        return (Piece(_code("65 a1", slot), ends=True),)
    return (Piece(bytes((0x65, 0x8B, 0x05 | register.index << 3)) + dword(slot), ends=True),)


def push_return(address: int, size: int = 4) -> tuple[Piece, ...]:
    """The first half of CALL: the guest's own return address. A jump of the cache's own follows."""
    return (Piece(_push(address, size), ends=True),)


def return_near(instruction: Instruction, table: int, stack: int = 32) -> tuple[Piece, ...]:
    """RET: the target off the stack, then the lookup in ``table``."""
    size = instruction.operand_size
    released = next((item.value for item in instruction.operands if isinstance(item, Immediate)), 0)
    pieces = [Piece(_code(_STORE_ECX, SPILLED_ECX)), Piece(_sized(size, b"\x59"), ecx=True)]  # pop ecx
    below = -size
    if size == 2:
        pieces.append(Piece(bytes.fromhex("0f b7 c9"), ecx=True, esp=below))  # movzx ecx, cx
    if released:
        release = _sized(stack >> 3, _code("8d a4 24", released))  # lea esp, [esp + ...]
        pieces.append(Piece(release, ecx=True, esp=below))
        below -= released
    return (*pieces, *_look_up(table, below))


def jump_indirect(instruction: Instruction, table: int) -> tuple[Piece, ...]:
    """JMP to what a register or memory holds."""
    return (Piece(_code(_STORE_ECX, SPILLED_ECX)), _load_target(instruction), *_look_up(table, 0))


def call_indirect(instruction: Instruction, address: int, table: int) -> tuple[Piece, ...]:
    """CALL of what a register or memory holds, returning to ``address``."""
    size = instruction.operand_size
    return (
        Piece(_code(_STORE_ECX, SPILLED_ECX)),
        _load_target(instruction),
        Piece(_push(address, size), ecx=True),
        *_look_up(table, size),
    )


def landing(eip: int) -> tuple[Piece, ...]:
    """Where the lookup arrives: on to the unit for ``eip`` if that is what was looked for. A jump follows."""
    return (
        Piece(_code(_LOAD_ECX, TARGET), ecx=True, target=True),
        Piece(_code(_ADD_TO_ECX, -eip), ecx=True, target=True),
        Piece(bytes.fromhex("e3 02"), ecx=True, target=True),
        *missed(),
        Piece(_code(_LOAD_ECX, SPILLED_ECX), ecx=True, target=True),
    )


def missed() -> tuple[Piece, ...]:
    """Nothing is known of the target that was looked for."""
    return (Piece(DOOR, kind=LOOKUP, ecx=True, target=True),)


def _load_target(instruction: Instruction) -> Piece:
    (operand,) = instruction.operands
    assert isinstance(operand, Register | Memory)
    name = "mov" if instruction.operand_size == 4 else "movzx"
    size = instruction.address_size
    return Piece(encode(name, (Register(ECX, 4), operand), 32, address_size=size), ecx=True)


def _sized(size: int, raw: bytes) -> bytes:
    return raw if size == 4 else b"\x66" + raw


def _push(value: int, size: int) -> bytes:
    return _sized(size, b"\x68" + (value & (1 << 8 * size) - 1).to_bytes(size, "little"))


def _look_up(table: int, esp: int) -> tuple[Piece, ...]:
    """To the unit whose guest address is in ECX; until the last instruction ESP is ``-esp`` ahead."""
    return (
        Piece(_code(_STORE_ECX, TARGET), ecx=True, esp=esp),
        Piece(bytes.fromhex("0f b6 c9"), ecx=True, esp=esp),  # movzx ecx, cl
        Piece(_code("65 ff 24 8d", table), ends=True, ecx=True, esp=esp),  # jmp gs:[ecx*4 + ...]
    )
