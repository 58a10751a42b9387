"""A PC with tables for all four rings, ready for a few instructions, and the frame that a handler finds."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from vizapp.guest.assembler import assemble
from vizapp.isa import descriptors as d
from vizapp.isa import vectors
from vizapp.isa.addresses import M32, HostPhysical
from vizapp.isa.registers import CS, DS, ES, FS, GS, SS
from vizapp.machine.devices.pit import PIT_HERTZ
from vizapp.machine.events import Event
from vizapp.machine.identity import PENTIUM_4, Identity
from vizapp.machine.inputs import NAMES
from vizapp.machine.pc import Pc
from vizapp.machine.segments import SegmentState, TableRegister, state_of, system_state

GDT = 0x1000
IDT = 0x2000
TSS = 0x3000
LDT = 0x4000
DIRECTORY = 0x5000
TABLE = 0x6000
HANDLERS = 0x8000  # one every 16 bytes, by vector
CODE = 0x10000
DATA = 0x20000
STACKS = 0x40000  # the top of ring n's stack is STACKS + n * 0x1000
CYCLES_A_PULSE = 10  # of the timer
FREE = 12  # the first GDT entry that a test may use

# Index of the code segment of each ring; the data segment is the next one.
CODE_INDEX = (1, 3, 5, 7)
TSS_INDEX = 9
LDT_INDEX = 10
FLAT = M32


def code_selector(ring: int) -> int:
    return d.selector(CODE_INDEX[ring], ring)


def data_selector(ring: int) -> int:
    return d.selector(CODE_INDEX[ring] + 1, ring)


@cache
def _gates(dpl: int) -> bytes:
    """An IDT whose gates lead to the handlers in ring 0."""
    made = (
        d.Gate(code_selector(0), HANDLERS + 16 * vector, d.INTERRUPT_GATE_32, dpl, True)
        for vector in range(256)
    )
    return b"".join(d.to_bytes(d.pack_gate(gate)) for gate in made)


class Delivered(NamedTuple):
    """The frame on a handler's stack; ``old_esp`` and ``old_ss`` only of a change of ring."""

    vector: int
    error: int | None
    eip: int
    cs: int
    eflags: int
    old_esp: int | None
    old_ss: int | None


class Bench:
    """``source`` is assembled at CODE, entered at ``ring``; every gate of the IDT leads to ring 0."""

    def __init__(
        self,
        source: str = "nop",
        ring: int = 0,
        *,
        iopl: int = 0,
        gate_dpl: int = 3,
        identity: Identity = PENTIUM_4,
    ) -> None:
        self.pc = Pc(dict.fromkeys(NAMES, 1), 1 << 20, CYCLES_A_PULSE * PIT_HERTZ, identity)
        self.cpu = self.pc.cpu
        self.memory = self.pc.memory
        self.events: list[Event] = []
        self.pc.listener = self.events.append
        for level in range(4):
            self.descriptor(CODE_INDEX[level], d.segment(0, FLAT, d.CODE_READ, level))
            self.descriptor(CODE_INDEX[level] + 1, d.segment(0, FLAT, d.DATA_READ_WRITE, level))
            if level < 3:
                self.memory.write(TSS + d.TSS_ESP0 + 8 * level, 4, STACKS + 0x1000 * level)
                self.memory.write(TSS + d.TSS_SS0 + 8 * level, 4, data_selector(level))
        self.memory.write(TSS + d.TSS_IO_MAP, 2, d.TSS_BYTES)
        self.descriptor(TSS_INDEX, d.system_segment(TSS, d.TSS_BYTES - 1, d.TSS_32_BUSY))
        self.descriptor(LDT_INDEX, d.system_segment(LDT, 0x7F, d.LDT))
        self.memory.load(HostPhysical(IDT), _gates(gate_dpl))
        cpu = self.cpu
        cpu.gdtr = TableRegister(GDT, 0x7F)
        cpu.idtr = TableRegister(IDT, 256 * 8 - 1)
        cpu.tr = system_state(d.selector(TSS_INDEX), d.system_segment(TSS, d.TSS_BYTES - 1, d.TSS_32_BUSY))
        cpu.ldtr = system_state(d.selector(LDT_INDEX), d.system_segment(LDT, 0x7F, d.LDT))
        self.enter(ring)
        cpu.eflags = 2 | iopl << 12
        self.assemble(source)

    def enter(self, ring: int) -> None:
        """Put the processor into a ring, with that ring's flat segments."""
        data = state_of(data_selector(ring), d.segment(0, FLAT, d.DATA_READ_WRITE, ring))
        for index in (ES, SS, DS, FS, GS):
            self.cpu.set_segment(index, data)
        code = state_of(code_selector(ring), d.segment(0, FLAT, d.CODE_READ, ring))
        self.cpu.set_code_segment(code, ring)
        self.cpu.esp = STACKS + 0x1000 * ring
        self.cpu.eip = CODE

    def assemble(self, source: str, at: int = CODE) -> dict[str, int]:
        """Assemble into memory; the labels."""
        assembly = assemble(f"bits 32\norg {at:#x}\n{source}\n")
        self.memory.load(HostPhysical(at), assembly.data)
        return dict(assembly.symbols)

    def descriptor(self, index: int, descriptor: d.Descriptor, table: int = GDT) -> None:
        self.memory.load(HostPhysical(table + 8 * index), d.to_bytes(d.pack(descriptor)))

    def raw_gate(self, index: int, gate: d.Gate) -> None:
        """A call gate into the GDT."""
        self.memory.load(HostPhysical(GDT + 8 * index), d.to_bytes(d.pack_gate(gate)))

    def gate(self, vector: int, gate: d.Gate) -> None:
        self.memory.load(HostPhysical(IDT + 8 * vector), d.to_bytes(d.pack_gate(gate)))

    def segment(self, index: int, state: SegmentState) -> None:
        self.cpu.set_segment(index, state)

    def step(self, count: int = 1) -> None:
        for _ in range(count):
            self.pc.step()

    def stack(self, count: int) -> list[int]:
        """The double words from SS:ESP on."""
        base = self.cpu.segments[SS].base
        return [self.memory.read(base + self.cpu.esp + 4 * index & M32, 4) for index in range(count)]

    def delivered(self) -> Delivered | None:
        """The handler that the processor is at the entry of, with its frame; None if it is at none."""
        vector, rest = divmod(self.cpu.eip - HANDLERS, 16)
        if rest or not 0 <= vector < 256 or self.cpu.segments[CS].selector & 3 != self.cpu.cpl:
            return None
        words = self.stack(6)
        exception = self.events and self.events[-1].kind == "ExceptionDelivered"
        error = words.pop(0) if exception and vector in vectors.WITH_ERROR_CODE else None
        eip, cs, eflags = words[:3]
        outer = cs & 3 != self.cpu.cpl
        return Delivered(vector, error, eip, cs, eflags, *(words[3:5] if outer else (None, None)))

    def fault(self, steps: int = 1) -> tuple[int, int | None] | None:
        """Run ``steps`` steps; vector and error code of the exception that the last one delivered."""
        self.step(steps)
        found = self.delivered()
        return None if found is None else (found.vector, found.error)

    def page(self, linear: int, flags: int, frame: int | None = None) -> None:
        """Map a page below 4 MB; identity without ``frame``."""
        target = linear >> 12 if frame is None else frame
        self.memory.write(TABLE + 4 * (linear >> 12), 4, target << 12 | flags)

    def turn_on_paging(self, cr0: int = 0x8000_0001, directory_flags: int = 7) -> None:
        """Everything identity mapped for all rings, then CR0 and CR3 loaded."""
        self.memory.write(DIRECTORY, 4, TABLE | directory_flags)
        for page in range(256):
            self.page(page << 12, 7)
        self.cpu.cr3 = DIRECTORY
        self.cpu.cr0 = cr0 | 0x10
        self.cpu.mode_changed()
