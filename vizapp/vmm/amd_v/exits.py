"""Why a VMCB's guest was left: EXITCODE and what goes with it, in the words of both vendors.

The first generation says little: of an instruction only that it was that one, of IN and OUT everything. The
length comes with a later one (nRIP). Where it is not known the monitor fetches and decodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa import vectors
from vizapp.isa.addresses import M32
from vizapp.machine.guest_mode import HARDWARE_EXCEPTION, SOFTWARE_EXCEPTION, Delivery
from vizapp.machine.svm import codes
from vizapp.machine.svm.guest import TASK_BY_IRET, TASK_BY_JUMP
from vizapp.machine.svm.intercepts import (
    IOIO_IN,
    IOIO_PORT_SHIFT,
    IOIO_SIZE_SHIFT,
    IOIO_STRING,
)
from vizapp.machine.svm.leaving import unpacked
from vizapp.vmm.hardware_assisted.exit import Exit

if TYPE_CHECKING:
    from vizapp.vmm.amd_v.structure import VmcbStructure

_FIXED: Final[dict[int, tuple[str, str]]] = {
    codes.CPUID: ("cpuid", "0fa2"),
    codes.HLT: ("hlt", "f4"),
    codes.RDTSC: ("rdtsc", "0f31"),
    codes.RDPMC: ("rdpmc", "0f33"),
    codes.INVD: ("cache", "0f08"),
    codes.WBINVD: ("cache", "0f09"),
}
KINDS: Final[dict[int, str]] = {
    codes.INTR: "interrupt",
    codes.NMI: "interrupt",
    codes.VINTR: "window",
    codes.SHUTDOWN: "shutdown",
    codes.TASK_SWITCH: "task-switch",
    codes.NPF: "nested-fault",
    codes.INVLPG: "instruction",
    codes.VMMCALL: "call",
    **dict.fromkeys(
        (
            codes.VMRUN, codes.VMLOAD, codes.VMSAVE, codes.STGI, codes.CLGI, codes.SKINIT,
            codes.INVLPGA,
        ),
        "virtualization",
    ),
}  # fmt: skip
_HAS_ERROR: Final = vectors.WITH_ERROR_CODE
_TRAPS: Final = (vectors.BP, vectors.OF)
INVALID: Final = (1 << 64) - 1


def read_exit(structure: VmcbStructure) -> Exit:
    """Read what there is to know of the last exit."""
    get = structure.get
    code = get("exitcode")
    if code == INVALID:
        return Exit("entry-failed", detail=codes.name_of(codes.INVALID))
    vectoring = _corrected(unpacked(get("exitintinfo")))
    if codes.EXCEPTION <= code < codes.EXCEPTION + 32:
        return _exception(structure, code - codes.EXCEPTION, vectoring)
    if code in (codes.IOIO, codes.MSR) or code in _FIXED:
        return _instruction(structure, code, vectoring)
    kind = KINDS.get(code, "instruction")
    if kind == "nested-fault":
        return Exit(kind, error=get("exitinfo1") & M32, address=get("exitinfo2"), vectoring=vectoring)
    if kind == "task-switch":
        how = get("exitinfo2")
        cause = "iret" if how & TASK_BY_IRET else "jmp" if how & TASK_BY_JUMP else "call"
        return Exit(kind, selector=get("exitinfo1") & 0xFFFF, cause=cause, vectoring=vectoring)
    return Exit(kind, vectoring=vectoring)


def _corrected(event: Delivery | None) -> Delivery | None:
    """INT3 and INTO are told as exceptions, which they are not."""
    if event is not None and event.type == HARDWARE_EXCEPTION and event.vector in _TRAPS:
        return event._replace(type=SOFTWARE_EXCEPTION)
    return event


def _exception(structure: VmcbStructure, vector: int, vectoring: Delivery | None) -> Exit:
    get = structure.get
    error = get("exitinfo1") & M32 if vector in _HAS_ERROR else None
    if vector == vectors.PF:
        address = get("exitinfo2") & M32
        return Exit("page-fault", vector=vector, error=error, address=address, vectoring=vectoring)
    kind = SOFTWARE_EXCEPTION if vector in _TRAPS else HARDWARE_EXCEPTION
    return Exit("exception", vector=vector, type=kind, error=error, vectoring=vectoring)


def _instruction(structure: VmcbStructure, code: int, vectoring: Delivery | None) -> Exit:
    get = structure.get
    if code == codes.IOIO:
        information = get("exitinfo1")
        length = get("exitinfo2") - structure.read("eip") & M32
        return Exit("io", length, _port(information), vectoring=vectoring)
    following = get("nrip") & M32
    length = following - structure.read("eip") & M32 if following else 0
    if code == codes.MSR:
        kind, bytes_ = ("wrmsr", "0f30") if get("exitinfo1") & 1 else ("rdmsr", "0f32")
    else:
        kind, bytes_ = _FIXED[code]
    return Exit(kind, length, bytes.fromhex(bytes_) if length else b"", vectoring=vectoring)


def _port(information: int) -> bytes:
    """IN or OUT with the port in DX, which has it or is as good as an immediate one."""
    if information & IOIO_STRING:
        return b""
    size = information >> IOIO_SIZE_SHIFT & 7
    port = information >> IOIO_PORT_SHIFT & 0xFFFF
    opcode = 0xE4 | (0 if information & IOIO_IN else 2) | (0 if size == 1 else 1)
    prefix = b"\x66" if size == 2 else b""
    if port <= 0xFF:
        return prefix + bytes((opcode, port))
    return prefix + bytes((opcode | 8,))
