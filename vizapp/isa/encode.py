"""Encodes one instruction in the bytes that NASM chooses: the shortest form, and of equals the first row."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cache

from vizapp.isa.forms import IMPLIED_BASE, Request, fits
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
from vizapp.isa.modrm import default_segment, encode_memory, is_encodable
from vizapp.isa.opcodes import BY_MNEMONIC, Opcode
from vizapp.isa.registers import DS, EAX
from vizapp.messages import N_, Message

SEGMENT_PREFIX = (0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65)
_REPEAT_PREFIX = {"rep": 0xF3, "repne": 0xF2}


class EncodeError(Exception):
    """No encoding.

    Attributes:
        message: says why, for people.
        position: of the operand that is to blame, in the table's order; None: all of them.
    """

    def __init__(self, message: Message, position: int | None = None) -> None:
        super().__init__(message.in_english())
        self.message = message
        self.position = position


# A memory operand without a size is of the default size here; anywhere else it has to be told.
_DEFAULT_SIZED = frozenset({"jmp", "call"})


def _number(value: int, size: int, position: int) -> bytes:
    if not fits(value, size):
        raise EncodeError(
            Message(N_("{value} does not fit in {bits} bits"), {"value": f"{value:#x}", "bits": 8 * size}),
            position,
        )
    return (value & (1 << 8 * size) - 1).to_bytes(size, "little")


def _prefixes(request: Request, opcode: Opcode, size: int, segment: int | None) -> bytes:
    """Segment, operand size and address size, in NASM's order."""
    found = bytearray()
    for code, operand in zip(opcode.operands, request.operands, strict=True):
        if segment is None and isinstance(operand, Memory) and code[0] != "Y":
            default = DS if code in IMPLIED_BASE or code[0] == "O" else default_segment(operand.base)
            if operand.segment != default:
                segment = operand.segment
    if segment is not None:
        found.append(SEGMENT_PREFIX[segment])
    if size != request.default_size:
        found.append(0x66)
    if request.address_size != request.default_size:
        found.append(0x67)
    return bytes(found)


def _emit(request: Request, opcode: Opcode, size: int, head: bytes) -> bytes | None:
    """The bytes of a form whose operands are accepted, or None where a short jump does not reach."""
    reg = opcode.digit or 0
    rm = b""
    tail = b""
    code_byte = opcode.code
    branch: tuple[int, int] | None = None
    for position, (code, operand) in enumerate(zip(opcode.operands, request.operands, strict=True)):
        match operand:
            case Register(index) | ControlRegister(index) | DebugRegister(index) | SegmentRegister(index):
                if code in ("Gb", "Gw", "Gv", "Gy", "Cd", "Dd", "Sw"):
                    reg = index
                elif code[0] == "Z":
                    code_byte += index
                elif code in ("Eb", "Ew", "Ev", "Ed", "Ey", "Rd"):
                    rm = bytes([0xC0 | index])
            case Memory():
                if code[0] == "O":
                    tail += operand.displacement.to_bytes(request.address_size, "little")
                elif code not in IMPLIED_BASE:
                    rm = encode_memory(operand, request.address_size, request.displacement_size)
            case Immediate(value):
                if code in ("Jb", "Jz"):
                    branch = (1 if code == "Jb" else size, value)
                elif code in ("Ib", "Ibs"):
                    tail += _number(value if code == "Ib" else value & 0xFF, 1, position)
                elif code == "Iw":
                    tail += _number(value, 2, position)
                elif code == "Iz":
                    tail += _number(value, size, position)
            case Relative(displacement):
                width = 1 if code == "Jb" else size
                tail += (displacement & (1 << 8 * width) - 1).to_bytes(width, "little")
            case FarPointer(selector, offset):
                tail += _number(offset, size, position) + _number(selector, 2, position)
    escape = bytes.fromhex(opcode.prefix.replace("NP", "")) + (b"\x0f" if opcode.two_byte else b"")
    if opcode.three_byte:
        escape += b"\x38"
    if opcode.modrm is not None:
        rm = bytes([opcode.modrm])
    elif rm:
        rm = bytes([rm[0] | reg << 3]) + rm[1:]
    body = head + escape + bytes([code_byte]) + rm + tail
    return body if branch is None else _with_target(request, body, *branch)


def _with_target(request: Request, body: bytes, width: int, target: int) -> bytes | None:
    """A branch's bytes with its displacement: from the end of the instruction, modulo the address space."""
    sign = 1 << 8 * max(request.default_size, width) - 1
    displacement = ((target - request.address - len(body) - width & (sign << 1) - 1) ^ sign) - sign
    if width == 1 and not -128 <= displacement < 128:
        return None
    return body + (displacement & (1 << 8 * width) - 1).to_bytes(width, "little")


def _normalised(mnemonic: str, operands: tuple[Operand, ...]) -> tuple[tuple[Operand, ...], dict[int, int]]:
    """Operands in the table's order: IMUL's two-operand immediate form, XCHG and TEST both ways round."""
    first, second = (*operands, None, None)[:2]
    if (
        mnemonic == "imul"
        and isinstance(first, Register)
        and isinstance(second, Immediate)
        and len(operands) == 2
    ):
        return (first, first, second), {1: 2}
    if mnemonic in ("xchg", "test") and isinstance(first, Register) and isinstance(second, Memory):
        return (second, first), {0: 1, 1: 0}
    if mnemonic == "xchg" and isinstance(first, Register) and isinstance(second, Register):
        return (first, second) if second.index == EAX else (second, first), {}
    return operands, {}


@cache
def _forms(mnemonic: str, count: int) -> tuple[Opcode, ...]:
    """The rows of a mnemonic that have so many operands."""
    return tuple(opcode for opcode in BY_MNEMONIC.get(mnemonic, ()) if len(opcode.operands) == count)


def encode(
    mnemonic: str,
    operands: Sequence[Operand] = (),
    bits: int = 32,
    *,
    operand_size: int | None = None,
    address_size: int | None = None,
    repeat: str = "",
    lock: bool = False,
    segment: int | None = None,
    address: int = 0,
    wide: Collection[int] = (),
    displacement_size: int | None = None,
    short: bool = False,
) -> bytes:
    """Encode one instruction.

    Args:
        mnemonic: a name of the opcode table (``vizapp.isa.names`` knows the other spellings).
        operands: as the decoder gives them. A ``Memory`` or ``Immediate`` of size 0 has no size of its own;
            an ``Immediate`` may be negative; as a branch's operand it is the target's address.
        bits: 16 or 32.
        operand_size: in bytes, where the operands do not tell it.
        address_size: in bytes; the default of ``bits`` if not told.
        repeat: ``rep`` or ``repne`` puts that prefix.
        lock: puts LOCK.
        segment: puts this segment's prefix even where it is the default.
        address: of the first byte; branches to an address need it.
        wide: positions of immediates that keep their full width, however small: addresses, and the targets
            of near branches.
        displacement_size: in bytes, of a memory operand's displacement; the smallest if not told.
        short: only a branch of one byte will do.

    Raises:
        EncodeError: no form takes these operands, a number does not fit, or a size is missing.
    """
    default = bits >> 3
    ordered, moved = _normalised(mnemonic, tuple(operands))
    request = Request(
        ordered,
        default,
        operand_size if operand_size != 1 else None,
        address_size or default,
        address,
        {moved.get(position, position) for position in wide},
        displacement_size,
    )
    _check_addresses(request)
    front = bytes([0xF0] * lock)
    if repeat:
        front = bytes([_REPEAT_PREFIX[repeat]]) + front
    best: bytes | None = None
    problem: EncodeError | None = None
    sizes: set[int] = set()
    for opcode in _forms(mnemonic, len(ordered)):
        if short and "Jz" in opcode.operands:
            continue
        told = request.size_for(opcode)
        if told is None:
            continue
        size = told or default
        if not all(request.accepts(opcode, position, size) for position in range(len(ordered))):
            continue
        if "Jb" in opcode.operands and 0 in request.wide and len(BY_MNEMONIC[mnemonic]) > 1:
            continue
        sizes |= request.unsized_memory(opcode, told)
        try:
            found = _emit(request, opcode, size, front + _prefixes(request, opcode, size, segment))
        except EncodeError as error:
            problem = problem or error
            continue
        if found is None:
            problem = EncodeError(Message(N_("the target is out of a short jump's reach")))
        elif best is None or len(found) < len(best):
            best = found
    if len(sizes) > 1 or (0 in sizes and mnemonic not in _DEFAULT_SIZED):
        raise EncodeError(Message(N_("the size of the operand in memory is not told")))
    if best is None:
        raise problem or EncodeError(
            Message(N_("{mnemonic} does not take these operands"), {"mnemonic": mnemonic})
        )
    return best


def _check_addresses(request: Request) -> None:
    mask = (1 << 8 * request.address_size) - 1
    for position, operand in enumerate(request.operands):
        if isinstance(operand, Memory) and not is_encodable(operand, request.address_size):
            raise EncodeError(Message(N_("these registers do not make an address")), position)
    request.operands = tuple(
        replace(operand, displacement=operand.displacement & mask) if isinstance(operand, Memory) else operand
        for operand in request.operands
    )


def reencode(instruction: Instruction, bits: int = 32) -> bytes:
    """The encoder's own bytes for a decoded instruction: the same meaning, perhaps shorter."""
    # An Immediate with a size is that of an immediate byte, so the 1 that D0 and D1 imply goes without.
    operands = [
        Immediate(1, 0) if code == "1" else operand
        for code, operand in zip(instruction.opcode.operands, instruction.operands, strict=True)
    ]
    if instruction.mnemonic == "xchg":
        operands.reverse()  # NASM puts the first of two registers in ModRM's reg field, the table the second
    return encode(
        instruction.mnemonic,
        operands,
        bits,
        operand_size=instruction.operand_size,
        address_size=instruction.address_size,
        repeat=instruction.repeat,
        lock=instruction.lock,
        segment=instruction.segment,
        address=instruction.address,
    )
