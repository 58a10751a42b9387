"""The floating-point unit as far as systems software sees it: its control state, and what traps.

Without one (the identity says which) an escape to it is a no-op, as on a board with an empty socket, and
FNINIT with FNSTSW finds that nobody answered. With one its arithmetic is not done: that ends the run with a
sentence. SDM Vol. 1, "Programming with the x87 FPU"; Vol. 3, "Interrupt 7 - Device Not Available Exception".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.isa import registers as r
from vizapp.isa import vectors
from vizapp.isa.addresses import M32
from vizapp.isa.instruction import Memory
from vizapp.machine.faults import Fault, Unimplemented
from vizapp.machine.operands import effective_address, next_eip, read_operand, write_operand
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.machine.cpu import Cpu

FXSAVE_BYTES: Final = 512
_IMAGE_WORDS: Final = FXSAVE_BYTES // 4
_ALIGNMENT: Final = 16
_EXCEPTION_FLAGS: Final = 0x80FF  # busy, summary, stack fault and the six exceptions
_CONTROL_BITS: Final = 0x1F3F
_CONTROL_FIXED: Final = 0x0040
_EMPTY: Final = 0xFFFF


class FpuState(NamedTuple):
    """Control, status and tag words as FSTENV has them, and the FXSAVE image as it was last restored.

    Registers are only ever moved, in the image; ``image`` is 512 bytes, or empty for zeros.
    """

    control: int = 0x037F
    status: int = 0
    tag: int = _EMPTY
    image: bytes = b""


RESET: Final = FpuState(control=0x0040, tag=0x5555)
_INITIAL: Final = FpuState()


def _available(cpu: Cpu) -> bool:
    """#NM where an escape traps; whether there is a unit to execute it."""
    if cpu.cr0 & (r.CR0_EM | r.CR0_TS):
        raise Fault(vectors.NM)
    return cpu.identity.has_fpu


def escape(cpu: Cpu, instruction: Instruction) -> None:
    """Any other instruction of the x87.

    The processor begins to fetch an operand before it knows whether anybody answers.
    """
    if _available(cpu):
        raise Unimplemented(Message(N_("{kind} instructions are not implemented"), {"kind": "x87"}))
    operand = instruction.operands[0]
    if isinstance(operand, Memory):
        cpu.load2(operand.segment, effective_address(cpu, operand, instruction.address_size))
    cpu.eip = next_eip(cpu, instruction)


def fwait(cpu: Cpu, instruction: Instruction) -> None:
    """FWAIT: only MP makes it look at TS."""
    if cpu.cr0 & r.CR0_MP and cpu.cr0 & r.CR0_TS:
        raise Fault(vectors.NM)
    cpu.eip = next_eip(cpu, instruction)


def fninit(cpu: Cpu, instruction: Instruction) -> None:
    """FNINIT: round to nearest, all exceptions masked, all registers empty."""
    if _available(cpu):
        cpu.fpu = _INITIAL._replace(image=cpu.fpu.image)
    cpu.eip = next_eip(cpu, instruction)


def fnclex(cpu: Cpu, instruction: Instruction) -> None:
    """FNCLEX."""
    if _available(cpu):
        cpu.fpu = cpu.fpu._replace(status=cpu.fpu.status & ~_EXCEPTION_FLAGS)
    cpu.eip = next_eip(cpu, instruction)


def fnstsw(cpu: Cpu, instruction: Instruction) -> None:
    """FNSTSW AX and m16."""
    if _available(cpu):
        write_operand(cpu, instruction, instruction.operands[0], cpu.fpu.status)
    cpu.eip = next_eip(cpu, instruction)


def fnstcw(cpu: Cpu, instruction: Instruction) -> None:
    """FNSTCW m16."""
    if _available(cpu):
        write_operand(cpu, instruction, instruction.operands[0], cpu.fpu.control)
    cpu.eip = next_eip(cpu, instruction)


def fldcw(cpu: Cpu, instruction: Instruction) -> None:
    """FLDCW m16; reserved bits keep their values."""
    if _available(cpu):
        value = read_operand(cpu, instruction, instruction.operands[0])
        cpu.fpu = cpu.fpu._replace(control=value & _CONTROL_BITS | _CONTROL_FIXED)
    cpu.eip = next_eip(cpu, instruction)


def _image_at(cpu: Cpu, instruction: Instruction) -> tuple[int, int]:
    """Segment and offset of an FXSAVE image, which is aligned to 16 bytes."""
    if not cpu.identity.has_fxsr:
        raise Fault(vectors.UD)
    _available(cpu)
    operand = instruction.operands[0]
    assert isinstance(operand, Memory)
    offset = effective_address(cpu, operand, instruction.address_size)
    if cpu.segments[operand.segment].base + offset & _ALIGNMENT - 1:
        raise Fault(vectors.GP, 0)
    return operand.segment, offset


def _abridged(tag: int) -> int:
    """One bit a register, 0 for an empty one, out of the tag word's two."""
    return sum((tag >> 2 * index & 3 != 3) << index for index in range(8))


def _full(abridged: int) -> int:
    """The tag word; a register in use is called valid, whatever it holds."""
    return sum((0 if abridged >> index & 1 else 3) << 2 * index for index in range(8))


def fxsave(cpu: Cpu, instruction: Instruction) -> None:
    """FXSAVE m512: control, status, abridged tag, then everything as it was restored."""
    segment, offset = _image_at(cpu, instruction)
    state = cpu.fpu
    head = state.control | state.status << 16 | _abridged(state.tag) << 32
    image = head.to_bytes(8, "little") + (state.image or bytes(FXSAVE_BYTES))[8:]
    for position in (0, FXSAVE_BYTES - 4):  # two pages at most: both must be writable before a store
        cpu.modify4(segment, offset + position & M32)
    for index in range(_IMAGE_WORDS):
        word = int.from_bytes(image[4 * index : 4 * index + 4], "little")
        cpu.store4(segment, offset + 4 * index & M32, word)
    cpu.eip = next_eip(cpu, instruction)


def fxrstor(cpu: Cpu, instruction: Instruction) -> None:
    """FXRSTOR m512."""
    segment, offset = _image_at(cpu, instruction)
    words = [cpu.load4(segment, offset + 4 * index & M32) for index in range(_IMAGE_WORDS)]
    image = b"".join(word.to_bytes(4, "little") for word in words)
    control, status = words[0] & 0xFFFF, words[0] >> 16
    tag = _full(words[1] & 0xFF)
    cpu.fpu = FpuState(control & _CONTROL_BITS | _CONTROL_FIXED, status, tag, image)
    cpu.eip = next_eip(cpu, instruction)
