"""Runs one instruction on the machine's processor in a prepared situation, and keeps all that it did.

The processor is the machine's own; its memory is one in which every address answers, so that an instruction
can be tried at whatever operands it has, and in which every store is kept apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.experiment.worlds import TABLES, World, flat_segments
from vizapp.isa import registers as r
from vizapp.isa.addresses import M32
from vizapp.machine.cpu import Cpu
from vizapp.machine.cpu_state import CpuState, load_cpu, save_cpu
from vizapp.machine.faults import Fault, Unimplemented
from vizapp.machine.identity import PENTIUM_4_VIRTUALIZABLE, with_fpu

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.machine.engine.generator import Executor
    from vizapp.messages import Message

STACK: Final = 0x0008_0000
_TIME: Final = 0x12_3456_789A
_IDENTITY: Final = with_fpu(PENTIUM_4_VIRTUALIZABLE)
_FROM_PORT: Final = 0x5A5A_5A5A


class State(NamedTuple):
    """What an instruction finds, whoever runs it.

    Attributes:
        title: what it is meant to show.
        registers: EAX ECX EDX EBX ESP EBP ESI EDI.
        word: what lies in memory, 16 bits over and over, where nothing else is.
        stack: double words from ESP on, or words for an instruction of 16 bits.
        eflags: as the guest believes them, IF and IOPL included.
    """

    title: Message
    registers: tuple[int, ...]
    word: int
    stack: tuple[int, ...]
    eflags: int


class Situation(NamedTuple):
    """A state in a world, ready for any instruction.

    Attributes:
        ring: the CPL.
        world: what is behind.
        before: the processor; EIP is the instruction's.
        memory: what lies on the stack, bytes by address, by operand size.
        word: of ``State``.
    """

    ring: int
    world: World
    before: CpuState
    memory: dict[int, dict[int, int]]
    word: bytes


def prepare(state: State, ring: int, world: World, eflags: int, cr4: int = 0) -> Situation:
    """A state at ``ring`` with ``world`` behind, and ``eflags`` and ``cr4`` in the processor."""
    before = _FRESH._replace(
        general=state.registers,
        eflags=eflags | r.EFLAGS_FIXED,
        segments=_SEGMENTS[ring],
        cpl=ring,
        gdtr=world.gdtr,
        idtr=world.idtr,
        ldtr=world.ldtr,
        tr=world.tr,
        control=(world.cr0, 0, world.cr3, cr4),
        sysenter=world.sysenter,
    )
    memory = {}
    for size in (2, 4):
        mask = (1 << 8 * size) - 1
        frame = b"".join((value & mask).to_bytes(size, "little") for value in state.stack)
        memory[size] = dict(enumerate(frame, STACK))
    return Situation(ring, world, before, memory, state.word.to_bytes(2, "little"))


class Outcome(NamedTuple):
    """What became of an instruction.

    Attributes:
        before: the processor as it was.
        after: the processor as it is.
        fault: what it raised instead, or None.
        stored: bytes stored, by linear address.
        bus: what reached ports and the MMU, in order.
        modelled: False where the machine does not do what was asked.
    """

    before: CpuState
    after: CpuState
    fault: Fault | None
    stored: dict[int, int]
    bus: tuple[tuple[str, int, int], ...]
    modelled: bool


class _Memory:
    """Linear memory in which every page is present and open to every ring."""

    def __init__(self) -> None:
        self.word = b"\0\0"
        self.placed: dict[int, int] = {}
        self.stored: dict[int, int] = {}
        self.bus: list[tuple[str, int, int]] = []

    def _byte(self, address: int) -> int | None:
        for where in (self.stored, self.placed, TABLES):
            found = where.get(address)
            if found is not None:
                return found
        return None

    def read(self, linear: int, size: int, user: bool) -> int:
        # Where nothing lies an access finds the word from its first byte on, however it is aligned.
        value = 0
        for i in range(size):
            byte = self._byte(linear + i & M32)
            value |= (self.word[i & 1] if byte is None else byte) << 8 * i
        return value

    modify = read

    def write(self, linear: int, size: int, value: int, user: bool) -> None:
        for i in range(size):
            self.stored[linear + i & M32] = value >> 8 * i & 0xFF

    def fetch(self, linear: int, count: int, user: bool) -> bytes:
        return self.read(linear, count, user).to_bytes(count, "little")

    def flush(self) -> None:
        self.bus.append(("flush", 0, 0))

    def invalidate(self, linear: int) -> None:
        self.bus.append(("invalidate", linear, 0))


class _Ports:
    """Ports that answer one value and keep what is sent, with the memory's own log."""

    def __init__(self, bus: list[tuple[str, int, int]]) -> None:
        self.bus = bus

    def read(self, port: int, size: int) -> int:
        self.bus.append(("in", port, size))
        return _FROM_PORT & (1 << 8 * size) - 1

    def write(self, port: int, size: int, value: int) -> None:
        self.bus.append(("out", port, value))


class Laboratory:
    """A processor to try instructions on."""

    def __init__(self) -> None:
        self._memory = _Memory()
        self._cpu = Cpu(self._memory, _Ports(self._memory.bus), identity=_IDENTITY, tsc=lambda: _TIME)

    def run(self, instruction: Instruction, effect: Executor, situation: Situation) -> Outcome:
        """Carry out an instruction, or one iteration of a repeated one; ``effect`` is its executor."""
        cpu, memory = self._cpu, self._memory
        memory.word = situation.word
        memory.placed = situation.memory[instruction.operand_size]
        memory.stored = {}
        memory.bus.clear()
        before = situation.before._replace(eip=int(instruction.address))
        load_cpu(cpu, before)
        fault, modelled = None, True
        try:
            effect(cpu)
        except Fault as raised:
            fault = raised
        except Unimplemented:
            modelled = False
        return Outcome(before, save_cpu(cpu), fault, memory.stored, tuple(memory.bus), modelled)


def _fresh() -> CpuState:
    memory = _Memory()
    return save_cpu(Cpu(memory, _Ports(memory.bus)))


_FRESH: Final = _fresh()
_SEGMENTS: Final = {ring: flat_segments(ring) for ring in (0, 1, 3)}
