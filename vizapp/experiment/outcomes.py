"""Compares what an instruction did in two situations, part by part, and says where they differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from vizapp.isa import registers as r
from vizapp.machine.segments import SegmentState, TableRegister

if TYPE_CHECKING:
    from vizapp.experiment.laboratory import Outcome
    from vizapp.machine.cpu_state import CpuState

Part: TypeAlias = "int | bool | tuple[object, ...] | SegmentState | TableRegister"

_RESOURCE_FLAGS: Final = r.EFLAGS_IF | r.EFLAGS_IOPL | r.EFLAGS_VM | r.EFLAGS_VIF | r.EFLAGS_VIP

RESOURCES: Final = frozenset({
    "IF", "IOPL", "CPL", "ES", "CS", "SS", "DS", "FS", "GS", "GDTR", "IDTR", "LDTR", "TR", "CR0", "CR2",
    "CR3", "CR4", "DR", "MSR", "HLT", "bus",
})  # fmt: skip
"""Parts that a monitor must own; the others are values that a program computes with."""


class Difference(NamedTuple):
    """A part in which two outcomes differ, with both values as text; ``part`` is its register's name."""

    part: str
    expected: str
    found: str

    @property
    def is_control(self) -> bool:
        """Whether a resource differs, and not what the program sees."""
        return self.part in RESOURCES


def differences(yardstick: Outcome, other: Outcome) -> list[Difference]:
    """Where ``other`` differs from ``yardstick``; neither of them a fault.

    A part agrees if it ends alike, or if neither instruction changed it: what was different before is no
    effect of the instruction.
    """
    if _agree(yardstick, other):
        return []
    found = []
    rows = zip(_parts(yardstick.before), _parts(yardstick.after), _parts(other.before), _parts(other.after),
               strict=True)  # fmt: skip
    for name, (before, after, other_before, other_after) in zip(PARTS, rows, strict=True):
        if after != other_after and not (before == after and other_before == other_after):
            found.append(Difference(name, _text(after), _text(other_after)))
    if yardstick.stored != other.stored:
        found.append(_memory(yardstick.stored, other.stored))
    if yardstick.bus != other.bus:
        found.append(Difference("bus", str(len(yardstick.bus)), str(len(other.bus))))
    # What the program sees is told before what it does not.
    return sorted(found, key=lambda difference: (_EVIDENT.get(difference.part, 1), difference.is_control))


def _agree(yardstick: Outcome, other: Outcome) -> bool:
    """Whether nothing differs, seen at a glance: most runs end here."""
    rows = zip(yardstick.before, yardstick.after, other.before, other.after, strict=True)
    return (
        yardstick.stored == other.stored
        and yardstick.bus == other.bus
        and all(
            after == other_after or (before == after and other_before == other_after)
            for before, after, other_before, other_after in rows
        )
    )


PARTS: Final = (
    "EAX", "ECX", "EDX", "EBX", "ESP", "EBP", "ESI", "EDI", "EIP", "ZF", "EFLAGS", "IF", "IOPL",
    "ES", "CS", "SS", "DS", "FS", "GS", "CPL", "GDTR", "IDTR", "LDTR", "TR", "CR0", "CR2", "CR3", "CR4",
    "DR", "MSR", "HLT", "FPU",
)  # fmt: skip
_SHOWN: Final = 6  # bytes of memory in a sentence: as many as SGDT stores
_EVIDENT: Final = {"IF": 0, "IOPL": 0, "ESP": 2, "EIP": 2}


def _parts(state: CpuState) -> tuple[Part, ...]:
    return (
        *state.general,
        state.eip,
        state.eflags >> 6 & 1,
        state.eflags & ~(_RESOURCE_FLAGS | r.EFLAGS_ZF),
        state.eflags >> 9 & 1,
        state.eflags >> r.IOPL_SHIFT & 3,
        *state.segments,
        state.cpl,
        state.gdtr,
        state.idtr,
        state.ldtr,
        state.tr,
        *state.control,
        state.debug,
        state.sysenter,
        state.halted,
        state.fpu,
    )


def _text(part: Part) -> str:
    if isinstance(part, SegmentState):
        return f"{part.selector:04x} (base {part.base:08x}, limit {part.limit:08x}, DPL {part.dpl})"
    if isinstance(part, TableRegister):
        return f"{part.base:08x}:{part.limit:04x}"
    if isinstance(part, int):
        return str(int(part)) if part in (0, 1, 2, 3) else f"{part:08x}"
    return ", ".join(map(str, part))


def _memory(expected: dict[int, int], found: dict[int, int]) -> Difference:
    addresses = sorted(
        address for address in expected.keys() | found.keys() if expected.get(address) != found.get(address)
    )
    stored = expected.keys() | found.keys()
    first = last = addresses[0]
    while first - 1 in stored and last - first < _SHOWN - 1:
        first -= 1
    while last + 1 in stored and last - first < _SHOWN - 1:
        last += 1
    where = range(first, last + 1)
    return Difference(f"[{first:08x}]", _bytes(expected, where), _bytes(found, where))


def _bytes(stored: dict[int, int], where: range) -> str:
    """Stored bytes in the order of their addresses; dashes where none was stored."""
    return " ".join(f"{stored[address]:02x}" if address in stored else "--" for address in where)
