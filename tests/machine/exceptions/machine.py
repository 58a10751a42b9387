"""A PC in each mode that instructions can be tried in, and ways to make each check of the table fail."""

from __future__ import annotations

import struct
from typing import NamedTuple

from tests.machine.exceptions.table import ONLY_READ
from tests.machine.recording import Recording
from vizapp.isa import descriptors as d
from vizapp.isa import vectors
from vizapp.isa.addresses import HostPhysical, Linear
from vizapp.isa.decode import DecodeError, decode
from vizapp.isa.instruction import Instruction, Memory
from vizapp.isa.opcodes import Opcode
from vizapp.isa.registers import CS, DS, EFLAGS_AC, EFLAGS_IOPL, EFLAGS_VM, ES, FS, GS, SS
from vizapp.machine.cpu_state import CpuState, load_cpu, save_cpu
from vizapp.machine.features import Features
from vizapp.machine.inputs import NAMES
from vizapp.machine.real_mode import power_on
from vizapp.machine.segments import SegmentState, TableRegister, system_state

GDT, LDT, TSS, DIRECTORY, TABLE, OTHER_TSS, IDT = 0x1000, 0x2000, 0x3000, 0x5000, 0x6000, 0x7000, 0x8000
TABLES = frozenset((DIRECTORY >> 12, TABLE >> 12))
CODE, DATA, STACK, EXTRA = 0x1_0000, 0x2_0000, 0x3_0000, 0x4_0000
BASES = {CS: CODE, DS: DATA, SS: STACK, ES: EXTRA, FS: DATA, GS: DATA}
LIMIT = 0x7FFF
BEYOND = 0x8001
AT = 0xF00  # of operands, in their segments
ACROSS = 0xFFE  # the same, over the end of a page
MEMORY = 0x8_0000
PORT_MAP_BYTES = 0x20
# The GDT: code and data of each ring, then these.
TSS_INDEX, OTHER_TSS_INDEX, LDT_INDEX = 9, 10, 11
NO_SELECTOR = 0x0FFC


class Mode(NamedTuple):
    """A way to execute."""

    name: str
    bits: int
    ring: int

    @property
    def real(self) -> bool:
        return self.name == "real"

    @property
    def virtual(self) -> bool:
        return self.name == "virtual-8086"

    @property
    def protected(self) -> bool:
        return not (self.real or self.virtual)

    def selector(self, index: int) -> int:
        """What segment register ``index`` holds."""
        if not self.protected:
            return BASES[index] >> 4
        return d.selector(1 + 2 * self.ring + (index != CS), self.ring)


MODES = (
    Mode("real", 16, 0),
    Mode("virtual-8086", 16, 3),
    *(Mode(f"protected {bits} ring {ring}", bits, ring) for bits in (16, 32) for ring in (0, 3)),
)


class Form(NamedTuple):
    """A row of the opcode table with its operand in memory or without, in one mode."""

    opcode: Opcode
    memory: bool
    instruction: Instruction

    @property
    def segment(self) -> int:
        """That of the operand in memory."""
        found = self.memory_operand
        return found.segment if found is not None else DS

    @property
    def memory_operand(self) -> Memory | None:
        return next((each for each in self.instruction.operands if isinstance(each, Memory)), None)

    @property
    def accessed(self) -> bool:
        """Whether an operand in memory is read or written."""
        return self.memory_operand is not None and self.opcode.operation not in ("lea", "invlpg", "nop")

    @property
    def written(self) -> bool:
        """Whether the operand in memory is."""
        first = self.instruction.operands[0]
        return isinstance(first, Memory) and self.opcode.operation not in ONLY_READ | {"cmps", "scas", "outs"}


def _bytes(opcode: Opcode, modrm: int, mode: Mode) -> bytes:
    """Machine code of a row, with 1 or 0 for its numbers."""
    parts = opcode.encoding.split()
    raw = b""
    for part in parts:
        if part in ("NP", "+r") or part[0] == "/" or (not part.isupper() and not part.isdigit()):
            continue
        raw += bytes([int(part, 16)])
    if opcode.has_modrm and opcode.modrm is None:
        if opcode.digit is not None:
            modrm = modrm & 0xC7 | opcode.digit << 3
        raw += bytes([modrm])
    size = 4 if mode.bits == 32 else 2
    if "cp" in parts:
        return raw + (0x100).to_bytes(size, "little") + mode.selector(CS).to_bytes(2, "little")
    if "mo" in parts:
        return raw + AT.to_bytes(size, "little")
    return raw + b"\x01".ljust(12, b"\0")


def forms(opcode: Opcode, mode: Mode) -> list[Form]:
    """The forms of a row that exist. The operand is at DS:BX or DS:EBX."""
    found = []
    pointer = 0x0F if mode.bits == 16 else 0x0B  # reg is CX, r/m [BX]
    for modrm, memory in ((pointer, True), (0xC8, False)):
        if memory and not opcode.has_modrm:
            continue
        if opcode.operation == "mov_to_segment":
            modrm &= 0xC7  # ES
        try:
            raw = _bytes(opcode, modrm, mode)
            instruction = decode(raw, Linear(0), mode.bits)
        except DecodeError:
            continue
        if (
            instruction.opcode is opcode
            and any(isinstance(each, Memory) for each in instruction.operands) >= memory
        ):
            found.append(Form(opcode, memory, instruction))
    return found


class Machine:
    """One mode; ``begin`` makes the state that an instruction is tried from."""

    def __init__(self, mode: Mode) -> None:
        self.mode = mode
        self.pc = Recording(dict.fromkeys(NAMES, 1), MEMORY, 1_000_000_000, features=Features(fpu=True))
        self.pc.interrupts_blocked = True
        self.cpu = self.pc.cpu
        self._tables()
        self._registers()
        self.clean_memory = self.pc.memory.snapshot()
        self.clean: CpuState = save_cpu(self.cpu)

    def _tables(self) -> None:
        put = self.pc.memory.load
        gdt = [bytes(8)]
        big = self.mode.bits == 32
        for ring in range(4):
            gdt.append(d.to_bytes(d.pack(d.segment(CODE, LIMIT, d.CODE_READ | 1, ring, big=big))))
            gdt.append(d.to_bytes(d.pack(d.segment(DATA, LIMIT, d.DATA_READ_WRITE | 1, ring, big=big))))
        tss_limit = d.TSS_BYTES + PORT_MAP_BYTES
        gdt.append(d.to_bytes(d.pack(d.system_segment(TSS, tss_limit, d.TSS_32_BUSY))))
        gdt.append(d.to_bytes(d.pack(d.system_segment(OTHER_TSS, tss_limit, d.TSS_32))))
        gdt.append(d.to_bytes(d.pack(d.system_segment(LDT, 0x7F, d.LDT))))
        put(HostPhysical(GDT), b"".join(gdt))
        tss = bytearray(d.TSS_BYTES)
        struct.pack_into("<II", tss, d.TSS_ESP0, 0x1002, d.selector(2))
        struct.pack_into("<H", tss, d.TSS_IO_MAP, d.TSS_BYTES)
        put(HostPhysical(TSS), bytes(tss))
        gate = d.Gate(d.selector(1), 0x200, d.INTERRUPT_GATE_32, 3, present=True)
        put(HostPhysical(IDT), d.to_bytes(d.pack_gate(gate)) * 32)
        if self.mode.real:
            put(HostPhysical(0), struct.pack("<HH", 0x200, CODE >> 4) * 64)
        put(HostPhysical(DIRECTORY), struct.pack("<I", TABLE | 7))
        pages = [page << 12 | 7 for page in range(MEMORY >> 12)]
        put(HostPhysical(TABLE), struct.pack(f"<{len(pages)}I", *pages))

    def _registers(self) -> None:
        cpu, mode = self.cpu, self.mode
        if mode.real:
            power_on(cpu)
        else:
            cpu.gdtr, cpu.idtr = TableRegister(GDT, 0x7F), TableRegister(IDT, 0xFF)
            cpu.tr = system_state(
                d.selector(TSS_INDEX),
                d.system_segment(TSS, d.TSS_BYTES + PORT_MAP_BYTES, d.TSS_32_BUSY),
            )
            cpu.cr0, cpu.cr3 = 0x8001_0011, DIRECTORY
        cpu.eflags = 2 | EFLAGS_IOPL | (EFLAGS_VM if mode.virtual else 0)
        limit = LIMIT if mode.protected else 0xFFFF
        for index, base in BASES.items():
            kind = d.DATA_READ_WRITE if index != CS or not mode.protected else d.CODE_READ
            state = SegmentState(
                mode.selector(index), *d.segment(base, limit, kind | 1, mode.ring, big=mode.bits == 32)
            )
            if index == CS:
                cpu.set_code_segment(state, mode.ring)
            else:
                cpu.set_segment(index, state)
        cpu.sysenter = [d.selector(1), 0x1000, 0x100]
        cpu.eax, cpu.ecx, cpu.edx, cpu.ebx = 5, 1, 0, AT
        cpu.esp = cpu.ebp = cpu.esi = cpu.edi = AT

    def begin(self, form: Form, at: int = AT) -> None:
        """Everything as it should be for this form to be executed without a fault."""
        memory, cpu, mode = self.pc.memory, self.cpu, self.mode
        memory.restore(self.clean_memory)
        self.pc.code.revalidate()
        self.pc.blocks.revalidate()
        load_cpu(cpu, self.clean)
        self.pc.mmu.flush()
        self.pc.stopped, self.pc.fault = None, None
        cpu.ebx = cpu.ebp = cpu.esi = cpu.edi = cpu.esp = at
        size = form.instruction.operand_size
        name = form.opcode.operation
        value = struct.pack("<II", 1, 0)
        selector = 0
        if name == "bound":
            value = struct.pack("<ii" if size == 4 else "<hh", 0, 0x7000)
        elif name in ("jmp_far", "call_far"):
            value = (0x100).to_bytes(size, "little") + mode.selector(CS).to_bytes(2, "little")
        elif name in ("lds", "les", "lfs", "lgs", "lss"):
            value = (0x100).to_bytes(size, "little") + mode.selector(SS).to_bytes(2, "little")
        elif name == "ltr":
            value, selector = struct.pack("<II", d.selector(OTHER_TSS_INDEX), 0), d.selector(OTHER_TSS_INDEX)
        elif name in ("lldt", "mov_to_segment"):
            value = bytes(8)
        if selector:
            cpu.eax = selector
        elif name in ("lldt", "mov_to_segment") or name == "jmp_indirect":
            cpu.eax = 0
        elif name == "mov_to_control":
            cpu.eax = {0: cpu.cr0, 3: cpu.cr3}.get(1, 0)
        if name in ("rdmsr", "wrmsr"):
            cpu.ecx = 0x10
        for base in (DATA, EXTRA):
            memory.load(HostPhysical(base + at), value)
        code, flags = mode.selector(CS), 2 | EFLAGS_IOPL
        frame = (0x100, code, flags) if name in ("retf", "iret") else (0x100,) * 8
        if name == "pop_segment":
            frame = (mode.selector(SS),) * 8
        words = b"".join((word & (1 << 8 * size) - 1).to_bytes(size, "little") for word in frame)
        memory.load(HostPhysical(STACK + at), words)
        self.place(form.instruction.raw)

    def place(self, raw: bytes) -> None:
        """The code to be executed."""
        self.pc.memory.load(HostPhysical(CODE), raw)
        self.cpu.eip = 0

    def page(self, linear: int, flags: int) -> None:
        """Another entry for the page of an address."""
        page = linear >> 12
        self.pc.memory.write(TABLE + 4 * page, 4, page << 12 | flags)
        self.pc.mmu.flush()

    def step(self) -> tuple[int, int | None] | None:
        """Execute; the vector and error code of the fault."""
        self.cpu.mode_changed()
        self.pc.step()
        fault = self.pc.fault
        return None if fault is None else (fault.vector, fault.error)

    def state(self) -> tuple[object, ...]:
        """All that an instruction can change, but accessed and dirty bits."""
        pages = self.pc.memory.snapshot().pages
        return save_cpu(self.cpu), [page for frame, page in enumerate(pages) if frame not in TABLES]

    def set_segment(self, index: int, **changes: int) -> None:
        """Change the hidden part of a segment register."""
        old = self.cpu.segments[index]
        parts = {"base": old.base, "limit": old.limit, "access": old.access} | changes
        self.cpu.set_segment(index, SegmentState(old.selector, **parts))

    def set_iopl(self, level: int) -> None:
        self.cpu.eflags = self.cpu.eflags & ~EFLAGS_IOPL | level << 12

    def check_alignment(self) -> None:
        """#AC for misaligned operands from now on."""
        self.cpu.cr0 |= 1 << 18
        self.cpu.eflags |= EFLAGS_AC


GP0, SS0, AC0 = (vectors.GP, 0), (vectors.SS, 0), (vectors.AC, 0)
