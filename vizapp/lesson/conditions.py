"""Decides conditions: from frames and events alone, so that the window and the checker decide alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa import registers as r
from vizapp.machine.events import CLI_NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizapp.lesson.schema import Condition, EventHappened, RegisterIs
    from vizapp.machine.events import Event
    from vizapp.session.frames import Frame

_FLAGS = {
    "cf": r.EFLAGS_CF, "pf": r.EFLAGS_PF, "af": r.EFLAGS_AF, "zf": r.EFLAGS_ZF, "sf": r.EFLAGS_SF,
    "tf": r.EFLAGS_TF, "if": r.EFLAGS_IF, "df": r.EFLAGS_DF, "of": r.EFLAGS_OF,
    "vm": r.EFLAGS_VM, "vif": r.EFLAGS_VIF, "vip": r.EFLAGS_VIP,
}  # fmt: skip


def matches(event: Event, kind: str, cause: str | None) -> bool:
    """Whether an event is of the kind (its command-line name) and of the cause, if one is asked for."""
    return CLI_NAMES.get(event.kind, event.kind) == kind and cause in (None, event.cause)


def register_value(values: dict[str, int], name: str) -> int | None:
    """A register or a flag of EFLAGS (``eflags.if``, ``eflags.iopl``) out of a frame's registers."""
    register, _, flag = name.partition(".")
    value = values.get(register)
    if value is None or not flag:
        return value
    if flag == "iopl":
        return value >> r.IOPL_SHIFT & 3
    return int(bool(value & _FLAGS[flag])) if flag in _FLAGS else None


def _register_is(wanted: RegisterIs, frame: Frame) -> bool:
    values = frame.guest_registers if wanted.side == "guest" else frame.registers
    return register_value(values, wanted.name) == wanted.equals


def _happened(wanted: EventHappened, events: Sequence[Event]) -> bool:
    count = sum(matches(event, wanted.kind, wanted.cause) for event in events)
    return count > 0 if wanted.times is None else count == wanted.times


def holds(condition: Condition, frame: Frame, events: Sequence[Event]) -> bool:
    """Whether ``condition`` holds in ``frame``, when ``events`` are those of the step that led there."""
    if condition.register_is is not None:
        return _register_is(condition.register_is, frame)
    if condition.event is not None:
        return _happened(condition.event, events)
    if condition.serial is not None:
        return condition.serial.contains in frame.serial
    if condition.truth is not None:
        wanted = condition.truth
        return any(row.name == wanted.name and row.differs == wanted.differs for row in frame.truths)
    if condition.equivalence is not None:
        return frame.scorecard.holds == condition.equivalence.holds
    return frame.stopped is not None and frame.stopped.reason == condition.stopped
