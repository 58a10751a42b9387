"""The silent failures: sensitive instructions that do not trap outside ring 0, and what each got wrong.

Robin and Irvine, "Analysis of the Intel Pentium's Ability to Support a Secure Virtual Machine Monitor", found
seventeen of them; each breaks Popek and Goldberg's condition, because the monitor is never asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa import registers as r
from vizapp.isa.instruction import SegmentRegister
from vizapp.messages import N_, Message
from vizapp.session.describe_effects import hexadecimal

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.session.moment import LastStep

_TABLES = {"sgdt": ("GDTR", "gdtr"), "sidt": ("IDTR", "idtr"), "sldt": ("LDTR", "ldtr"), "str": ("TR", "tr")}
_LOOKS = frozenset({"lar", "lsl", "verr", "verw"})


def _popf(step: LastStep) -> Message | None:
    wanted = step.before.top
    if wanted is None:
        return None
    held = step.after.processor["eflags"]
    parameters = {
        "ring": step.before.place.ring,
        "iopl": step.before.processor["eflags"] >> r.IOPL_SHIFT & 3,
        "wanted": int(bool(wanted & r.EFLAGS_IF)),
        "held": int(bool(held & r.EFLAGS_IF)),
    }
    if (wanted ^ held) & r.EFLAGS_IF:
        return Message(
            N_(
                "POPF at ring {ring} with IOPL {iopl}: the guest kernel wanted IF = {wanted}, but the "
                "processor silently kept IF = {held}. No trap, so the monitor never learns of it."
            ),
            parameters,
        )
    return Message(
        N_(
            "POPF at ring {ring} with IOPL {iopl}: whatever it says about IF is silently ignored. This "
            "time IF was {held} already, so nothing shows yet."
        ),
        parameters,
    )


def _pushf(step: LastStep) -> Message:
    pushed = step.after.top or 0
    virtual = step.before.guest["eflags"]
    parameters = {
        "ring": step.before.place.ring,
        "pushed": int(bool(pushed & r.EFLAGS_IF)),
        "virtual": int(bool(virtual & r.EFLAGS_IF)),
    }
    if (pushed ^ virtual) & r.EFLAGS_IF:
        return Message(
            N_(
                "PUSHF at ring {ring} does not trap: it reads the processor's IF = {pushed}, while the "
                "guest's own virtual IF is {virtual}. From here on the guest computes with a flag that is "
                "not its own."
            ),
            parameters,
        )
    return Message(
        N_(
            "PUSHF at ring {ring} does not trap: the guest reads the processor's flags, with IF = "
            "{pushed}, whatever it believes to have set."
        ),
        parameters,
    )


def _table(step: LastStep, mnemonic: str) -> Message:
    name, key = _TABLES[mnemonic]
    return Message(
        N_(
            "{text} is sensitive but not privileged: it gives the guest the processor's {register}, "
            "{held}, and not the guest's own, {virtual}. It can see that it is not alone."
        ),
        {
            "text": step.before.text,
            "register": name,
            "held": hexadecimal(step.before.processor.get(key, 0)),
            "virtual": hexadecimal(step.before.guest.get(key, 0)),
        },
    )


def _selector(step: LastStep, instruction: Instruction) -> Message | None:
    """A selector got out as the processor holds it, with another requested privilege level."""
    index = next(
        (operand.index for operand in instruction.operands[-1:] if isinstance(operand, SegmentRegister)), r.CS
    )
    name = r.SEGMENTS[index]
    held, own = step.before.processor[name], step.before.guest[name]
    if held == own:
        return None
    return Message(
        N_(
            "{text} shows {register} as the processor holds it, {held}. The guest kernel believes that it "
            "is at ring 0, with {own} there: the low bits betray ring {ring}. That is ring aliasing."
        ),
        {
            "text": step.before.text,
            "register": name.upper(),
            "held": f"{held:04X}",
            "own": f"{own:04X}",
            "ring": held & 3,
        },
    )


def silent_failure(step: LastStep, instruction: Instruction) -> Message | None:
    """What went wrong without a trap as the guest kernel ran ``instruction`` outside ring 0, if anything."""
    mnemonic = instruction.mnemonic
    if mnemonic == "popf":
        return _popf(step)
    if mnemonic == "pushf":
        return _pushf(step)
    if mnemonic in _TABLES:
        return _table(step, mnemonic)
    if mnemonic == "smsw":
        return Message(
            N_(
                "{text} reads the low half of the processor's CR0 at any ring, without a trap: the guest "
                "sees the monitor's CR0 and not its own."
            ),
            {"text": step.before.text},
        )
    if mnemonic == "iret":
        return Message(
            N_(
                "IRET at ring {ring} restores the flags like POPF does: IF and IOPL are silently left as "
                "they were, and the monitor is not asked."
            ),
            {"ring": step.before.place.ring},
        )
    if mnemonic in _LOOKS:
        return Message(
            N_(
                "{text} looks at a descriptor with the processor's CPL, ring {ring}, in the monitor's "
                "table: the answer can differ from what ring 0 would see."
            ),
            {"text": step.before.text, "ring": step.before.place.ring},
        )
    reads_selector = mnemonic in {"mov", "push"} and any(
        isinstance(operand, SegmentRegister) for operand in instruction.operands[-1:]
    )
    if reads_selector or mnemonic == "call far":
        return _selector(step, instruction)
    return None
