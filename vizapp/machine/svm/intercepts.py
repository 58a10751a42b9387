"""Which instructions leave the guest: by operation, and after which of their exceptions.

APM Vol. 2, "Instruction Intercepts": most are checked once every exception that needs no look at memory has
been ruled out; PUSHF, POPF, IRET, INT n, RSM, PAUSE, CPUID and ICEBP before anything else.

    IOIO EXITINFO1   31     16   9   8   7   6    5    4    3   2    1  0
                       port      A64 A32 A16 SZ32 SZ16 SZ8  REP STR  -  IN
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from vizapp.isa import registers as r
from vizapp.isa import vectors
from vizapp.isa.addresses import M32, PAGE_MASK
from vizapp.isa.instruction import ControlRegister, DebugRegister, Immediate, Register
from vizapp.machine.debug import DR7_GD
from vizapp.machine.guest_mode import VmExit
from vizapp.machine.operands import next_eip, read_operand
from vizapp.machine.port_io import may_access
from vizapp.machine.svm import codes

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.machine.cpu import Cpu
    from vizapp.machine.svm.guest import SvmGuest

Check: TypeAlias = "Callable[[SvmGuest, Cpu, Instruction], None]"

IOIO_IN, IOIO_STRING, IOIO_REP = 1 << 0, 1 << 2, 1 << 3
IOIO_SIZE_SHIFT, IOIO_ADDRESS_SHIFT, IOIO_PORT_SHIFT = 4, 7, 16
_MSR_RANGES: Final = ((0x0000_0000, 0x000), (0xC000_0000, 0x800), (0xC001_0000, 0x1000))
_MSRS_OF_RANGE: Final = 0x2000
_COUNTERS: Final = 4
_FREE_BITS: Final = r.CR0_TS | r.CR0_MP  # what a write may change without the selective intercept


def _leave(cpu: Cpu, instruction: Instruction, code: int, info1: int = 0, **info: int) -> None:
    raise VmExit(code, info1, nrip=next_eip(cpu, instruction), **info)


def _always(guest: SvmGuest, cpu: Cpu) -> bool:
    return True


def _ring_0(guest: SvmGuest, cpu: Cpu) -> bool:
    return not cpu.cpl


def _protected(guest: SvmGuest, cpu: Cpu) -> bool:
    return cpu.protected


def _protected_ring_0(guest: SvmGuest, cpu: Cpu) -> bool:
    return cpu.protected and not cpu.cpl


def _may_read_time(guest: SvmGuest, cpu: Cpu) -> bool:
    return not (cpu.cpl and cpu.cr4 & r.CR4_TSD)


def _may_read_counter(guest: SvmGuest, cpu: Cpu) -> bool:
    return not (cpu.cpl and not cpu.cr4 & r.CR4_PCE) and cpu.ecx < _COUNTERS


def _svm(guest: SvmGuest, cpu: Cpu) -> bool:
    return guest.unit.enabled and _protected_ring_0(guest, cpu)


def _block(guest: SvmGuest, cpu: Cpu) -> bool:
    return _svm(guest, cpu) and not cpu.eax & PAGE_MASK


def _plain(name: str, allowed: Callable[[SvmGuest, Cpu], bool]) -> Check:
    """An exit without further information, of an instruction that does not fault before it."""
    code = codes.INTERCEPTS[name].code

    def check(guest: SvmGuest, cpu: Cpu, instruction: Instruction) -> None:
        if guest.intercepts(name) and allowed(guest, cpu):
            _leave(cpu, instruction, code)

    return check


def _cr0_value_faults(value: int) -> bool:
    return bool(value & r.CR0_PG and not value & r.CR0_PE) or bool(value & r.CR0_NW and not value & r.CR0_CD)


def _write_control(guest: SvmGuest, cpu: Cpu, instruction: Instruction) -> None:
    control, source = instruction.operands
    assert isinstance(control, ControlRegister)
    assert isinstance(source, Register)
    value = read_operand(cpu, instruction, source)
    index = control.index
    if cpu.cpl or (index == 0 and _cr0_value_faults(value)):
        return
    if index == 4 and value & ~cpu.identity.cr4_bits:
        return
    if guest.intercepts(f"cr{index}-write"):
        _leave(cpu, instruction, codes.WRITE_CR + index)
    if index == 0 and guest.intercepts("cr0-sel-write") and (cpu.cr0 ^ value) & ~_FREE_BITS & ~r.CR0_ET:
        _leave(cpu, instruction, codes.CR0_SELECTIVE)


def _read_control(guest: SvmGuest, cpu: Cpu, instruction: Instruction) -> None:
    control = instruction.operands[1]
    assert isinstance(control, ControlRegister)
    if not cpu.cpl and guest.intercepts(f"cr{control.index}-read"):
        _leave(cpu, instruction, codes.READ_CR + control.index)


def _lmsw(guest: SvmGuest, cpu: Cpu, instruction: Instruction) -> None:
    if cpu.cpl:
        return
    if guest.intercepts("cr0-write"):
        _leave(cpu, instruction, codes.WRITE_CR)
    if guest.intercepts("cr0-sel-write"):  # of LMSW, whatever it changes
        _leave(cpu, instruction, codes.CR0_SELECTIVE)


def _debug(guest: SvmGuest, cpu: Cpu, instruction: Instruction, register: object, *, write: bool) -> None:
    assert isinstance(register, DebugRegister)
    index = register.index
    if cpu.cpl or cpu.debug[7] & DR7_GD or (index in (4, 5) and cpu.cr4 & r.CR4_DE):
        return
    if guest.intercepts(f"dr{index}-{'write' if write else 'read'}"):
        _leave(cpu, instruction, (codes.WRITE_DR if write else codes.READ_DR) + index)


def _write_debug(guest: SvmGuest, cpu: Cpu, instruction: Instruction) -> None:
    _debug(guest, cpu, instruction, instruction.operands[0], write=True)


def _read_debug(guest: SvmGuest, cpu: Cpu, instruction: Instruction) -> None:
    _debug(guest, cpu, instruction, instruction.operands[1], write=False)


def _port(guest: SvmGuest, cpu: Cpu, instruction: Instruction) -> None:
    operation = instruction.opcode.operation
    string = operation in ("ins", "outs")
    incoming = operation in ("in", "ins")
    mask = M32 if instruction.address_size == 4 else 0xFFFF
    if not guest.intercepts("ioio") or (instruction.repeat and not cpu.ecx & mask):
        return
    name = instruction.opcode.operands[0 if incoming else 1]
    size = 1 if name in ("AL", "Yb", "Xb") else instruction.operand_size
    operand = instruction.operands[1 if incoming else 0]
    port = operand.value if isinstance(operand, Immediate) else cpu.edx & 0xFFFF
    if not may_access(cpu, port, size):
        return
    base = guest.controls["iopm_base_pa"] & ~0xFFF
    bits = guest.unit.memory.read(base + (port >> 3), 2) >> (port & 7)
    if not bits & (1 << size) - 1:
        return
    information = (
        (IOIO_IN if incoming else 0)
        | (IOIO_STRING if string else 0)
        | (IOIO_REP if instruction.repeat else 0)
        | size << IOIO_SIZE_SHIFT
        | (instruction.address_size >> 1) << IOIO_ADDRESS_SHIFT
        | port << IOIO_PORT_SHIFT
    )
    _leave(cpu, instruction, codes.IOIO, information, exitinfo2=next_eip(cpu, instruction))


def msr_is_intercepted(guest: SvmGuest, index: int, *, write: bool) -> bool:
    """Two bits an MSR: the lower for reads, the upper for writes; of an MSR outside the map, always."""
    for first, offset in _MSR_RANGES:
        if first <= index < first + _MSRS_OF_RANGE:
            number = 2 * (index - first) + int(write)
            base = guest.controls["msrpm_base_pa"] & ~0xFFF
            return bool(guest.unit.memory.read(base + offset + (number >> 3), 1) >> (number & 7) & 1)
    return True


def _breakpoint(guest: SvmGuest, cpu: Cpu, instruction: Instruction) -> None:
    """INT3 and INTO are exceptions to the intercepts, and RIP is still theirs."""
    vector = vectors.BP if instruction.opcode.operation == "int3" else vectors.OF
    if (vector == vectors.BP or cpu.of) and guest.controls["intercept_exceptions"] >> vector & 1:
        _leave(cpu, instruction, codes.EXCEPTION + vector)


def _msr(guest: SvmGuest, cpu: Cpu, instruction: Instruction) -> None:
    write = instruction.opcode.operation == "wrmsr"
    if not cpu.cpl and guest.intercepts("msr") and msr_is_intercepted(guest, cpu.ecx, write=write):
        _leave(cpu, instruction, codes.MSR, int(write))


INSTRUCTIONS: Final[dict[str, Check]] = {
    **{
        name: _plain(exit_name, _always)
        for name, exit_name in (
            ("cpuid", "cpuid"), ("pause", "pause"), ("pushf", "pushf"), ("popf", "popf"), ("iret", "iret"),
            ("int", "swint"), ("int1", "icebp"), ("rsm", "rsm"), ("sgdt", "gdtr-read"),
            ("sidt", "idtr-read"), ("smsw", "cr0-read"), ("vmmcall", "vmmcall"),
        )
    },
    **{
        name: _plain(exit_name, _ring_0)
        for name, exit_name in (
            ("hlt", "hlt"), ("invd", "invd"), ("wbinvd", "wbinvd"), ("invlpg", "invlpg"),
            ("lgdt", "gdtr-write"), ("lidt", "idtr-write"), ("clts", "cr0-write"),
        )
    },
    "sldt": _plain("ldtr-read", _protected),
    "str": _plain("tr-read", _protected),
    "lldt": _plain("ldtr-write", _protected_ring_0),
    "ltr": _plain("tr-write", _protected_ring_0),
    "rdtsc": _plain("rdtsc", _may_read_time),
    "rdpmc": _plain("rdpmc", _may_read_counter),
    **{name: _plain(name, _block) for name in ("vmrun", "vmload", "vmsave")},
    **{name: _plain(name, _svm) for name in ("stgi", "clgi", "invlpga")},
    "mov_to_control": _write_control,
    "mov_from_control": _read_control,
    "mov_to_debug": _write_debug,
    "mov_from_debug": _read_debug,
    "lmsw": _lmsw,
    "int3": _breakpoint,
    "into": _breakpoint,
    "in": _port,
    "out": _port,
    "ins": _port,
    "outs": _port,
    "rdmsr": _msr,
    "wrmsr": _msr,
}  # fmt: skip
"""What is asked before an instruction, by ``Opcode.operation``."""
