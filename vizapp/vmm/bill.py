"""The bill: a monitor's code is charged by operations, for the purpose of the phase that does them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.machine.meter import Charges, Purpose

if TYPE_CHECKING:
    from vizapp.machine.pc import Pc
    from vizapp.vmm.base import Paths


class Bill:
    """Charges to the meter of ``pc``; ``paths`` are what lies on each path of the monitor's code.

    Attributes:
        purpose: what the present phase works for.
    """

    def __init__(self, pc: Pc, paths: Paths) -> None:
        self._pc = pc
        self._paths = {name: Charges(operations) for name, operations in paths.items()}
        self.purpose = Purpose.MONITOR

    def charge(self, name: str, count: int = 1) -> None:
        """Charge ``count`` of an input."""
        if count:
            self._pc.meter.charge(name, count, self.purpose)

    def path(self, name: str) -> None:
        """Charge what lies on a path."""
        known = self._paths.get(name)
        if known is not None:
            self._pc.meter.charge_together(known, self.purpose)
