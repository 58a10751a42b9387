"""Follows frames of guests whose adapter a monitor models, and of a bare machine's own adapter.

A frame is found in the adapter's transmit ring when the guest tells the adapter to send, and known by its
check sequence when the adapter takes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from vizapp.isa.addresses import HostPhysical
from vizapp.machine import events as ev
from vizapp.machine.devices.lance import LANCE_BASE, LANCE_IRQ, RDP, TDMD
from vizapp.session.journeys import routes
from vizapp.session.journeys.given_frames import frames_given
from vizapp.session.journeys.journey import Journey, Journeys, Stop
from vizapp.vmm.guest_memory import GuestMemory

if TYPE_CHECKING:
    from vizapp.isa.addresses import Linear
    from vizapp.machine.events import Event
    from vizapp.machine.pc import Pc
    from vizapp.session.journeys.route import Route
    from vizapp.vmm.base import Monitor

_IN = frozenset(
    {ev.EXCEPTION_DELIVERED, ev.SOFTWARE_INTERRUPT_DELIVERED, ev.INTERRUPT_DELIVERED, ev.VM_EXITED}
)


class EmulatedFollower:
    """Frames of the adapters of virtual machines, or of the machine itself where there is no monitor."""

    kinds: frozenset[str] = _IN | {ev.FRAME_SENT, ev.FRAME_RECEIVED, ev.INTERRUPT_INJECTED, ev.VM_ENTERED}
    ports: frozenset[int] = frozenset({LANCE_BASE + RDP})
    send: Route = routes.EMULATED_SEND

    def __init__(self, pc: Pc, monitor: Monitor, journeys: Journeys) -> None:
        self._pc = pc
        self._monitor = monitor
        self._journeys = journeys
        self._left: dict[int, Stop] = {}  # by virtual machine: the door by which it was left
        self._given: dict[int, set[tuple[int, int]]] = {}  # frames that have been found, by virtual machine

    @classmethod
    def of(
        cls, pc: Pc, monitor: Monitor, symbols: Mapping[str, Linear], journeys: Journeys
    ) -> EmulatedFollower | None:
        """A follower for any machine."""
        return cls(pc, monitor, journeys)

    def take(self, event: Event) -> None:
        """An event; the machine stands where it happened."""
        if event.kind in (ev.FRAME_SENT, ev.FRAME_RECEIVED):
            self._frame(event)
        elif event.kind in (ev.INTERRUPT_INJECTED, ev.VM_ENTERED):
            self._told(event, event.target.vm)
        elif event.source.is_guest and not event.target.is_guest:
            self._left[event.source.vm] = Stop("out", event.position, event.cycle)
            for journey in self._journeys.under_way(routes.EMULATED_RECEIVE.name, "line", "interrupt"):
                if journey.vm == event.source.vm:
                    journey.stops.append(Stop("interrupt", event.position, event.cycle))
        elif event.kind == ev.INTERRUPT_DELIVERED and event.target.is_guest:
            self._told(event, -1)

    def port(self, port: int, write: bool, value: int, vm: int) -> None:
        """The guest has told its adapter to send: there are new frames in its ring."""
        if not write or not value & TDMD:
            return
        guest = self._monitor.vms[max(vm, 0)]
        board = self._pc.board if vm < 0 else guest.hardware.board
        adapter = None if board is None or board.peripherals is None else board.peripherals.network
        if adapter is None:
            return
        at = self._pc.position, self._pc.meter.cycles
        seen: set[tuple[int, int]] = set()
        for frame in frames_given(self._memory(vm), *adapter.transmit_ring):
            seen.add((frame.number, frame.check))
            if (frame.number, frame.check) in self._given.get(vm, ()):
                continue
            facts = (("descriptor", frame.number), ("address", frame.address), ("bytes", frame.bytes))
            journey = self._sent_with(frame.check, vm, "out", bytes=frame.bytes)
            left = self._left.get(vm)
            journey.stops.append(Stop("out", *at, facts) if left is None else left._replace(facts=facts))
        self._given[vm] = seen

    def _memory(self, vm: int) -> Callable[[int, int], bytes]:
        """A look into the memory that an adapter uses."""
        if vm >= 0:
            memory = getattr(self._monitor.vms[vm], "memory", None)
            if isinstance(memory, GuestMemory):
                return memory.peek
        return lambda address, count: self._pc.memory.dump(HostPhysical(address), count)

    def _sent_with(self, check: int, vm: int, before: str, **facts: int) -> Journey:
        """The oldest frame of that check sequence that has not come to a stage; else a new one."""
        route = routes.DIRECT_SEND if vm < 0 else self.send
        for journey in self._journeys.under_way(route.name, "", before):
            if journey.vm == max(vm, 0) and journey.facts["check"] == check:
                return journey
        return self._journeys.open(route.name, max(vm, 0), check=check, **facts)

    def _frame(self, event: Event) -> None:
        payload = event.payload
        vm = int(payload.get("vm", -1))
        count, check = int(payload["bytes"]), int(payload["check"])
        where = (("address", int(payload["address"])), ("bytes", count), ("check", check))
        if event.kind == ev.FRAME_SENT:
            journey = self._sent_with(check, vm, "line", bytes=count)
            if vm >= 0:
                journey.stops.append(Stop("taken", event.position, event.cycle, where))
        else:
            route = routes.DIRECT_RECEIVE if vm < 0 else routes.EMULATED_RECEIVE
            journey = self._journeys.open(route.name, max(vm, 0), bytes=count, check=check)
        journey.stops.append(Stop("line", event.position, event.cycle, where))

    def _told(self, event: Event, vm: int) -> None:
        """An interrupt reaches the guest; it tells of all that its adapter has done by then."""
        vector = vector_of(event)
        names = (
            (routes.DIRECT_SEND, routes.DIRECT_RECEIVE) if vm < 0
            else (routes.EMULATED_SEND, routes.EMULATED_RECEIVE)
        )  # fmt: skip
        found: list[Journey] = [
            journey
            for route in names
            for journey in self._journeys.under_way(route.name, "line", "injected")
            if journey.vm == max(vm, 0)
        ]
        if not found or not self._is_adapters(vector, vm):
            return
        for journey in found:
            journey.stops.append(Stop("injected", event.position, event.cycle, (("vector", vector),)))
            self._journeys.close(journey)

    def _is_adapters(self, vector: int, vm: int) -> bool:
        """Whether a vector is that of the adapter's line on the guest's controllers."""
        slave = self._monitor.vms[max(vm, 0)].hardware.pic.slave
        return vector == slave.vector + LANCE_IRQ - 8


def vector_of(event: Event) -> int:
    """What is delivered, -1 if nothing; VMX has it in the low byte of its interruption information."""
    payload = event.payload
    if "vector" in payload:
        return int(payload["vector"])
    return int(payload["event"]) & 0xFF if "event" in payload else -1
