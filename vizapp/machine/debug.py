"""Debug registers and alignment: breakpoints on instructions, data and ports, and what DR6 says of them.

    DR7   | LEN3 RW3 | LEN2 RW2 | LEN1 RW1 | LEN0 RW0 | GD |  | G3 L3 G2 L2 G1 L1 G0 L0 |
            31..28     27..24     23..20     19..16     13     7..0
    DR6   15 BT   14 BS   13 BD   3..0: which breakpoints' conditions were met

While a breakpoint is set, CPL 3 has its accesses checked for alignment, or a virtual interrupt is due, the
processor is *watched*: it does one instruction at a time, and its accesses go through ``WatchedSpace``
instead of the fast maps. Those of its own, to descriptors, TSSs and the stacks of inner rings, meet data
breakpoints too (``WatchedImplicit``); page-table walks do not. SDM Vol. 3, "Debug Registers", "Debug
Exceptions" and "Interrupt 17 - Alignment Check Exception (#AC)".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa import registers as r
from vizapp.isa import vectors
from vizapp.isa.addresses import M32
from vizapp.machine.faults import Fault
from vizapp.machine.virtual_interrupts import is_pending

if TYPE_CHECKING:
    from vizapp.machine.cpu import Cpu
    from vizapp.machine.segmented_access import AddressSpace, SystemMemory

DR6_BD: Final = 1 << 13
DR6_BS: Final = 1 << 14
DR6_BT: Final = 1 << 15
DR7_GD: Final = 1 << 13
ENABLED: Final = 0xFF
HELD: Final = 1 << 16  # in ``Cpu.traps``
_BREAKPOINTS: Final = 4
_ON_EXECUTION, _ON_WRITE, _ON_PORT, _ON_ACCESS = range(4)
_LENGTHS: Final = (1, 2, 8, 4)
# Bits that are always 1 and always 0.
_FIXED: Final = {6: (0xFFFF_0FF0, 0x1000), 7: (0x400, 0xD800)}


def fixed(index: int, value: int) -> int:
    """What debug register ``index`` holds after ``value`` was moved there."""
    ones, zeros = _FIXED.get(index, (0, 0))
    return (value | ones) & ~zeros & M32


def checks_alignment(cpu: Cpu) -> bool:
    """Whether a misaligned access would be #AC now."""
    return cpu.cpl == 3 and bool(cpu.cr0 & r.CR0_AM and cpu.system_flags & r.EFLAGS_AC)


def is_watched(cpu: Cpu) -> bool:
    """Whether every instruction and access needs a closer look."""
    return bool(cpu.debug[7] & ENABLED) or checks_alignment(cpu) or is_pending(cpu)


def _hits(cpu: Cpu, kinds: tuple[int, ...], address: int, size: int) -> int:
    """DR6 bits of the breakpoints of ``kinds`` that touch ``size`` bytes at an address."""
    control = cpu.debug[7]
    found = 0
    for index in range(_BREAKPOINTS):
        if not control >> 2 * index & 3:
            continue
        kind = control >> 16 + 4 * index & 3
        length = _LENGTHS[control >> 18 + 4 * index & 3]
        first = cpu.debug[index] & ~(length - 1)  # it is aligned to its length, whatever the register says
        if kind in kinds and first < address + size and address < first + length:
            found |= 1 << index
    return found


def check_execution(cpu: Cpu) -> None:
    """#DB before an instruction at a breakpoint, which RF lets pass, once; #GP(0) of VIF with VIP."""
    if cpu.system_flags & r.EFLAGS_RF:
        cpu.system_flags &= ~r.EFLAGS_RF
    elif hits := _hits(cpu, (_ON_EXECUTION,), cpu.segments[r.CS].base + cpu.eip & M32, 1):
        raise Fault(vectors.DB, debug=hits)
    if is_pending(cpu):
        raise Fault(vectors.GP, 0)


def note_port(cpu: Cpu, port: int, size: int) -> None:
    """Breakpoints on ports exist with CR4.DE."""
    if cpu.watched and cpu.cr4 & r.CR4_DE:
        cpu.traps |= _hits(cpu, (_ON_PORT,), port, size)


def check_general_detect(cpu: Cpu) -> None:
    """#DB before an access to a debug register while DR7.GD guards them; the handler may access them."""
    if cpu.debug[7] & DR7_GD:
        raise Fault(vectors.DB, debug=DR6_BD)


def hold(cpu: Cpu) -> None:
    """SS was loaded: what is due waits for the next instruction, which may load ESP.

    SDM Vol. 3, "Masking Exceptions and Interrupts When Switching Stacks".
    """
    cpu.single_step = False
    if cpu.traps:
        cpu.traps |= HELD


def is_held(cpu: Cpu) -> bool:
    """Whether the next instruction comes before the #DB that is due; the one after it does not."""
    held = cpu.traps & HELD
    cpu.traps &= ~HELD
    return bool(held)


def due(cpu: Cpu) -> Fault:
    """The #DB that is due after an instruction; it is forgotten."""
    bits = cpu.traps | (DR6_BS if cpu.single_step else 0)
    cpu.traps, cpu.single_step = 0, False
    return Fault(vectors.DB, debug=bits, trap=True)


def report(cpu: Cpu, bits: int) -> None:
    """A #DB is delivered: tell in DR6 why, and let its handler access the debug registers."""
    cpu.debug[6] |= bits
    if bits & DR6_BD:
        cpu.debug[7] &= ~DR7_GD


class WatchedSpace:
    """An address space whose accesses meet breakpoints and the alignment check."""

    def __init__(self, space: AddressSpace) -> None:
        self._space = space
        self.cpu: Cpu | None = None

    def _note(self, linear: int, size: int, kinds: tuple[int, ...], user: bool, *, write: bool) -> None:
        cpu = self.cpu
        assert cpu is not None
        if checks_alignment(cpu) and linear & (size if size in (1, 2, 8) else 4) - 1:
            # The last of an access's faults: a page fault comes first.
            (self._space.modify if write else self._space.read)(linear, size, user)
            raise Fault(vectors.AC, 0)
        if cpu.debug[7] & ENABLED:
            cpu.traps |= _hits(cpu, kinds, linear, size)

    def read(self, linear: int, size: int, user: bool) -> int:
        """As the space does."""
        self._note(linear, size, (_ON_ACCESS,), user, write=False)
        return self._space.read(linear, size, user)

    def modify(self, linear: int, size: int, user: bool) -> int:
        """As the space does."""
        self._note(linear, size, (_ON_ACCESS,), user, write=True)
        return self._space.modify(linear, size, user)

    def write(self, linear: int, size: int, value: int, user: bool) -> None:
        """As the space does."""
        self._note(linear, size, (_ON_WRITE, _ON_ACCESS), user, write=True)
        self._space.write(linear, size, value, user)

    def fetch(self, linear: int, count: int, user: bool) -> bytes:
        """As the space does."""
        return self._space.fetch(linear, count, user)

    def flush(self) -> None:
        """As the space does."""
        self._space.flush()

    def invalidate(self, linear: int) -> None:
        """As the space does."""
        self._space.invalidate(linear)


class WatchedImplicit:
    """The processor's own accesses while data breakpoints are set."""

    def __init__(self, memory: SystemMemory) -> None:
        self._memory = memory
        self.cpu: Cpu | None = None

    def read(self, linear: int, size: int, user: bool) -> int:
        """As the memory does."""
        value = self._memory.read(linear, size, user)
        assert self.cpu is not None
        self.cpu.traps |= _hits(self.cpu, (_ON_ACCESS,), linear, size)
        return value

    def write(self, linear: int, size: int, value: int, user: bool) -> None:
        """As the memory does."""
        self._memory.write(linear, size, value, user)
        assert self.cpu is not None
        self.cpu.traps |= _hits(self.cpu, (_ON_WRITE, _ON_ACCESS), linear, size)
