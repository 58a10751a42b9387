"""The two worlds of the privilege experiment: the one a guest believes in, and the one a monitor put there.

Both lie in one memory, so that a register which names a table decides which world an instruction reaches:

    guest's world     GDT IDT LDT TSS as a kernel of ring 0 made them
    monitor's world   one for each ring: the guest's descriptors moved to that ring and cut short below the
                      monitor, then the monitor's own; an IDT that leads to the monitor

All tables have their accessed bits set, so that an instruction leaves no trace there but a wanted one.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from vizapp.isa import descriptors as d
from vizapp.isa import registers as r
from vizapp.isa.addresses import M32
from vizapp.machine.segments import SegmentState, TableRegister

KERNEL_CODE, KERNEL_DATA, CONFORMING = 0x08, 0x10, 0x18
USER_DATA, USER_CODE = 0x23, 0x2B
TASK, FREE_TASK, LOCAL_TABLE, CALL_GATE = 0x30, 0x38, 0x40, 0x4B

_MONITOR_CODE, _MONITOR_DATA, _MONITOR_TASK, _MONITOR_LDT = 0x58, 0x60, 0x68, 0x70
_LAST = 0x78
_TOP: Final = 0xFC00_0000  # where the monitor begins: no segment of the guest's reaches it
_GUEST_TABLES: Final = 0x0020_0000
_IDT, _LDT, _TSS, _FREE_TSS, _HANDLERS = 0x1000, 0x2000, 0x3000, 0x4000, 0x8000
_VECTORS: Final = 256
_MONITOR_STEP: Final = 0x0010_0000
_STACK_TOP: Final = 0xF000
_SYSENTER_OFFSET: Final = 0x6000


class World(NamedTuple):
    """What the system registers hold: tables, task, CR0, CR3 and the MSRs of SYSENTER."""

    gdtr: TableRegister
    idtr: TableRegister
    ldtr: SegmentState
    tr: SegmentState
    cr0: int
    cr3: int
    sysenter: tuple[int, int, int]


def _code(dpl: int, limit: int, kind: int = 0) -> d.Descriptor:
    return d.segment(0, limit, d.CODE_READ | d.TYPE_ACCESSED | kind, dpl)


def _data(dpl: int, limit: int) -> d.Descriptor:
    return d.segment(0, limit, d.DATA_READ_WRITE | d.TYPE_ACCESSED, dpl)


def flat_segments(ring: int) -> tuple[SegmentState, ...]:
    """ES CS SS DS FS GS of a flat kernel that runs at ``ring``."""
    data = SegmentState(KERNEL_DATA | ring, *_data(ring, M32))
    code = SegmentState(KERNEL_CODE | ring, *_code(ring, M32))
    return tuple(code if index == r.CS else data for index in range(6))


def _kernel_descriptors(at: int, ring: int, limit: int) -> dict[int, tuple[int, int]]:
    """The GDT of the guest's kernel, as it stands when that kernel has to run at ``ring``."""
    return {
        KERNEL_CODE: d.pack(_code(ring, limit)),
        KERNEL_DATA: d.pack(_data(ring, limit)),
        CONFORMING: d.pack(_code(ring, limit, d.TYPE_CONFORMING)),
        USER_DATA: d.pack(_data(3, limit)),
        USER_CODE: d.pack(_code(3, limit)),
        TASK: d.pack(d.system_segment(at + _TSS, d.TSS_BYTES - 1, d.TSS_32_BUSY)),
        FREE_TASK: d.pack(d.system_segment(at + _FREE_TSS, d.TSS_BYTES - 1, d.TSS_32)),
        LOCAL_TABLE: d.pack(d.system_segment(at + _LDT, 0xFF, d.LDT)),
        CALL_GATE: d.pack_gate(d.Gate(KERNEL_CODE, at + _HANDLERS, d.CALL_GATE_32, 3, True)),
    }


def _monitor_descriptors(at: int) -> dict[int, tuple[int, int]]:
    """The monitor's own; in the guest's GDT as well, so that IDTR and TR can be exchanged by themselves."""
    return {
        _MONITOR_CODE: d.pack(_code(0, M32)),
        _MONITOR_DATA: d.pack(_data(0, M32)),
        _MONITOR_TASK: d.pack(d.system_segment(at + _TSS, d.TSS_BYTES - 1, d.TSS_32_BUSY)),
        _MONITOR_LDT: d.pack(d.system_segment(at + _LDT, 0xFF, d.LDT)),
    }


def _tables(
    at: int, entries: dict[int, tuple[int, int]], code: int, data: int
) -> tuple[dict[int, int], tuple[TableRegister, TableRegister]]:
    """The bytes of one world's GDT, IDT and TSS by address, and what GDTR and IDTR hold there."""
    memory: dict[int, int] = {}

    def put(address: int, values: bytes) -> None:
        memory.update(enumerate(values, address))

    limit = max(entries) & d.SELECTOR_INDEX | d.DESCRIPTOR_BYTES - 1
    put(at, bytes(limit + 1))
    for selector, words in entries.items():
        put(at + (selector & d.SELECTOR_INDEX), d.to_bytes(words))
    for vector in range(_VECTORS):
        # Open to every ring: an INT that its gate refuses would be a trap and prove nothing.
        gate = d.Gate(code, at + _HANDLERS + 16 * vector, d.INTERRUPT_GATE_32, 3, True)
        put(at + _IDT + d.DESCRIPTOR_BYTES * vector, d.to_bytes(d.pack_gate(gate)))
    for task in (at + _TSS, at + _FREE_TSS):
        put(task, bytes(d.TSS_BYTES))
        put(task + d.TSS_IO_MAP, d.TSS_BYTES.to_bytes(2, "little"))  # beyond the limit: no port is open
        put(task + d.TSS_ESP0, (at + _STACK_TOP).to_bytes(4, "little") + data.to_bytes(4, "little"))
    put(at + _LDT, bytes(0x100))
    idtr = TableRegister(at + _IDT, _VECTORS * d.DESCRIPTOR_BYTES - 1)
    return memory, (TableRegister(at, limit), idtr)


def _system_register(selector: int, base: int, limit: int, kind: int) -> SegmentState:
    return SegmentState(selector, *d.system_segment(base, limit, kind))


def _guest() -> tuple[World, dict[int, int]]:
    at = _GUEST_TABLES
    entries = _kernel_descriptors(at, 0, M32) | _monitor_descriptors(_TOP)
    memory, (gdtr, idtr) = _tables(at, entries, KERNEL_CODE, KERNEL_DATA)
    world = World(
        gdtr,
        idtr,
        _system_register(LOCAL_TABLE, at + _LDT, 0xFF, d.LDT),
        _system_register(TASK, at + _TSS, d.TSS_BYTES - 1, d.TSS_32_BUSY),
        cr0=r.CR0_PE | r.CR0_ET,
        cr3=0x0010_0000,
        sysenter=(KERNEL_CODE, at + _STACK_TOP, at + _SYSENTER_OFFSET),
    )
    return world, memory


def _monitor(ring: int) -> tuple[World, dict[int, int]]:
    at = _TOP + ring * _MONITOR_STEP
    entries = _kernel_descriptors(at, ring, _TOP - 1) | _monitor_descriptors(at) | {_LAST: (0, 0)}
    memory, (gdtr, idtr) = _tables(at, entries, _MONITOR_CODE, _MONITOR_DATA)
    world = World(
        gdtr,
        idtr,
        _system_register(_MONITOR_LDT, at + _LDT, 0xFF, d.LDT),
        _system_register(_MONITOR_TASK, at + _TSS, d.TSS_BYTES - 1, d.TSS_32_BUSY),
        # The bits that a monitor with paging has; TS, EM and MP would trap, which proves nothing.
        cr0=r.CR0_PE | r.CR0_ET | r.CR0_NE | r.CR0_WP,
        cr3=0x0F00_0000,
        sysenter=(_MONITOR_CODE, at + _STACK_TOP, at + _SYSENTER_OFFSET),
    )
    return world, memory


GUEST, _guest_memory = _guest()
_monitors = {ring: _monitor(ring) for ring in (1, 3)}
MONITORS: Final = {ring: world for ring, (world, _) in _monitors.items()}
"""By the ring that the guest's kernel runs at."""

TABLES: Final[dict[int, int]] = _guest_memory | _monitors[1][1] | _monitors[3][1]
"""Every byte of every world's tables, by linear address."""
