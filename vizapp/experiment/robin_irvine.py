"""Robin and Irvine's list of sensitive unprivileged instructions, beside what the experiment finds.

"Analysis of the Intel Pentium's Ability to Support a Secure Virtual Machine Monitor", USENIX Security 2000:
about 250 instructions examined against the requirements of a monitor, 17 found wanting by the paper's count
(counted one by one, the list has 18 names). The groups are the paper's requirements 3B and 3C.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from vizapp.experiment.classification import Finding
from vizapp.messages import N_, Message

COUNT: Final = 17
"""By the paper's count."""


class Listed(NamedTuple):
    """One name of the paper's list: its group, and the operations of the opcode table that it stands for."""

    name: str
    group: str
    operations: tuple[str, ...]


REGISTERS, PROTECTION = "3B", "3C"
GROUPS: Final = {
    REGISTERS: N_("sensitive registers"),
    PROTECTION: N_("protection system"),
}

LIST: Final = (
    Listed("SGDT", REGISTERS, ("sgdt",)),
    Listed("SIDT", REGISTERS, ("sidt",)),
    Listed("SLDT", REGISTERS, ("sldt",)),
    Listed("SMSW", REGISTERS, ("smsw",)),
    Listed("PUSHF", REGISTERS, ("pushf",)),
    Listed("POPF", REGISTERS, ("popf",)),
    Listed("LAR", PROTECTION, ("lar",)),
    Listed("LSL", PROTECTION, ("lsl",)),
    Listed("VERR", PROTECTION, ("verr",)),
    Listed("VERW", PROTECTION, ("verw",)),
    Listed("POP", PROTECTION, ("pop_segment",)),
    Listed("PUSH", PROTECTION, ("push_segment",)),
    Listed("CALL", PROTECTION, ("call_far",)),
    Listed("JMP", PROTECTION, ("jmp_far",)),
    Listed("INT n", PROTECTION, ("int",)),
    Listed("RET", PROTECTION, ("retf",)),
    Listed("STR", PROTECTION, ("str",)),
    Listed("MOV", PROTECTION, ("mov_to_segment", "mov_from_segment")),
)

_POINTER: Final = N_("a load of a segment register, as MOV and POP are, with an offset beside it")
_INTERRUPT: Final = N_("INT n in a form of one byte: the same gates are judged by the CPL that really is")
BEYOND: Final = {
    "lds": _POINTER,
    "les": _POINTER,
    "lfs": _POINTER,
    "lgs": _POINTER,
    "lss": _POINTER,
    "int3": _INTERRUPT,
    "into": _INTERRUPT,
    "iret": N_("a far return that loads EFLAGS as well: silent about IF and IOPL, as POPF is"),
    "sysenter": N_("younger than the Pentium of the paper: goes where the monitor's own MSRs say"),
}
"""Why the experiment finds what the paper does not name, by operation."""

LISTED: Final = frozenset(operation for item in LIST for operation in item.operations)
"""The operations of the paper's list."""


class Mark(NamedTuple):
    """A name of the list, and whether the experiment found all that it stands for sensitive."""

    listed: Listed
    found: bool


class Beyond(NamedTuple):
    """A sensitive unprivileged operation that the list lacks; ``reason`` is None where none is known."""

    name: str
    reason: Message | None


def beside(findings: Iterable[Finding]) -> tuple[tuple[Mark, ...], tuple[Beyond, ...]]:
    """The list with its marks, and what was found beyond it."""
    sensitive = {item.operation: item for item in findings if item.verdict.privilege == "sensitive"}
    marks = tuple(Mark(item, all(name in sensitive for name in item.operations)) for item in LIST)
    beyond = tuple(
        Beyond(item.name, Message(BEYOND[name]) if name in BEYOND else None)
        for name, item in sensitive.items()
        if name not in LISTED
    )
    return marks, beyond
