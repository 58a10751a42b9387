"""From guest instructions to the instructions of a translation unit.

A unit is at most 12 guest instructions, or fewer up to one that transfers control. Most are copied as they
are (IDENT). Not copied are: what is relative to EIP, because the copy lies elsewhere; indirect transfers,
which go by a lookup; privileged and sensitive instructions, which work on the virtual CPU, in the cache or
by a callout; and whatever uses GS, which here is the monitor's, or reads through CS, which is the cache's.

The cache is 32-bit code. A copy out of a 16-bit segment is the same instruction with the operand-size and
address-size prefixes that it needs there: those that it has go, those that it has not come.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.isa.addresses import M32, PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, Linear
from vizapp.isa.decode import MAX_LENGTH, DecodeError, decode
from vizapp.isa.instruction import ControlRegister, Instruction, Memory, Register, Relative
from vizapp.isa.registers import CS, GS, SS
from vizapp.isa.table import CONDITIONS
from vizapp.machine.faults import Fault, Unimplemented
from vizapp.vmm.binary_translation import sequences
from vizapp.vmm.binary_translation.layout import LOOKUP_TABLE
from vizapp.vmm.binary_translation.sequences import JUMP
from vizapp.vmm.binary_translation.spots import Piece
from vizapp.vmm.binary_translation.virtual_reads import read_virtual
from vizapp.vmm.instruction_fetch import decoded, fetch

if TYPE_CHECKING:
    from vizapp.machine.cpu import Cpu
    from vizapp.machine.segments import SegmentState

MOST: Final = 12
IDENT, IN_CACHE, CALLOUT, CHAINED, LOOKUP = KINDS = ("ident", "in-cache", "callout", "chained", "lookup")

_CONDITIONAL: Final = {"j" + name: code for code, name in enumerate(CONDITIONS)}
_SHORT_ONLY: Final = {"loopne": 0xE0, "loope": 0xE1, "loop": 0xE2, "jcxz": 0xE3}
_SIMPLE: Final = {"cli": sequences.clear_interrupts, "sti": sequences.set_interrupts}
_FLAGS: Final = {"pushf": sequences.push_flags, "popf": sequences.pop_flags}
_NOT_COPIED: Final = frozenset({"cpuid", "int1", "arpl"})  # ARPL is none in real mode
_PREFIXES: Final = frozenset(bytes.fromhex("26 2e 36 3e 64 65 66 67 f0 f2 f3"))
_OPERAND_SIZE, _ADDRESS_SIZE = 0x66, 0x67
# Callouts behind which the unit ends: they go elsewhere, or change how what follows is found.
_LAST: Final = frozenset({
    "iret", "int", "int3", "int1", "into", "call_far", "jmp_far", "retf", "sysenter", "sysexit", "rsm", "hlt",
    "mov_to_control", "lmsw", "jmp", "call", "ret", "jmp_indirect", "call_indirect", *_SHORT_ONLY,
    *_CONDITIONAL,
})  # fmt: skip


class Surroundings(NamedTuple):
    """What an instruction is translated for: its code segment, its stack, and where lookups go.

    ``bits`` and ``stack`` are 16 or 32, ``limit`` is the code segment's; ``table`` is an offset in the
    monitor segment.
    """

    bits: int = 32
    stack: int = 32
    limit: int = M32
    table: int = LOOKUP_TABLE


FLAT: Final = Surroundings()


class Translated(NamedTuple):
    """A guest instruction and what became of it: one of ``KINDS``.

    ``jump`` is the opcode of a jump behind the pieces and ``target`` where it goes; it is the guest's own
    (``jump_ends``) or brings a unit to its successor.
    """

    instruction: Instruction
    kind: str
    pieces: tuple[Piece, ...] = ()
    jump: bytes = b""
    target: int = 0
    jump_ends: bool = False
    last: bool = False


class Source(NamedTuple):
    """A unit before it has a place: its instructions, and ``following``, where the guest goes on behind them.

    ``following`` is None where that is known to nobody before it runs. ``pages`` are linear page numbers.
    """

    instructions: tuple[Translated, ...]
    following: int | None
    pages: tuple[int, ...]

    @property
    def counts(self) -> Counter[str]:
        """How many of each kind."""
        return Counter(item.kind for item in self.instructions)


def translate(cpu: Cpu, table: int = LOOKUP_TABLE) -> Source:
    """Read guest code from the virtual CPU's CS:EIP on, and translate one unit of it.

    ``table`` is the lookup table of its code segment.

    Only the page of the first instruction is read, and the one that it reaches into: what a guest has not
    come to may be a page that it does not have. CPU state is as before afterwards.

    Raises:
        Fault: the first instruction cannot be fetched or is none.
        Unimplemented: it is one that the product does not execute.
    """
    start = cpu.eip
    code = cpu.segments[CS]
    base = code.base
    around = Surroundings(size_of(code), size_of(cpu.segments[SS]), code.limit, table)
    done: list[Translated] = []
    pages: list[int] = []
    try:
        while len(done) < MOST:
            page = base + cpu.eip >> PAGE_SHIFT & 0xF_FFFF
            if pages and page != pages[0]:
                break
            try:
                instruction = _fetch_here(cpu) if done else _fetch_first(cpu)
            except (Fault, Unimplemented):
                if not done:
                    raise
                break
            if instruction is None:
                break
            item = _translate(instruction, around)
            if done and len(done) == MOST - 1 and instruction.mnemonic == "sti":
                break  # what it holds interrupts off for is to be in the same unit
            done.append(item)
            pages.append(page)
            last = base + instruction.address + instruction.length - 1 >> PAGE_SHIFT & 0xF_FFFF
            if last != page:
                pages.append(last)
            cpu.eip = instruction.address + instruction.length & M32
            if item.last or last != page:
                break
        end: int | None = cpu.eip
    finally:
        cpu.eip = start
    final = done[-1]
    if final.jump and not final.jump_ends:
        end = final.target
    elif final.kind == LOOKUP or final.jump == bytes((JUMP,)) or (final.last and final.kind == CALLOUT):
        end = None
    return Source(tuple(done), end, tuple(dict.fromkeys(pages)))


def kind_of(instruction: Instruction) -> str:
    """What becomes of an instruction of guest kernel code, one of ``KINDS``."""
    return _translate(instruction, FLAT).kind


def size_of(segment: SegmentState) -> int:
    """16 or 32, by the D or B bit."""
    return 32 if segment.big else 16


def _fetch_first(cpu: Cpu) -> Instruction:
    """The first instruction, wherever it ends.

    One of the x87 is what the processor makes of it: there may be a fault before there is nothing.
    """
    try:
        return fetch(cpu)
    except Unimplemented:
        here = _fetch_here(cpu)
        if here is None:
            raise
        return here


def _fetch_here(cpu: Cpu) -> Instruction | None:
    """The next instruction if it lies whole in its page, the next of which is not looked at."""
    code = cpu.segments[CS]
    linear = code.base + cpu.eip & M32
    room = min(PAGE_SIZE - (linear & PAGE_MASK), code.limit - cpu.eip + 1, MAX_LENGTH)
    if room <= 0:
        return None
    try:
        return decode(cpu.space.fetch(linear, room, False), Linear(cpu.eip), size_of(code))
    except DecodeError as error:
        return error.escape


def _translate(instruction: Instruction, around: Surroundings) -> Translated:
    operation = instruction.opcode.operation
    found = _transfer(instruction, around)
    if found is not None:
        return found
    if operation in _SIMPLE:
        return Translated(instruction, IN_CACHE, _SIMPLE[operation]())
    if operation in _FLAGS:
        pieces = _FLAGS[operation](instruction.operand_size, around.stack)
        return Translated(instruction, IN_CACHE, pieces)
    if operation == "mov_from_control" and _readable(instruction):
        return Translated(instruction, IN_CACHE, sequences.read_control(instruction))
    found_reads = read_virtual(instruction)
    if found_reads:
        return Translated(instruction, IN_CACHE, found_reads)
    last = operation in _LAST
    copy = None if last or not _is_harmless(instruction) else _copy(instruction, around.bits)
    if copy is None:
        return Translated(instruction, CALLOUT, sequences.callout(), last=last)
    return Translated(instruction, IDENT, (Piece(copy, ends=True),))


def _copy(instruction: Instruction, bits: int) -> bytes | None:
    """The bytes by which the cache's 32-bit segment does the same; None if there are none."""
    raw = instruction.raw
    if bits == 32:
        return raw
    count = next(index for index, byte in enumerate(raw) if byte not in _PREFIXES)
    kept = bytes(byte for byte in raw[:count] if byte not in (_OPERAND_SIZE, _ADDRESS_SIZE))
    wide = _OPERAND_SIZE in raw[:count] if instruction.opcode.prefix else instruction.operand_size == 2
    added = bytes((_OPERAND_SIZE,)) * wide + bytes((_ADDRESS_SIZE,)) * (instruction.address_size == 2)
    copy = added + kept + raw[count:]
    if len(copy) > MAX_LENGTH:
        return None
    try:
        again = decoded(copy, instruction.address, 32)
    except DecodeError:
        return None
    return copy if (again.opcode, again.operands) == (instruction.opcode, instruction.operands) else None


def _transfer(instruction: Instruction, around: Surroundings) -> Translated | None:
    """Near transfers of control, but those that a guest's segment limit may refuse."""
    name, operation = instruction.mnemonic, instruction.opcode.operation
    size = instruction.operand_size
    farthest = (1 << 8 * size) - 1
    after = instruction.address + instruction.length & farthest
    first = instruction.operands[0] if instruction.operands else None
    if isinstance(first, Relative):
        target = after + first.displacement & farthest
        if target > around.limit:
            return None
        if name == "jmp":
            return Translated(instruction, CHAINED, (), bytes((JUMP,)), target, jump_ends=True, last=True)
        if name == "call":
            pieces = sequences.push_return(after, size)
            return Translated(instruction, CHAINED, pieces, bytes((JUMP,)), target, last=True)
        if name in _CONDITIONAL:
            jump = bytes((0x0F, 0x80 | _CONDITIONAL[name]))
            return Translated(instruction, CHAINED, (), jump, target, jump_ends=True, last=True)
        if name in _SHORT_ONLY:
            return _short(instruction, target)
        return None
    if _uses(instruction, GS) or _uses(instruction, CS) or farthest > around.limit:
        return None
    if operation == "ret":
        pieces = sequences.return_near(instruction, around.table, around.stack)
        return Translated(instruction, LOOKUP, pieces, last=True)
    if operation == "jmp_indirect":
        return Translated(instruction, LOOKUP, sequences.jump_indirect(instruction, around.table), last=True)
    if operation == "call_indirect":
        pieces = sequences.call_indirect(instruction, after, around.table)
        return Translated(instruction, LOOKUP, pieces, last=True)
    return None


def _short(instruction: Instruction, target: int) -> Translated:
    """LOOP, LOOPE, LOOPNE and JECXZ have no form that reaches far.

    They keep their own bytes, over the jump to the next instruction; the jump to the target follows.
    """
    prefix = b"\x67" if instruction.address_size == 2 else b""
    raw = prefix + bytes((_SHORT_ONLY[instruction.mnemonic], sequences.JUMP_BYTES))
    return Translated(instruction, CHAINED, (Piece(raw, ends=True),), b"", target, last=True)


def _readable(instruction: Instruction) -> bool:
    register, control = instruction.operands
    return isinstance(control, ControlRegister) and isinstance(register, Register) and control.index != 1


def _is_harmless(instruction: Instruction) -> bool:
    """Whether the processor does the same for a copy in ring 1 as for the original in ring 0."""
    return (
        instruction.opcode.privilege == "innocuous"
        and instruction.mnemonic not in _NOT_COPIED
        and not _uses(instruction, GS)
        and not _uses(instruction, CS)
        and not any(isinstance(operand, Relative) for operand in instruction.operands)
    )


def _uses(instruction: Instruction, segment: int) -> bool:
    if instruction.segment == segment:
        return True
    return any(isinstance(item, Memory) and item.segment == segment for item in instruction.operands)
