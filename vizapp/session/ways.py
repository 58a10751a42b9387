"""How each instruction of a guest has really run under binary translation, in the whole recording.

0x100010  ident         a kernel's: what it has become in the cache, at last
0x100400  application   of ring 3: the processor has executed it where it stands
0x100020  interpreted   the monitor has done it, without a translation
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import M32
from vizapp.machine import events as ev

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vizapp.machine.events import Event

APPLICATION, INTERPRETED = "application", "interpreted"
TELLING: Final = frozenset({ev.UNIT_TRANSLATED, ev.INSTRUCTION_EMULATED, ev.SYSTEM_CALL_REFLECTED})
"""The events that tell of it."""


class Ways:
    """Of every virtual machine; ``heats`` are how often execution arrived, by machine and address."""

    def __init__(self, heats: Mapping[int, Mapping[int, int]]) -> None:
        self._heats = heats
        self._kinds: defaultdict[int, dict[int, str]] = defaultdict(dict)
        self._rings: defaultdict[int, dict[int, int]] = defaultdict(dict)  # of what the monitor has done

    def take(self, vm: int, event: Event) -> None:
        """One of ``TELLING``, while a virtual machine has the processor."""
        payload = event.payload
        if event.kind != ev.UNIT_TRANSLATED:
            self._rings[vm][int(payload["address"])] = int(payload.get("ring", event.source.ring))
            return
        start = int(payload["base"]) + int(payload["address"])
        for line in str(payload["lines"]).split():
            distance, _, kind = line.partition("=")
            self._kinds[vm][start + int(distance, 16) & M32] = kind

    def of(self, vm: int) -> Callable[[int], str]:
        """``way`` of one virtual machine."""
        return partial(self.way, vm)

    def way(self, vm: int, address: int) -> str:
        """Of the instruction at a linear address: one of ``translator.KINDS``, or of the words above.

        Empty where execution has never arrived.
        """
        kind = self._kinds[vm].get(address)
        if kind is not None:
            return kind
        ring = self._rings[vm].get(address)
        if ring is not None and ring != 3:
            return INTERPRETED
        return APPLICATION if ring is not None or self._heats[vm].get(address) else ""
