"""Many iterations of a repeated move or store at once, where nobody could tell it from one after the other.

What is left to single iterations: the last one, whatever touches a page that the fast maps do not have or
that crosses a page, what replaces decoded code, and strings that go down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.addresses import M32, PAGE_MASK, PAGE_SHIFT, PAGE_SIZE
from vizapp.isa.instruction import Memory
from vizapp.isa.registers import EFLAGS_DF

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.machine.cpu import Cpu
    from vizapp.machine.guarded import GuardedMemory


def repeat(cpu: Cpu, instruction: Instruction, most: int, guarded: GuardedMemory) -> int:
    """Do up to ``most`` further iterations of an instruction that has begun to repeat; how many were done."""
    name = instruction.opcode.operation
    if name not in ("movs", "stos") or instruction.address_size != 4 or cpu.system_flags & EFLAGS_DF:
        return 0
    destination = instruction.operands[0]
    assert isinstance(destination, Memory)
    size = destination.size
    count = min(most, cpu.ecx - 1)
    to, to_room, page = _run_of(cpu, destination.segment, cpu.edi, write=True)
    if page is None:
        page, free = guarded.stretch(cpu.segments[destination.segment].base + cpu.edi & M32)
        to_room = min(to_room, free)
    count = min(count, to_room // size)
    if page is None or count <= 0:
        return 0
    if name == "stos":
        data = (cpu.eax & (1 << 8 * size) - 1).to_bytes(size, "little") * count
    else:
        source = instruction.operands[1]
        assert isinstance(source, Memory)
        start, room, from_page = _run_of(cpu, source.segment, cpu.esi, write=False)
        count = min(count, room // size)
        if from_page is page and 0 <= to - start < count * size:
            count = (to - start) // size  # beyond that the move reads what it has written
        if from_page is None or count <= 0:
            return 0
        data = bytes(from_page[start : start + count * size])
        cpu.esi = cpu.esi + count * size & M32
    page[to : to + count * size] = data
    cpu.edi = cpu.edi + count * size & M32
    cpu.ecx -= count
    return count


def _run_of(cpu: Cpu, seg: int, offset: int, *, write: bool) -> tuple[int, int, bytearray | None]:
    """From segment:offset on: the offset in its page, how many bytes are in reach there, and the page."""
    segment = cpu.segments[seg]
    top = segment.writable_to if write else segment.readable_to
    linear = segment.base + offset & M32
    at = linear & PAGE_MASK
    room = min(PAGE_SIZE - at, top - offset + 1)
    return at, room, (cpu.writable if write else cpu.readable).get(linear >> PAGE_SHIFT)
