"""What became of guest instructions under binary translation, in a sign, a word and a sentence each."""

from __future__ import annotations

from typing import Final, NamedTuple

from vizapp.messages import N_


class KindWords(NamedTuple):
    """A kind of translation: its sign (a shape, not a colour), its name, a colour role, what happens."""

    sign: str
    title: str
    role: str
    sentence: str


KINDS: Final = {
    "ident": KindWords(
        "=",
        N_("IDENT"),
        "mark_innocuous",
        N_("The same bytes: the instruction means in ring 1 what it means in ring 0."),
    ),
    "in-cache": KindWords(
        "▣",
        N_("in-cache"),
        "ring1",
        N_("Done by other instructions in the cache, on the virtual CPU's state, without the monitor."),
    ),
    "callout": KindWords(
        "▲",
        N_("callout"),
        "ring0",
        N_("The cache calls the monitor, which does the instruction on the virtual CPU."),
    ),
    "chained": KindWords(
        "→",
        N_("chained"),
        "ring3",
        N_("A jump whose target is known: once that is translated, the jump leads there by itself."),
    ),
    "lookup": KindWords(
        "◇",
        N_("lookup"),
        "mark_sensitive",
        N_("A target known only when it runs: the cache looks its translation up by the guest's address."),
    ),
}
UNKNOWN: Final = KindWords("?", "", "text_muted", "")

DOORS: Final = {
    "callout": N_("calls the monitor: do this instruction"),
    "continuation": N_("calls the monitor: translate the target, and patch the jump"),
    "lookup": N_("calls the monitor: the target is not in the lookup table"),
}

PARTS: Final = {
    "padding": N_("padding: a unit is as long as the jump that takes its place when it is given up"),
    "remnant": N_("what is left of an instruction over which a jump was written"),
}
"""Bytes of the cache that nothing executes, by ``CacheLine.part``."""

MODES: Final = {
    "translated": N_("the kernel runs from the translation cache, in ring 1"),
    "direct": N_("the application runs directly, in ring 3: nothing is translated"),
    "interpreted": N_("the monitor does one instruction after the other by hand"),
}

_GIVEN_UP = N_("its unit was given up, and it has not been reached since")
WAYS: Final = {
    "": N_("it has not been reached"),
    "application": N_("it is an application's and runs directly, in ring 3"),
    "interpreted": N_("the monitor has done it by hand"),
    **dict.fromkeys(KINDS, _GIVEN_UP),
}
"""How an instruction without a translation has run, by ``Translation.way``."""

COPY: Final = "copy"
FORMS: Final = {
    COPY: "",
    "window": N_("translated anew: it kept faulting, so its access goes through a window of the monitor's"),
    "priority": N_(
        "translated anew: it kept faulting, so the task priority is read and written in the cache"
    ),
    "callout": N_("translated anew: it kept faulting, so the monitor is called instead"),
}
"""What became of instructions that touch traced memory again and again, by ``GuestLine.form``."""


def words_of(kind: str) -> KindWords:
    """The words of a kind; of an unknown one its name alone."""
    return KINDS.get(kind, UNKNOWN._replace(title=kind))
