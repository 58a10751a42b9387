"""Sentences for a change between direct execution and binary translation: what decided it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from vizapp.machine.events import Event
    from vizapp.session.moment import LastStep

_ENGINES = {
    "direct": N_("From here on the guest runs directly: {why}"),
    "translated": N_("From here on the guest runs from the translation cache: {why}"),
    "interpreted": N_("The VMM runs the guest's next instructions itself, one at a time: {why}"),
}
# By the cause; see ``vmm.binary_translation.engine`` for the rule.
_REASONS = {
    "application": N_(
        "at ring 3, with IF = 1, IOPL below its ring, and segments that can be loaded again, the processor "
        "does for an application what the bare machine would."
    ),
    "virtual-8086": N_(
        "in virtual-8086 mode every instruction that depends on IOPL faults, so the processor shows nothing "
        "that is not the guest's."
    ),
    "virtual-interrupt": N_("VIF and VIP are set, which only the virtual processor's CR4 makes a fault."),
    "kernel": N_("it is kernel code, which at another ring would silently do other things."),
    "real-mode": N_("the processor cannot be in real mode and be kept from ring 0."),
    "iopl": N_("its IOPL lets this ring change IF, which at IOPL 0 the processor would silently ignore."),
    "if": N_("its interrupts are off, and the processor, whose own are on, would show that."),
    "segments": N_("a segment register holds what no selector leads to any more."),
    "middle-ring": N_("rings 1 and 2 are where the translation cache has its own segments."),
    "single-step": N_("the guest single-steps its own kernel."),
}


def describe_engine(event: Event, step: LastStep) -> Message:
    """What goes on, and by which part of the rule."""
    reason = Message(_REASONS.get(event.cause, "{cause}"), {"cause": event.cause})
    return Message(_ENGINES[str(event.payload["engine"])], {"why": reason})
