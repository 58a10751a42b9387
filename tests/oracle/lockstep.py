"""A guest stepped on this machine and on qemu-system-i386 at once; the first difference ends it.

What is compared after every step: the general registers, EIP, EFLAGS, the selectors, and behind a delivery
the handler's frame, error code included. What an instruction leaves undefined and what depends on
time (RDTSC, the timer's ports) is taken over from QEMU, since it is no difference.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.oracle.bare_machine import LOAD_ADDRESS, build_rom
from tests.oracle.gdb_remote import GdbRemote, Registers
from vizapp.isa.addresses import HostPhysical
from vizapp.isa.decode import DecodeError, decode
from vizapp.isa.instruction import Instruction
from vizapp.isa.registers import CR0_CD, CR0_NW, CS, DS, EFLAGS_RF, ES, FS, GENERAL, GS, SS
from vizapp.machine.events import TRAPS, Event
from vizapp.machine.identity import PENTIUM_4, with_large_pages
from vizapp.machine.inputs import NAMES
from vizapp.machine.pc import Pc

MEMORY = 16 << 20
STUB_SELECTORS = (CS, SS, DS, ES, FS, GS)
FRAME_BYTES = 20  # what every delivery pushes at least, or what lies above it
STEP_ATTEMPTS = 100
TIMED = frozenset({"rdtsc", "in", "cpuid"})


@contextmanager
def qemu(binary: Path, directory: Path) -> Iterator[GdbRemote]:
    """A machine that stands at the first instruction of a flat guest at 1 MB."""
    path = directory / "gdb"
    command = [
        "qemu-system-i386", "-machine", "pc", "-cpu", "pentium3,-apic", "-m", "16", "-nodefaults", "-S",
        "-display", "none", "-serial", "null", "-accel", "tcg", "-gdb", f"unix:{path},server=on,wait=off",
        "-device", f"loader,file={binary},addr={LOAD_ADDRESS:#x},force-raw=on",
        "-bios", str(build_rom(directory)),
    ]  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            remote = GdbRemote(path)
            try:
                remote.run_to(LOAD_ADDRESS)
                yield remote
            finally:
                remote.close()
        finally:
            process.kill()


class Lockstep:
    """Both machines; ``here`` is ours."""

    def __init__(self, remote: GdbRemote, binary: Path) -> None:
        identity = with_large_pages(PENTIUM_4)
        self.here = Pc(dict.fromkeys(NAMES, 1), MEMORY, 1_000_000_000, identity)
        self.here.memory.load(HostPhysical(LOAD_ADDRESS), binary.read_bytes())
        self.steps = 0
        self._remote = remote
        self.here.interrupts_blocked = True  # as the stub has it while it steps
        self.here.cpu.cr0 |= CR0_CD | CR0_NW  # as after reset: no firmware has run
        self._theirs = remote.registers()
        self._adopt(self._theirs)
        self._deliveries = 0
        self.here.listener = self._event

    @property
    def over(self) -> bool:
        """Whether the guest is about to wait, which the stub would do for ever."""
        instruction = self._next()
        waits = instruction is not None and instruction.mnemonic == "hlt" and self.here.cpu.cpl == 0
        return self.here.stopped is not None or waits

    def step(self) -> str | None:
        """One step of both; what differs, or None."""
        instruction = self._next()
        deliveries = self._deliveries
        self.here.step()
        self.steps += 1
        theirs = before = self._theirs
        for _ in range(STEP_ATTEMPTS):
            self._remote.step()
            theirs = self._remote.registers()
            # A timer of QEMU's own may end a step before anything was done.
            if theirs != before or self._ours() == before:
                break
        self._theirs = theirs
        if instruction is not None and instruction.opcode.operation in TIMED:
            self._adopt(theirs)
        undefined = 0 if instruction is None else instruction.opcode.flags_undefined
        if (self.here.cpu.eflags ^ theirs.eflags) & ~undefined & ~EFLAGS_RF == 0:
            self.here.cpu.eflags = self.here.cpu.eflags & ~undefined | theirs.eflags & undefined
        problem = self._compare(theirs, frame=self._deliveries != deliveries)
        if problem is None:
            return None
        name = "bytes" if instruction is None else f"{instruction.mnemonic} ({instruction.raw.hex(' ')})"
        return f"step {self.steps}, {name}: {problem}"

    def _next(self) -> Instruction | None:
        cpu = self.here.cpu
        linear = cpu.segments[CS].base + cpu.eip & 0xFFFF_FFFF
        frame = self.here.mmu.probe(linear)
        if frame is None:
            return None
        raw = self.here.memory.dump(HostPhysical(frame << 12 | linear & 0xFFF), 15)
        try:
            return decode(raw, cpu.eip, 32 if cpu.segments[CS].big else 16)
        except DecodeError:
            return None

    def _event(self, event: Event) -> None:
        self._deliveries += event.kind in TRAPS

    def _adopt(self, theirs: Registers) -> None:
        cpu = self.here.cpu
        for name, value in zip(GENERAL, theirs.general, strict=True):
            setattr(cpu, name, value)
        cpu.eip, cpu.eflags = theirs.eip, theirs.eflags

    def _ours(self) -> Registers:
        cpu = self.here.cpu
        return Registers(
            tuple(getattr(cpu, name) for name in GENERAL),
            cpu.eip,
            cpu.eflags,
            tuple(cpu.segments[index].selector for index in STUB_SELECTORS),
        )

    def _compare(self, theirs: Registers, *, frame: bool) -> str | None:
        ours = self._ours()
        ours = ours._replace(eflags=ours.eflags & ~EFLAGS_RF)
        theirs = theirs._replace(eflags=theirs.eflags & ~EFLAGS_RF)
        for field, mine, other in zip(Registers._fields, ours, theirs, strict=True):
            if mine != other:
                return f"{field} is {_hex(mine)} here and {_hex(other)} there"
        if frame:
            cpu = self.here.cpu
            top = cpu.segments[SS].base + cpu.esp
            words = [cpu.implicit.read(top + offset, 4, False) for offset in range(0, FRAME_BYTES, 4)]
            mine = b"".join(word.to_bytes(4, "little") for word in words)
            other = self._remote.memory(top, FRAME_BYTES)
            # QEMU 7 does not set RF in the EFLAGS that a fault pushes, as the manual has it.
            if [word & ~EFLAGS_RF for word in _words(mine)] != [word & ~EFLAGS_RF for word in _words(other)]:
                return f"the stack holds {mine.hex(' ', 4)} here and {other.hex(' ', 4)} there"
        return None


def _words(data: bytes) -> list[int]:
    return [int.from_bytes(data[index : index + 4], "little") for index in range(0, len(data), 4)]


def _hex(value: int | tuple[int, ...]) -> str:
    return f"{value:#x}" if isinstance(value, int) else " ".join(f"{word:#x}" for word in value)
