"""Equivalence of several guests on one PC: each in lockstep with a bare machine of its own.

To whoever records it is one check, which finds a difference if any of them has one.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from vizapp.machine.devices.carried_lance import CarriedLance
from vizapp.machine.input_log import NETWORK, Input
from vizapp.messages import N_, Message
from vizapp.session.builder import yardstick
from vizapp.session.equivalence import Lockstep
from vizapp.vmm.hosted.monitor import HostedMonitor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vizapp.isa.instruction import Instruction
    from vizapp.machine.events import Event
    from vizapp.machine.pc import Pc
    from vizapp.session.builder import Machine
    from vizapp.session.scenario import Scenario
    from vizapp.vmm.base import Monitor


def start_lockstep(
    scenario: Scenario,
    machine: Machine,
    instruction_at: Callable[[int, int], tuple[str, Instruction | None]],
) -> Lockstep | Locksteps | None:
    """What checks a run for equivalence from its start; None where the technique does not claim it.

    ``instruction_at`` gives (linear address, virtual machine) -> the guest's instruction there.
    """
    pc, monitor, technique, processor = machine
    if not technique.claims_equivalence or technique.name == "native" or scenario.compared_by_result:
        return None

    def make(vm: int) -> Lockstep:
        bare = yardstick(scenario, processor, vm)
        return Lockstep(pc, monitor, bare.pc, bare.monitor, lambda address: instruction_at(address, vm), vm)

    checks = [make(vm) for vm in range(len(monitor.vms))]

    def given(vm: int, entry: Input) -> None:
        checks[vm].input(entry)

    for vm in range(len(checks)):
        _hear_network(monitor, vm, given)
    monitor.on_input = given
    return checks[0] if len(checks) == 1 else Locksteps(pc, monitor, checks)


def _hear_network(monitor: Monitor, vm: int, given: Callable[[int, Input], None]) -> None:
    """Tell when the network adapter of virtual machine ``vm`` reaches for its memory."""
    if isinstance(monitor, HostedMonitor):
        monitor.machine(vm).on_relay = lambda left, filled, frames: given(
            vm, Input(0, NETWORK, (left, filled, *frames))
        )
        return
    board = monitor.vms[vm].hardware.board
    peripherals = None if board is None else board.peripherals
    adapter = None if peripherals is None else peripherals.network
    if isinstance(adapter, CarriedLance):
        adapter.on_carried = lambda said: given(vm, Input(0, NETWORK, said))
    elif adapter is not None:
        adapter.on_act = lambda cycle: given(vm, Input(0, NETWORK, (cycle,)))


class Locksteps:
    """The checks of all virtual machines of ``monitor``, by number.

    Attributes:
        first_difference: what was found, and of which machine; None while all is equal.
        trace: is told of each guest instruction that retires.
    """

    def __init__(self, pc: Pc, monitor: Monitor, each: Sequence[Lockstep]) -> None:
        self.each = tuple(each)
        self.first_difference: Message | None = None
        self.trace = self
        self._pc = pc
        self._monitor = monitor
        pc.read_time = self._time

    @property
    def compared(self) -> int:
        """Guest instructions found equal so far, of all together."""
        return sum(lockstep.compared for lockstep in self.each)

    def begin(self) -> None:
        """A stretch of recording begins."""
        save = cache(self._pc.save)
        for lockstep in self.each:
            lockstep.begin(save)

    def event(self, event: Event) -> None:
        """Note what a guest is given by time."""
        for lockstep in self.each:
            lockstep.event(event)

    def retired(self, pc: Pc) -> None:
        """A guest instruction has retired."""
        vm = pc.meter.place.vm
        if vm >= 0:
            self.each[vm].trace.note(pc, self._monitor.vms[vm].instructions)

    def finish(self) -> Message | None:
        """Let the bare machines follow; the first difference, with the machine put just behind it."""
        for vm, lockstep in enumerate(self.each):
            if self.first_difference is None:
                found = lockstep.finish()
                if found is not None:
                    name = self._monitor.vms[vm].name
                    self.first_difference = Message(N_("{vm}: {detail}"), {"vm": name, "detail": found})
        for lockstep in self.each:
            self.first_difference = self.first_difference or lockstep.first_difference
        return self.first_difference if any(found.diverged for found in self.each) else None

    def _time(self, source: str, value: int) -> int:
        return self.each[self._monitor.current].time(source, value)
