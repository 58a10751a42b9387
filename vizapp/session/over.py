"""Stepping over: when is an instruction done, with everything that it called or caused?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.machine.places import Place

if TYPE_CHECKING:
    from vizapp.machine.pc import Pc
    from vizapp.session.observe import Observer

_CALLS = frozenset({"call", "call far"})


class Over:
    """Asked after each step; true once the instruction is done.

    Done means: it has retired, directly or by a monitor's hand, and the guest's own code of the same place
    has the processor again. A CALL is done when it has returned: EIP behind it, ESP not lower than before. A
    repeated string instruction is done after its last iteration.
    """

    def __init__(self, pc: Pc, observer: Observer) -> None:
        self._pc = pc
        moment = observer.look().moment
        self._instructions = moment.instructions
        self._esp = moment.guest["esp"]
        instruction = moment.instruction
        self._place = moment.place if moment.place.is_guest else None
        self._behind: int | None = None
        if instruction is not None and instruction.mnemonic in _CALLS:
            self._behind = instruction.address + instruction.length

    def __call__(self) -> bool:
        """Whether the machine is there."""
        pc = self._pc
        if not self._returned(pc.meter.place) or pc.instructions == self._instructions:
            return False
        if self._behind is None:
            return True
        return pc.cpu.eip == self._behind and pc.cpu.esp >= self._esp

    def _returned(self, place: Place) -> bool:
        """Whether the guest is where it was; if the cursor was in the monitor, anywhere in the guest."""
        return place.is_guest if self._place is None else place == self._place
