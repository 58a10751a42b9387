"""Words of a path: what was seen at a stage, and the states of stages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.messages import N_, Message
from vizapp.ui.numbers import grouped
from vizapp.ui.path_layout import DONE, NOW, TO_COME, UNSEEN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vizapp.session.journeys.journey import Fact

SIGNS: Final = {DONE: "●", NOW: "◉", TO_COME: "○", UNSEEN: "–"}
STATES: Final = {
    DONE: N_("passed"),
    NOW: N_("here now"),
    TO_COME: N_("still to come, in the recording"),
    UNSEEN: N_("not passed: this one did not need it, or the recording has not come so far"),
}
_FACTS: Final[Mapping[str, tuple[str, Callable[[int], str]]]] = {
    "descriptor": (N_("descriptor {value}"), grouped),
    "slot": (N_("slot {value}"), grouped),
    "reference": (N_("grant {value}"), grouped),
    "channel": (N_("channel {value}"), grouped),
    "sector": (N_("sector {value}"), grouped),
    "block": (N_("sector {value}"), grouped),
    "count": (N_("{value} sectors"), grouped),
    "frame": (N_("machine frame {value}"), hex),
    "port": (N_("port {value}"), hex),
    "value": (N_("value {value}"), hex),
    "vector": (N_("vector {value}"), hex),
    "irq": (N_("interrupt line {value}"), grouped),
    "address": (N_("at {value}"), hex),
    "bytes": (N_("{value} bytes"), grouped),
    "check": (N_("check sequence {value}"), hex),
    "status": (N_("status {value}"), str),
}
_WOKEN: Final = (N_("it was given the processor"), N_("by an upcall"))


def facts_text(facts: tuple[Fact, ...], render: Callable[[Message], str]) -> str:
    """What was seen at a stage, for people."""
    parts = []
    for name, value in facts:
        if name == "upcall":
            parts.append(render(Message(_WOKEN[value])))
        elif name in _FACTS:
            text, show = _FACTS[name]
            parts.append(render(Message(text, {"value": show(value)})))
        elif name.endswith("_prod"):
            parts.append(f"{name} {value}")
    return " · ".join(parts)
