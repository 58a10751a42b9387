"""Hardware task switches: through a TSS or a task gate by JMP, CALL, INT and exceptions, and back by IRET.

Everything is checked and read before the outgoing task is saved; what is found wrong with the incoming task's
segments later is a fault of the incoming task, before its first instruction. SDM Vol. 3, "Task Switching".

    32-bit TSS  00 link  1C CR3  20 EIP 24 EFLAGS  28 EAX ... EDI  48 ES CS SS DS FS GS  60 LDT  64 T
    16-bit TSS  00 link          0E IP  10 FLAGS   12 AX ... DI    22 ES CS SS DS        2A LDT
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from vizapp.isa import descriptors as d
from vizapp.isa import registers as r
from vizapp.isa import vectors
from vizapp.isa.addresses import M32
from vizapp.machine import events
from vizapp.machine.control import load_pointers
from vizapp.machine.debug import DR6_BT
from vizapp.machine.faults import Fault
from vizapp.machine.segments import (
    DescriptorAt,
    SegmentState,
    find_descriptor,
    mark_accessed,
    read_descriptor,
    state_of,
    system_state,
    virtual_segment,
)
from vizapp.machine.stacks import push_frame

if TYPE_CHECKING:
    from vizapp.machine.cpu import Cpu

Cause: TypeAlias = Literal["jmp", "call", "iret"]
"""What a switch does to busy bits, NT and the link; an interrupt nests as a CALL does."""

AVAILABLE: Final = (d.TSS_16, d.TSS_32)
_BUSY: Final = (d.TSS_16_BUSY, d.TSS_32_BUSY)
_LOCAL_ENABLES: Final = 0x155  # L0-L3 and LE of DR7
_TRAP: Final = 1
_LOADED: Final = (r.CS, r.SS, r.ES, r.DS, r.FS, r.GS)


class _Layout(NamedTuple):
    """Where a kind of TSS has its fields; ``size`` of most, and ``stride`` of the selectors, in bytes."""

    size: int
    eip: int
    eflags: int
    general: int
    segments: int
    selectors: int
    ldt: int
    length: int

    def general_at(self, index: int) -> int:
        return self.general + self.size * index

    def segment_at(self, index: int) -> int:
        return self.segments + self.size * index


_WIDE: Final = _Layout(4, d.TSS_EIP, d.TSS_EFLAGS, d.TSS_EAX, d.TSS_ES, 6, d.TSS_LDT, d.TSS_BYTES)
_NARROW: Final = _Layout(2, 0x0E, 0x10, 0x12, 0x22, 4, 0x2A, 0x2C)


class _Task(NamedTuple):
    """An incoming task, as its TSS has it."""

    cr3: int | None
    eip: int
    eflags: int
    general: tuple[int, ...]
    segments: tuple[int, ...]
    ldt: int
    traps: bool


def find_task(cpu: Cpu, selector: int, *, external: int = 0) -> DescriptorAt:
    """The available TSS that a task gate, JMP or CALL names: #GP, or #NP where it is absent."""
    error = selector & d.SELECTOR_ERROR | external
    found = None if selector & d.SELECTOR_LDT or d.is_null(selector) else find_descriptor(cpu, selector)
    if found is None or found.high >> 8 & 0x1F not in AVAILABLE:
        raise Fault(vectors.GP, error)
    if not found.descriptor.present:
        raise Fault(vectors.NP, error)
    return found


def return_to_task(cpu: Cpu, return_eip: int) -> None:
    """IRET with NT set: back to the task whose TSS the present one links to."""
    selector = cpu.implicit.read(cpu.tr.base + d.TSS_LINK & M32, 2, False)
    error = selector & d.SELECTOR_ERROR
    found = None if selector & d.SELECTOR_LDT or d.is_null(selector) else find_descriptor(cpu, selector)
    if found is None or found.high >> 8 & 0x1F not in _BUSY:
        raise Fault(vectors.TS, error)
    if not found.descriptor.present:
        raise Fault(vectors.NP, error)
    switch(cpu, selector, found, "iret", return_eip, cpu.eflags & ~r.EFLAGS_NT)


def switch(
    cpu: Cpu,
    selector: int,
    found: DescriptorAt,
    cause: Cause,
    return_eip: int,
    flags: int,
    *,
    external: int = 0,
) -> None:
    """Leave the present task at ``return_eip`` with ``flags`` and go on where the TSS ``found`` says.

    ``external`` is the EXT bit of error codes.
    """
    if cpu.guest_mode is not None:
        cpu.guest_mode.task_switch(cpu, selector, cause)
    descriptor = found.descriptor
    layout = _WIDE if descriptor.type & 8 else _NARROW
    if descriptor.limit < layout.length - 1:
        raise Fault(vectors.TS, selector & d.SELECTOR_ERROR | external)
    outgoing = _WIDE if cpu.tr.descriptor.type & 8 else _NARROW
    old = cpu.tr
    task = _read(cpu, descriptor.base, layout)
    _require_writable(cpu, old.base + outgoing.eip, old.base + outgoing.ldt - 2, found.address + 4)
    if cause == "call":
        _require_writable(cpu, descriptor.base)
    if task.cr3 is not None:
        load_pointers(cpu, cpu.cr0, task.cr3, cpu.cr4)

    memory = cpu.implicit
    if cause != "call":
        _set_busy(cpu, old.selector, busy=False)
    _save(cpu, old.base, outgoing, return_eip, flags)
    if cause == "call":
        memory.write(descriptor.base + d.TSS_LINK & M32, 2, old.selector, False)
    if cause != "iret":
        memory.write(found.address + 4 & M32, 4, found.high | d.TSS_BUSY << 8, False)
    cpu.charge("gate_call")
    nested = r.EFLAGS_NT if cause == "call" else 0
    busy = d.Descriptor(descriptor.base, descriptor.limit, descriptor.access | d.TSS_BUSY)
    _become(cpu, task, nested, system_state(selector & ~d.SELECTOR_RPL, busy))
    _qualify(cpu, task, external)
    if task.traps:
        cpu.traps |= DR6_BT
    cpu.notify(
        events.RETURNED if cause == "iret" else events.GATE_CALLED,
        "task switch",
        {"selector": selector, "address": cpu.eip},
    )


def push_error(cpu: Cpu, error: int) -> None:
    """The error code of an exception that came through a task gate, on the incoming task's stack."""
    size = 4 if cpu.tr.descriptor.type & 8 else 2
    user = cpu.cpl == 3
    cpu.esp = push_frame(cpu.space, cpu.segments[r.SS], cpu.esp, size, [error], 0, user=user)


def _read(cpu: Cpu, base: int, layout: _Layout) -> _Task:
    def field(offset: int, size: int) -> int:
        return cpu.implicit.read(base + offset & M32, size, False)

    size = layout.size
    selectors = [field(layout.segment_at(index), 2) for index in range(layout.selectors)]
    return _Task(
        cr3=field(d.TSS_CR3, 4) if layout is _WIDE else None,
        eip=field(layout.eip, size),
        eflags=field(layout.eflags, size),
        general=tuple(field(layout.general_at(index), size) for index in range(8)),
        segments=(*selectors, 0, 0)[:6],
        ldt=field(layout.ldt, 2),
        traps=layout is _WIDE and bool(field(d.TSS_TRAP, 2) & _TRAP),
    )


def _require_writable(cpu: Cpu, *addresses: int) -> None:
    """Find the page faults of the writes to come before the first of them."""
    for address in addresses:
        cpu.implicit.write(address & M32, 2, cpu.implicit.read(address & M32, 2, False), False)


def _set_busy(cpu: Cpu, selector: int, *, busy: bool) -> None:
    found = read_descriptor(cpu, selector, vectors.TS)
    bit = d.TSS_BUSY << 8
    high = found.high | bit if busy else found.high & ~bit
    cpu.implicit.write(found.address + 4 & M32, 4, high, False)


def _save(cpu: Cpu, base: int, layout: _Layout, return_eip: int, flags: int) -> None:
    size, mask = layout.size, (1 << 8 * layout.size) - 1
    values = {layout.eip: return_eip, layout.eflags: flags}
    for index, name in enumerate(r.GENERAL):
        values[layout.general_at(index)] = getattr(cpu, name)
    for offset, value in values.items():
        cpu.implicit.write(base + offset & M32, size, value & mask, False)
    for index in range(layout.selectors):
        selector = cpu.segments[index].selector
        cpu.implicit.write(base + layout.segment_at(index) & M32, 2, selector, False)


def _become(cpu: Cpu, task: _Task, nested: int, tr: SegmentState) -> None:
    """Take over all that needs no check; segment registers have their selectors alone for now."""
    cpu.tr = tr
    cpu.cr0 |= r.CR0_TS
    cpu.debug[7] &= ~_LOCAL_ENABLES
    switched = task.cr3 is not None and bool(cpu.cr0 & r.CR0_PG)
    if task.cr3 is not None and switched:
        cpu.cr3 = task.cr3
    # A 16-bit TSS leaves the upper halves of the general registers as they are.
    kept = 0xFFFF_0000 if task.cr3 is None else 0
    for name, value in zip(r.GENERAL, task.general, strict=True):
        setattr(cpu, name, getattr(cpu, name) & kept | value)
    cpu.eip, cpu.eflags = task.eip, task.eflags | nested
    cpu.ldtr = SegmentState(task.ldt)
    cpu.halted = cpu.shadow = cpu.single_step = False
    is_virtual = bool(cpu.system_flags & r.EFLAGS_VM)
    for index, selector in enumerate(task.segments):
        state = virtual_segment(selector) if is_virtual else SegmentState(selector)
        if index == r.CS:
            cpu.set_code_segment(state, 3 if is_virtual else selector & d.SELECTOR_RPL)
        else:
            cpu.set_segment(index, state)
    if switched:
        cpu.space.flush()
        cpu.notify(events.ADDRESS_SPACE_SWITCHED, "task switch", {"cr3": cpu.cr3})


def _qualify(cpu: Cpu, task: _Task, external: int) -> None:
    """Load the hidden parts, in the context of the incoming task."""
    if not d.is_null(task.ldt):
        error = task.ldt & d.SELECTOR_ERROR | external
        found = None if task.ldt & d.SELECTOR_LDT else find_descriptor(cpu, task.ldt)
        if found is None or found.high >> 8 & 0x1F != d.LDT or not found.descriptor.present:
            raise Fault(vectors.TS, error)
        cpu.ldtr = system_state(task.ldt, found.descriptor)
    if cpu.virtual_8086:
        return
    for index in _LOADED:
        _load(cpu, index, task.segments[index], external)
    if cpu.eip > cpu.segments[r.CS].limit:
        raise Fault(vectors.GP, external)


def _load(cpu: Cpu, index: int, selector: int, external: int) -> None:
    error = selector & d.SELECTOR_ERROR | external
    if d.is_null(selector):
        if index in (r.CS, r.SS):
            raise Fault(vectors.TS, error)
        return
    found = read_descriptor(cpu, selector, vectors.TS, external)
    descriptor = found.descriptor
    if not _suits(descriptor, index, selector & d.SELECTOR_RPL, cpu.cpl):
        raise Fault(vectors.TS, error)
    if not descriptor.present:
        raise Fault(vectors.SS if index == r.SS else vectors.NP, error)
    mark_accessed(cpu, found)
    state = state_of(selector, descriptor)
    if index == r.CS:
        cpu.set_code_segment(state, cpu.cpl)
    else:
        cpu.set_segment(index, state)


def _suits(descriptor: d.Descriptor, index: int, rpl: int, cpl: int) -> bool:
    """Whether type and privilege fit the register."""
    if index == r.CS:
        dpl = descriptor.dpl
        return descriptor.is_code and (dpl <= rpl if descriptor.is_conforming else dpl == rpl)
    if index == r.SS:
        return descriptor.is_writable and descriptor.dpl == cpl == rpl
    return descriptor.is_readable and (descriptor.is_conforming or descriptor.dpl >= max(cpl, rpl))
