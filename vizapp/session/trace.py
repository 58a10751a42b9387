"""The architectural trace: after each guest instruction a 64-bit digest of what the guest can compute with.

EIP, the general registers, the arithmetic flags and the CPL that the guest believes to have. IF and IOPL are
not in it: under deprivileging nobody can say what they are, except an instruction that reads them.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from vizapp.isa.registers import EFLAGS_ARITHMETIC
from vizapp.machine.places import APPLICATION

if TYPE_CHECKING:
    from vizapp.machine.pc import Pc

UNSEEN = 0  # stands for an instruction that a monitor carried out: the next direct one shows its effect
_M64 = 0xFFFF_FFFF_FFFF_FFFF


def digest(pc: Pc) -> int:
    """The digest of the guest's state now, while its own code has the processor; never ``UNSEEN``."""
    cpu = pc.cpu
    translated = None if pc.guest_state is None else pc.guest_state()
    registers = translated or (
        cpu.eip, cpu.eax, cpu.ecx, cpu.edx, cpu.ebx, cpu.esp, cpu.ebp, cpu.esi, cpu.edi,
    )  # fmt: skip
    state = (
        *registers,
        cpu.eflags & EFLAGS_ARITHMETIC,
        3 if pc.meter.place.component == APPLICATION else 0,
    )  # fmt: skip
    # Hashes of tuples of integers do not depend on the process.
    return hash(state) & _M64 or 1


class Trace:
    """The digests of guest instructions ``first``, ``first`` + 1, ...; attach ``retired`` to a PC's hook.

    Of several guests on a PC each has a trace of its own, and is told of by ``note``.
    """

    def __init__(self, first: int) -> None:
        self.first = first
        self.digests = array("Q")

    def retired(self, pc: Pc) -> None:
        """A guest instruction has retired."""
        self.note(pc, pc.instructions)

    def note(self, pc: Pc, instructions: int) -> None:
        """The guest that has the processor has retired one, its number ``instructions``."""
        if pc.meter.place.is_guest:
            self.pad(instructions - 1)
            self.digests.append(digest(pc))

    def pad(self, end: int) -> None:
        """Make the trace end before instruction ``end``: what is missing was carried out by the monitor."""
        missing = end - self.first - len(self.digests)
        if missing > 0:
            self.digests.extend([UNSEEN] * missing)
