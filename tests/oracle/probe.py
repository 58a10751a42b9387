"""Short pieces of code tried from given states, on any machine that starts from a ROM and has a port E9h.

``rom`` makes the image out of ``probe.asm``, tables and cases; ``outcomes`` reads what it tells. The same
image runs here (``run_here``) and on Bochs (``bochs.run``).

    RAM  1000 IDT    2000 GDT    6000 TSS of what is tried, and its map of ports
         7000 TSSs of the handlers    9000 their stacks    C000 page directory and table    0 real-mode IVT
         F000 variables    2_0000 data    3_0000 code    5_0000 code full of INT3    10_0000 cases
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

from vizapp.guest.assembler import assemble
from vizapp.isa import descriptors as d
from vizapp.isa.addresses import M32, HostPhysical
from vizapp.isa.registers import GENERAL, SEGMENTS
from vizapp.machine.features import Features
from vizapp.machine.inputs import NAMES
from vizapp.machine.pc import Pc
from vizapp.machine.real_mode import power_on

SOURCE = Path(__file__).with_name("probe.asm")
IMAGE, GDT, TRIED, STACKS, DIRECTORY, TABLE, VARIABLES = (
    0x1000, 0x2000, 0x6000, 0x9100, 0xC000, 0xD000, 0xF000,
)  # fmt: skip
HANDLER_TSS = 0x7000
DATA, CODE, CASES = 0x2_0000, 0x3_0000, 0x10_0000
VIRTUAL_CODE = 0x5_0000
IMAGE_BYTES = 0xF000
VECTORS = 35
DONE = 0x20
END_OF_CASE = b"\xcd\x20"
CODE_BYTES = 32
RECORD_BYTES = 80 + CODE_BYTES
FLAT_CODE, FLAT_DATA, TRIED_TASK = 0x08, 0x10, 0x18
FIRST_TASK, FIRST_FREE = 4, 40
PORTS_ALLOWED = range(0x300, 0x340)
INTERRUPT_MAP_BYTES, PORT_MAP_BYTES = 0x20, 0x80
# Of INT n in virtual-8086 mode with CR4.VME, these go by the table at 0, to VIRTUAL_CODE + 100h + vector.
STAYING = (3, 4, 0x11, 0x21)
PLAIN_CR0 = 0x11
ROM_BASE = 0xFFE0_0000
ROM_BYTES = 0x20_0000
MEMORY = 16 << 20
STEPS_BEFORE, STEPS_A_CASE = 600_000, 2_500  # more: a case has got lost


@dataclass(frozen=True)
class Case:
    """One piece of code; ``base`` is that of CS, ``watch`` where 16 bytes are told."""

    name: str
    code: bytes
    base: int = 0
    eip: int = CODE
    eflags: int = 2
    registers: dict[str, int] = field(default_factory=dict)
    segments: dict[str, int] = field(default_factory=dict)
    cr0: int = PLAIN_CR0
    cr4: int = 0
    watch: int = DATA

    def record(self) -> bytes:
        """As ``probe.asm`` takes it."""
        general = [self.registers.get(name, 0) for name in GENERAL]
        selectors = [self.segments.get(name, FLAT_CODE if name == "cs" else FLAT_DATA) for name in SEGMENTS]
        code = self.code + END_OF_CASE
        assert len(code) <= CODE_BYTES, self.name
        linear = self.base + self.eip & M32
        words = (self.eip, self.eflags, *general, *selectors, linear, self.cr0, self.cr4, self.watch)
        return struct.pack("<20I", *words) + code.ljust(CODE_BYTES, b"\x90")


class Outcome(NamedTuple):
    """What became of a case; ``error`` is None where none was pushed."""

    vector: int
    error: int | None
    cr2: int
    eip: int
    eflags: int
    general: tuple[int, ...]
    selectors: tuple[int, ...]
    watched: tuple[int, ...]


@dataclass
class Tables:
    """The GDT, in which cases have segments of their own, the page table, and the directory from 1 on."""

    descriptors: dict[int, bytes] = field(default_factory=dict)
    pages: dict[int, int] = field(default_factory=dict)
    directory: dict[int, int] = field(default_factory=dict)

    def add(self, base: int, limit: int, access: int) -> int:
        """A descriptor as it is, ``limit`` as its 20 bits; its index."""
        low = (base & 0xFFFF) << 16 | limit & 0xFFFF
        high = base & 0xFF00_0000 | limit & 0xF_0000 | access << 8 | base >> 16 & 0xFF
        raw = struct.pack("<II", low, high)
        for index, known in self.descriptors.items():
            if known == raw:
                return index
        index = FIRST_FREE + len(self.descriptors)
        self.descriptors[index] = raw
        return index

    def add_raw(self, raw: bytes) -> int:
        """Eight bytes; their index."""
        index = FIRST_FREE + len(self.descriptors)
        self.descriptors[index] = raw
        return index


def _tss(cr3: int, eip: int, esp: int) -> bytes:
    tss = bytearray(d.TSS_BYTES)
    for ring in range(3):
        struct.pack_into("<II", tss, d.TSS_ESP0 + 8 * ring, STACKS - 0x80, FLAT_DATA)
    struct.pack_into("<III", tss, d.TSS_CR3, cr3, eip, 2)
    struct.pack_into("<I", tss, d.TSS_EAX + 16, esp)
    for index, name in enumerate(SEGMENTS):
        struct.pack_into("<I", tss, d.TSS_ES + 4 * index, FLAT_CODE if name == "cs" else FLAT_DATA)
    struct.pack_into("<H", tss, d.TSS_IO_MAP, d.TSS_BYTES + INTERRUPT_MAP_BYTES)
    return bytes(tss)


def _ones_but(count: int, zeros: Iterable[int]) -> bytes:
    bits = bytearray(b"\xff" * count)
    for bit in zeros:
        bits[bit >> 3] &= ~(1 << (bit & 7))
    return bytes(bits)


def _maps() -> bytes:
    """Which INT n stay in a virtual-8086 task, and the ports."""
    return _ones_but(INTERRUPT_MAP_BYTES, STAYING) + _ones_but(PORT_MAP_BYTES + 1, PORTS_ALLOWED)


def _image(tables: Tables, cases: list[Case], symbols: dict[str, int]) -> bytes:
    """RAM from ``IMAGE`` on, then the cases."""
    ram = bytearray(IMAGE_BYTES)

    def put(address: int, data: bytes) -> None:
        ram[address - IMAGE : address - IMAGE + len(data)] = data

    tried = _tss(DIRECTORY, 0, 0) + _maps()
    gdt = {
        1: d.to_bytes(d.pack(d.segment(0, M32, d.CODE_READ))),
        2: d.to_bytes(d.pack(d.segment(0, M32, d.DATA_READ_WRITE))),
        3: d.to_bytes(d.pack(d.system_segment(TRIED, len(tried) - 1, d.TSS_32))),
    }
    put(TRIED, tried)
    for vector in range(VECTORS):
        at = HANDLER_TSS + vector * d.TSS_BYTES
        put(at, _tss(DIRECTORY, symbols[f"entry_{vector}"], STACKS + 0x100 * vector))
        gdt[FIRST_TASK + vector] = d.to_bytes(d.pack(d.system_segment(at, d.TSS_BYTES - 1, d.TSS_32)))
        task = d.selector(FIRST_TASK + vector)
        gate = d.Gate(task, 0, d.TASK_GATE, 3 if vector >= DONE else 0, present=True)
        put(IMAGE + 8 * vector, d.to_bytes(d.pack_gate(gate)))
    for index, raw in (gdt | tables.descriptors).items():
        put(GDT + 8 * index, raw)
    for index, entry in ({0: TABLE | 7} | tables.directory).items():
        put(DIRECTORY + 4 * index, struct.pack("<I", entry))
    for page in range(1024):
        put(TABLE + 4 * page, struct.pack("<I", tables.pages.get(page, page << 12 | 7)))
    records = b"".join(case.record() for case in cases)
    put(VARIABLES, struct.pack("<III", DATA, CASES, CASES + len(records)))
    return bytes(ram) + records


def rom(tables: Tables, cases: list[Case]) -> bytes:
    """The image: 2 MB that end with the reset vector."""
    text = SOURCE.read_text(encoding="ascii")
    assembly = assemble(text, SOURCE.name, {"CASES_BYTES": len(cases) * RECORD_BYTES})
    image = _image(tables, cases, dict(assembly.symbols))
    assert len(image) <= ROM_BYTES - len(assembly.data), "too many cases for one image"
    return image.ljust(ROM_BYTES - len(assembly.data), b"\xff") + assembly.data


def outcomes(told: str) -> list[Outcome]:
    """What the image told of its cases, in their order."""
    digits = str.maketrans("abcdefghijklmnop", "0123456789abcdef")
    found = []
    for line in told.splitlines():
        if not line.startswith("@"):
            continue
        words = [int(line[at : at + 8].translate(digits), 16) for at in range(1, len(line.rstrip()), 8)]
        vector, error, cr2, eip, eflags = words[:5]
        found.append(
            Outcome(
                vector,
                None if error == M32 else error,
                cr2,
                eip,
                eflags,
                tuple(words[5:13]),
                tuple(word & 0xFFFF for word in words[13:19]),
                tuple(words[19:23]),
            )
        )
    return found[1:]  # the first is of the INT that began it


def run_here(image: bytes) -> str:
    """What the image tells on this machine."""
    pc = Pc(dict.fromkeys(NAMES, 1), MEMORY, 1_000_000_000, features=Features(apic=False, fpu=True))
    pc.memory.add_rom(HostPhysical(ROM_BASE), image)
    pc.memory.load(HostPhysical(0xF_0000), image[-0x1_0000:])
    power_on(pc.cpu)
    pc.interrupts_blocked = True
    count = (int.from_bytes(image[VARIABLES - IMAGE + 8 :][:4], "little") - CASES) // RECORD_BYTES
    pc.run(max_steps=STEPS_BEFORE + STEPS_A_CASE * count)
    peripherals = pc.board.peripherals
    assert peripherals is not None
    number = (pc.memory.read(VARIABLES + 4, 4) - CASES) // RECORD_BYTES - 1
    assert pc.cpu.halted, (number, pc.stopped, hex(pc.cpu.eip))
    return bytes(peripherals.console.output).decode("ascii")


@cache
def code(source: str, bits: int = 32, origin: int = 0) -> bytes:
    """Machine code of a few instructions."""
    return assemble(f"bits {bits}\norg {origin}\n{source}\n").data
