"""REP INS and REP OUTS of a domain's driver: the iterations that lie in one page, done in one go.

Each of them is charged, asks the port and looks for an interrupt as by itself; only the page is translated
once. The last iteration, which moves EIP on, is not done here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.addresses import M32, PAGE_MASK, PAGE_SIZE
from vizapp.isa.instruction import Memory
from vizapp.isa.registers import EFLAGS_DF

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.machine.cpu import Cpu
    from vizapp.vmm.xen.hypervisor import Hypervisor


def carry(xen: Hypervisor, cpu: Cpu, instruction: Instruction) -> None:
    """Do iterations on a virtual CPU up to the end of the page, the last but one, or an interrupt.

    What is not plain (another direction, 16-bit addresses, a breakpoint, the end of a segment) is left alone.

    Raises:
        Fault: the page cannot be reached; no iteration was done.
    """
    incoming = instruction.opcode.operation == "ins"
    memory = instruction.operands[0 if incoming else 1]
    if not isinstance(memory, Memory) or instruction.address_size != 4 or cpu.watched:
        return
    size, offset, segment = memory.size, cpu.edi if incoming else cpu.esi, cpu.segments[memory.segment]
    linear = segment.base + offset & M32
    count = min(cpu.ecx - 1, (PAGE_SIZE - (linear & PAGE_MASK)) // size)
    bound = segment.writable_to if incoming else segment.readable_to
    if count < 1 or cpu.system_flags & EFLAGS_DF or offset + count * size - 1 > bound:
        return
    board, ports, ram, port = xen.pc.board, cpu.ports, xen.memory, cpu.edx & 0xFFFF
    levels, done = xen.format.levels, 0
    address = xen.space.translate(linear, write=incoming, user=cpu.cpl == 3)
    while True:
        if incoming:
            value = ports.read(port, size)
            xen.pay_references(levels)  # that it can be stored is seen before the port is read
            ram.write(address + done * size, size, value)
        else:
            ports.write(port, size, ram.read(address + done * size, size))
        done += 1
        if done == count:
            break
        board.advance()
        if board.interrupts.intr:
            break
        xen.pay_references(levels)
    cpu.ecx -= done
    if incoming:
        cpu.edi = offset + done * size & M32
    else:
        cpu.esi = offset + done * size & M32
