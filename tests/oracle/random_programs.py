"""Random programs on this PC and on unicorn, to the end or to the first fault: all that is left is compared.

Four kinds: kernel and user code, of 16 and of 32 bits. The kernel's 16-bit code is in real mode; the rest is
in protected mode with paging, whose tables map all 4 GB onto a few frames, so that hardly any address leads
nowhere; some pages are read-only, the supervisor's, or absent.

    1000 GDT   2000 page directory   3000 page table of the first 4 MB   4000 of all else   E000 code
    1_0000 data of 16 frames; in real mode all below 1 MB is data
"""

from __future__ import annotations

import os
import random
import struct
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from typing import NamedTuple

from unicorn import UC_ARCH_X86, UC_HOOK_INSN_INVALID, UC_HOOK_INTR, UC_MODE_16, UC_MODE_32, Uc, UcError
from unicorn import x86_const as x86

from tests.machine.oracle_unicorn import GENERAL_IDS, UNKNOWN_TO_UNICORN
from tests.machine.recording import Recording
from tests.machine.window import BOUNDARIES
from vizapp.isa import descriptors as d
from vizapp.isa.addresses import M32, HostPhysical, Linear
from vizapp.isa.decode import DecodeError, decode
from vizapp.isa.instruction import Immediate, Instruction, Memory, Relative
from vizapp.isa.opcodes import OPCODES, Opcode
from vizapp.isa.registers import CS, EFLAGS_ARITHMETIC, EFLAGS_DF, GENERAL, SEGMENTS
from vizapp.isa.vectors import GP, PF, SS, UD
from vizapp.machine import hot_blocks
from vizapp.machine.cpu_state import CpuState, load_cpu, save_cpu
from vizapp.machine.inputs import NAMES
from vizapp.machine.real_mode import power_on
from vizapp.machine.segments import SegmentState, TableRegister, paragraph_segment
from vizapp.machine.semantics import INSTRUCTIONS

GDT, DIRECTORY, LOW_TABLE, HIGH_TABLE, CODE, DATA = 0x1000, 0x2000, 0x3000, 0x4000, 0xE000, 0x1_0000
MEMORY = 0x12_0000
CODE_BYTES = 0x1000
LENGTH = 48  # instructions of a program
MOST_STEPS = 20_000
READ_ONLY, SUPERVISOR, ABSENT = (0x15, 0x1D), (0x25, 0x2D), (0x35,)  # of the pages of each table
SELECTORS = {0: (0x08, 0x10), 3: (0x1B, 0x23), 16: (0x2B, 0x33)}
MODES = ("kernel 32", "user 32", "kernel 16", "user 16")
CR0 = 0x8001_0011  # with WP
FEW = 4  # one program in so many runs in blocks

BY_TEMPLATE = frozenset(
    [
        "ret",
        "jmp_indirect",
        "call_indirect",
        "jmp",
        "call",
        "loop",
        "loope",
        "loopne",
        "jcxz",
        "hlt",
        "enter",
        "into",
        "div",
        "idiv",
        "aam",
        "bound",
    ]
)
RARE = frozenset(["div", "idiv", "aam", "bound", "into"])  # they end most programs that they are in
DOUBLE_SHIFTS = frozenset(("shld", "shrd"))
SHIFTS = frozenset(["shl", "shr", "sar", "rol", "ror", "rcl", "rcr", "shld", "shrd"])

# What unicorn does wrong, as reasons why a program has no such instruction, or why it is compared no further.
KNOWN_FAULTS = {
    "limit": "unicorn checks no segment limits: what goes beyond one ends the comparison before it",
    "enter": "with 16-bit operands it changes all of EBP, where the SDM says BP",
    "ret imm16": "it takes the bytes to drop as a signed number",
    "F6 /1, F7 /1": "aliases of TEST that every processor has and it refuses",
    "0F 18 - 0F 1E": "hints that it refuses",
    "CMPXCHG8B": "changes more flags than ZF where the instruction before has left them to be computed later",
    "PUSHA": "writes the lowest register first, so another page may be what faults, with some written",
    "LOCK NEG": "has the flags of what was there before",
    "LOOPE, LOOPNE": "the flags are mixed up behind one that does not jump",
    "RCL, SETcc, LOCK": "where they fault on their operand the flags are mixed up already",
}


class Program(NamedTuple):
    """What both run: pieces that branches lead over, but not into."""

    mode: str
    pieces: tuple[bytes, ...]
    registers: tuple[int, ...]
    eflags: int
    selectors: tuple[int, ...]

    @property
    def code(self) -> bytes:
        """The machine code."""
        return b"".join(self.pieces)


class Left(NamedTuple):
    """What a run leaves."""

    registers: tuple[int, ...]
    eip: int
    eflags: int
    vector: int | None
    cr2: int


def _gdt() -> bytes:
    table = [bytes(8)]
    for ring, bits in ((0, 32), (3, 32), (3, 16)):
        limit = M32 if bits == 32 else 0xFFFF
        for kind in (d.CODE_READ, d.DATA_READ_WRITE):
            table.append(
                d.to_bytes(d.pack(d.segment(0, limit, kind | d.TYPE_ACCESSED, ring, big=bits == 32)))
            )
    return b"".join(table)


def _pages(low: bool) -> bytes:
    entries = []
    for page in range(1024):
        flags, kind = 7, page & 0x3F
        frame = (DATA >> 12) + (page * 7 & 15)
        if low and page == CODE >> 12:
            frame = page
        elif low and page == GDT >> 12:  # and not to be changed
            frame, flags = page, 1
        elif kind in READ_ONLY:
            flags = 5
        elif kind in SUPERVISOR:
            flags = 3
        elif kind in ABSENT:
            flags = 6
        entries.append(frame << 12 | flags | 0x60)  # accessed and dirty already
    return struct.pack("<1024I", *entries)


def fixed_memory(mode: str) -> dict[int, bytes]:
    """Tables by address; none in real mode."""
    if mode == "kernel 16":
        return {}
    directory = [LOW_TABLE | 0x27, *[HIGH_TABLE | 0x27] * 1023]
    return {
        GDT: _gdt(),
        DIRECTORY: struct.pack("<1024I", *directory),
        LOW_TABLE: _pages(True),
        HIGH_TABLE: _pages(False),
    }


ROWS = [
    opcode
    for opcode in OPCODES
    if opcode.operation in INSTRUCTIONS
    and opcode.encoding not in UNKNOWN_TO_UNICORN
    and opcode.operation not in BY_TEMPLATE - RARE
]
COMMON = [opcode for opcode in ROWS if opcode.operation not in RARE and not opcode.mnemonic.startswith("j")]
SEVERAL = [opcode for opcode in ROWS if opcode.operation in RARE]


class Programmer:
    """Writes programs of one mode."""

    def __init__(self, rng: random.Random, mode: str) -> None:
        self.rng = rng
        self.mode = mode
        self.bits = int(mode.split()[1])

    def program(self) -> Program:
        rng = self.rng
        pieces: list[bytes] = []
        while len(pieces) < LENGTH:
            piece = self._piece()
            if piece is None:
                continue
            if rng.random() < 0.12:
                piece = self._over(len(piece)) + piece
            pieces.append(piece)
        general = [self._value() for _ in range(8)]
        general[4] = rng.randrange(0x2000, 0xD000) & ~1
        eflags = 2 | rng.getrandbits(12) & EFLAGS_ARITHMETIC | (EFLAGS_DF if rng.random() < 0.3 else 0)
        if self.mode == "kernel 16":
            selectors = tuple(rng.choice((0x1000, 0x2000, 0x4321, 0x8000)) for _ in range(4))
        else:
            selectors = ()
        return Program(self.mode, tuple(pieces), tuple(general), eflags, selectors)

    def _value(self) -> int:
        rng = self.rng
        kind = rng.random()
        if kind < 0.3:
            return rng.randrange(0x1_0000)
        if kind < 0.5:
            return rng.choice(BOUNDARIES)
        return rng.randrange(64) if kind < 0.6 else rng.getrandbits(32)

    def _over(self, length: int) -> bytes:
        """A branch, taken or not, over the next piece."""
        rng = self.rng
        wide = b"\x66" if rng.random() < 0.1 else b""
        long = 4 if (self.bits == 32) != bool(wide) else 2
        near = length.to_bytes(long, "little")
        return rng.choice(
            (
                bytes((0x70 + rng.randrange(16), length)),
                wide + bytes((0x0F, 0x80 + rng.randrange(16))) + near,
                bytes((rng.choice((0xE2, 0xE3, 0xEB)), length)),
                wide + b"\xe8" + near,
            )
        )

    def _piece(self) -> bytes | None:
        rng = self.rng
        if rng.random() < 0.04:
            return self._template()
        opcode = rng.choice(SEVERAL if rng.random() < 0.004 else COMMON)
        instruction = self._instruction(opcode)
        if instruction is None or self._is_no_case(instruction):
            return None
        code = instruction.raw
        if opcode.flags_undefined or opcode.operation in SHIFTS or opcode.operation == "cmpxchg8b":
            # What is undefined must not be seen: CMP defines all six.
            code += bytes((0x39, 0xC0 | rng.randrange(64)))
        return code

    def _template(self) -> bytes:
        """Instructions that need company."""
        rng = self.rng
        register = rng.choice((0, 1, 2, 3, 6, 7))
        sp = b"\x67" if self.bits == 16 else b""
        pushed = rng.choice((b"", b"\x66"))
        data = SELECTORS[{"kernel 32": 0, "user 32": 3, "user 16": 16}.get(self.mode, 0)][1]
        if self.mode == "kernel 16":
            data = rng.choice((0x1000, 0x2345, 0x7000))
        move = bytes((0xB8,)) + data.to_bytes(2 if self.bits == 16 else 4, "little")
        to_segment = bytes((0x8E, 0xC0 | rng.choice((0, 3, 4, 5)) << 3))
        flags = b"\x66" if self.bits == 32 else b""
        return rng.choice(
            (
                pushed
                + b"\x9c"
                + pushed
                + bytes((0x58 | register,))
                + bytes((0x39, 0xC0 | rng.randrange(64))),
                # PUSHF; AND word [ESP], 0CD5h; POPF
                flags
                + b"\x9c"
                + (b"\x66" if self.bits == 32 else b"")
                + sp
                + b"\x81\x24\x24\xd5\x0c"
                + flags
                + b"\x9d",
                move + to_segment,
                move + rng.choice((b"\x0f\xa0", b"\x0f\xa8", b"\x06", b"\x1e")),
                bytes((0x8C, 0xC0 | rng.choice((0, 2, 3, 4, 5)) << 3 | register)),
                b"\x0f\x02" + bytes((0xC0 | register << 3,)) if self.mode != "kernel 16" else b"\x90",
                move + b"\x0f\x03" + bytes((0xC0 | register << 3,)) if self.mode != "kernel 16" else b"\x90",
                move + b"\x0f\x00" + bytes((0xE0 | rng.randrange(2) << 3,))
                if self.mode != "kernel 16"
                else b"\x90",
                bytes(
                    (
                        rng.choice((0xE0, 0xE1)),
                        2,
                        0x39,
                        0xC0 | rng.randrange(64),
                        0x39,
                        0xC0 | rng.randrange(64),
                    )
                ),
                rng.choice((b"\xfa", b"\xfb\xfa", b"\x0f\x06"))
                if self.mode.startswith("kernel")
                else b"\xf9",
            )
        )

    def _instruction(self, opcode: Opcode) -> Instruction | None:
        rng = self.rng
        chances = (
            (0x66, 0.3),
            (0x67, 0.1 if self.bits == 32 else 0.02),
            (0x65, 0.05),
            (0x26, 0.05),
            (0xF0, 0.03),
        )
        prefixes = bytes(prefix for prefix, chance in chances if rng.random() < chance)
        if opcode.repeatable and rng.random() < 0.5:
            prefixes += bytes([rng.choice((0xF2, 0xF3))])
        byte = opcode.code | (rng.randrange(8) if opcode.plus_register else 0)
        code = prefixes + (b"\x0f" if opcode.two_byte else b"") + bytes([byte])
        if opcode.has_modrm:
            modrm = rng.randrange(256)
            if opcode.digit is not None:
                modrm = modrm & 0xC7 | opcode.digit << 3
            code += bytes([modrm])
        code += bytes(rng.choice((rng.randrange(256), 0, 0xFF, rng.randrange(8))) for _ in range(10))
        try:
            instruction = decode(code, Linear(0), self.bits)
        except DecodeError:
            return None
        return instruction if instruction.opcode is opcode else None

    def _is_no_case(self, instruction: Instruction) -> bool:
        name, operands = instruction.mnemonic, instruction.operands
        if any(isinstance(operand, Relative) for operand in operands):
            return True
        if instruction.repeat:
            # With the count as it happens to be: few have one of a size that can be waited for.
            return True
        if name in DOUBLE_SHIFTS and instruction.operand_size == 2:
            count = operands[-1]
            return not isinstance(count, Immediate) or count.value & 31 > 16
        if name == "neg" and instruction.lock:
            return True
        if name == "bswap" and instruction.operand_size == 2:
            return True
        if name == "leave" or (operands and name in ("pop", "mov", "xchg") and _is_stack(instruction)):
            return self.rng.random() < 0.8
        return False


def _is_stack(instruction: Instruction) -> bool:
    first = instruction.operands[0]
    return not isinstance(first, Memory) and getattr(first, "index", None) == 4


@dataclass
class Ours:
    """This PC in one mode."""

    mode: str

    def __post_init__(self) -> None:
        self.pc = Recording(dict.fromkeys(NAMES, 1), MEMORY, 1_000_000_000)
        self.pc.interrupts_blocked = True
        cpu = self.pc.cpu
        if self.mode == "kernel 16":
            power_on(cpu)
        else:
            ring = 3 if self.mode.startswith("user") else 0
            bits = int(self.mode.split()[1])
            for address, data in fixed_memory(self.mode).items():
                self.pc.memory.load(HostPhysical(address), data)
            code, data_selector = SELECTORS[16 if bits == 16 else ring]
            cpu.gdtr = TableRegister(GDT, len(_gdt()) - 1)
            limit = M32 if bits == 32 else 0xFFFF
            data_segment = d.segment(0, limit, d.DATA_READ_WRITE | 1, ring, big=bits == 32)
            for index in range(6):
                if index != CS:
                    cpu.set_segment(index, SegmentState(data_selector, *data_segment))
            cpu.cr0, cpu.cr3 = CR0, DIRECTORY
            cpu.set_code_segment(
                SegmentState(code, *d.segment(0, limit, d.CODE_READ | 1, ring, big=bits == 32)), ring
            )
        self.clean: CpuState = save_cpu(cpu)

    def run(self, program: Program, memory: bytes, blocks: bool) -> tuple[Left, bytes]:
        pc, cpu = self.pc, self.pc.cpu
        pc.memory.load(HostPhysical(DATA), memory)
        pc.memory.load(HostPhysical(CODE), program.code.ljust(CODE_BYTES, b"\xf4"))
        load_cpu(cpu, self.clean)
        if program.selectors:
            cpu.set_code_segment(paragraph_segment(cpu, CS, 0), 0)
            for index, selector in zip((0, 3, 4, 5), program.selectors, strict=True):
                cpu.set_segment(index, paragraph_segment(cpu, index, selector))
            cpu.set_segment(2, paragraph_segment(cpu, 2, DATA >> 4))
        for name, value in zip(GENERAL, program.registers, strict=True):
            setattr(cpu, name, value)
        cpu.eflags, cpu.eip = program.eflags, CODE
        pc.stopped, pc.fault = None, None
        usual, hot_blocks.ARRIVALS = hot_blocks.ARRIVALS, 0 if blocks else 1 << 30
        # HLT stands behind the program; it faults in user mode and is where all ends.
        pc.run(max_steps=MOST_STEPS)
        hot_blocks.ARRIVALS = usual
        fault = pc.fault
        vector = None if fault is None else fault.vector
        eip = cpu.eip
        if cpu.halted:
            eip -= 1
        if vector == GP and eip == CODE + len(program.code):
            vector = None
        registers = tuple(getattr(cpu, name) for name in GENERAL)
        address = fault.address if fault is not None and fault.address is not None else 0
        return Left(registers, eip, cpu.eflags, vector, address), pc.memory.dump(
            HostPhysical(DATA), len(memory)
        )


class Unicorn:
    """The oracle in one mode."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.uc = uc = Uc(UC_ARCH_X86, UC_MODE_16 if mode == "kernel 16" else UC_MODE_32)
        uc.mem_map(0, MEMORY)
        self.vector: int | None = None
        uc.hook_add(UC_HOOK_INTR, self._interrupt)
        uc.hook_add(UC_HOOK_INSN_INVALID, self._invalid)
        if mode != "kernel 16":
            self._protect(3 if mode.startswith("user") else 0, int(mode.split()[1]))
        self.clean = uc.context_save()

    def _protect(self, ring: int, bits: int) -> None:
        """Into protected mode by instructions of its own, since registers cannot be written to that end."""
        uc = self.uc
        for address, data in fixed_memory(self.mode).items():
            uc.mem_write(address, data)
        uc.reg_write(x86.UC_X86_REG_GDTR, (0, GDT, len(_gdt()) - 1, 0))
        code, data_selector = SELECTORS[16 if bits == 16 else ring]
        uc.reg_write(x86.UC_X86_REG_CR3, DIRECTORY)
        uc.reg_write(x86.UC_X86_REG_CR0, CR0)
        frame = struct.pack("<5I", CODE + 0x100, code, 2, 0x8000, data_selector)
        uc.mem_write(DATA, frame)  # at linear 0 by the tables
        uc.mem_write(CODE, b"\xcf")
        uc.reg_write(x86.UC_X86_REG_ESP, 0)
        if ring == 0:
            uc.reg_write(x86.UC_X86_REG_CS, code)
            for register in (
                x86.UC_X86_REG_SS,
                x86.UC_X86_REG_DS,
                x86.UC_X86_REG_ES,
                x86.UC_X86_REG_FS,
                x86.UC_X86_REG_GS,
            ):
                uc.reg_write(register, data_selector)
            return
        uc.emu_start(CODE, 0, count=1)
        load = bytes((0x66, 0xB8) if bits == 32 else (0xB8,)) + data_selector.to_bytes(2, "little")
        load += b"\x8e\xd8\x8e\xc0\x8e\xe0\x8e\xe8"
        uc.mem_write(CODE + 0x100, load)
        uc.emu_start(CODE + 0x100, CODE + 0x100 + len(load))
        assert uc.reg_read(x86.UC_X86_REG_CS) == code
        assert uc.reg_read(x86.UC_X86_REG_DS) == data_selector

    def _interrupt(self, uc: Uc, number: int, data: object) -> None:
        self.vector = number
        uc.emu_stop()

    def _invalid(self, uc: Uc, data: object) -> bool:
        self.vector = UD
        uc.emu_stop()
        return True

    def run(self, program: Program, memory: bytes, until: int) -> tuple[Left, bytes]:
        uc = self.uc
        uc.context_restore(self.clean)
        uc.mem_write(DATA, memory)
        uc.mem_write(CODE, program.code.ljust(CODE_BYTES, b"\xf4"))
        uc.ctl_flush_tb()
        if program.selectors:
            uc.reg_write(x86.UC_X86_REG_CS, 0)
            uc.reg_write(x86.UC_X86_REG_SS, DATA >> 4)
            for index, selector in zip((0, 3, 4, 5), program.selectors, strict=True):
                uc.reg_write(getattr(x86, f"UC_X86_REG_{SEGMENTS[index].upper()}"), selector)
        for register, value in zip(GENERAL_IDS, program.registers, strict=True):
            uc.reg_write(register, value)
        uc.reg_write(x86.UC_X86_REG_EFLAGS, program.eflags)
        self.vector = None
        try:
            uc.emu_start(CODE, until)
        except UcError as error:
            self.vector = self.vector if self.vector is not None else 0x100 | error.errno
        registers = tuple(uc.reg_read(register) for register in GENERAL_IDS)
        left = Left(
            registers,
            uc.reg_read(x86.UC_X86_REG_EIP),
            uc.reg_read(x86.UC_X86_REG_EFLAGS) | 2,
            self.vector,
            uc.reg_read(x86.UC_X86_REG_CR2) if self.vector == 14 else 0,
        )
        return left, bytes(uc.mem_read(DATA, len(memory)))


class Comparison:
    """Programs of one mode, one after another from a seed; ``instructions`` counts what was compared."""

    def __init__(self, mode: str, seed: int) -> None:
        self.mode = mode
        self.seed = seed
        self.rng = random.Random(f"{mode} {seed}")
        self.programmer = Programmer(self.rng, mode)
        self.ours, self.oracle = Ours(mode), Unicorn(mode)
        self.memory = self.rng.randbytes(0x1_0000 if mode != "kernel 16" else MEMORY - DATA)
        self.instructions = self.programs = self.faults = 0

    def one(self) -> str:
        """Compare one program: what differs first, or nothing."""
        program = self.programmer.program()
        self.programs += 1
        blocks = self.programs % FEW == 0
        if not self._compare(program, blocks=blocks):
            return ""
        # The shortest beginning that differs ends with the instruction that does.
        for count in range(1, len(program.pieces) + 1):
            beginning = program._replace(pieces=program.pieces[:count])
            problems = self._compare(beginning, blocks=blocks)
            if problems:
                at = f"{self.mode}, seed {self.seed}, program {self.programs}, piece {count}"
                bits = self.programmer.bits
                last = [(decode(piece, Linear(0), bits), piece) for piece in beginning.pieces[-2:]]
                listing = [f"{which.mnemonic} {which.operands} {piece.hex(' ')}" for which, piece in last]
                return "\n".join((at, *listing, *problems))
        return f"{self.mode}, seed {self.seed}, program {self.programs}: differs as a whole only"

    def _compare(self, program: Program, *, blocks: bool) -> list[str]:
        ours, memory = self.ours.run(program, self.memory, blocks=blocks)
        length = len(program.code)
        raw = self.ours.pc.memory.dump(HostPhysical(CODE), length)
        if raw != program.code or not CODE <= ours.eip <= CODE + length:
            return []  # it has changed itself
        beyond_limit = ours.vector in (GP, SS)
        until = ours.eip if beyond_limit else CODE + length
        theirs, other = self.oracle.run(program, self.memory, until)
        if beyond_limit:
            ours = ours._replace(vector=None)
        self.instructions += len(program.pieces) * (ours.eip - CODE) // length
        self.faults += ours.vector is not None
        problems = [
            f"{name}: {a:#x}, unicorn {b:#x}"
            for name, a, b in zip(GENERAL, ours.registers, theirs.registers, strict=True)
            if a != b
        ]
        if (beyond_limit or ours.vector == PF) and self._at(program, ours.eip).mnemonic in ("pusha", "enter"):
            ours, theirs = ours._replace(cr2=0), theirs._replace(cr2=0)
            other = memory
        for name in ("eip", "vector", "cr2"):
            if getattr(ours, name) != getattr(theirs, name):
                problems.append(f"{name}: {getattr(ours, name)}, unicorn {getattr(theirs, name)}")
        different = (ours.eflags ^ theirs.eflags) & (EFLAGS_ARITHMETIC | EFLAGS_DF)
        if different and not (ours.vector is not None and self._mixes(self._at(program, ours.eip))):
            problems.append(f"eflags: {ours.eflags:#x}, unicorn {theirs.eflags:#x}")
        if memory != other:
            at = next(i for i in range(len(memory)) if memory[i] != other[i])
            problems.append(f"memory at {at:#x}: {memory[at]:#x}, unicorn {other[at]:#x}")
        return problems

    @staticmethod
    def _mixes(instruction: Instruction) -> bool:
        """Whether unicorn has mixed up the flags when this faults on its operand."""
        return bool(instruction.opcode.flags_read) or instruction.lock

    def _at(self, program: Program, eip: int) -> Instruction:
        return decode(program.code[eip - CODE :], Linear(0), self.programmer.bits)


UNIT = 12_500  # instructions of one mode and seed
SEEDS = 20


def unit(mode: str, seed: int, instructions: int = UNIT) -> tuple[str, int, int, str]:
    """Compare some of one mode and seed: mode, seed, how many, and what differs first."""
    comparison = Comparison(mode, seed)
    problem = ""
    while comparison.instructions < instructions and not problem:
        problem = comparison.one()
    return mode, seed, comparison.instructions, problem


def compare(seeds: range, processes: int, tell: Callable[[str], None]) -> tuple[int, list[str]]:
    """All modes of some seeds, in processes; how many instructions were compared, and what differs."""
    total, problems = 0, []
    began = time.monotonic()
    units = [(mode, seed) for seed in seeds for mode in MODES]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for done in as_completed([pool.submit(unit, *each) for each in units]):
            mode, seed, count, problem = done.result()
            total += count
            problems += [problem] if problem else []
            seconds = time.monotonic() - began
            tell(f"seed {seed}, {mode}: {count} instructions, {total} in all, {seconds:.0f} s {problem}")
    return total, problems


def main() -> None:
    """python -m tests.oracle.random_programs [FIRST [LAST]]: seeds to compare, from where one has stopped."""
    numbers = [int(word) for word in sys.argv[1:]] or [0]
    last = numbers[1] if len(numbers) > 1 else SEEDS - 1
    _, problems = compare(range(numbers[0], last + 1), os.cpu_count() or 1, print)
    raise SystemExit(bool(problems))


if __name__ == "__main__":
    main()
