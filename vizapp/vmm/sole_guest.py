"""The one guest of a PC that has no other: what the machine has retired is its own, and it ends with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.vmm.scheduler import DEFAULT_WEIGHT
from vizapp.vmm.virtual_machine import owner_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vizapp.machine.meter import Purpose
    from vizapp.machine.pc import Pc
    from vizapp.messages import Message
    from vizapp.vmm.base import Devices


class SoleGuest:
    """The guest of the bare machine, or the only domain of a hypervisor; see ``base.Guest``."""

    def __init__(self, pc: Pc, hardware: Devices) -> None:
        self.index = 0
        self.name = owner_of(0)
        self.weight = DEFAULT_WEIGHT
        self.hardware = hardware
        self._pc = pc

    @property
    def instructions(self) -> int:
        """Guest instructions retired."""
        return self._pc.instructions

    @property
    def emulated(self) -> int:
        """Those that a monitor has done in the guest's stead."""
        return self._pc.emulated

    @property
    def cached(self) -> int:
        """Those that a translation cache has done: without one, none."""
        return 0

    @property
    def translated(self) -> Mapping[str, int]:
        """Nothing is."""
        return {}

    @property
    def stopped(self) -> tuple[str, Message] | None:
        """Why the machine stopped."""
        return self._pc.stopped

    @property
    def state(self) -> str:
        """It has the machine until it stops."""
        return "running" if self._pc.stopped is None else "stopped"

    def cycles(self) -> Mapping[Purpose, int]:
        """All that the machine has counted."""
        return self._pc.meter.by_purpose()
