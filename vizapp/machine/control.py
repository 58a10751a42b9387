"""System instructions on control, debug and model-specific registers, the identity, the clock and HLT.

SDM Vol. 3, "Control Registers"; Vol. 2, the instructions' own pages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.isa import registers as r
from vizapp.isa import vectors
from vizapp.isa.addresses import M32
from vizapp.isa.instruction import ControlRegister, DebugRegister, Memory, Register
from vizapp.machine import debug, events
from vizapp.machine.faults import Fault, Unimplemented
from vizapp.machine.identity import FEATURE_APIC
from vizapp.machine.operands import effective_address, next_eip, read_operand, read_register, write_operand
from vizapp.machine.page_tables import read_pointers
from vizapp.machine.real_mode import code_in_real_mode
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.machine.cpu import Cpu

CR0_BITS: Final = (
    r.CR0_PE
    | r.CR0_MP
    | r.CR0_EM
    | r.CR0_TS
    | r.CR0_NE
    | r.CR0_WP
    | r.CR0_AM
    | r.CR0_NW
    | r.CR0_CD
    | r.CR0_PG
)
_LMSW_BITS: Final = r.CR0_PE | r.CR0_MP | r.CR0_EM | r.CR0_TS
_PAGING_OF_CR0: Final = r.CR0_PG | r.CR0_CD | r.CR0_NW
_PAGING_OF_CR4: Final = r.CR4_PSE | r.CR4_PAE | r.CR4_PGE
_M64: Final = (1 << 64) - 1
MSR_TSC: Final = 0x10
_MSR_APIC_BASE: Final = 0x1B
_APIC_BASE: Final = 0xFEE0_0900  # on, of the processor that boots
MSR_SYSENTER_CS: Final = 0x174
MSR_SYSENTER_EIP: Final = 0x176


def require_ring_0(cpu: Cpu) -> None:
    """#GP(0) of a privileged instruction."""
    if cpu.cpl:
        raise Fault(vectors.GP, 0)


def require_protected(cpu: Cpu) -> None:
    """#UD of an instruction that real and virtual-8086 mode do not know."""
    if not cpu.protected:
        raise Fault(vectors.UD)


def set_cr0(cpu: Cpu, value: int) -> None:
    """Load CR0 with the checks of MOV; reserved bits are ignored and ET is always 1."""
    if (value & r.CR0_PG and not value & r.CR0_PE) or (value & r.CR0_NW and not value & r.CR0_CD):
        raise Fault(vectors.GP, 0)
    if cpu.unit is not None:
        cpu.unit.check_cr0(cpu, value)
    changed = cpu.cr0 ^ value
    if changed & _PAGING_OF_CR0 and value & r.CR0_PG:
        load_pointers(cpu, value, cpu.cr3, cpu.cr4)
    cpu.cr0 = value & CR0_BITS | r.CR0_ET
    if changed & r.CR0_PE and not value & r.CR0_PE:
        # No register is loaded by leaving protected mode: their hidden parts serve on.
        cpu.set_code_segment(code_in_real_mode(cpu.segments[r.CS]), 0)
    else:
        cpu.mode_changed()
    if changed & r.CR0_PG:
        cpu.space.flush()


def load_pointers(cpu: Cpu, cr0: int, cr3: int, cr4: int) -> None:
    """With PAE the four PDPTEs are loaded into registers; a reserved bit in one is #GP(0)."""
    if cr0 & r.CR0_PG and cr4 & r.CR4_PAE:
        pointers = read_pointers(_Physical(cpu), cr3)
        if pointers is None:
            raise Fault(vectors.GP, 0)
        cpu.pointers = pointers


class _Physical(NamedTuple):
    cpu: Cpu

    def read(self, address: int, size: int) -> int:
        return self.cpu.read_physical(address, size)


def set_cr3(cpu: Cpu, value: int) -> None:
    """Load CR3: another address space, with nothing but global pages remembered of this one."""
    load_pointers(cpu, cpu.cr0, value, cpu.cr4)
    cpu.charge("cr3_write")
    cpu.cr3 = value
    cpu.mode_changed()
    cpu.space.flush()
    cpu.notify(events.ADDRESS_SPACE_SWITCHED, "mov cr3", {"cr3": value})


def set_cr4(cpu: Cpu, value: int) -> None:
    """Load CR4; a bit that this processor has not is #GP(0)."""
    if value & ~cpu.identity.cr4_bits:
        raise Fault(vectors.GP, 0)
    if cpu.unit is not None:
        cpu.unit.check_cr4(cpu, value)
    changed = cpu.cr4 ^ value
    if changed & _PAGING_OF_CR4:
        load_pointers(cpu, cpu.cr0, cpu.cr3, value)
    cpu.cr4 = value
    cpu.mode_changed()
    if changed & _PAGING_OF_CR4:
        cpu.space.flush()


def _loaded(cpu: Cpu, register: int, present: int, value: int) -> int:
    """What a write to CR0 or CR4 leaves there: of a guest under VMX, its monitor may own some of the bits."""
    return value if cpu.guest_mode is None else cpu.guest_mode.loaded(register, present, value)


def mov_to_control(cpu: Cpu, instruction: Instruction) -> None:
    """MOV CRn, r32."""
    require_ring_0(cpu)
    control, source = instruction.operands
    assert isinstance(control, ControlRegister)
    assert isinstance(source, Register)
    value = read_register(cpu, source)
    after = next_eip(cpu, instruction)
    if control.index == 3:
        set_cr3(cpu, value)
    else:
        if control.index == 0:
            set_cr0(cpu, _loaded(cpu, 0, cpu.cr0, value))
        elif control.index == 2:
            cpu.cr2 = value
        else:
            set_cr4(cpu, _loaded(cpu, 4, cpu.cr4, value))
        cpu.charge("system_load")
    cpu.eip = after


def mov_from_control(cpu: Cpu, instruction: Instruction) -> None:
    """MOV r32, CRn."""
    require_ring_0(cpu)
    target, control = instruction.operands
    assert isinstance(control, ControlRegister)
    value = {0: cpu.cr0, 2: cpu.cr2, 3: cpu.cr3, 4: cpu.cr4}[control.index]
    if cpu.guest_mode is not None:
        value = cpu.guest_mode.seen(control.index, value)
    write_operand(cpu, instruction, target, value)
    cpu.eip = next_eip(cpu, instruction)


def _debug_index(cpu: Cpu, index: int) -> int:
    # DR4 and DR5 are other names of DR6 and DR7 until CR4.DE makes them invalid, which is found in decoding.
    if index in (4, 5):
        if cpu.cr4 & r.CR4_DE:
            raise Fault(vectors.UD)
        index += 2
    require_ring_0(cpu)
    debug.check_general_detect(cpu)
    return index


def mov_to_debug(cpu: Cpu, instruction: Instruction) -> None:
    """MOV DRn, r32."""
    register, source = instruction.operands
    assert isinstance(register, DebugRegister)
    index = _debug_index(cpu, register.index)
    cpu.debug[index] = debug.fixed(index, read_operand(cpu, instruction, source))
    cpu.mode_changed()
    cpu.eip = next_eip(cpu, instruction)


def mov_from_debug(cpu: Cpu, instruction: Instruction) -> None:
    """MOV r32, DRn."""
    target, register = instruction.operands
    assert isinstance(register, DebugRegister)
    write_operand(cpu, instruction, target, cpu.debug[_debug_index(cpu, register.index)])
    cpu.eip = next_eip(cpu, instruction)


def lmsw(cpu: Cpu, instruction: Instruction) -> None:
    """LMSW: the low four bits of CR0; can set PE, not clear it."""
    require_ring_0(cpu)
    value = read_operand(cpu, instruction, instruction.operands[0])
    set_cr0(cpu, _loaded(cpu, 0, cpu.cr0, cpu.cr0 & ~(_LMSW_BITS & ~r.CR0_PE) | value & _LMSW_BITS))
    cpu.eip = next_eip(cpu, instruction)


def smsw(cpu: Cpu, instruction: Instruction) -> None:
    """SMSW: CR0 to anyone who asks, all of it into a 32-bit register."""
    value = cpu.cr0 if cpu.guest_mode is None else cpu.guest_mode.seen(0, cpu.cr0)
    write_operand(cpu, instruction, instruction.operands[0], value)
    cpu.eip = next_eip(cpu, instruction)


def clts(cpu: Cpu, instruction: Instruction) -> None:
    """CLTS."""
    require_ring_0(cpu)
    cpu.cr0 = _loaded(cpu, 0, cpu.cr0, cpu.cr0 & ~r.CR0_TS)
    cpu.eip = next_eip(cpu, instruction)


def invlpg(cpu: Cpu, instruction: Instruction) -> None:
    """INVLPG m: the operand is an address, never accessed."""
    require_ring_0(cpu)
    operand = instruction.operands[0]
    assert isinstance(operand, Memory)
    offset = effective_address(cpu, operand, instruction.address_size)
    cpu.charge("invlpg")
    cpu.space.invalidate(cpu.segments[operand.segment].base + offset & M32)
    cpu.eip = next_eip(cpu, instruction)


def invalidate_caches(cpu: Cpu, instruction: Instruction) -> None:
    """INVD and WBINVD: there are no caches to write back."""
    require_ring_0(cpu)
    cpu.eip = next_eip(cpu, instruction)


def hlt(cpu: Cpu, instruction: Instruction) -> None:
    """HLT."""
    require_ring_0(cpu)
    cpu.halted = True
    cpu.eip = next_eip(cpu, instruction)


def cpuid(cpu: Cpu, instruction: Instruction) -> None:
    """CPUID."""
    cpu.eax, cpu.ebx, cpu.ecx, cpu.edx = cpu.identity.leaf(cpu.eax)
    cpu.eip = next_eip(cpu, instruction)


def time_stamp(cpu: Cpu) -> int:
    """The time stamp counter: the clock, and what WRMSR has made of it."""
    shift = cpu.tsc_offset if cpu.guest_mode is None else cpu.tsc_offset + cpu.guest_mode.tsc_offset
    return cpu.tsc() + shift & _M64


def rdtsc(cpu: Cpu, instruction: Instruction) -> None:
    """RDTSC, in ring 0 alone while CR4.TSD is set."""
    if cpu.cr4 & r.CR4_TSD:
        require_ring_0(cpu)
    count = time_stamp(cpu)
    cpu.eax, cpu.edx = count & M32, count >> 32 & M32
    cpu.eip = next_eip(cpu, instruction)


def rdpmc(cpu: Cpu, instruction: Instruction) -> None:
    """RDPMC: there are no counters, so any number of one is #GP(0), as is asking outside ring 0."""
    raise Fault(vectors.GP, 0)


def _has_apic(cpu: Cpu) -> bool:
    return bool(cpu.identity.leaf(1).edx & FEATURE_APIC)


def read_msr(cpu: Cpu, index: int) -> int | None:
    """The 64 bits of a model-specific register; None: there is none of this number."""
    if index == MSR_TSC:
        return time_stamp(cpu)
    if MSR_SYSENTER_CS <= index <= MSR_SYSENTER_EIP:
        return cpu.sysenter[index - MSR_SYSENTER_CS]
    if index == _MSR_APIC_BASE and _has_apic(cpu):
        return _APIC_BASE
    return None if cpu.unit is None else cpu.unit.read_msr(cpu, index)


def write_msr(cpu: Cpu, index: int, value: int) -> None:
    """Change a model-specific register, or raise the #GP(0) that WRMSR would."""
    if index == MSR_TSC:
        cpu.tsc_offset = value - cpu.tsc() & _M64
    elif MSR_SYSENTER_CS <= index <= MSR_SYSENTER_EIP:
        cpu.sysenter[index - MSR_SYSENTER_CS] = value & M32
    elif index == _MSR_APIC_BASE and _has_apic(cpu):
        if value != _APIC_BASE:
            raise Unimplemented(Message(N_("WRMSR: the local APIC cannot be moved or switched off")))
    elif cpu.unit is None or not cpu.unit.write_msr(cpu, index, value):
        raise Fault(vectors.GP, 0)


def rdmsr(cpu: Cpu, instruction: Instruction) -> None:
    """RDMSR."""
    require_ring_0(cpu)
    value = read_msr(cpu, cpu.ecx)
    if value is None:
        raise Fault(vectors.GP, 0)
    cpu.eax, cpu.edx = value & M32, value >> 32 & M32
    cpu.eip = next_eip(cpu, instruction)


def wrmsr(cpu: Cpu, instruction: Instruction) -> None:
    """WRMSR."""
    require_ring_0(cpu)
    write_msr(cpu, cpu.ecx, cpu.edx << 32 | cpu.eax)
    cpu.eip = next_eip(cpu, instruction)
