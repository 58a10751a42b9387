"""Sentences for hardware virtualization: entries, exits and what their monitors do with nested tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.machine.svm.checks import EVENT_VALID
from vizapp.machine.svm.words import event_in_words as svm_event
from vizapp.machine.svm.words import exit_in_words as svm_exit
from vizapp.machine.vmx.words import event_in_words as vmx_event
from vizapp.machine.vmx.words import exit_in_words as vmx_exit
from vizapp.messages import N_, Message
from vizapp.session.describe_effects import hexadecimal

if TYPE_CHECKING:
    from vizapp.machine.events import Event, Payload
    from vizapp.messages import Parameter
    from vizapp.session.moment import LastStep

_ENTERED = N_(
    "{instruction}: the processor has checked the {structure}, loaded the guest's state from it and is in "
    "the guest's own ring {ring}. The guest goes on at {eip}."
)
_ENTERED_INJECTING = N_(
    "{instruction}: the processor has loaded the guest's state from the {structure} and has delivered "
    "{event} through the guest's own IDT, as the monitor asked. The guest goes on at {eip}, in ring {ring}."
)


def describe_exit(event: Event, step: LastStep) -> Message:
    """What made the guest leave, and by whose wish."""
    payload = event.payload
    intel = "reason" in payload
    if intel:
        why = vmx_exit(
            int(payload["reason"]), int(payload.get("qualification", 0)), int(payload.get("event", 0))
        )
    else:
        why = svm_exit(int(payload["exitcode"]), int(payload["exitinfo1"]), int(payload["exitinfo2"]))
    parameters: dict[str, Parameter] = {
        "why": why,
        "name": event.cause,
        "ring": event.source.ring,
        "structure": "VMCS" if intel else "VMCB",
    }
    return Message(
        N_(
            "VM exit {name}: {why}. The processor has saved the guest, which was in its own ring {ring}, in "
            "the {structure} and loaded the monitor's state."
        ),
        parameters,
    )


def describe_entry(event: Event, step: LastStep) -> Message:
    """The way back into the guest, with what it was given to take along."""
    payload = event.payload
    intel = event.cause != "vmrun"
    if intel:
        error = payload.get("error")
        injected = vmx_event(int(payload.get("event", 0)), None if error is None else int(error))
    else:
        injected = _injected_by_vmrun(payload)
    parameters: dict[str, Parameter] = {
        "instruction": event.cause.upper(),
        "structure": "VMCS" if intel else "VMCB",
        "ring": step.after.place.ring,
        "eip": hexadecimal(step.after.processor["eip"]),
    }
    if injected is None:
        return Message(_ENTERED, parameters)
    return Message(_ENTERED_INJECTING, {**parameters, "event": injected})


def _injected_by_vmrun(payload: Payload) -> Message | None:
    if "vector" not in payload:
        return None
    return svm_event(int(payload["vector"]) | int(payload["type"]) << 8 | EVENT_VALID)


def describe_refused_entry(event: Event, step: LastStep) -> Message:
    """Why the processor would not enter."""
    detail = str(event.payload.get("detail") or event.payload.get("error") or event.cause)
    text = N_("The processor refuses to enter the guest: {detail}.")
    return Message(text, {"detail": Message(detail)})


def describe_nested_page(event: Event, step: LastStep) -> Message:
    """The monitor has filled in an entry below the guest's tables."""
    text = N_(
        "The monitor has mapped the guest-physical page {guest} to its place in the machine in the nested "
        "tables. The guest's own tables are untouched; from now on the processor walks both by itself."
    )
    guest = event.payload.get("guest_physical", event.payload.get("guest_frame", 0))
    address = int(guest) if "guest_physical" in event.payload else int(guest) << 12
    return Message(text, {"guest": hexadecimal(address)})
