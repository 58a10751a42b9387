"""A PC that stops where a fault would be delivered, and keeps it."""

from __future__ import annotations

from vizapp.machine.faults import Fault
from vizapp.machine.pc import Pc
from vizapp.messages import Message


class Recording(Pc):
    """``fault``: what the last instruction raised, None if nothing."""

    fault: Fault | None = None

    def _turn(self, last: int, cycle: int, instruction: int) -> None:
        try:
            super()._turn(last, cycle, instruction)
        except Fault as fault:
            self.fault = fault
            self.stop("fault", Message("fault"))
