"""An exit in words: what the guest did, and what the information fields say of it."""

from __future__ import annotations

from typing import Final

from vizapp.isa import vectors
from vizapp.isa.paging import PF_P, PF_U, PF_W
from vizapp.machine.guest_mode import EXTERNAL, HARDWARE_EXCEPTION, NMI, SOFTWARE_INTERRUPT
from vizapp.machine.npt import NPF_FETCH, NPF_TABLE
from vizapp.machine.svm import codes
from vizapp.machine.svm.guest import TASK_BY_IRET, TASK_BY_JUMP
from vizapp.machine.svm.intercepts import (
    IOIO_IN,
    IOIO_PORT_SHIFT,
    IOIO_REP,
    IOIO_SIZE_SHIFT,
    IOIO_STRING,
)
from vizapp.machine.svm.leaving import unpacked
from vizapp.messages import N_, Message, Parameter

_GLOSSES: Final = {
    codes.INVALID: N_("VMRUN found a guest state that cannot be entered"),
    codes.INTR: N_("an interrupt came from the machine's controllers"),
    codes.NMI: N_("a non-maskable interrupt came"),
    codes.SMI: N_("a system management interrupt came"),
    codes.INIT: N_("INIT came"),
    codes.VINTR: N_("the guest can take its virtual interrupt now"),
    codes.CR0_SELECTIVE: N_("the guest changed CR0, in more than TS and MP"),
    codes.STORE_IDTR: N_("the guest read IDTR (SIDT)"),
    codes.STORE_GDTR: N_("the guest read GDTR (SGDT)"),
    codes.STORE_LDTR: N_("the guest read LDTR (SLDT)"),
    codes.STORE_TR: N_("the guest read TR (STR)"),
    codes.LOAD_IDTR: N_("the guest loaded IDTR (LIDT)"),
    codes.LOAD_GDTR: N_("the guest loaded GDTR (LGDT)"),
    codes.LOAD_LDTR: N_("the guest loaded LDTR (LLDT)"),
    codes.LOAD_TR: N_("the guest loaded TR (LTR)"),
    codes.FERR_FREEZE: N_("the processor froze for an error of the x87"),
    codes.SHUTDOWN: N_("the guest met a triple fault"),
}


def exit_in_words(code: int, info1: int, info2: int) -> Message:
    """What an exit means: ``code`` is EXITCODE (-1 of VMEXIT_INVALID), the others its two EXITINFO fields."""
    gloss = _GLOSSES.get(code)
    if gloss is not None:
        return Message(gloss)
    if 0 <= code < codes.EXCEPTION:
        return _register(code)
    if code < codes.EXCEPTION + 32:
        return _exception(code - codes.EXCEPTION, info1, info2)
    match code:
        case codes.IOIO:
            return _port(info1)
        case codes.MSR:
            text = N_("the guest wrote a model-specific register") if info1 else None
            return Message(text or N_("the guest read a model-specific register"))
        case codes.TASK_SWITCH:
            return _task(info1, info2)
        case codes.NPF:
            return _nested(info1, info2)
    name = codes.name_of(code).upper()
    if code == codes.INTN:
        name = "INT"
    return Message(N_("the guest executed {instruction}"), {"instruction": name})


def _register(code: int) -> Message:
    group, index = code & 0xF0, code & 0xF
    register = f"{'CR' if group in (codes.READ_CR, codes.WRITE_CR) else 'DR'}{index}"
    write = group in (codes.WRITE_CR, codes.WRITE_DR)
    text = N_("the guest wrote {register}") if write else None
    return Message(text or N_("the guest read {register}"), {"register": register})


def _exception(vector: int, error: int, address: int) -> Message:
    name = vectors.name(vector)
    if vector == vectors.PF:
        parameters: dict[str, Parameter] = {"address": f"{address:#010x}", "access": _access(error)}
        return Message(N_("the guest met #PF at linear address {address}: {access}"), parameters)
    if vector in vectors.WITH_ERROR_CODE:
        return Message(N_("the guest met {exception} with error code {error}"), {
            "exception": name, "error": f"{error:#x}",
        })  # fmt: skip
    return Message(N_("the guest met {exception}"), {"exception": name})


def _access(error: int) -> Message:
    write, present, user = error & PF_W, error & PF_P, error & PF_U
    if present:
        text = N_("a write that the page forbids") if write else N_("a read that the page forbids")
    elif write:
        text = N_("a write to a page that is not there")
    else:
        text = N_("a read of a page that is not there")
    if user:
        return Message(N_("{access}, in ring 3"), {"access": Message(text)})
    return Message(text)


def _port(info: int) -> Message:
    port, size = info >> IOIO_PORT_SHIFT & 0xFFFF, 8 * (info >> IOIO_SIZE_SHIFT & 7)
    parameters: dict[str, Parameter] = {"port": f"{port:#x}", "bits": size, "name": _port_name(info)}
    if info & IOIO_IN:
        return Message(N_("the guest read {bits} bits from port {port} ({name})"), parameters)
    return Message(N_("the guest wrote {bits} bits to port {port} ({name})"), parameters)


def _port_name(info: int) -> str:
    name = "IN" if info & IOIO_IN else "OUT"
    if info & IOIO_STRING:
        name += "S"
    return "REP " + name if info & IOIO_REP else name


def _task(selector: int, info: int) -> Message:
    cause = "IRET" if info & TASK_BY_IRET else "JMP" if info & TASK_BY_JUMP else "CALL"
    text = N_("the guest was about to switch to the task of selector {selector} ({cause})")
    return Message(text, {"selector": f"{selector:#06x}", "cause": cause})


def _nested(info: int, address: int) -> Message:
    parameters: dict[str, Parameter] = {"address": f"{address:#010x}"}
    if info & NPF_TABLE:
        text = N_("nested page fault at guest-physical address {address}, in a walk of the guest's tables")
        return Message(text, parameters)
    if info & NPF_FETCH:
        return Message(N_("nested page fault at guest-physical address {address}: a fetch"), parameters)
    parameters["access"] = _access(info & ~PF_U)
    return Message(N_("nested page fault at guest-physical address {address}: {access}"), parameters)


_TYPES: Final = {
    EXTERNAL: N_("interrupt {vector}"),
    NMI: N_("NMI"),
    HARDWARE_EXCEPTION: N_("exception {vector}"),
    SOFTWARE_INTERRUPT: N_("INT {vector}"),
}


def event_in_words(word: int) -> Message | None:
    """What an EVENTINJ or EXITINTINFO holds; None: nothing."""
    event = unpacked(word)
    if event is None:
        return None
    name = vectors.name(event.vector) if event.type == HARDWARE_EXCEPTION else f"{event.vector:#04x}"
    text = _TYPES.get(event.type)
    if text is None:
        return Message(N_("an event of the reserved type {type}"), {"type": event.type})
    what = Message(text, {"vector": name})
    if event.error is None:
        return what
    return Message(N_("{event} with error code {error}"), {"event": what, "error": f"{event.error:#x}"})
