"""Runs one capture of a Harris 80C286 in real mode on the whole PC and says what differs.

A capture is a line of SingleStepTests/80286: registers and memory before and after one instruction and the
HLT behind it, or the one that its handler begins with. Where an IA-32 processor rightly differs is
a rule here, each with its reason.
"""

from __future__ import annotations

from typing import Any

from vizapp.isa.addresses import PAGE_SHIFT, PAGE_SIZE, HostPhysical, Linear
from vizapp.isa.decode import DecodeError, decode
from vizapp.isa.instruction import Instruction
from vizapp.isa.registers import CS, DS, EFLAGS_FIXED, ES, GENERAL, SEGMENTS, SS, WORDS
from vizapp.isa.vectors import GP, UD
from vizapp.isa.vectors import SS as STACK_FAULT
from vizapp.machine.events import EXCEPTION_DELIVERED, SOFTWARE_INTERRUPT_DELIVERED, Event
from vizapp.machine.inputs import NAMES
from vizapp.machine.pc import Pc
from vizapp.machine.real_mode import power_on
from vizapp.machine.segments import load_segment, paragraph_segment

MEMORY = 2 << 20  # beyond FFFF:FFFF, which is above 1 MB, since line A20 passes
LONGEST_OF_286 = 10
LOCK = 0xF0
PREFIXES = bytes((0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, LOCK, 0xF2, 0xF3))
STEPS = 1 << 17
FLAGS_IN_FRAME = 4
# On the 80286 NT and IOPL cannot be set in real mode, and bit 15 is 0.
FLAGS_OF_BOTH = 0x0FFF


class NoPorts:
    """A bus that nobody answers on."""

    def read(self, port: int, size: int) -> int:
        return (1 << 8 * size) - 1

    def write(self, port: int, size: int, value: int) -> None:
        pass


class Bench:
    """A PC on which one capture after another is run."""

    def __init__(self) -> None:
        self.pc = Pc(dict.fromkeys(NAMES, 1), MEMORY, 1_000_000_000)
        self.pc.cpu.ports = NoPorts()
        self.pc.interrupts_blocked = True
        self.pc.listener = self._event
        self.vectors: list[int] = []
        self._blank = self.pc.memory.snapshot()

    def problems(self, capture: dict[str, Any]) -> list[str]:
        """What differs from the capture, beyond what the rules allow."""
        expected = capture["exc"][0] if "exc" in capture else None
        self._clear()
        self._set_up(capture)
        code = self._code()
        try:
            instruction = decode(code, Linear(0), 16)
        except DecodeError:
            instruction = None
        if instruction is not None and instruction.length > LONGEST_OF_286:
            # The 80286 refuses more than 10 bytes, prefixes included; its successors more than 15.
            return [] if expected == GP else ["the 80286 did not refuse more than 10 bytes"]
        if instruction is None and LOCK in code[: len(code) - len(code.lstrip(PREFIXES))]:
            # The 80286 locks the bus for anything; its successors only for what changes memory.
            self.pc.step()
            return [] if self.vectors == [UD] else [f"vectors {self.vectors}, not #UD for LOCK"]
        if expected == GP:
            # Beyond the limit of SS the 80286 raises 13 in real mode: let 12 lead there too.
            self.pc.memory.write(STACK_FAULT * 4, 4, self.pc.memory.read(GP * 4, 4))
        self.pc.run(max_steps=STEPS)
        return self._compare(capture, instruction, expected)

    def _event(self, event: Event) -> None:
        if event.kind in (EXCEPTION_DELIVERED, SOFTWARE_INTERRUPT_DELIVERED):
            self.vectors.append(int(event.payload["vector"]))

    def _set_up(self, capture: dict[str, Any]) -> None:
        cpu, before = self.pc.cpu, capture["ir"]
        self.vectors.clear()
        self.pc.stopped = None
        for address, data in capture["im"]:
            self.pc.memory.load(HostPhysical(address), bytes.fromhex(data))
        power_on(cpu)
        for index in (ES, SS, DS):
            load_segment(cpu, index, before[SEGMENTS[index]])
        cpu.set_code_segment(paragraph_segment(cpu, CS, before["cs"]), 0)
        for name, word in zip(GENERAL, WORDS, strict=True):
            setattr(cpu, name, before[word])
        cpu.eip = before["ip"]
        cpu.eflags = before["flags"] & FLAGS_OF_BOTH | EFLAGS_FIXED

    def _code(self) -> bytes:
        cpu = self.pc.cpu
        return self.pc.memory.dump(HostPhysical(cpu.segments[CS].base + cpu.eip), 15)

    def _compare(
        self, capture: dict[str, Any], instruction: Instruction | None, expected: int | None
    ) -> list[str]:
        cpu = self.pc.cpu
        if not cpu.halted:
            return [f"does not end: at {cpu.segments[CS].selector:#x}:{cpu.eip:#x}, vectors {self.vectors}"]
        vectors = self.vectors
        if expected == GP:
            vectors = [GP if vector == STACK_FAULT else vector for vector in vectors]
        if vectors != ([] if expected is None else [expected]):
            return [f"vectors {self.vectors}, not {expected}"]
        after = capture["ir"] | capture["fr"]
        found = []
        # A string instruction that faults has advanced its registers on the 80286, and not on its successors.
        string = instruction is not None and instruction.opcode.repeatable
        advanced = ("si", "di", "cx") if string and expected is not None else ()
        for name, word in zip(GENERAL, WORDS, strict=True):
            if getattr(cpu, name) != after[word] and word not in advanced:
                found.append(f"{word} {getattr(cpu, name):#x}, not {after[word]:#x}")
        # Behind FFFF the 80286 wraps; EIP stands at 10000, where the next fetch would fault.
        if cpu.eip & 0xFFFF != after["ip"]:
            found.append(f"ip {cpu.eip:#x}, not {after['ip']:#x}")
        for index in (ES, CS, SS, DS):
            name = SEGMENTS[index]
            if cpu.segments[index].selector != after[name]:
                found.append(f"{name} {cpu.segments[index].selector:#x}, not {after[name]:#x}")
        defined = capture["mask"] & FLAGS_OF_BOTH
        if (cpu.eflags ^ after["flags"]) & defined:
            found.append(f"flags {cpu.eflags:#x}, not {after['flags']:#x}")
        return found + self._compare_memory(capture, expected)

    def _compare_memory(self, capture: dict[str, Any], expected: int | None) -> list[str]:
        wanted: dict[int, int] = {}
        for address, data in (*capture["im"], *capture["fm"]):
            wanted.update((address + index, byte) for index, byte in enumerate(bytes.fromhex(data)))
        ignored: dict[int, int] = {}
        if expected is not None:
            # The address in the capture is the bus cycle's, so it is even for an odd stack too.
            flags = (self.pc.cpu.segments[SS].base + self.pc.cpu.esp & 0xFFFFFF) + FLAGS_IN_FRAME
            ignored = {flags: ~capture["mask"] & 0xFF, flags + 1: ~(capture["mask"] >> 8) & 0xFF | 0xF0}
        if expected == GP:
            ignored.update((address, 0xFF) for address in range(STACK_FAULT * 4, STACK_FAULT * 4 + 4))
        found = []
        memory = self.pc.memory
        image = bytearray(MEMORY)
        for address, byte in wanted.items():
            image[address] = byte
        for frame, page in enumerate(memory.snapshot().pages):
            first = frame << PAGE_SHIFT
            if page is self._blank.pages[frame] or page == image[first : first + PAGE_SIZE]:
                continue
            for offset in range(PAGE_SIZE):
                address = first + offset
                different = page[offset] ^ wanted.get(address, 0)
                if different & ~ignored.get(address, 0):
                    found.append(
                        f"memory at {address:#x}: {page[offset]:#x}, not {wanted.get(address, 0):#x}"
                    )
        return found

    def _clear(self) -> None:
        self.pc.memory.restore(self._blank)
        self.pc.code.revalidate()
