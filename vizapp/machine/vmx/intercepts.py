"""Which instructions exit: the controls are asked after what the processor checks before them.

SDM Vol. 3, "Instructions That Cause VM Exits" and "Relative Priority of Faults and VM Exits": #UD, #GP for
the privilege level and the TSS's permission of ports come before an exit; other faults come after it. So each
of these functions returns where such a fault is due, and the handler raises it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from vizapp.isa import registers as r
from vizapp.isa import vectors
from vizapp.isa.addresses import M32
from vizapp.isa.instruction import ControlRegister, DebugRegister, Memory, Register
from vizapp.machine.guest_mode import PRIVILEGED_SOFTWARE_EXCEPTION, SOFTWARE_EXCEPTION, VmExit
from vizapp.machine.operands import effective_address, read_operand
from vizapp.machine.port_io import may_access
from vizapp.machine.vmx import controls as c
from vizapp.machine.vmx.checks import INFO_TYPE_SHIFT, INFO_VALID
from vizapp.machine.vmx.operand_info import (
    descriptor_table_info,
    ins_outs_info,
    invalidation_info,
    pointer_info,
    register_info,
    system_segment_info,
)
from vizapp.machine.vmx.reasons import NUMBERS

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.machine.cpu import Cpu
    from vizapp.machine.vmx.guest import VmxGuest

Intercept: TypeAlias = "Callable[[VmxGuest, Cpu, Instruction], None]"

_TO_CR, _FROM_CR, _CLTS, _LMSW = range(4)
_CR_TYPE_SHIFT, _CR_REGISTER_SHIFT = 4, 8
_LMSW_MEMORY: Final = 1 << 6
_LMSW_SOURCE_SHIFT: Final = 16
_DR_FROM: Final = 1 << 4
_IO_IN, _IO_STRING, _IO_REP, _IO_IMMEDIATE = 1 << 3, 1 << 4, 1 << 5, 1 << 6
_IO_PORT_SHIFT: Final = 16
_LMSW_KEPT: Final = r.CR0_MP | r.CR0_EM | r.CR0_TS
_HIGH_MSRS: Final = 0xC000_0000
_MSRS_IN_BITMAP: Final = 0x2000


def _exit(name: str, instruction: Instruction, qualification: int = 0, **info: int) -> VmExit:
    return VmExit(NUMBERS[name], qualification, length=instruction.length, **info)


def _always(name: str, *, privileged: bool = False) -> Intercept:
    def intercept(guest: VmxGuest, cpu: Cpu, instruction: Instruction) -> None:
        if not (privileged and cpu.cpl):
            raise _exit(name, instruction)

    return intercept


def _if_primary(name: str, control: int) -> Intercept:
    """A privileged instruction with a primary control of its own."""

    def intercept(guest: VmxGuest, cpu: Cpu, instruction: Instruction) -> None:
        if guest.wishes.primary & control and not cpu.cpl:
            raise _exit(name, instruction)

    return intercept


def _pause(guest: VmxGuest, cpu: Cpu, instruction: Instruction) -> None:
    if guest.wishes.primary & c.PAUSE_EXITING:
        raise _exit("pause", instruction)


def _wbinvd(guest: VmxGuest, cpu: Cpu, instruction: Instruction) -> None:
    if guest.wishes.secondary & c.WBINVD_EXITING and not cpu.cpl:
        raise _exit("wbinvd", instruction)


def _rdtsc(guest: VmxGuest, cpu: Cpu, instruction: Instruction) -> None:
    if guest.wishes.primary & c.RDTSC_EXITING and not (cpu.cpl and cpu.cr4 & r.CR4_TSD):
        raise _exit("rdtsc", instruction)


def _rdpmc(guest: VmxGuest, cpu: Cpu, instruction: Instruction) -> None:
    if guest.wishes.primary & c.RDPMC_EXITING and (not cpu.cpl or cpu.cr4 & r.CR4_PCE):
        raise _exit("rdpmc", instruction)


def _invlpg(guest: VmxGuest, cpu: Cpu, instruction: Instruction) -> None:
    if guest.wishes.primary & c.INVLPG_EXITING and not cpu.cpl:
        raise _exit("invlpg", instruction, _linear(cpu, instruction, instruction.operands[0]))


def _linear(cpu: Cpu, instruction: Instruction, operand: object) -> int:
    assert isinstance(operand, Memory)
    offset = effective_address(cpu, operand, instruction.address_size)
    return cpu.segments[operand.segment].base + offset & M32


def _cr_exit(instruction: Instruction, number: int, kind: int, register: int = 0) -> VmExit:
    qualification = number | kind << _CR_TYPE_SHIFT | register << _CR_REGISTER_SHIFT
    return _exit("cr-access", instruction, qualification)


def _owned_differs(guest: VmxGuest, number: int, value: int) -> bool:
    """Whether a write would change one of the monitor's bits from what the guest sees there."""
    mask, shadow = guest.wishes.cr_masks[number >> 2], guest.wishes.cr_shadows[number >> 2]
    return bool((value ^ shadow) & mask)


def _mov_to_control(guest: VmxGuest, cpu: Cpu, instruction: Instruction) -> None:
    control, source = instruction.operands
    assert isinstance(control, ControlRegister)
    assert isinstance(source, Register)
    if cpu.cpl or control.index == 2:
        return
    value = read_operand(cpu, instruction, source)
    if control.index == 3:
        leaves = guest.wishes.primary & c.CR3_LOAD_EXITING and value not in guest.wishes.cr3_targets
    else:
        leaves = _owned_differs(guest, control.index, value)
    if leaves:
        raise _cr_exit(instruction, control.index, _TO_CR, source.index)


def _mov_from_control(guest: VmxGuest, cpu: Cpu, instruction: Instruction) -> None:
    target, control = instruction.operands
    assert isinstance(control, ControlRegister)
    assert isinstance(target, Register)
    if control.index == 3 and guest.wishes.primary & c.CR3_STORE_EXITING and not cpu.cpl:
        raise _cr_exit(instruction, 3, _FROM_CR, target.index)


def _clts(guest: VmxGuest, cpu: Cpu, instruction: Instruction) -> None:
    owned_and_set = guest.wishes.cr_masks[0] & guest.wishes.cr_shadows[0] & r.CR0_TS
    if owned_and_set and not cpu.cpl:
        raise _cr_exit(instruction, 0, _CLTS)


def _lmsw(guest: VmxGuest, cpu: Cpu, instruction: Instruction) -> None:
    if cpu.cpl:
        return
    operand = instruction.operands[0]
    source = read_operand(cpu, instruction, operand) & 0xFFFF
    mask, shadow = guest.wishes.cr_masks[0], guest.wishes.cr_shadows[0]
    sets_pe = source & ~shadow & mask & r.CR0_PE
    if sets_pe or (source ^ shadow) & mask & _LMSW_KEPT:
        qualification = _LMSW << _CR_TYPE_SHIFT | source << _LMSW_SOURCE_SHIFT
        if isinstance(operand, Memory):
            linear = _linear(cpu, instruction, operand)
            raise _exit("cr-access", instruction, qualification | _LMSW_MEMORY, guest_linear=linear)
        raise _exit("cr-access", instruction, qualification)


def _mov_debug(guest: VmxGuest, cpu: Cpu, instruction: Instruction) -> None:
    first, second = instruction.operands
    to = isinstance(first, DebugRegister)
    debug, general = (first, second) if to else (second, first)
    assert isinstance(debug, DebugRegister)
    assert isinstance(general, Register)
    # The one instruction whose exit comes even before #GP for the privilege level and #UD of DR4 and DR5.
    if not guest.wishes.primary & c.MOV_DR_EXITING:
        return
    direction = 0 if to else _DR_FROM
    raise _exit("dr-access", instruction, debug.index | direction | general.index << _CR_REGISTER_SHIFT)


def _leaves_for_port(guest: VmxGuest, port: int, size: int) -> bool:
    if not guest.wishes.primary & c.USE_IO_BITMAPS:
        return bool(guest.wishes.primary & c.UNCONDITIONAL_IO)
    if port + size > 0x1_0000:  # round the end of the ports
        return True
    for number in range(port, port + size):
        bitmap = guest.wishes.io_bitmaps[number >> 15]
        if guest.unit.memory.read(bitmap + (number & 0x7FFF) // 8, 1) >> (number & 7) & 1:
            return True
    return False


def _port(cpu: Cpu, instruction: Instruction, *, into: bool) -> tuple[int, int, int]:
    """Port, size and qualification of IN or OUT."""
    first, second = instruction.operands
    operand, data = (second, first) if into else (first, second)
    assert isinstance(data, Register)
    port = read_operand(cpu, instruction, operand) & 0xFFFF
    immediate = 0 if isinstance(operand, Register) else _IO_IMMEDIATE
    direction = _IO_IN if into else 0
    return port, data.size, data.size - 1 | direction | immediate | port << _IO_PORT_SHIFT


def _in_or_out(*, into: bool) -> Intercept:
    def intercept(guest: VmxGuest, cpu: Cpu, instruction: Instruction) -> None:
        port, size, qualification = _port(cpu, instruction, into=into)
        if may_access(cpu, port, size) and _leaves_for_port(guest, port, size):
            raise _exit("io-instruction", instruction, qualification)

    return intercept


def _string_io(*, into: bool) -> Intercept:
    def intercept(guest: VmxGuest, cpu: Cpu, instruction: Instruction) -> None:
        memory = instruction.operands[0 if into else 1]
        assert isinstance(memory, Memory)
        mask = M32 if instruction.address_size == 4 else 0xFFFF
        if instruction.repeat and not cpu.ecx & mask:
            return  # nothing is moved
        port, size = cpu.edx & 0xFFFF, memory.size
        if not may_access(cpu, port, size) or not _leaves_for_port(guest, port, size):
            return
        qualification = size - 1 | (_IO_IN if into else 0) | _IO_STRING | port << _IO_PORT_SHIFT
        qualification |= _IO_REP if instruction.repeat else 0
        info = {}
        if guest.unit.capable.tells_ins_outs:
            info["instruction_info"] = ins_outs_info(instruction, memory)
        linear = _linear(cpu, instruction, memory)
        raise _exit("io-instruction", instruction, qualification, guest_linear=linear, **info)

    return intercept


def _msr(*, write: bool) -> Intercept:
    def intercept(guest: VmxGuest, cpu: Cpu, instruction: Instruction) -> None:
        if not cpu.cpl and _leaves_for_msr(guest, cpu.ecx, write=write):
            raise _exit("wrmsr" if write else "rdmsr", instruction)

    return intercept


def _leaves_for_msr(guest: VmxGuest, index: int, *, write: bool) -> bool:
    """The bitmaps lie in one page: reads of the low range, of the high one, then writes of each."""
    if not guest.wishes.primary & c.USE_MSR_BITMAPS:
        return True
    number = index & ~_HIGH_MSRS
    high = index >= _HIGH_MSRS
    if number >= _MSRS_IN_BITMAP or index not in (number, number | _HIGH_MSRS):
        return True
    offset = (0x800 if write else 0) + (0x400 if high else 0) + (number >> 3)
    return bool(guest.unit.memory.read(guest.wishes.msr_bitmap + offset, 1) >> (number & 7) & 1)


def _tables(reason: str, *, loads: bool, needs_protected: bool) -> Intercept:
    """LGDT and its like; LLDT and its like."""

    def intercept(guest: VmxGuest, cpu: Cpu, instruction: Instruction) -> None:
        if not guest.wishes.secondary & c.DESCRIPTOR_TABLE_EXITING:
            return
        if (needs_protected and not cpu.protected) or (loads and cpu.cpl):
            return
        operand = instruction.operands[0]
        describe = system_segment_info if needs_protected else descriptor_table_info
        displacement = operand.displacement if isinstance(operand, Memory) else 0
        raise _exit(reason, instruction, displacement, instruction_info=describe(instruction))

    return intercept


def _software_exception(vector: int, kind: int) -> Intercept:
    """INT3, INTO and INT1, before any look at a gate."""

    def intercept(guest: VmxGuest, cpu: Cpu, instruction: Instruction) -> None:
        if vector == vectors.OF and not cpu.of:
            return
        if guest.wishes.exceptions >> vector & 1:
            event = INFO_VALID | kind << INFO_TYPE_SHIFT | vector
            raise _exit("exception-nmi", instruction, event=event)

    return intercept


def _vmx(name: str, info: Callable[[Instruction], int] | None = None) -> Intercept:
    """An instruction of VMX, which always exits, except where it is none: #UD."""

    def intercept(guest: VmxGuest, cpu: Cpu, instruction: Instruction) -> None:
        if not cpu.protected and name != "vmcall":
            return
        if not guest.unit.has(name):
            return
        if info is None:
            raise _exit(name, instruction)
        displacement = 0
        for operand in instruction.operands:
            if isinstance(operand, Memory):
                displacement = operand.displacement
        raise _exit(name, instruction, displacement, instruction_info=info(instruction))

    return intercept


INTERCEPTS: Final[dict[str, Intercept]] = {
    "cpuid": _always("cpuid"),
    "invd": _always("invd", privileged=True),
    "hlt": _if_primary("hlt", c.HLT_EXITING),
    "wbinvd": _wbinvd,
    "pause": _pause,
    "rdtsc": _rdtsc,
    "rdpmc": _rdpmc,
    "invlpg": _invlpg,
    "mov_to_control": _mov_to_control,
    "mov_from_control": _mov_from_control,
    "clts": _clts,
    "lmsw": _lmsw,
    "mov_to_debug": _mov_debug,
    "mov_from_debug": _mov_debug,
    "in": _in_or_out(into=True),
    "out": _in_or_out(into=False),
    "ins": _string_io(into=True),
    "outs": _string_io(into=False),
    "rdmsr": _msr(write=False),
    "wrmsr": _msr(write=True),
    "lgdt": _tables("gdtr-idtr", loads=True, needs_protected=False),
    "lidt": _tables("gdtr-idtr", loads=True, needs_protected=False),
    "sgdt": _tables("gdtr-idtr", loads=False, needs_protected=False),
    "sidt": _tables("gdtr-idtr", loads=False, needs_protected=False),
    "lldt": _tables("ldtr-tr", loads=True, needs_protected=True),
    "ltr": _tables("ldtr-tr", loads=True, needs_protected=True),
    "sldt": _tables("ldtr-tr", loads=False, needs_protected=True),
    "str": _tables("ldtr-tr", loads=False, needs_protected=True),
    "int3": _software_exception(vectors.BP, SOFTWARE_EXCEPTION),
    "into": _software_exception(vectors.OF, SOFTWARE_EXCEPTION),
    "int1": _software_exception(vectors.DB, PRIVILEGED_SOFTWARE_EXCEPTION),
    "vmcall": _vmx("vmcall"),
    "vmlaunch": _vmx("vmlaunch"),
    "vmresume": _vmx("vmresume"),
    "vmxoff": _vmx("vmxoff"),
    "vmxon": _vmx("vmxon", pointer_info),
    "vmptrld": _vmx("vmptrld", pointer_info),
    "vmptrst": _vmx("vmptrst", pointer_info),
    "vmclear": _vmx("vmclear", pointer_info),
    "vmread": _vmx("vmread", register_info),
    "vmwrite": _vmx("vmwrite", register_info),
    "invept": _vmx("invept", invalidation_info),
    "invvpid": _vmx("invvpid", invalidation_info),
}
"""By ``Opcode.operation``: returns, or raises VmExit."""
