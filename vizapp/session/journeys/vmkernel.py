"""Follows frames and blocks of guests whose monitor has a kernel of its own with the machine's devices.

A frame is found in the ring of its virtual adapter, and known by its check sequence where the machine's
adapter takes it; in between there is one frame in the VMkernel's hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from vizapp.machine import events as ev
from vizapp.machine.devices.ide import IDE_IRQ
from vizapp.machine.devices.lance import LANCE_IRQ, TDMD
from vizapp.session.journeys import kernel_routes as routes
from vizapp.session.journeys.emulated import EmulatedFollower, vector_of
from vizapp.session.journeys.journey import Journey, Journeys, Stop
from vizapp.vmm.hardware_assisted.monitor import HardwareAssistedMonitor
from vizapp.vmm.physical_timer import SLAVE_VECTOR
from vizapp.vmm.trap_and_emulate.monitor import TrapAndEmulateMonitor
from vizapp.vmm.vmkernel.virtual_switch import UPLINK

if TYPE_CHECKING:
    from vizapp.isa.addresses import Linear
    from vizapp.machine.events import Event
    from vizapp.machine.pc import Pc
    from vizapp.vmm.base import Monitor
    from vizapp.vmm.vmkernel.kernel import Vmkernel

_SENDS, _LOCAL = routes.KERNEL_SEND.name, routes.KERNEL_LOCAL.name
_ARRIVES: Final = routes.KERNEL_RECEIVE.name
_BLOCKS: Final = {"read": routes.KERNEL_READ.name, "write": routes.KERNEL_WRITE.name}
_INTERRUPTS: Final = {
    SLAVE_VECTOR + LANCE_IRQ - 8: ("line", (_ARRIVES,)),
    SLAVE_VECTOR + IDE_IRQ - 8: ("request", tuple(_BLOCKS.values())),
}
"""By physical vector: what must have happened, on which routes."""


class VmkernelFollower(EmulatedFollower):
    """Frames and blocks of all virtual machines of one VMkernel."""

    kinds: frozenset[str] = EmulatedFollower.kinds | {ev.FRAME_SWITCHED, ev.BLOCKS_ASKED}
    send = routes.KERNEL_SEND

    def __init__(self, pc: Pc, monitor: Monitor, journeys: Journeys, kernel: Vmkernel) -> None:
        super().__init__(pc, monitor, journeys)
        self._kernel = kernel
        self._hand: Journey | None = None

    @classmethod
    def of(
        cls, pc: Pc, monitor: Monitor, symbols: Mapping[str, Linear], journeys: Journeys
    ) -> VmkernelFollower | None:
        """A follower, if there is a VMkernel."""
        if not isinstance(monitor, TrapAndEmulateMonitor | HardwareAssistedMonitor):
            return None
        kernel = monitor.host.kernel
        return None if kernel is None else cls(pc, monitor, journeys, kernel)

    def take(self, event: Event) -> None:
        """An event; the machine stands where it happened."""
        match event.kind:
            case ev.FRAME_SENT | ev.FRAME_RECEIVED:
                self._frame(event)
            case ev.FRAME_SWITCHED:
                self._switched(event)
            case ev.BLOCKS_ASKED:
                self._asked(event)
            case ev.INTERRUPT_INJECTED | ev.VM_ENTERED:
                self._told(event, event.target.vm)
            case _:
                if event.source.is_guest and not event.target.is_guest:
                    self._left[event.source.vm] = Stop("out", event.position, event.cycle)
                if event.kind == ev.INTERRUPT_DELIVERED:
                    self._interrupted(event)

    def port(self, port: int, write: bool, value: int, vm: int) -> None:
        """A guest, or the VMkernel's driver, tells its adapter to send."""
        if vm >= 0:
            super().port(port, write, value, vm)
        elif write and value & TDMD and self._hand is not None:
            self._reach(self._hand, "driver")

    def _frame(self, event: Event) -> None:
        payload = event.payload
        vm, count, check = int(payload.get("vm", -1)), int(payload["bytes"]), int(payload["check"])
        where = {"address": int(payload["address"]), "bytes": count, "check": check}
        if event.kind == ev.FRAME_SENT:
            if vm >= 0:
                self._hand = self._sent_with(check, vm, "taken", bytes=count)
                self._reach(self._hand, "taken", **where)
            else:
                self._pass(_SENDS, "switched", "line", check, where)
        elif vm < 0:
            self._reach(self._journeys.open(_ARRIVES, -1, bytes=count, check=check), "line", **where)
        else:
            for route in (_LOCAL, _ARRIVES):
                self._pass(route, "switched", "stored", check, where)

    def _pass(self, route: str, after: str, stage: str, check: int, where: dict[str, int]) -> None:
        """The oldest frame of that check sequence comes to a stage."""
        for journey in self._journeys.under_way(route, after, stage):
            if journey.facts["check"] == check:
                self._reach(journey, stage, **where)
                self._end(journey)
                return

    def _switched(self, event: Event) -> None:
        if event.payload["from"] == UPLINK:
            self._hand = next(self._journeys.under_way(_ARRIVES, "line", "switched"), None)
        journey = self._hand
        if journey is None:
            return
        to = [int(port) for port in str(event.payload["to"]).split()]
        if event.cause == "local":
            journey.route = _LOCAL
        self._reach(journey, "switched", **({"to": to[0]} if to and to[0] >= 0 else {}))
        if event.cause == "in":
            journey.vm = to[0]

    def _asked(self, event: Event) -> None:
        payload, name = event.payload, _BLOCKS[event.cause]
        facts = {"block": int(payload["block"]), "count": int(payload["count"])}
        if "vm" in payload:
            self._reach(self._journeys.open(name, int(payload["vm"]), **facts), "asked", **facts)
            return
        whose = next(
            (one.vm for one in self._kernel.extents if 0 <= facts["block"] - one.first < one.sectors), -1
        )
        for journey in self._journeys.under_way(name, "asked", "request"):
            if journey.vm == whose:
                self._reach(journey, "request", **facts)
                return

    def _interrupted(self, event: Event) -> None:
        after, names = _INTERRUPTS.get(int(event.payload["vector"]), ("", ()))
        for name in names:
            for journey in self._journeys.under_way(name, after, "interrupt"):
                self._reach(journey, "interrupt", vector=int(event.payload["vector"]))

    def _told(self, event: Event, vm: int) -> None:
        """An interrupt reaches a guest; it tells of all that its device has done by then."""
        vector = vector_of(event)
        line = vector - self._monitor.vms[max(vm, 0)].hardware.pic.slave.vector + 8
        ends = {
            LANCE_IRQ: ((_SENDS, "taken"), (_LOCAL, "stored"), (_ARRIVES, "stored")),
            IDE_IRQ: tuple((name, "interrupt") for name in _BLOCKS.values()),
        }.get(line, ())
        for name, after in ends:
            for journey in self._journeys.under_way(name, after, "injected"):
                if self._receiver(journey) == max(vm, 0):
                    self._reach(journey, "injected", vector=vector)
                    self._end(journey)

    def _end(self, journey: Journey) -> None:
        """Its guest may be told of a frame before the line has it."""
        if journey.at("injected") and (journey.route != _SENDS or journey.at("line")):
            self._journeys.close(journey)

    def _receiver(self, journey: Journey) -> int:
        """Whom the end of a journey is told to: of a frame to another guest that one."""
        if journey.route != _LOCAL:
            return journey.vm
        switched = next(stop for stop in journey.stops if stop.stage == "switched")
        return dict(switched.facts).get("to", journey.vm)

    def _reach(self, journey: Journey, stage: str, **facts: int) -> None:
        """The first time counts."""
        if not journey.at(stage):
            at = self._pc.position, self._pc.meter.cycles
            journey.stops.append(Stop(stage, *at, tuple(facts.items())))
