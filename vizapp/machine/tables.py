"""System instructions on descriptor tables: GDTR, IDTR, LDTR, TR, and those that inspect a descriptor.

SDM Vol. 2, the instructions' own pages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa import descriptors as d
from vizapp.isa import vectors
from vizapp.isa.addresses import M32
from vizapp.isa.instruction import Memory, Register
from vizapp.isa.registers import EFLAGS_ZF
from vizapp.machine.control import require_protected, require_ring_0
from vizapp.machine.faults import Fault
from vizapp.machine.operands import (
    WIDTH_MASK,
    effective_address,
    next_eip,
    read_operand,
    second_field,
    write_operand,
    write_register,
)
from vizapp.machine.segments import (
    DescriptorAt,
    SegmentState,
    TableRegister,
    find_descriptor,
    read_descriptor,
    system_state,
)

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.machine.cpu import Cpu

_TSS_TYPES: Final = (d.TSS_16, d.TSS_16_BUSY, d.TSS_32, d.TSS_32_BUSY)
_LAR_TYPES: Final = (*_TSS_TYPES, d.LDT, d.CALL_GATE_16, d.TASK_GATE, d.CALL_GATE_32)
_LSL_TYPES: Final = (*_TSS_TYPES, d.LDT)
_LAR_MASK: Final = 0x00F0_FF00
_BASE_24: Final = 0x00FF_FFFF


def _table_operand(cpu: Cpu, instruction: Instruction) -> tuple[int, int]:
    operand = instruction.operands[0]
    assert isinstance(operand, Memory)
    return operand.segment, effective_address(cpu, operand, instruction.address_size)


def _load_table(cpu: Cpu, instruction: Instruction) -> TableRegister:
    require_ring_0(cpu)
    seg, offset = _table_operand(cpu, instruction)
    limit = cpu.load2(seg, offset)
    base = cpu.load4(seg, second_field(instruction, offset, 2))
    cpu.eip = next_eip(cpu, instruction)
    return TableRegister(base if instruction.operand_size == 4 else base & _BASE_24, limit)


def _store_table(cpu: Cpu, instruction: Instruction, table: TableRegister) -> None:
    seg, offset = _table_operand(cpu, instruction)
    base_at = second_field(instruction, offset, 2)
    cpu.modify2(seg, offset)  # before the first store: both must be possible
    cpu.modify4(seg, base_at)
    cpu.store2(seg, offset, table.limit)
    cpu.store4(seg, base_at, table.base if instruction.operand_size == 4 else table.base & _BASE_24)
    cpu.eip = next_eip(cpu, instruction)


def lgdt(cpu: Cpu, instruction: Instruction) -> None:
    """LGDT m16&32."""
    cpu.gdtr = _load_table(cpu, instruction)


def lidt(cpu: Cpu, instruction: Instruction) -> None:
    """LIDT m16&32."""
    cpu.idtr = _load_table(cpu, instruction)


def sgdt(cpu: Cpu, instruction: Instruction) -> None:
    """SGDT: at any ring."""
    _store_table(cpu, instruction, cpu.gdtr)


def sidt(cpu: Cpu, instruction: Instruction) -> None:
    """SIDT: at any ring."""
    _store_table(cpu, instruction, cpu.idtr)


def lldt(cpu: Cpu, instruction: Instruction) -> None:
    """LLDT; a null selector leaves no LDT."""
    require_protected(cpu)
    require_ring_0(cpu)
    selector = read_operand(cpu, instruction, instruction.operands[0])
    if d.is_null(selector):
        cpu.ldtr = SegmentState(selector)
    else:
        cpu.ldtr = system_state(selector, _system_descriptor(cpu, selector, (d.LDT,)).descriptor)
    cpu.eip = next_eip(cpu, instruction)


def ltr(cpu: Cpu, instruction: Instruction) -> None:
    """LTR: the TSS must be available, and becomes busy."""
    require_protected(cpu)
    require_ring_0(cpu)
    selector = read_operand(cpu, instruction, instruction.operands[0])
    if d.is_null(selector):
        raise Fault(vectors.GP, 0)
    found = _system_descriptor(cpu, selector, (d.TSS_16, d.TSS_32))
    cpu.implicit.write(found.address + 4 & M32, 4, found.high | d.TSS_BUSY << 8, False)
    base, limit, access = found.descriptor
    cpu.tr = system_state(selector, d.Descriptor(base, limit, access | d.TSS_BUSY))
    cpu.eip = next_eip(cpu, instruction)


def _system_descriptor(cpu: Cpu, selector: int, types: tuple[int, ...]) -> DescriptorAt:
    error = selector & d.SELECTOR_ERROR
    if selector & d.SELECTOR_LDT:
        raise Fault(vectors.GP, error)
    found = read_descriptor(cpu, selector)
    descriptor = found.descriptor
    if not descriptor.is_system or descriptor.type not in types:
        raise Fault(vectors.GP, error)
    if not descriptor.present:
        raise Fault(vectors.NP, error)
    return found


def sldt(cpu: Cpu, instruction: Instruction) -> None:
    """SLDT: at any ring."""
    require_protected(cpu)
    write_operand(cpu, instruction, instruction.operands[0], cpu.ldtr.selector)
    cpu.eip = next_eip(cpu, instruction)


def store_task(cpu: Cpu, instruction: Instruction) -> None:
    """STR: at any ring."""
    require_protected(cpu)
    write_operand(cpu, instruction, instruction.operands[0], cpu.tr.selector)
    cpu.eip = next_eip(cpu, instruction)


def _visible(cpu: Cpu, selector: int, system_types: tuple[int, ...]) -> DescriptorAt | None:
    """The descriptor that LAR, LSL, VERR and VERW may judge, or None where they clear ZF."""
    if d.is_null(selector):
        return None
    found = find_descriptor(cpu, selector)
    if found is None:
        return None
    descriptor = found.descriptor
    if descriptor.is_system and descriptor.type not in system_types:
        return None
    privilege = max(cpu.cpl, selector & d.SELECTOR_RPL)
    return found if descriptor.is_conforming or privilege <= descriptor.dpl else None


def _answer(cpu: Cpu, instruction: Instruction, value: int | None) -> None:
    """Set ZF and the register operand, or clear ZF alone."""
    if value is not None:
        register = instruction.operands[0]
        assert isinstance(register, Register)
        write_register(cpu, register, value & WIDTH_MASK[register.size])
    cpu.change_flags(EFLAGS_ZF, 0 if value is None else EFLAGS_ZF)
    cpu.eip = next_eip(cpu, instruction)


def lar(cpu: Cpu, instruction: Instruction) -> None:
    """LAR: access rights."""
    require_protected(cpu)
    found = _visible(cpu, read_operand(cpu, instruction, instruction.operands[1]) & 0xFFFF, _LAR_TYPES)
    _answer(cpu, instruction, None if found is None else found.high & _LAR_MASK)


def lsl(cpu: Cpu, instruction: Instruction) -> None:
    """LSL: the limit in bytes."""
    require_protected(cpu)
    found = _visible(cpu, read_operand(cpu, instruction, instruction.operands[1]) & 0xFFFF, _LSL_TYPES)
    _answer(cpu, instruction, None if found is None else found.descriptor.limit)


def _verify(cpu: Cpu, instruction: Instruction, *, write: bool) -> None:
    require_protected(cpu)
    found = _visible(cpu, read_operand(cpu, instruction, instruction.operands[0]), ())
    good = found is not None and (found.descriptor.is_writable if write else found.descriptor.is_readable)
    cpu.change_flags(EFLAGS_ZF, EFLAGS_ZF if good else 0)
    cpu.eip = next_eip(cpu, instruction)


def verr(cpu: Cpu, instruction: Instruction) -> None:
    """VERR."""
    _verify(cpu, instruction, write=False)


def verw(cpu: Cpu, instruction: Instruction) -> None:
    """VERW."""
    _verify(cpu, instruction, write=True)


def arpl(cpu: Cpu, instruction: Instruction) -> None:
    """ARPL: raise the first selector's RPL to the second's."""
    require_protected(cpu)
    target, source = instruction.operands
    if isinstance(target, Memory):  # which must be writable, whatever comes of it
        selector = cpu.modify2(target.segment, effective_address(cpu, target, instruction.address_size))
    else:
        selector = read_operand(cpu, instruction, target)
    rpl = read_operand(cpu, instruction, source) & d.SELECTOR_RPL
    low = selector & d.SELECTOR_RPL < rpl
    if low:
        write_operand(cpu, instruction, target, selector & ~d.SELECTOR_RPL | rpl)
    cpu.change_flags(EFLAGS_ZF, EFLAGS_ZF if low else 0)
    cpu.eip = next_eip(cpu, instruction)
