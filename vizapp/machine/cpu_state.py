"""A processor's whole state as plain data, for checkpoints and for a virtual CPU off its processor."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vizapp.isa.registers import CS
from vizapp.machine.fpu import RESET, FpuState
from vizapp.machine.segments import SegmentState, TableRegister

if TYPE_CHECKING:
    from vizapp.machine.cpu import Cpu


class CpuState(NamedTuple):
    """Every register, hidden parts included. ``general`` is EAX ECX EDX EBX ESP EBP ESI EDI; ``control``
    CR0 CR2 CR3 CR4."""

    general: tuple[int, ...]
    eip: int
    eflags: int
    segments: tuple[SegmentState, ...]
    cpl: int
    gdtr: TableRegister
    idtr: TableRegister
    ldtr: SegmentState
    tr: SegmentState
    control: tuple[int, ...]
    debug: tuple[int, ...]
    sysenter: tuple[int, ...]
    halted: bool
    shadow: bool
    single_step: bool
    fpu: FpuState = RESET
    traps: int = 0
    pointers: tuple[int, ...] = ()
    nmi: tuple[bool, bool] = (False, False)
    tsc_offset: int = 0


def save_cpu(cpu: Cpu) -> CpuState:
    """What ``load_cpu`` needs to put it all back."""
    return CpuState(
        general=(cpu.eax, cpu.ecx, cpu.edx, cpu.ebx, cpu.esp, cpu.ebp, cpu.esi, cpu.edi),
        eip=cpu.eip,
        eflags=cpu.eflags,
        segments=tuple(cpu.segments),
        cpl=cpu.cpl,
        gdtr=cpu.gdtr,
        idtr=cpu.idtr,
        ldtr=cpu.ldtr,
        tr=cpu.tr,
        control=(cpu.cr0, cpu.cr2, cpu.cr3, cpu.cr4),
        debug=tuple(cpu.debug),
        sysenter=tuple(cpu.sysenter),
        halted=cpu.halted,
        shadow=cpu.shadow,
        single_step=cpu.single_step,
        fpu=cpu.fpu,
        traps=cpu.traps,
        pointers=cpu.pointers,
        nmi=(cpu.nmi_pending, cpu.nmi_blocked),
        tsc_offset=cpu.tsc_offset,
    )


def load_cpu(cpu: Cpu, state: CpuState) -> None:
    """Become what ``save_cpu`` saw; ``cpu.mode_changed`` is called once, at the end."""
    cpu.eax, cpu.ecx, cpu.edx, cpu.ebx, cpu.esp, cpu.ebp, cpu.esi, cpu.edi = state.general
    cpu.eip = state.eip
    cpu.eflags = state.eflags
    cpu.gdtr, cpu.idtr, cpu.ldtr, cpu.tr = state.gdtr, state.idtr, state.ldtr, state.tr
    cpu.cr0, cpu.cr2, cpu.cr3, cpu.cr4 = state.control
    cpu.debug, cpu.sysenter = list(state.debug), list(state.sysenter)
    cpu.halted, cpu.shadow, cpu.single_step = state.halted, state.shadow, state.single_step
    cpu.tsc_offset = state.tsc_offset
    cpu.nmi_pending, cpu.nmi_blocked = state.nmi
    cpu.fpu, cpu.traps, cpu.pointers = state.fpu, state.traps, state.pointers
    for index, segment in enumerate(state.segments):
        if index != CS:
            cpu.set_segment(index, segment)
    cpu.set_code_segment(state.segments[CS], state.cpl)
