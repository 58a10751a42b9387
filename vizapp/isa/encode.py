"""Encodes one instruction in the bytes that NASM chooses: the shortest form, and of equals the first row."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

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
from vizapp.isa.opcodes import BY_MNEMONIC, SEGMENT_NAMES, Opcode
from vizapp.isa.registers import CS, DS, EAX, EBX, ECX, EDI, EDX, ES, ESI
from vizapp.messages import N_, Message

SEGMENT_PREFIX = (0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65)
_REPEAT_PREFIX = {"rep": 0xF3, "repne": 0xF2}


class EncodeError(Exception):
    """No encoding: ``message`` says why, for people."""

    def __init__(self, message: Message) -> None:
        super().__init__(message.in_english())
        self.message = message


# The size of a register and of a memory operand by operand code; 0 is the operand size, None: not allowed.
_SIZES: dict[str, tuple[int | None, int | None]] = {
    "Eb": (1, 1), "Ew": (2, 2), "Ev": (0, 0), "Ed": (0, 2), "Gb": (1, None), "Gw": (2, None), "Gv": (0, None),
    "Zb": (1, None), "Zv": (0, None), "Rd": (4, None), "Ob": (None, 1), "Ov": (None, 0),
    "Xb": (None, 1), "Xv": (None, 0), "Yb": (None, 1), "Yv": (None, 0), "BBb": (None, 1),
}  # fmt: skip
_ANY_MEMORY = frozenset({"M", "Ma", "Mp", "Ms"})
_IMPLIED_BASE = {"Xb": ESI, "Xv": ESI, "Yb": EDI, "Yv": EDI, "BBb": EBX}
_FIXED: dict[str, Operand] = {
    "AL": Register(EAX, 1),
    "CL": Register(ECX, 1),
    "DX": Register(EDX, 2),
    **{name: SegmentRegister(index) for index, name in enumerate(SEGMENT_NAMES)},
}
# These take a 32-bit register for a selector as well: only its low half is used, so no prefix is needed.
_SELECTOR_SOURCES = frozenset({"mov_to_segment", "lar", "lsl"})
# A memory operand without a size is of the default size here; anywhere else it has to be told.
_DEFAULT_SIZED = frozenset({"jmp", "call"})


def _fits(value: int, size: int) -> bool:
    """Whether a number is meant to be ``size`` bytes long, signed or unsigned or a complement."""
    return -(1 << 8 * size) <= value < 1 << 8 * size


def _is_sign_extended_byte(value: int, size: int) -> bool:
    value &= (1 << 8 * size) - 1
    return value < 0x80 or value >= (1 << 8 * size) - 0x80


@dataclass(slots=True)
class _Request:
    """What is to be encoded, and the sizes in force."""

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
                return code == "Ap" and _fits(offset, size)
            case ControlRegister():
                return code == "Cd"
            case DebugRegister():
                return code == "Dd"

    def _accepts_memory(self, code: str, memory: Memory, size: int) -> bool:
        if code in _ANY_MEMORY or code == "Mq":
            return code in _ANY_MEMORY or memory.size in (0, 8)
        expected = _SIZES.get(code, (None, None))[1]
        if expected is None or memory.size not in (0, expected or size):
            return False
        if code in _IMPLIED_BASE:
            plain = (memory.base, memory.index, memory.displacement) == (_IMPLIED_BASE[code], None, 0)
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


def _number(value: int, size: int) -> bytes:
    if not _fits(value, size):
        raise EncodeError(
            Message(N_("{value} does not fit in {bits} bits"), {"value": f"{value:#x}", "bits": 8 * size})
        )
    return (value & (1 << 8 * size) - 1).to_bytes(size, "little")


def _prefixes(request: _Request, opcode: Opcode, size: int, segment: int | None) -> bytes:
    """Segment, operand size and address size, in NASM's order."""
    found = bytearray()
    for code, operand in zip(opcode.operands, request.operands, strict=True):
        if segment is None and isinstance(operand, Memory) and code[0] != "Y":
            default = DS if code in _IMPLIED_BASE or code[0] == "O" else default_segment(operand.base)
            if operand.segment != default:
                segment = operand.segment
    if segment is not None:
        found.append(SEGMENT_PREFIX[segment])
    if size != request.default_size:
        found.append(0x66)
    if request.address_size != request.default_size:
        found.append(0x67)
    return bytes(found)


def _emit(request: _Request, opcode: Opcode, size: int, head: bytes) -> bytes | None:
    """The bytes of a form whose operands are accepted, or None where a short jump does not reach."""
    reg = opcode.digit or 0
    rm = b""
    tail = b""
    code_byte = opcode.code
    branch: tuple[int, int] | None = None
    for code, operand in zip(opcode.operands, request.operands, strict=True):
        match operand:
            case Register(index) | ControlRegister(index) | DebugRegister(index) | SegmentRegister(index):
                if code[0] in "GCDS" and code in ("Gb", "Gw", "Gv", "Cd", "Dd", "Sw"):
                    reg = index
                elif code[0] == "Z":
                    code_byte += index
                elif code in ("Eb", "Ew", "Ev", "Ed", "Rd"):
                    rm = bytes([0xC0 | index])
            case Memory():
                if code[0] == "O":
                    tail += operand.displacement.to_bytes(request.address_size, "little")
                elif code not in _IMPLIED_BASE:
                    # reg is filled in below: an operand after this one may be in it
                    rm = encode_memory(operand, 0, request.address_size, request.displacement_size)
            case Immediate(value):
                if code in ("Jb", "Jz"):
                    branch = (1 if code == "Jb" else size, value)
                elif code in ("Ib", "Ibs"):
                    tail += _number(value if code == "Ib" else value & 0xFF, 1)
                elif code == "Iw":
                    tail += _number(value, 2)
                elif code == "Iz":
                    tail += _number(value, size)
            case Relative(displacement):
                tail += (displacement & (1 << 8 * (w := 1 if code == "Jb" else size)) - 1).to_bytes(
                    w, "little"
                )
            case FarPointer(selector, offset):
                tail += _number(offset, size) + _number(selector, 2)
    escape = b"\x0f" if opcode.two_byte else b"\xf3" if opcode.encoding.startswith("F3 ") else b""
    if rm:
        rm = bytes([rm[0] | reg << 3]) + rm[1:]
    body = head + escape + bytes([code_byte]) + rm + tail
    if branch is None:
        return body
    width, target = branch
    sign = 1 << 8 * request.default_size - 1
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
    request = _Request(
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
    for opcode in BY_MNEMONIC.get(mnemonic, ()):
        if len(opcode.operands) != len(ordered) or ("Jz" in opcode.operands and short):
            continue
        told = request.size_for(opcode)
        if told is None:
            continue
        size = told or default
        if not all(request.accepts(opcode, position, size) for position in range(len(ordered))):
            continue
        if "Jb" in opcode.operands and 0 in request.wide and len(BY_MNEMONIC[mnemonic]) > 1:
            continue
        sizes |= _unsized_memory(request, opcode, told)
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


def _unsized_memory(request: _Request, opcode: Opcode, told: int) -> set[int]:
    """The size that this form gives to a memory operand without one; 0 if that is the default only."""
    found = set()
    for code, operand in zip(opcode.operands, request.operands, strict=True):
        if isinstance(operand, Memory) and operand.size == 0 and code in _SIZES:
            found.add(_SIZES[code][1] or told)
    return found


def _check_addresses(request: _Request) -> None:
    mask = (1 << 8 * request.address_size) - 1
    for operand in request.operands:
        if isinstance(operand, Memory) and not is_encodable(operand, request.address_size):
            raise EncodeError(Message(N_("these registers do not make an address")))
    request.operands = tuple(
        replace(operand, displacement=operand.displacement & mask) if isinstance(operand, Memory) else operand
        for operand in request.operands
    )


def reencode(instruction: Instruction, bits: int = 32) -> bytes:
    """The encoder's own bytes for a decoded instruction: the same meaning, perhaps shorter."""
    return encode(
        instruction.mnemonic,
        instruction.operands,
        bits,
        operand_size=instruction.operand_size,
        address_size=instruction.address_size,
        repeat=instruction.repeat,
        lock=instruction.lock,
        segment=instruction.segment,
        address=instruction.address,
    )
