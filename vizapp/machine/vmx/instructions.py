"""The instructions of VMX in root operation (SDM Vol. 3, "VMX Instruction Reference").

Each tells by the flags what became of it:

    VMsucceed        all six clear
    VMfailInvalid    CF: there is no current VMCS to put an error number into
    VMfailValid      ZF: the number is in the VM-instruction error field
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from vizapp.isa import vectors
from vizapp.isa.addresses import M32, PAGE_MASK
from vizapp.isa.instruction import Memory, Register
from vizapp.isa.registers import CR4_VMXE, EFLAGS_ARITHMETIC, EFLAGS_CF, EFLAGS_ZF
from vizapp.machine import events
from vizapp.machine.ept import is_valid_pointer
from vizapp.machine.faults import Fault
from vizapp.machine.operands import (
    effective_address,
    next_eip,
    read_operand,
    read_register,
    second_field,
    write_operand,
)
from vizapp.machine.vmx import errors
from vizapp.machine.vmx import fields as f
from vizapp.machine.vmx.passage import EntryError, enter
from vizapp.machine.vmx.region import REVISION, Vmcs
from vizapp.machine.vmx.unit import VmxUnit

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.machine.cpu import Cpu

Handler: TypeAlias = "Callable[[Cpu, Instruction], None]"

_SINGLE_CONTEXT, _GLOBAL = 1, 2
_INDIVIDUAL, _SINGLE_VPID, _ALL_VPIDS, _BUT_GLOBALS = range(4)


def _unit(cpu: Cpu) -> VmxUnit:
    """The processor's VMX; #UD without it, and where no selector names a descriptor."""
    if not isinstance(cpu.unit, VmxUnit) or not cpu.protected:
        raise Fault(vectors.UD)
    return cpu.unit


def _in_root(cpu: Cpu, operation: str = "") -> VmxUnit:
    """VMX operation at ring 0: #UD outside the one, #GP(0) outside the other."""
    unit = _unit(cpu)
    if unit.vmxon is None or not unit.has(operation):
        raise Fault(vectors.UD)
    if cpu.cpl:
        raise Fault(vectors.GP, 0)
    return unit


def _finish(cpu: Cpu, instruction: Instruction, flags: int = 0) -> None:
    cpu.change_flags(EFLAGS_ARITHMETIC, flags)
    cpu.eip = next_eip(cpu, instruction)


def _fail(cpu: Cpu, instruction: Instruction, unit: VmxUnit, number: int) -> None:
    """VMfail: with a number where there is a VMCS to put it into."""
    if unit.current is None:
        _finish(cpu, instruction, EFLAGS_CF)
        return
    unit.current.write(f.INSTRUCTION_ERROR, number)
    _finish(cpu, instruction, EFLAGS_ZF)


def _quadword(cpu: Cpu, instruction: Instruction, operand: object, distance: int = 0) -> int:
    """Eight bytes in memory, ``distance`` behind the operand's beginning."""
    assert isinstance(operand, Memory)
    at = effective_address(cpu, operand, instruction.address_size)
    low = cpu.load4(operand.segment, second_field(instruction, at, distance))
    return low | cpu.load4(operand.segment, second_field(instruction, at, distance + 4)) << 32


def _is_region(address: int) -> bool:
    """Whether a VMXON region or a VMCS can be there."""
    return not address & PAGE_MASK and address <= M32


def vmxon(cpu: Cpu, instruction: Instruction) -> None:
    """VMXON m64: enter VMX root operation."""
    unit = _unit(cpu)
    if not cpu.cr4 & CR4_VMXE:
        raise Fault(vectors.UD)
    if cpu.cpl:
        raise Fault(vectors.GP, 0)
    if unit.vmxon is not None:
        _fail(cpu, instruction, unit, errors.VMXON_IN_ROOT)
        return
    fixed = unit.capable.cr0_fixed
    if cpu.cr0 & fixed != fixed or not unit.mmu.a20:
        raise Fault(vectors.GP, 0)
    address = _quadword(cpu, instruction, instruction.operands[0])
    if not _is_region(address) or Vmcs(unit.memory, address).revision != REVISION:
        _finish(cpu, instruction, EFLAGS_CF)
        return
    unit.vmxon = address
    unit.make_current(None)
    _finish(cpu, instruction)


def vmxoff(cpu: Cpu, instruction: Instruction) -> None:
    """VMXOFF: leave VMX operation."""
    unit = _in_root(cpu)
    unit.vmxon = None
    unit.make_current(None)
    _finish(cpu, instruction)


def vmptrld(cpu: Cpu, instruction: Instruction) -> None:
    """VMPTRLD m64: make a VMCS current."""
    unit = _in_root(cpu)
    address = _quadword(cpu, instruction, instruction.operands[0])
    if not _is_region(address):
        _fail(cpu, instruction, unit, errors.VMPTRLD_ADDRESS)
    elif address == unit.vmxon:
        _fail(cpu, instruction, unit, errors.VMPTRLD_VMXON_POINTER)
    elif Vmcs(unit.memory, address).revision != REVISION:
        _fail(cpu, instruction, unit, errors.VMPTRLD_REVISION)
    else:
        unit.make_current(address)
        _finish(cpu, instruction)


def vmptrst(cpu: Cpu, instruction: Instruction) -> None:
    """VMPTRST m64: tell which VMCS is current; all ones: none is."""
    unit = _in_root(cpu)
    operand = instruction.operands[0]
    assert isinstance(operand, Memory)
    at = effective_address(cpu, operand, instruction.address_size)
    low, high = (M32, M32) if unit.current is None else (unit.current.address, 0)
    cpu.modify4(operand.segment, second_field(instruction, at, 4))  # both must be possible
    cpu.store4(operand.segment, at, low)
    cpu.store4(operand.segment, second_field(instruction, at, 4), high)
    _finish(cpu, instruction)


def vmclear(cpu: Cpu, instruction: Instruction) -> None:
    """VMCLEAR m64: make a VMCS ready to be launched; if it is current, none is afterwards."""
    unit = _in_root(cpu)
    address = _quadword(cpu, instruction, instruction.operands[0])
    if not _is_region(address):
        _fail(cpu, instruction, unit, errors.VMCLEAR_ADDRESS)
        return
    if address == unit.vmxon:
        _fail(cpu, instruction, unit, errors.VMCLEAR_VMXON_POINTER)
        return
    Vmcs(unit.memory, address).launched = False
    if unit.current is not None and unit.current.address == address:
        unit.make_current(None)
    _finish(cpu, instruction)


def _component(unit: VmxUnit, encoding: int) -> f.Field | None:
    """The field that an encoding names, whole or its high half."""
    field = f.BY_ENCODING.get(encoding & ~f.HIGH)
    if field is None or (encoding & f.HIGH and field.width != 8):
        return None
    return field if f.exists(field, unit.capable.features) else None


def vmread(cpu: Cpu, instruction: Instruction) -> None:
    """VMREAD r/m32, r32."""
    unit = _in_root(cpu)
    target, selector = instruction.operands
    assert isinstance(selector, Register)
    encoding = read_register(cpu, selector)
    field = _component(unit, encoding)
    if unit.current is None:
        _finish(cpu, instruction, EFLAGS_CF)
    elif field is None:
        _fail(cpu, instruction, unit, errors.UNSUPPORTED_COMPONENT)
    else:
        value = unit.current.read(field.encoding) >> (32 if encoding & f.HIGH else 0)
        write_operand(cpu, instruction, target, value & M32)
        _finish(cpu, instruction)


def vmwrite(cpu: Cpu, instruction: Instruction) -> None:
    """VMWRITE r32, r/m32: a 64-bit field's low half leaves its high half 0."""
    unit = _in_root(cpu)
    selector, source = instruction.operands
    assert isinstance(selector, Register)
    encoding = read_register(cpu, selector)
    value = read_operand(cpu, instruction, source)
    field = _component(unit, encoding)
    if unit.current is None:
        _finish(cpu, instruction, EFLAGS_CF)
    elif field is None:
        _fail(cpu, instruction, unit, errors.UNSUPPORTED_COMPONENT)
    elif field.type == f.EXIT_INFORMATION:
        _fail(cpu, instruction, unit, errors.READ_ONLY_COMPONENT)
    else:
        if encoding & f.HIGH:
            value = value << 32 | unit.current.read(field.encoding) & M32
        unit.current.write(field.encoding, value)
        _finish(cpu, instruction)


def _entry(*, launch: bool) -> Handler:
    """VMLAUNCH and VMRESUME."""

    def run(cpu: Cpu, instruction: Instruction) -> None:
        unit = _in_root(cpu)
        if unit.current is None:
            cpu.charge("system")
            _finish(cpu, instruction, EFLAGS_CF)
            return
        try:
            if unit.shadowed and unit.stack_loaded:
                raise EntryError(errors.BLOCKED_BY_MOV_SS, errors.message(errors.BLOCKED_BY_MOV_SS))
            if unit.current.launched == launch:
                wrong = errors.VMLAUNCH_NOT_CLEAR if launch else errors.VMRESUME_NOT_LAUNCHED
                raise EntryError(wrong, errors.message(wrong))
            enter(unit, cpu, instruction.mnemonic)
        except EntryError as error:
            cpu.charge("system")
            _fail(cpu, instruction, unit, error.number)
            payload: dict[str, int | str] = {"error": error.number, "detail": error.message.in_english()}
            cpu.notify(events.VM_ENTRY_FAILED, instruction.mnemonic, payload)

    return run


def vmcall(cpu: Cpu, instruction: Instruction) -> None:
    """VMCALL: there is no monitor of system management mode that it could call."""
    unit = _in_root(cpu)
    _fail(cpu, instruction, unit, errors.VMCALL_IN_ROOT)


def invept(cpu: Cpu, instruction: Instruction) -> None:
    """INVEPT r32, m128: forget translations made through extended page tables."""
    unit = _in_root(cpu, "invept")
    kind, descriptor = instruction.operands
    assert isinstance(kind, Register)
    pointer = _quadword(cpu, instruction, descriptor)
    wanted = read_register(cpu, kind)
    cpu.charge("invept")
    if wanted not in (_SINGLE_CONTEXT, _GLOBAL) or (
        wanted == _SINGLE_CONTEXT and not is_valid_pointer(pointer)
    ):
        _fail(cpu, instruction, unit, errors.INVALID_OPERAND)
        return
    unit.mmu.flush_nested()
    _finish(cpu, instruction)


def invvpid(cpu: Cpu, instruction: Instruction) -> None:
    """INVVPID r32, m128: forget translations with a tag. The processor may forget more than it is told to."""
    unit = _in_root(cpu, "invvpid")
    kind, descriptor = instruction.operands
    assert isinstance(kind, Register)
    vpid = _quadword(cpu, instruction, descriptor)
    linear = _quadword(cpu, instruction, descriptor, 8)
    wanted = read_register(cpu, kind)
    cpu.charge("invept")
    if wanted > _BUT_GLOBALS or (
        wanted != _ALL_VPIDS and (not vpid or vpid >> 16 or (wanted == _INDIVIDUAL and linear > M32))
    ):
        _fail(cpu, instruction, unit, errors.INVALID_OPERAND)
        return
    if wanted == _ALL_VPIDS:
        unit.mmu.flush_nested()
    else:
        unit.mmu.flush_tag(vpid)
    _finish(cpu, instruction)


HANDLERS: Final[dict[str, Handler]] = {
    "vmxon": vmxon,
    "vmxoff": vmxoff,
    "vmptrld": vmptrld,
    "vmptrst": vmptrst,
    "vmclear": vmclear,
    "vmread": vmread,
    "vmwrite": vmwrite,
    "vmlaunch": _entry(launch=True),
    "vmresume": _entry(launch=False),
    "vmcall": vmcall,
    "invept": invept,
    "invvpid": invvpid,
}
"""By ``Opcode.operation``."""

SELF_PRICED: Final = frozenset({"vmlaunch", "vmresume", "invept", "invvpid"})
"""Whose handlers charge what they cost."""
