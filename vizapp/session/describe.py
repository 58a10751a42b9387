"""The sentence under the stage: what the last step did and why, and which lesson explains it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.registers import EFLAGS_IF, EFLAGS_IOPL
from vizapp.machine import events as ev
from vizapp.machine.input_log import KEYBOARD, SERIAL
from vizapp.machine.places import HOST
from vizapp.messages import N_, Message
from vizapp.session.describe_effects import effect, hexadecimal
from vizapp.session.describe_events import describe_event, principal
from vizapp.session.describe_phases import describe_monitor
from vizapp.session.describe_silent import silent_failure
from vizapp.session.describe_translation import describe_part, describe_translated, in_cache
from vizapp.session.frames import DIVERGED

if TYPE_CHECKING:
    from vizapp.session.frames import Stopped
    from vizapp.session.moment import LastStep, Moment

RINGS_LESSON = "rings-and-popf"

_BOTH = N_("{first} {second}")
_AT_RING_0 = N_("It is privileged, and allowed: on the bare machine the kernel really is at ring 0.")
_DIRECT = N_("The processor runs it directly at ring {ring}, and the monitor takes no part.")
_SENSITIVE_HERE = N_("It is sensitive, yet at ring 3 it does the same as on the bare machine.")
_POPF_AT_RING_0 = N_("At ring 0, POPF really changes IF: it was {before} and is now {after}.")


def waiting_for(sources: tuple[str, ...]) -> Message | None:
    """What a guest waits for that only an input from ``sources`` can wake; None if there are none."""
    if not sources:
        return None
    if sources == (KEYBOARD,):
        return Message(N_("The guest waits for a key."))
    if sources == (SERIAL,):
        return Message(N_("The guest waits for a character on its serial line."))
    return Message(N_("The guest waits for a key or a character on its serial line."))


def describe(step: LastStep | None, now: Moment, stopped: Stopped | None) -> Message:
    """The sentence for the cursor; ``step`` is None at the start of the run and while it flies by."""
    if stopped is not None:
        ended = N_("The run has ended: {detail}.")
        if stopped.reason == DIVERGED:
            ended = N_("The run stops here, for it is no longer what the bare machine does: {detail}.")
        return Message(ended, {"detail": stopped.detail})
    if step is None and now.position:
        return Message(N_("The guest runs. Pause it, and each step is explained here."))
    if step is None and now.place.world == HOST:
        return Message(N_("The host operating system is loaded and about to start; the guest waits for it."))
    if step is None and not now.place.is_guest:
        return Message(
            N_("The guest is loaded, and the VMM at ring {ring} is about to enter it, at {eip}."),
            {"ring": now.place.ring, "eip": hexadecimal(now.guest["eip"])},
        )
    if step is None:
        return Message(
            N_("The guest is loaded and its first instruction, at {eip}, is about to execute."),
            {"eip": hexadecimal(now.guest["eip"])},
        )
    event = principal(step.events)
    if event is not None and event.kind == ev.RETURNED and _deprivileged(step) and step.before.instruction:
        failure = silent_failure(step, step.before.instruction)
        if failure is not None:
            return _join(describe_event(event, step), failure)
    if event is not None and event.kind != ev.ADDRESS_SPACE_SWITCHED:
        return describe_event(event, step)
    if step.retired:
        sentence = _instruction(step)
        return sentence if event is None else _join(sentence, describe_event(event, step))
    if event is not None:
        return describe_event(event, step)
    return _not_retired(step)


def lesson(step: LastStep | None) -> str:
    """The lesson that explains the last step; empty where none does."""
    if step is None:
        return ""
    instruction = step.before.instruction
    if any(event.kind in ev.TRAPS or event.kind == ev.RETURNED for event in step.events):
        return RINGS_LESSON
    if step.retired and instruction is not None and instruction.opcode.privilege != "innocuous":
        return RINGS_LESSON
    return ""


def _deprivileged(step: LastStep) -> bool:
    """Whether a guest kernel has just run an instruction itself in a ring that was not meant for it."""
    return step.retired and step.before.place.ring in (1, 2)


def _join(first: Message, second: Message) -> Message:
    return Message(_BOTH, {"first": first, "second": second})


def _not_retired(step: LastStep) -> Message:
    """A step without an event in which no instruction of the guest was completed."""
    before = step.before
    if not before.place.is_guest or before.phase:
        return describe_monitor(step)
    if in_cache(step):
        return describe_part(step)
    if before.instruction is not None and before.instruction.repeat:
        return Message(
            N_("{text}: one iteration done, ECX is now {ecx}."),
            {"text": before.text, "ecx": hexadecimal(step.after.guest["ecx"])},
        )
    return Message(N_("The processor waits for an interrupt."))


def _instruction(step: LastStep) -> Message:
    before, instruction = step.before, step.before.instruction
    if instruction is None:
        return Message(N_("An instruction of the guest has executed."))
    done = effect(step, instruction)
    privilege, ring = instruction.opcode.privilege, before.place.ring
    if step.technique == "native":
        return _on_bare_machine(step, done)
    if in_cache(step):
        return _join(done, describe_translated(step))
    if _deprivileged(step) and privilege == "sensitive":
        failure = silent_failure(step, instruction)
        if failure is not None:
            return failure
    if ring == 3 and privilege == "sensitive":
        return _join(done, Message(_SENSITIVE_HERE))
    return _join(done, Message(_DIRECT, {"ring": ring}))


def _on_bare_machine(step: LastStep, done: Message) -> Message:
    before, instruction = step.before, step.before.instruction
    assert instruction is not None
    if before.place.ring == 0 and instruction.mnemonic == "popf":
        flags = (before.guest["eflags"], step.after.guest["eflags"])
        if (flags[0] ^ flags[1]) & (EFLAGS_IF | EFLAGS_IOPL):
            parameters = {"before": int(bool(flags[0] & EFLAGS_IF)), "after": int(bool(flags[1] & EFLAGS_IF))}
            return _join(done, Message(_POPF_AT_RING_0, parameters))
    if before.place.ring == 0 and instruction.opcode.privilege == "privileged":
        return _join(done, Message(_AT_RING_0))
    return done
