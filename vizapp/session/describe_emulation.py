"""What a monitor has done for an instruction that it carried out, by the instruction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.messages import N_, Message
from vizapp.session.describe_effects import hexadecimal

if TYPE_CHECKING:
    from vizapp.machine.events import Event
    from vizapp.messages import Parameter
    from vizapp.session.moment import LastStep

_BOTH = N_("{first} {second}")
_CARRIED_OUT = N_("The VMM has carried out “{text}” on the virtual CPU, by the processor's own rules.")
_CONSEQUENCES = {
    "cli": N_(
        "The virtual IF is 0 now; the real one stays 1, so that the monitor still gets its interrupts."
    ),
    "sti": N_("The virtual IF is 1 now; the real one was 1 all the time."),
    "popf": N_("It trapped, so the virtual IF gets what the guest asked for: nothing is lost."),
    "pushf": N_("It trapped, so the guest reads its own virtual flags and not the processor's."),
    "out": N_("A virtual device has got the value; no real one was touched by the guest."),
    "in": N_("A virtual device has answered; the guest has touched no real one."),
    "mov cr3": N_("The guest sees {value} in CR3; the real CR3 holds the monitor's shadow of those tables."),
    "mov cr0": N_("The guest sees {value} in CR0; the real CR0 stays the monitor's."),
    "lgdt": N_("The guest sees its own table in GDTR; the real GDTR stays the monitor's."),
    "lidt": N_(
        "The guest sees its own table in IDTR; the real IDTR stays the monitor's, or no trap would reach it."
    ),
    "ltr": N_("The guest sees its own task in TR; the real TR holds the monitor's, with the ring-0 stack."),
    "invlpg": N_("The shadow entry of that page goes too: it was the guest's TLB."),
    "hlt": N_("Only the virtual CPU halts; the real one has other things to do."),
    "iret": N_("The guest goes on at {eip} with virtual CPL {cpl}."),
}


def describe_emulation(event: Event, step: LastStep) -> Message:
    """The sentence for an instruction that a monitor carried out."""
    first = Message(_CARRIED_OUT, {"text": step.before.text or event.cause})
    consequence = _CONSEQUENCES.get(event.cause)
    if consequence is None or step.technique == "paravirtual":
        return first
    parameters: dict[str, Parameter] = {
        "value": hexadecimal(int(event.payload.get("value", 0))),
        "eip": hexadecimal(step.after.guest["eip"]),
        "cpl": step.after.guest["cpl"],
    }
    return Message(_BOTH, {"first": first, "second": Message(consequence, parameters)})
