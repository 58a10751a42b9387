"""A moment: what sentences and panels need to know of the machine at one position."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.machine.events import Event
    from vizapp.machine.places import Place


@dataclass(frozen=True, slots=True)
class Moment:
    """The machine between two steps.

    Attributes:
        guest: registers as the guest sees them, by lower-case name (``eax``, ``eflags``, ``cpl``, ``cr3``).
        processor: the same as the processor holds them for the guest.
        instruction: the guest's instruction at its EIP; None where it cannot be fetched or decoded.
        text: the same disassembled.
        linear: the linear address of that instruction, and ``bits`` the size of its code segment, 16 or 32.
        top: the doubleword on top of the guest's stack; None where it cannot be read.
        phase: the monitor's phase that is about to run, or an empty string.
        own_eip: where the processor itself is, in the monitor's code or in the guest's.
        own_text: the monitor's instruction there, or the translation cache's; empty while the guest itself or
            a phase runs.
    """

    position: int
    place: Place
    phase: str
    instructions: int
    guest: dict[str, int]
    processor: dict[str, int]
    instruction: Instruction | None
    text: str
    linear: int
    bits: int
    top: int | None
    own_eip: int
    own_text: str


@dataclass(frozen=True, slots=True)
class LastStep:
    """The step that led to the cursor: the moments on both sides of it and the events that it made."""

    before: Moment
    after: Moment
    events: tuple[Event, ...]
    technique: str

    @property
    def retired(self) -> bool:
        """Whether the step was the guest's own instruction, run to its end by the processor."""
        return self.after.instructions > self.before.instructions and self.before.place.is_guest
