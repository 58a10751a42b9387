"""Events as people name them: ``trap``, ``trap:#GP``, ``hypercall:mmu_update``, ``instruction:0x101000``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.errors import ScenarioError, UnknownNameError
from vizapp.isa import vectors
from vizapp.machine import events as ev
from vizapp.machine.interrupts import SOFTWARE_CAUSES
from vizapp.machine.svm import codes
from vizapp.machine.vmx import reasons
from vizapp.messages import N_, Message
from vizapp.vmm.xen.abi import HYPERCALLS

if TYPE_CHECKING:
    from collections.abc import Iterable

KINDS: Final = {name: kind for kind, name in ev.CLI_NAMES.items()}
_EXCEPTIONS: Final = tuple(vectors.name(vector) for vector in range(32))
_INTEL: Final = tuple(reasons.NUMBERS)
_AMD: Final = tuple(codes.NAMES.values())
_EXITS: Final = {"vt-x": _INTEL, "amd-v": _AMD}  # by technique
# The kinds whose causes are known beforehand.
_CAUSES: Final[dict[str, Iterable[str]]] = {
    ev.EXCEPTION_DELIVERED: _EXCEPTIONS,
    ev.FAULT_REFLECTED: _EXCEPTIONS,
    ev.SOFTWARE_INTERRUPT_DELIVERED: SOFTWARE_CAUSES,
    ev.INTERRUPT_DELIVERED: tuple(f"interrupt {vector:#04x}" for vector in range(256)),
    ev.INTERRUPT_INJECTED: tuple(vectors.name(vector) for vector in range(256)),
    ev.RETURNED: ("iret", "retf", "sysexit", "task switch"),
    ev.GATE_CALLED: ("call", "jmp", "sysenter", "task switch"),
    # The hypercall page has room for 128, the last of which no hypervisor knows.
    ev.HYPERCALL_MADE: tuple(HYPERCALLS.get(number, f"hypercall_{number}") for number in range(128)),
    ev.VM_ENTERED: ("vmlaunch", "vmresume", "vmrun"),
    ev.VM_EXITED: (*_INTEL, *_AMD),
}


class Until(NamedTuple):
    """The event to stop at: its kind (as recorded) and cause, or the address of an instruction."""

    kind: str = ""
    cause: str | None = None
    address: int | None = None


def parse_until(text: str, technique: str = "") -> Until:
    """What ``--until`` means, under a technique if it is known.

    Raises:
        ScenarioError: there is no such kind of event, with those that there are.
        UnknownNameError: events of this kind have no such cause.
    """
    name, _, detail = text.partition(":")
    if name == "instruction":
        try:
            return Until(address=int(detail, 0))
        except ValueError:
            raise ScenarioError(
                Message(N_("{text} names no address; expected instruction:0x101000"), {"text": text})
            ) from None
    kind = kind_named(name, "instruction:ADDRESS")
    causes = _EXITS.get(technique, _CAUSES[kind]) if kind == ev.VM_EXITED else _CAUSES.get(kind)
    if detail and causes is not None and detail not in causes:
        raise UnknownNameError(name, detail, causes)
    return Until(kind, detail or None)


def kind_named(name: str, *besides: str) -> str:
    """The recorded kind of event that a name of the command line stands for.

    Raises:
        ScenarioError: there is none, with the names that there are and what else would do.
    """
    if name not in KINDS:
        known = ", ".join((*sorted(KINDS), *besides))
        raise ScenarioError(
            Message(N_("there is no event {name}; there are: {known}"), {"name": name, "known": known})
        )
    return KINDS[name]
