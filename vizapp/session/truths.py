"""The two truths: for each register what the guest sees and what the processor holds for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vizapp.isa.registers import (
    CS,
    DS,
    EAX,
    EBX,
    ECX,
    EDI,
    EDX,
    EFLAGS_IF,
    ESI,
    ESP,
    GENERAL,
    IOPL_SHIFT,
    SEGMENTS,
)
from vizapp.session.frames import Truth

if TYPE_CHECKING:
    from vizapp.vmm.base import CpuView

_GENERAL_ROWS = (EAX, ECX, EDX, EBX, ESI, EDI, ESP)


class Pair(NamedTuple):
    """Both truths at one moment; limits are of DS, in bytes, None where they cannot be told."""

    guest: CpuView
    processor: CpuView
    guest_limit: int | None
    processor_limit: int | None


def register_values(view: CpuView) -> dict[str, int]:
    """The registers of a view by lower-case name."""
    return {
        **dict(zip(GENERAL, view.general, strict=True)),
        "eip": view.eip,
        "eflags": view.eflags,
        **dict(zip(SEGMENTS, view.selectors, strict=True)),
        "cpl": view.cpl,
        **{f"cr{number}": view.control[number] for number in (0, 2, 3, 4)},
        "gdtr": view.gdtr[0],
        "idtr": view.idtr[0],
        "ldtr": view.ldtr,
        "tr": view.tr,
    }


def _word(value: int | None) -> str:
    return "–" if value is None else f"{value:08X}"


def _rows(view: CpuView, limit: int | None) -> list[tuple[str, str, str]]:
    """(name, key, value as shown) in the order of the panel."""
    return [
        ("CPL", "cpl", str(view.cpl)),
        ("EFLAGS.IF", "eflags.if", str(int(bool(view.eflags & EFLAGS_IF)))),
        ("IOPL", "eflags.iopl", str(view.eflags >> IOPL_SHIFT & 3)),
        ("CS", "cs", f"{view.selectors[CS]:04X}"),
        ("DS", "ds", f"{view.selectors[DS]:04X}"),
        ("DS limit", "ds.limit", _word(limit)),
        ("CR0", "cr0", _word(view.control[0])),
        ("CR3", "cr3", _word(view.control[3])),
        ("GDTR base", "gdtr", _word(view.gdtr[0])),
        ("IDTR base", "idtr", _word(view.idtr[0])),
        ("TR", "tr", f"{view.tr:04X}"),
        *((GENERAL[index].upper(), GENERAL[index], _word(view.general[index])) for index in _GENERAL_ROWS),
        ("EIP", "eip", _word(view.eip)),
    ]


def truths(now: Pair, before: Pair | None) -> tuple[Truth, ...]:
    """The rows of the panel; ``changed`` compares with ``before``, the moment one step earlier."""
    guest = _rows(now.guest, now.guest_limit)
    processor = _rows(now.processor, now.processor_limit)
    former = (
        None
        if before is None
        else list(
            zip(
                _rows(before.guest, before.guest_limit),
                _rows(before.processor, before.processor_limit),
                strict=True,
            )
        )
    )
    return tuple(
        Truth(
            name=mine[0],
            key=mine[1],
            guest=mine[2],
            processor=real[2],
            differs=mine[2] != real[2],
            changed=former is not None and former[index] != (mine, real),
        )
        for index, (mine, real) in enumerate(zip(guest, processor, strict=True))
    )
