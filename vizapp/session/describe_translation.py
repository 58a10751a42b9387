"""Sentences for what happens in a translation cache, and to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.machine.places import TRANSLATION_CACHE
from vizapp.messages import N_, Message
from vizapp.session.describe_effects import hexadecimal
from vizapp.vmm.binary_translation.adaptation import BY_CALLOUT, BY_PRIORITY, BY_WINDOW, COPY
from vizapp.vmm.binary_translation.translator import CALLOUT, CHAINED, IDENT, IN_CACHE, LOOKUP, kind_of

if TYPE_CHECKING:
    from vizapp.machine.events import Event
    from vizapp.messages import Parameter
    from vizapp.session.moment import LastStep

_KINDS = {
    IDENT: N_("A copy of it ran at ring {ring}, in the translation cache."),
    IN_CACHE: N_(
        "A few instructions of the translation cache did it at ring {ring}, on what the monitor keeps of the "
        "virtual machine; the monitor itself took no part."
    ),
    CHAINED: N_("At ring {ring} the translation cache goes on at the translation of that address."),
    LOOKUP: N_(
        "On the stack are the guest's own addresses, so at ring {ring} the translation cache looks the "
        "target up in a table."
    ),
    CALLOUT: N_("Its translation ran at ring {ring}, in the translation cache."),
}
_SIMULATED = N_(
    "It kept faulting on memory that the monitor traces, and so it was translated anew: a few instructions "
    "of the translation cache did it at ring {ring}, through a window of the monitor's."
)
_FORMS = {
    COPY: N_(
        "The VMM has gone back to a copy of {text} at {address}: for some time it has touched nothing that "
        "is traced."
    ),
    BY_WINDOW: N_(
        "{text} at {address} has faulted {faults} times on memory that the VMM traces, and has been "
        "translated anew: from now on it writes through a window of the monitor segment, in the cache and "
        "without a fault. This is adaptive binary translation."
    ),
    BY_PRIORITY: N_(
        "{text} at {address} has faulted {faults} times on the task priority of the local APIC, and has been "
        "translated anew: from now on it uses a slot of the monitor segment, in the cache and without a "
        "fault. This is adaptive binary translation."
    ),
    BY_CALLOUT: N_(
        "{text} at {address} has faulted {faults} times on memory that the VMM traces, and has been "
        "translated anew: from now on it calls the VMM at once, which spares the fault. This is adaptive "
        "binary translation."
    ),
}


def in_cache(step: LastStep) -> bool:
    """Whether the step was the translation cache's."""
    return step.before.place.component == TRANSLATION_CACHE and not step.before.phase


def describe_translated(step: LastStep) -> Message:
    """How a guest instruction that has retired was done."""
    instruction = step.before.instruction
    assert instruction is not None
    kind = kind_of(instruction)
    text = _KINDS[kind]
    if kind == IDENT and step.before.own_text != step.before.text:
        text = _SIMULATED
    return Message(text, {"ring": step.before.place.ring})


def describe_part(step: LastStep) -> Message:
    """A step of the cache that has completed nothing of the guest's."""
    return Message(
        N_("{own}: the translation cache's own work, on the way to “{text}”. The guest sees nothing of it."),
        {"own": step.before.own_text, "text": step.after.text},
    )


def describe_door(event: Event, step: LastStep) -> Message:
    """The cache calls the monitor."""
    return Message(
        N_(
            "The translation calls the VMM at ring {target}, by an INT whose gate lets ring {ring} in: for "
            "“{text}” at {address}, or for code that has no translation yet."
        ),
        {
            "ring": event.source.ring,
            "target": event.target.ring,
            "text": step.before.text,
            "address": hexadecimal(step.before.guest["eip"]),
        },
    )


def describe_entry_of_cache(event: Event, step: LastStep) -> Message:
    """The monitor is left for the cache."""
    return Message(
        N_(
            "IRET leaves the VMM: the processor is back at ring {target}, in the translation cache, and the "
            "translation of the guest's code at {eip} goes on."
        ),
        {"target": event.target.ring, "eip": hexadecimal(step.after.guest["eip"])},
    )


def describe_retranslation(event: Event, step: LastStep) -> Message:
    """An instruction was given another form."""
    parameters: dict[str, Parameter] = {
        "text": str(event.payload["mnemonic"]).upper(),
        "address": hexadecimal(int(event.payload["address"])),
        "faults": event.payload["faults"],
    }
    return Message(_FORMS[str(event.payload["to"])], parameters)
