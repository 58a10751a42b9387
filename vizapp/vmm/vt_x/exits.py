"""Why a VMCS's guest was left: exit reason, qualification and the rest, in the words of both vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa import vectors
from vizapp.isa.paging import PF_W
from vizapp.machine.guest_mode import Delivery
from vizapp.machine.vmx.reasons import ENTRY_FAILURE, name_of
from vizapp.vmm.hardware_assisted.exit import Exit
from vizapp.vmm.vt_x.encodings import encoding

if TYPE_CHECKING:
    from vizapp.vmm.vt_x.structure import VmcsStructure

KINDS: Final[dict[str, str]] = {
    "exception-nmi": "exception",
    "external-interrupt": "interrupt",
    "triple-fault": "shutdown",
    "interrupt-window": "window",
    "nmi-window": "window",
    "task-switch": "task-switch",
    "cpuid": "cpuid",
    "hlt": "hlt",
    "invd": "cache",
    "wbinvd": "cache",
    "invlpg": "invlpg",
    "rdpmc": "rdpmc",
    "rdtsc": "rdtsc",
    "cr-access": "cr",
    "dr-access": "dr",
    "io-instruction": "io",
    "rdmsr": "rdmsr",
    "wrmsr": "wrmsr",
    "pause": "instruction",
    "gdtr-idtr": "instruction",
    "ldtr-tr": "instruction",
    "ept-violation": "nested-fault",
    "ept-misconfiguration": "misconfiguration",
    "invalid-guest-state": "entry-failed",
    "vmcall": "call",
    **dict.fromkeys(
        (
            "vmclear", "vmlaunch", "vmptrld", "vmptrst", "vmread", "vmresume", "vmwrite",
            "vmxoff", "vmxon", "invept", "invvpid",
        ),
        "virtualization",
    ),
}  # fmt: skip
"""The kind of each exit reason that a guest can bring about."""

_VALID: Final = 1 << 31
_HAS_ERROR: Final = 1 << 11
_TASK_CAUSES: Final = ("call", "iret", "jmp", "gate")
_Q_WRITE: Final = 1 << 1
_QUALIFIED: Final = ("cr", "dr", "io", "invlpg", "task-switch", "nested-fault")


def read_exit(structure: VmcsStructure) -> Exit:
    """VMREAD what there is to know of the last exit."""
    get = structure.get
    reason = get("exit_reason")
    name = name_of(reason)
    if reason & ENTRY_FAILURE:
        return Exit("entry-failed", detail=f"{name} ({get('exit_qualification'):#x})")
    kind = KINDS.get(name, "misconfiguration")
    vectoring = _event(structure, "idt_vectoring", get("idt_vectoring_info"))
    if kind == "exception":
        return _exception(structure, vectoring)
    if kind in ("interrupt", "window", "shutdown"):
        return Exit(kind, vectoring=vectoring)
    if kind in ("misconfiguration", "entry-failed"):
        return Exit(kind, detail=name, vectoring=vectoring)
    qualification = get("exit_qualification") if kind in _QUALIFIED else 0
    if kind == "nested-fault":
        error = PF_W if qualification & _Q_WRITE else 0
        address = get("guest_physical_address")
        return Exit(kind, address=address, error=error, vectoring=vectoring)
    if kind == "task-switch":
        cause = _TASK_CAUSES[qualification >> 30 & 3]
        return Exit(kind, selector=qualification & 0xFFFF, cause=cause, vectoring=vectoring)
    length = get("exit_instruction_length")
    address = qualification if kind == "invlpg" else 0
    return Exit(kind, length, encoding(name, qualification), address=address, vectoring=vectoring)


def _exception(structure: VmcsStructure, vectoring: Delivery | None) -> Exit:
    get = structure.get
    event = _event(structure, "exit_interruption", get("exit_interruption_info"))
    assert event is not None
    kind = "page-fault" if event.vector == vectors.PF else "exception"
    wanted = event.vector in (vectors.PF, vectors.DB)
    address = get("exit_qualification") if wanted else 0
    return Exit(
        kind,
        event.length,
        vector=event.vector,
        type=event.type,
        error=event.error,
        address=address,
        vectoring=vectoring,
    )


def _event(structure: VmcsStructure, which: str, info: int) -> Delivery | None:
    """An event as the information fields describe it; None: there is none."""
    if not info & _VALID:
        return None
    kind = info >> 8 & 7
    error = structure.get(f"{which}_error") if info & _HAS_ERROR else None
    length = structure.get("exit_instruction_length") if kind >= _SOFTWARE else 0
    return Delivery(info & 0xFF, kind, error, length)


_SOFTWARE: Final = 4
