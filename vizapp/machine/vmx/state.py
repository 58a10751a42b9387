"""Processor state to and from the guest-state and host-state areas of a VMCS.

SDM Vol. 3, "Loading Guest State", "Saving Guest State" and "Loading Host State".
"""

from __future__ import annotations

from functools import lru_cache
from operator import is_
from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.isa import descriptors as d
from vizapp.isa import registers as r
from vizapp.isa.addresses import M32
from vizapp.machine.debug import fixed
from vizapp.machine.segments import SegmentState, TableRegister
from vizapp.machine.vmx import controls as c
from vizapp.machine.vmx import fields as f
from vizapp.machine.vmx.guest_checks import (
    BLOCKED_BY_MOV_SS,
    BLOCKED_BY_NMI,
    BLOCKED_BY_STI,
    HALTED,
    PENDING_BS,
    UNUSABLE,
)

if TYPE_CHECKING:
    from vizapp.machine.cpu import Cpu
    from vizapp.machine.vmx.checks import Values

# Bits of CR0 that no entry and no exit changes; ET is 1 always.
_CR0_KEPT: Final = r.CR0_NW | r.CR0_CD
_CR0_LOADED: Final = r.CR0_PE | r.CR0_MP | r.CR0_EM | r.CR0_TS | r.CR0_NE | r.CR0_WP | r.CR0_AM | r.CR0_PG
_HOST_TR_LIMIT: Final = 0x67
_HOST_CODE: Final = d.segment(0, M32, d.CODE_READ | d.TYPE_ACCESSED).access
_HOST_DATA: Final = d.segment(0, M32, d.DATA_READ_WRITE | d.TYPE_ACCESSED).access
_HOST_TASK: Final = d.system_segment(0, 0, d.TSS_32_BUSY).access
_REMEMBERED: Final = 4096
_HOST_TABLE_LIMIT: Final = 0xFFFF
_DR7_OF_HOST: Final = 0x400
_LDTR, _TR = 6, 7
_DPL: Final = 3 << d.AR_DPL_SHIFT


def loaded_cr0(cpu: Cpu, value: int) -> int:
    """What CR0 becomes where an entry or an exit loads ``value``."""
    return value & _CR0_LOADED | cpu.cr0 & _CR0_KEPT | r.CR0_ET


@lru_cache(_REMEMBERED)
def _state(selector: int, base: int, limit: int, access: int) -> SegmentState:
    """Segments of guests and hosts come again with nearly every passage."""
    return SegmentState(selector, base, limit, access)


def _segment(values: Values, index: int) -> SegmentState:
    rights = values[f.GUEST_RIGHTS[index]]
    if index == r.CS:
        rights &= ~UNUSABLE  # there is no such thing as an unusable CS
    return _state(
        values[f.GUEST_SELECTORS[index]],
        values[f.GUEST_BASES[index]],
        values[f.GUEST_LIMITS[index]],
        0 if rights & UNUSABLE else rights & d.AR_MASK,
    )


class GuestSegments(NamedTuple):
    """Segment and table registers as an entry makes them from the fields of the guest-state area.

    ``states`` are ES CS SS DS FS GS LDTR TR; of ``kept``, those whose fields an exit would write as they are,
    and None for the others.
    """

    states: tuple[SegmentState, ...]
    kept: tuple[SegmentState | None, ...]
    cpl: int
    gdtr: TableRegister
    idtr: TableRegister

    @staticmethod
    def of(values: Values) -> GuestSegments:
        """From the fields."""
        cpl = values[f.GUEST_RIGHTS[r.SS]] >> d.AR_DPL_SHIFT & 3
        states = tuple(_segment(values, index) for index in range(8))
        return GuestSegments(
            states,
            tuple(
                state if values[f.GUEST_RIGHTS[index]] == _rights(state, index, cpl) else None
                for index, state in enumerate(states)
            ),
            cpl,
            TableRegister(values[f.GDTR_BASE], values[f.GDTR_LIMIT]),
            TableRegister(values[f.IDTR_BASE], values[f.IDTR_LIMIT]),
        )

    @staticmethod
    def saved(cpu: Cpu) -> GuestSegments:
        """As the fields will have them once an exit has saved them."""
        states = tuple(
            state if state.usable or not state.access else _state(state.selector, state.base, state.limit, 0)
            for state in (*cpu.segments, cpu.ldtr, cpu.tr)
        )
        return GuestSegments(states, states, cpu.cpl, cpu.gdtr, cpu.idtr)

    def are_in(self, cpu: Cpu) -> bool:
        """Whether the processor has them still, so that an exit would change none of their fields."""
        return (
            all(map(is_, (*cpu.segments, cpu.ldtr, cpu.tr), self.kept))
            and cpu.cpl == self.cpl
            and cpu.gdtr is self.gdtr
            and cpu.idtr is self.idtr
        )


def _rights(state: SegmentState, index: int, cpl: int) -> int:
    """The access rights that an exit saves; of SS the DPL is the CPL, whether SS can be used or not."""
    rights = state.access if state.usable else UNUSABLE
    return rights & ~_DPL | cpl << d.AR_DPL_SHIFT if index == r.SS else rights


def load_guest(cpu: Cpu, values: Values, pointers: tuple[int, ...], segments: GuestSegments) -> None:
    """Become the guest; all checks are done. ``pointers`` are its PDPTEs, with PAE.

    CS comes last, for whoever is told of the change of mode.
    """
    cpu.cr0 = loaded_cr0(cpu, values[f.GUEST_CR0])
    cpu.cr3, cpu.cr4 = values[f.GUEST_CR3], values[f.GUEST_CR4]
    cpu.pointers = pointers
    if values[f.ENTRY_CONTROLS] & c.LOAD_DEBUG:
        cpu.debug[7] = fixed(7, values[f.GUEST_DR7])
    cpu.sysenter = [
        values[f.GUEST_SYSENTER_CS],
        values[f.GUEST_SYSENTER_ESP],
        values[f.GUEST_SYSENTER_EIP],
    ]
    states, _, cpl, cpu.gdtr, cpu.idtr = segments
    cpu.ldtr, cpu.tr = states[_LDTR], states[_TR]
    cpu.esp, cpu.eip = values[f.GUEST_RSP], values[f.GUEST_RIP]
    cpu.eflags = values[f.GUEST_RFLAGS]
    blocked, pending = values[f.INTERRUPTIBILITY], values[f.PENDING_DEBUG]
    cpu.halted = values[f.ACTIVITY] == HALTED
    cpu.shadow = bool(blocked & (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS))
    cpu.nmi_blocked = bool(blocked & BLOCKED_BY_NMI)
    cpu.single_step = bool(pending & PENDING_BS)
    cpu.traps = pending & 0xF
    cpu.segments[:] = states[:_LDTR]
    cpu.set_segment(r.SS, states[r.SS])
    cpu.set_code_segment(states[r.CS], cpl)
    if not cpu.watched:  # there is no breakpoint that RF could hold off; see IRET
        cpu.system_flags &= ~r.EFLAGS_RF


def save_guest(cpu: Cpu, *, debug: bool, pointers: bool, shadow: int) -> dict[int, int]:
    """The guest-state area as the processor has it, but for segments and tables.

    DR7 if ``debug``, PDPTEs if ``pointers``. ``shadow`` is what an interrupt shadow is called: by STI or by
    MOV SS.
    """
    saved = {
        f.GUEST_CR0: cpu.cr0,
        f.GUEST_CR3: cpu.cr3,
        f.GUEST_CR4: cpu.cr4,
        f.GUEST_SYSENTER_CS: cpu.sysenter[0],
        f.GUEST_SYSENTER_ESP: cpu.sysenter[1],
        f.GUEST_SYSENTER_EIP: cpu.sysenter[2],
        f.GUEST_RSP: cpu.esp,
        f.GUEST_RIP: cpu.eip,
        f.GUEST_RFLAGS: cpu.eflags,
        f.ACTIVITY: HALTED if cpu.halted else 0,
        f.INTERRUPTIBILITY: (shadow if cpu.shadow else 0) | (BLOCKED_BY_NMI if cpu.nmi_blocked else 0),
        f.PENDING_DEBUG: cpu.traps & 0xF | (PENDING_BS if cpu.single_step else 0),
    }
    if debug:
        saved[f.GUEST_DR7] = cpu.debug[7]
    if pointers and cpu.pointers:
        saved |= dict(zip(f.GUEST_PDPTES, cpu.pointers, strict=True))
    return saved


def save_segments(cpu: Cpu) -> dict[int, int]:
    """Segments and tables in the guest-state area."""
    saved = {
        f.GDTR_BASE: cpu.gdtr.base,
        f.GDTR_LIMIT: cpu.gdtr.limit,
        f.IDTR_BASE: cpu.idtr.base,
        f.IDTR_LIMIT: cpu.idtr.limit,
    }
    for index, state in enumerate((*cpu.segments, cpu.ldtr, cpu.tr)):
        saved[f.GUEST_SELECTORS[index]] = state.selector
        saved[f.GUEST_BASES[index]] = state.base
        saved[f.GUEST_LIMITS[index]] = state.limit
        saved[f.GUEST_RIGHTS[index]] = _rights(state, index, cpu.cpl)
    return saved


class HostState(NamedTuple):
    """The host-state area, but for CR0, CR3, CR4, RSP and RIP, as the processor takes it.

    ``data`` are ES, SS, DS, FS and GS.
    """

    sysenter: tuple[int, int, int]
    gdtr: TableRegister
    idtr: TableRegister
    tr: SegmentState
    data: tuple[SegmentState, ...]
    code: SegmentState

    @staticmethod
    def of(values: Values) -> HostState:
        """Flat segments, tables as long as they can be."""
        es, cs, ss, ds, fs, gs, tr = (values[encoding] for encoding in f.HOST_SELECTORS)
        return HostState(
            (values[f.HOST_SYSENTER_CS], values[f.HOST_SYSENTER_ESP], values[f.HOST_SYSENTER_EIP]),
            TableRegister(values[f.HOST_GDTR_BASE], _HOST_TABLE_LIMIT),
            TableRegister(values[f.HOST_IDTR_BASE], _HOST_TABLE_LIMIT),
            _state(tr, values[f.HOST_TR_BASE], _HOST_TR_LIMIT, _HOST_TASK),
            (
                _host_data(es, 0),
                _host_data(ss, 0),
                _host_data(ds, 0),
                _host_data(fs, values[f.HOST_FS_BASE]),
                _host_data(gs, values[f.HOST_GS_BASE]),
            ),
            _state(cs, 0, M32, _HOST_CODE),
        )


_NO_LDT: Final = SegmentState(0)


def load_host(cpu: Cpu, values: Values, host: HostState, pointers: tuple[int, ...]) -> None:
    """Become the host: flat segments, ring 0, no LDT, interrupts off."""
    cpu.cr0 = loaded_cr0(cpu, values[f.HOST_CR0])
    cpu.cr3, cpu.cr4 = values[f.HOST_CR3], values[f.HOST_CR4]
    cpu.pointers = pointers
    cpu.debug[7] = _DR7_OF_HOST
    cpu.sysenter = list(host.sysenter)
    cpu.gdtr, cpu.idtr, cpu.ldtr, cpu.tr = host.gdtr, host.idtr, _NO_LDT, host.tr
    cpu.esp, cpu.eip = values[f.HOST_RSP], values[f.HOST_RIP]
    cpu.eflags = r.EFLAGS_FIXED
    cpu.halted = cpu.shadow = cpu.single_step = False
    cpu.traps = 0
    segments = cpu.segments
    segments[r.ES], stack, segments[r.DS], segments[r.FS], segments[r.GS] = host.data
    cpu.set_segment(r.SS, stack)
    cpu.set_code_segment(host.code, 0)


def _host_data(selector: int, base: int) -> SegmentState:
    if d.is_null(selector):
        return _state(selector, base, 0, 0)
    return _state(selector, base, M32, _HOST_DATA)
