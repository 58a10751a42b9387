"""An exit in words: what the guest did, by reason and qualification (SDM Vol. 3, "Exit Qualification")."""

from __future__ import annotations

from typing import Final

from vizapp.isa import vectors
from vizapp.isa.registers import GENERAL
from vizapp.machine.debug import DR6_BD, DR6_BS
from vizapp.machine.ept import Q_FETCH, Q_FINAL, Q_RIGHTS_SHIFT, Q_WRITE
from vizapp.machine.guest_mode import (
    EXTERNAL,
    HARDWARE_EXCEPTION,
    NMI,
    SOFTWARE_EXCEPTION,
    SOFTWARE_INTERRUPT,
)
from vizapp.machine.vmx.reasons import BY_NUMBER, ENTRY_FAILURE, NUMBERS
from vizapp.messages import N_, Message, Parameter

_VALID: Final = 1 << 31
_EVENTS: Final = {
    EXTERNAL: N_("interrupt {vector}"),
    NMI: N_("NMI"),
    HARDWARE_EXCEPTION: N_("exception {vector}"),
    SOFTWARE_INTERRUPT: N_("INT {vector}"),
    SOFTWARE_EXCEPTION: N_("software exception {vector}"),
}
_TASKS: Final = ("CALL", "IRET", "JMP", N_("a task gate"))
_TO, _FROM, _CLTS, _LMSW = range(4)
_RIGHTS: Final = "RWX"


def exit_in_words(reason: int, qualification: int, interruption: int = 0) -> Message:
    """What an exit means: ``reason`` as in the exit-reason field, ``interruption`` the exit's information."""
    number = reason & 0xFFFF
    if reason & ENTRY_FAILURE:
        return Message(BY_NUMBER[number].gloss)
    match number:
        case 0:
            return _exception(interruption, qualification)
        case 28:
            return _control(qualification)
        case 29:
            return _debug(qualification)
        case 30:
            return _port(qualification)
        case 48:
            return _violation(qualification)
    if number == NUMBERS["external-interrupt"]:
        return Message(N_("an interrupt came from the machine's controllers"))
    if number == NUMBERS["task-switch"]:
        how = Message(_TASKS[qualification >> 30 & 3])
        text = N_("the guest was about to switch to the task of selector {selector} ({cause})")
        return Message(text, {"selector": f"{qualification & 0xFFFF:#06x}", "cause": how})
    if number == NUMBERS["invlpg"]:
        return Message(N_("the guest executed INVLPG of {address}"), {"address": f"{qualification:#010x}"})
    known = BY_NUMBER[number]
    if known.gloss == known.gloss.upper():  # a reason that is an instruction's name
        return Message(N_("the guest executed {instruction}"), {"instruction": known.gloss})
    return Message(known.gloss)


def event_in_words(information: int, error: int | None = None) -> Message | None:
    """What an interruption-information field holds; None: nothing."""
    if not information & _VALID:
        return None
    kind, vector = information >> 8 & 7, information & 0xFF
    name = vectors.name(vector) if kind in (HARDWARE_EXCEPTION, SOFTWARE_EXCEPTION) else f"{vector:#04x}"
    text = _EVENTS.get(kind)
    if text is None:
        return Message(N_("an event of the reserved type {type}"), {"type": kind})
    what = Message(text, {"vector": name})
    if error is None:
        return what
    return Message(N_("{event} with error code {error}"), {"event": what, "error": f"{error:#x}"})


def _exception(information: int, qualification: int) -> Message:
    if information & 0xFF == vectors.PF:
        text = N_("the guest met #PF at linear address {address}")
        return Message(text, {"address": f"{qualification:#010x}"})
    event = event_in_words(information)
    if information & 0xFF == vectors.DB and information >> 8 & 7 == HARDWARE_EXCEPTION:
        return _debug_exception(qualification)
    return Message(N_("the guest met {event}"), {"event": event or Message(N_("an exception or an NMI"))})


def _debug_exception(qualification: int) -> Message:
    if qualification & DR6_BS:
        return Message(N_("the guest met #DB: it is single-stepped"))
    if qualification & DR6_BD:
        return Message(N_("the guest met #DB: it touched a guarded debug register"))
    hit = [str(index) for index in range(4) if qualification >> index & 1]
    if hit:
        return Message(N_("the guest met #DB: breakpoint {numbers}"), {"numbers": ", ".join(hit)})
    return Message(N_("the guest met {event}"), {"event": "#DB"})


def _control(qualification: int) -> Message:
    kind = qualification >> 4 & 3
    parameters: dict[str, Parameter] = {
        "register": f"CR{qualification & 15}",
        "general": GENERAL[qualification >> 8 & 7].upper(),
    }
    if kind == _TO:
        return Message(N_("the guest moved {general} to {register}"), parameters)
    if kind == _FROM:
        return Message(N_("the guest moved {register} to {general}"), parameters)
    name = "CLTS" if kind == _CLTS else "LMSW"
    return Message(N_("the guest executed {instruction}"), {"instruction": name})


def _debug(qualification: int) -> Message:
    parameters: dict[str, Parameter] = {
        "register": f"DR{qualification & 7}",
        "general": GENERAL[qualification >> 8 & 7].upper(),
    }
    if qualification & 1 << 4:
        return Message(N_("the guest moved {register} to {general}"), parameters)
    return Message(N_("the guest moved {general} to {register}"), parameters)


def _port(qualification: int) -> Message:
    reads = bool(qualification & 1 << 3)
    name = ("IN" if reads else "OUT") + ("S" if qualification & 1 << 4 else "")
    parameters: dict[str, Parameter] = {
        "port": f"{qualification >> 16 & 0xFFFF:#x}",
        "bits": 8 * ((qualification & 7) + 1),
        "name": ("REP " if qualification & 1 << 5 else "") + name,
    }
    if reads:
        return Message(N_("the guest read {bits} bits from port {port} ({name})"), parameters)
    return Message(N_("the guest wrote {bits} bits to port {port} ({name})"), parameters)


def _violation(qualification: int) -> Message:
    rights = qualification >> Q_RIGHTS_SHIFT & 7
    held = "".join(letter for index, letter in enumerate(_RIGHTS) if rights >> index & 1)
    if qualification & Q_FETCH:
        access = N_("a fetch")
    else:
        access = N_("a write") if qualification & Q_WRITE else N_("a read")
    parameters: dict[str, Parameter] = {"access": Message(access), "rights": held or "–"}
    if not qualification & Q_FINAL:
        text = N_("an entry of the guest's own tables is not reachable: {access}, and EPT allows {rights}")
        return Message(text, parameters)
    return Message(N_("{access} that EPT does not allow: it grants {rights}"), parameters)
