"""Stepping over: when is an instruction done, with everything that it called or caused?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.machine.places import TRANSLATION_CACHE

if TYPE_CHECKING:
    from vizapp.machine.pc import Pc
    from vizapp.session.observe import Observer

_CALLS = frozenset({"call", "call far"})
_RETURNS = frozenset({"iret", "retf", "jmp far"})


class Over:
    """Asked after each step; true once the instruction is done.

    Done means: it has retired, directly or by a monitor's hand, and the guest's own code of the same place
    has the processor again; of a return to another ring, and from within a monitor, that the guest has it
    again at all. A CALL is done when it has returned: EIP behind it, ESP not lower than before. A repeated
    string instruction is done after its last iteration.
    """

    def __init__(self, pc: Pc, observer: Observer) -> None:
        self._pc = pc
        moment = observer.look().moment
        self._instructions = moment.instructions
        self._esp = moment.guest["esp"]
        instruction = moment.instruction
        self._entered = not moment.place.is_guest
        returns = instruction is not None and instruction.mnemonic in _RETURNS
        self._place = None if self._entered or returns else moment.place
        self._behind: int | None = None
        if instruction is not None and instruction.mnemonic in _CALLS:
            self._behind = instruction.address + instruction.length

    def __call__(self) -> bool:
        """Whether the machine is there."""
        pc = self._pc
        place = pc.meter.place
        if not place.is_guest or self._place not in (None, place):
            return False
        if pc.instructions == self._instructions and not self._entered:
            return False
        if self._behind is None:
            return True
        here: int | None = pc.cpu.eip
        if pc.guest_next is not None and place.component == TRANSLATION_CACHE:
            here = pc.guest_next()
        return here == self._behind and pc.cpu.esp >= self._esp
