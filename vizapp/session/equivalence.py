"""Equivalence, checked by replay: the monitored run and the bare machine in lockstep, a stretch at a time.

After each stretch beyond the end of the recording the bare machine follows it with the logged interrupts and
time values. At the first difference the monitored machine is put just behind the instruction in question,
and the run ends there. A difference is either a digest that is not the same, or an interrupt that the bare
machine would have refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from vizapp.isa.registers import (
    ECX,
    EFLAGS_AF,
    EFLAGS_CF,
    EFLAGS_OF,
    EFLAGS_PF,
    EFLAGS_SF,
    EFLAGS_ZF,
    GENERAL,
)
from vizapp.machine import events as ev
from vizapp.messages import N_, Message
from vizapp.session.memory_check import memory_difference
from vizapp.session.replay import Injection, ReplayLog, TimeRead, Yardstick
from vizapp.session.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.isa.instruction import Instruction
    from vizapp.machine.events import Event
    from vizapp.machine.input_log import Input
    from vizapp.machine.pc import Pc
    from vizapp.messages import Parameter
    from vizapp.session.replay import Difference
    from vizapp.vmm.base import CpuView, Monitor

LOOK_BACK = 24  # guest instructions: how far a wrong value may have come from
_FLAGS = {
    "CF": EFLAGS_CF, "PF": EFLAGS_PF, "AF": EFLAGS_AF, "ZF": EFLAGS_ZF, "SF": EFLAGS_SF, "OF": EFLAGS_OF,
}  # fmt: skip


class _Base(NamedTuple):
    """A state of the monitored machine at a guest instruction."""

    instruction: int
    state: Any


class Lockstep:
    """Checks the run of one guest, virtual machine ``vm``, while it is recorded.

    Its instructions are counted by themselves: what other machines do in between is nothing to it.

    Attributes:
        compared: guest instructions found equal so far.
        first_difference: what was found; None while all is equal.
        diverged: it was found before the end, in the trace.
    """

    def __init__(
        self,
        pc: Pc,
        monitor: Monitor,
        bare: Pc,
        bare_monitor: Monitor,
        instruction_at: Callable[[int], tuple[str, Instruction | None]],
        vm: int = 0,
    ) -> None:
        self.compared = 0
        self.first_difference: Message | None = None
        self.diverged = False
        self._ended = False
        self._pc = pc
        self._monitor = monitor
        self._bare_monitor = bare_monitor
        self._instruction_at = instruction_at
        self._log = ReplayLog()
        self._yardstick = Yardstick(bare, self._log)
        # Two states to go back to, at least ``LOOK_BACK`` instructions apart; the older is what is used.
        self._bases: tuple[_Base, _Base] = (_Base(0, None), _Base(0, None))
        self.trace = Trace(0)
        self._recording = False
        self._vm = vm
        self._guest = monitor.vms[vm]
        pc.read_time = self.time

    def begin(self, save: Callable[[], Any] | None = None) -> None:
        """A stretch of recording begins; ``save`` gives the machine's state."""
        done = self._guest.instructions
        newer = self._bases[1]
        if newer.state is None:
            now = _Base(done, (save or self._pc.save)())
            self._bases = (now, now)
        elif done >= newer.instruction + LOOK_BACK:
            self._bases = (newer, _Base(done, (save or self._pc.save)()))
        self.trace = Trace(done)
        self._recording = True

    def event(self, event: Event) -> None:
        """Note what the guest is given by time."""
        if event.kind == ev.INTERRUPT_INJECTED and max(event.target.vm, 0) == self._vm:
            ecx = self._monitor.guest_view(self._vm).general[ECX]
            vector = int(event.payload.get("vector", 0))
            self._log.injections.append(Injection(self._guest.instructions, ecx, vector))

    def input(self, entry: Input) -> None:
        """Note that the guest's devices get something from outside."""
        if self._recording:
            ecx = self._monitor.guest_view(self._vm).general[ECX]
            self._log.injections.append(Injection(self._guest.instructions, ecx, 0, entry))

    def time(self, source: str, value: int) -> int:
        """Note a time value that the guest reads, and let it have it."""
        if self._recording:
            self._log.times.append(TimeRead(self._guest.instructions, source, value))
        return value

    def finish(self) -> Message | None:
        """Let the bare machine follow; the first difference, with the machine put just behind it."""
        self._recording = False
        pc, done = self._pc, self._guest.instructions
        self.trace.pad(done)
        self._yardstick.follow(self.trace, done)
        difference = self._yardstick.difference
        if difference is None:
            self.compared = done
            if self._guest.stopped is not None and not self._ended:
                self._ended = True
                self.first_difference = memory_difference(
                    self._monitor, pc, self._yardstick.pc, self._yardstick.directories, self._vm
                )
            return None
        self.compared = difference.instruction
        self.diverged = True
        self.first_difference = self._locate(difference)
        return self.first_difference

    def _locate(self, difference: Difference) -> Message:
        """Put the monitored machine behind the instruction in question, and name it."""
        pc, number = self._pc, difference.instruction
        pc.load(self._bases[0].state)
        self._go(number - LOOK_BACK)
        suspect = self._last_sensitive(number)
        address = self._monitor.guest_view(self._vm).eip
        parameters: dict[str, Parameter] = {"number": number, **self._named(address)}
        if difference.reason is not None:
            return Message(
                N_("before guest instruction {number}, {text} at {address}: {reason}"),
                {**parameters, "reason": difference.reason},
            )
        self._go(number + 1)
        here, there = self._monitor.guest_view(self._vm), self._bare_monitor.guest_view()
        name, value, expected = _first_register(here, there)
        found = Message(
            N_(
                "guest instruction {number}, {text} at {address}: {register} is {value} here and {expected} "
                "on the bare machine"
            ),
            {**parameters, "register": name, "value": value, "expected": expected},
        )
        if suspect is None or suspect == address:
            return found
        return Message(
            N_("{found}; the last sensitive instruction before it was {text} at {address}"),
            {"found": found, **self._named(suspect)},
        )

    def _go(self, instruction: int) -> None:
        pc, guest = self._pc, self._guest
        while guest.instructions < instruction and pc.stopped is None:
            pc.pause_requested = False
            # The machine retires no fewer than the guest does.
            pc.run(until_instruction=pc.instructions + instruction - guest.instructions)

    def _last_sensitive(self, instruction: int) -> int | None:
        """Step up to ``instruction``; where the processor ran the last sensitive one on the way."""
        pc, guest, found = self._pc, self._guest, None
        while guest.instructions < instruction and pc.stopped is None:
            place = pc.meter.place
            if place.is_guest and max(place.vm, 0) == self._vm and pc.phase is None:
                address = pc.cpu.eip
                _, decoded = self._instruction_at(address)
                if decoded is not None and decoded.opcode.privilege == "sensitive":
                    found = address
            pc.step()
        return found

    def _named(self, address: int) -> dict[str, Parameter]:
        return {"address": f"{address:08X}", "text": self._instruction_at(address)[0]}


def _first_register(here: CpuView, there: CpuView) -> tuple[str, str, str]:
    """Name and both values of the first register that differs, the likelier ones first."""
    for name, mine, real in zip(GENERAL, here.general, there.general, strict=True):
        if mine != real:
            return name.upper(), f"{mine:08X}", f"{real:08X}"
    if here.eip != there.eip:
        return "EIP", f"{here.eip:08X}", f"{there.eip:08X}"
    for name, bit in _FLAGS.items():
        if (here.eflags ^ there.eflags) & bit:
            return name, str(int(bool(here.eflags & bit))), str(int(bool(there.eflags & bit)))
    return "CPL", str(here.cpl), str(there.cpl)
