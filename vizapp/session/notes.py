"""What becomes of an instruction under a technique, in a word or two for the margin of the code panel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.instruction import Immediate
from vizapp.messages import N_, Message
from vizapp.session.ways import INTERPRETED
from vizapp.vmm.binary_translation.translator import CALLOUT, CHAINED, IDENT, IN_CACHE, LOOKUP, kind_of

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction

_DIRECT = Message(N_("direct"))
_TRAPS = Message(N_("traps"))
_THROUGH_MONITOR = Message(N_("through the VMM"))
_HYPERCALL = Message(N_("hypercall"))
_RING_0 = Message(N_("ring 0"))
_UNSEEN = {
    "popf": Message(N_("IF lost")),
    "iret": Message(N_("IF lost")),
    "pushf": Message(N_("real IF shows")),
    "mov_from_segment": Message(N_("ring shows")),
    "push_segment": Message(N_("ring shows")),
    "call_far": Message(N_("ring shows")),
    **dict.fromkeys(("sgdt", "sidt", "sldt", "str", "smsw"), Message(N_("leaks"))),
    **dict.fromkeys(("lar", "lsl", "verr", "verw"), Message(N_("judges by real ring"))),
}
_LEAKS = Message(N_("leaks"))
_LEAKING = frozenset({"sgdt", "sidt", "sldt", "str", "smsw", "lar", "lsl", "verr", "verw"})
_INTERRUPTS = frozenset({"int", "int3", "into"})
HYPERCALL_VECTOR = 0x82
_ASSISTED = frozenset({"vt-x", "amd-v"})
_TRANSLATED = {
    IDENT: Message(N_("IDENT")),
    IN_CACHE: Message(N_("in the cache")),
    CALLOUT: Message(N_("callout")),
    CHAINED: Message(N_("chained")),
    LOOKUP: Message(N_("lookup")),
}
_INTERPRETED = Message(N_("interpreted"))
_EXITS = Message(N_("exits"))
_MAY_EXIT = Message(N_("may exit"))
# What the monitors of both vendors have intercepted always, and what depends on paging and generation.
_ALWAYS_EXIT = frozenset({
    "cpuid", "hlt", "in", "out", "ins", "outs", "rdmsr", "wrmsr", "invd", "wbinvd", "rdpmc",
})  # fmt: skip
_OFTEN_EXIT = frozenset({"mov_to_control", "mov_from_control", "lmsw", "clts", "invlpg", "mov_to_debug"})


def note(
    instruction: Instruction, technique: str, virtualizable: bool, *, application: bool = False, way: str = ""
) -> Message | None:
    """The note for a line of guest code, an ``application``'s or the kernel's.

    ``way`` is how it has run already, see ``session.ways``; empty where it has not.

    None where the technique changes nothing.
    """
    privilege = instruction.opcode.privilege
    operation = instruction.opcode.operation
    if technique == "native":
        return _RING_0 if privilege == "privileged" else None
    if technique == "paravirtual" and operation == "int":
        operand = instruction.operands[0]
        if isinstance(operand, Immediate) and operand.value == HYPERCALL_VECTOR:
            return _HYPERCALL
    if technique == "binary-translation":
        if way == INTERPRETED:
            return _INTERPRETED
        if way in _TRANSLATED or not (way or application):
            return _TRANSLATED[way or kind_of(instruction)]
        if privilege == "sensitive" and operation not in _INTERRUPTS:
            return _LEAKS if operation in _LEAKING else _DIRECT
    if technique in _ASSISTED:
        return _EXITS if operation in _ALWAYS_EXIT else _MAY_EXIT if operation in _OFTEN_EXIT else _DIRECT
    if privilege == "innocuous":
        return _DIRECT
    if privilege == "privileged" or (virtualizable and technique == "trap-and-emulate"):
        return _TRAPS
    if operation in _INTERRUPTS:
        return _THROUGH_MONITOR
    return _UNSEEN.get(operation, _DIRECT)
