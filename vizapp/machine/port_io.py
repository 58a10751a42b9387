"""IN, OUT, INS and OUTS: permission by IOPL or the TSS's bitmap (SDM Vol. 1, "I/O Port Permissions").

TSS  ...  66  | bitmap base |  ...  base: one bit a port, 1 forbids; a last byte of ones
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa import descriptors as d
from vizapp.isa import vectors
from vizapp.isa.addresses import M32
from vizapp.isa.instruction import Memory
from vizapp.isa.registers import EFLAGS_DF
from vizapp.machine.debug import note_port
from vizapp.machine.faults import Fault
from vizapp.machine.operands import next_eip, read_operand, write_operand

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.machine.cpu import Cpu

_WIDE_TSS: Final = (d.TSS_32, d.TSS_32_BUSY)


def may_access(cpu: Cpu, port: int, size: int) -> bool:
    """Whether the code that runs now may access ``size`` bytes of ports from ``port`` on."""
    if cpu.cpl <= cpu.iopl and not cpu.virtual_8086:
        return True
    tss = cpu.tr
    if not tss.usable or tss.descriptor.type not in _WIDE_TSS or tss.limit < d.TSS_BYTES - 1:
        return False
    base = cpu.implicit.read(tss.base + d.TSS_IO_MAP & M32, 2, False)
    byte = base + (port >> 3)
    if byte + 1 > tss.limit:
        return False
    bits = cpu.implicit.read(tss.base + byte & M32, 2, False) >> (port & 7)
    return not bits & (1 << size) - 1


def _require_port(cpu: Cpu, port: int, size: int) -> None:
    if not may_access(cpu, port, size):
        raise Fault(vectors.GP, 0)
    note_port(cpu, port, size)


def port_in(cpu: Cpu, instruction: Instruction) -> None:
    """IN AL/AX/EAX, imm8 or DX."""
    accumulator, source = instruction.operands
    port = read_operand(cpu, instruction, source)
    size = 1 if instruction.opcode.operands[0] == "AL" else instruction.operand_size
    _require_port(cpu, port, size)
    write_operand(cpu, instruction, accumulator, cpu.ports.read(port, size))
    cpu.eip = next_eip(cpu, instruction)


def port_out(cpu: Cpu, instruction: Instruction) -> None:
    """OUT imm8 or DX, AL/AX/EAX."""
    target, accumulator = instruction.operands
    port = read_operand(cpu, instruction, target)
    size = 1 if instruction.opcode.operands[1] == "AL" else instruction.operand_size
    _require_port(cpu, port, size)
    cpu.ports.write(port, size, read_operand(cpu, instruction, accumulator))
    cpu.eip = next_eip(cpu, instruction)


def ins(cpu: Cpu, instruction: Instruction) -> None:
    """INS, one iteration of REP INS."""
    mask = M32 if instruction.address_size == 4 else 0xFFFF
    if not _finished(cpu, instruction, mask):
        memory = instruction.operands[0]
        assert isinstance(memory, Memory)
        port, offset, size = cpu.edx & 0xFFFF, cpu.edi & mask, memory.size
        _require_port(cpu, port, size)
        # The store must be possible before the port is read: reading may change the device.
        (cpu.modify4 if size == 4 else cpu.modify2 if size == 2 else cpu.modify1)(memory.segment, offset)
        cpu.store(memory.segment, offset, size, cpu.ports.read(port, size))
        step = -size if cpu.system_flags & EFLAGS_DF else size
        cpu.edi = cpu.edi & ~mask & M32 | cpu.edi + step & mask
        _count(cpu, instruction, mask)


def outs(cpu: Cpu, instruction: Instruction) -> None:
    """OUTS, one iteration of REP OUTS."""
    mask = M32 if instruction.address_size == 4 else 0xFFFF
    if not _finished(cpu, instruction, mask):
        memory = instruction.operands[1]
        assert isinstance(memory, Memory)
        port, offset, size = cpu.edx & 0xFFFF, cpu.esi & mask, memory.size
        _require_port(cpu, port, size)
        cpu.ports.write(port, size, cpu.load(memory.segment, offset, size))
        step = -size if cpu.system_flags & EFLAGS_DF else size
        cpu.esi = cpu.esi & ~mask & M32 | cpu.esi + step & mask
        _count(cpu, instruction, mask)


def _finished(cpu: Cpu, instruction: Instruction, mask: int) -> bool:
    """Pass over a repeated instruction whose count is 0."""
    if instruction.repeat and not cpu.ecx & mask:
        cpu.eip = next_eip(cpu, instruction)
        return True
    return False


def _count(cpu: Cpu, instruction: Instruction, mask: int) -> None:
    """Count one iteration; EIP moves on after the last."""
    if instruction.repeat:
        left = cpu.ecx - 1 & mask
        cpu.ecx = cpu.ecx & ~mask & M32 | left
        if left:
            return
    cpu.eip = next_eip(cpu, instruction)
