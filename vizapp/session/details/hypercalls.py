"""The hypercalls up to the cursor, newest last, with what their registers meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vizapp.machine.events import HYPERCALL_MADE, REQUEST_REFUSED
from vizapp.vmm.xen import abi
from vizapp.vmm.xen.monitor import XenMonitor
from vizapp.vmm.xen.signatures import ARGUMENTS

if TYPE_CHECKING:
    from vizapp.session.details.registry import Subject

MOST = 200
_REGISTERS = ("ebx", "ecx", "edx", "esi", "edi")
_ERRORS = {
    value: name
    for name, value in vars(abi).items()
    if name.startswith("E") and name.isupper() and isinstance(value, int) and "_" not in name
}


class HypercallRow(NamedTuple):
    """A call of virtual machine ``vm``.

    ``operation`` is which of its operations was asked for, "" where there is one only. ``arguments`` are
    (name, value) of the registers that it looks at. ``error`` is the name of the error that it answered, ""
    if none; ``refusal`` why the hypervisor refused a part of it, in English, "" if it did not.
    """

    position: int
    cycle: int
    vm: int
    name: str
    operation: str
    arguments: tuple[tuple[str, int], ...]
    result: int
    error: str
    refusal: str


def hypercalls(subject: Subject) -> tuple[HypercallRow, ...] | None:
    """The last 200; None without such a hypervisor."""
    if not isinstance(subject.monitor, XenMonitor):
        return None
    rows: list[HypercallRow] = []
    refusal = ""
    for event in subject.store.of_kinds((HYPERCALL_MADE, REQUEST_REFUSED), subject.position):
        payload = event.payload
        if event.kind == REQUEST_REFUSED:
            refusal = str(payload["reason"])
            continue
        name, result = str(payload["name"]), int(payload["result"])
        named = ARGUMENTS.get(name, ())
        values = [int(payload[register]) for register in _REGISTERS if register in payload]
        negative = result - (1 << 32) if result >> 31 else result
        failed = name != "iret" and negative < 0
        rows.append(
            HypercallRow(
                position=event.position,
                cycle=event.cycle,
                vm=max(event.source.vm, 0),
                name=name,
                operation=str(payload.get("operation", "")),
                arguments=tuple(zip(named, values, strict=False)),
                result=result,
                error=_ERRORS.get(-negative, "") if failed else "",
                refusal=refusal if failed else "",
            )
        )
        refusal = ""
    return tuple(rows[-MOST:])
