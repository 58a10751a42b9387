"""Follows frames and blocks of domains U through split drivers: ring, event, domain 0, its driver, and back.

What is seen is what Xen and the board did (events, copies by grant, ports, frames), and the rings' indices in
domain 0's memory at those moments. A frame is known by the grant that it lies in, and past Xen's copy by its
check sequence; a block by its sector.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import M32, PAGE_SHIFT, HostPhysical, Linear
from vizapp.machine import events as ev
from vizapp.machine.devices.ide import IDE_IRQ, IDE_PORTS
from vizapp.machine.devices.lance import LANCE_BASE, LANCE_IRQ, RDP, TDMD
from vizapp.session.details.rings import TABLE, TABLE_END
from vizapp.session.journeys import routes
from vizapp.session.journeys.journey import Journey, Journeys, Stop, Witness, check_sequence
from vizapp.session.journeys.ring_watch import RingWatch
from vizapp.vmm.xen.hvm.lines import callback_line
from vizapp.vmm.xen.monitor import XenMonitor

if TYPE_CHECKING:
    from vizapp.machine.events import Event
    from vizapp.machine.pc import Pc
    from vizapp.session.journeys.ring_watch import Change
    from vizapp.vmm.base import Monitor

_RING_MARKS: Final = frozenset({"mark_ring_request", "mark_ring_answer"})
_BRIDGE: Final = "mark_bridge"
_ADAPTER: Final = LANCE_BASE + RDP
_DATA: Final = IDE_PORTS.start
_SENDS, _ARRIVES = routes.SPLIT_SEND.name, routes.SPLIT_RECEIVE.name
_READS, _WRITES = routes.SPLIT_READ.name, routes.SPLIT_WRITE.name
_BLOCKS: Final = (_READS, _WRITES)
_ALL: Final = (_SENDS, _ARRIVES, *_BLOCKS)


class SplitFollower(Witness):
    """Follows what the front ends of all domains U ask for, and what comes for them."""

    kinds: frozenset[str] = frozenset(
        {
            ev.MARK_PASSED, ev.EVENT_SENT, ev.VM_SCHEDULED, ev.UPCALL_DELIVERED, ev.INTERRUPT_DELIVERED,
            ev.GRANT_COPIED, ev.GRANT_MAPPED, ev.GRANT_UNMAPPED, ev.FRAME_SENT, ev.FRAME_RECEIVED,
            ev.BLOCKS_ASKED, ev.HYPERCALL_MADE, ev.SOFTWARE_INTERRUPT_DELIVERED, ev.EXCEPTION_DELIVERED,
            ev.INTERRUPT_INJECTED,
        }
    )  # fmt: skip
    ports: frozenset[int] = frozenset({_ADAPTER, _DATA})

    def __init__(
        self, pc: Pc, monitor: XenMonitor, symbols: Mapping[str, Linear], journeys: Journeys
    ) -> None:
        super().__init__(pc)
        self._monitor = monitor
        self._journeys = journeys
        self._rings = RingWatch(
            lambda where, count: monitor.guest_read(Linear(where), count, 0),
            (symbols[TABLE], symbols[TABLE_END]),
            self._changed,
        )
        self._interrupt: Stop | None = None
        self._asked: dict[int, Stop] = {}  # by domain: how its kernel was last entered by an application

    @classmethod
    def of(
        cls, pc: Pc, monitor: Monitor, symbols: Mapping[str, Linear], journeys: Journeys
    ) -> SplitFollower | None:
        """A follower, if domain 0 is the one whose back ends can be looked at."""
        if isinstance(monitor, XenMonitor) and TABLE in symbols and TABLE_END in symbols:
            return cls(pc, monitor, symbols, journeys)
        return None

    def take(self, event: Event) -> None:
        """An event; the machine stands where it happened."""
        match event.kind:
            case ev.MARK_PASSED:
                self._mark(event)
            case ev.EVENT_SENT:
                self._rings.look()
                self._sent(event)
            case ev.VM_SCHEDULED:
                self._runs(int(event.payload["vm"]), scheduled=True)
            case ev.UPCALL_DELIVERED:
                self._runs(event.target.vm, scheduled=False)
            case ev.INTERRUPT_INJECTED:
                self._injected(event)
            case ev.INTERRUPT_DELIVERED:
                self._interrupt = Stop("interrupt", event.position, event.cycle)
            case ev.GRANT_COPIED:
                self._rings.look()
                self._copied(event)
            case ev.GRANT_MAPPED | ev.GRANT_UNMAPPED:
                self._mapped(event)
            case ev.FRAME_SENT | ev.FRAME_RECEIVED:
                self._frame(event)
            case ev.BLOCKS_ASKED:
                self._blocks(event)
            case _:
                self._entered(event)

    def port(self, port: int, write: bool, value: int, vm: int) -> None:
        """Domain 0's driver has accessed a port of a device."""
        if vm >= 0:
            return
        if port == _DATA:
            for route in _BLOCKS:
                for journey in self._journeys.under_way(route, "asked", "data"):
                    if journey.at("interrupt") or route == _WRITES:
                        self._reach(journey, "data", port=port)
                        return
        elif write and value & TDMD:
            for journey in self._journeys.under_way(_SENDS, "bridged", "driver"):
                self._reach(journey, "driver", port=port, value=value)
                return

    def _mark(self, event: Event) -> None:
        label = event.payload["label"]
        if label in _RING_MARKS:
            self._rings.look()
        elif label == _BRIDGE and event.payload.get("vm", 0) == 0:
            for route, after in ((_SENDS, "copied"), (_ARRIVES, "woken")):
                for journey in self._journeys.under_way(route, after, "bridged"):
                    self._reach(journey, "bridged")
                    return

    def _entered(self, event: Event) -> None:
        """A door: an application that asks its kernel for something, or a kernel that goes back to one."""
        source = event.source
        if source.ring == 3 and source.vm > 0:
            self._asked[source.vm] = Stop("application", event.position, event.cycle)
        elif event.kind == ev.HYPERCALL_MADE and event.payload["name"] == "iret":
            self._asked.pop(source.vm, None)

    # The rings.

    def _changed(self, change: Change) -> None:
        """An index of a ring has moved over a slot."""
        vm = self._vm_of(change.domain)
        facts = {"slot": change.number, "index": change.place, **change.indices}
        fields = change.fields
        if change.answer:
            self._answered(vm, change, facts)
        elif change.ring == "send":
            journey = self._begin(_SENDS, vm, bytes=fields["size"], reference=fields["reference"])
            journey.facts["index"] = change.place
            self._reach(journey, "put", **facts, id=fields["id"], reference=fields["reference"])
        elif change.ring == "disk" and fields["operation"] <= 1:
            sectors = fields["last"] - fields["first"] + 1 if fields["segments"] == 1 else 0
            facts_of = {"sector": fields["sector"], "reference": fields["reference"], "index": change.place}
            route = _WRITES if fields["operation"] else _READS
            journey = self._begin(route, vm, bytes=512 * sectors, **facts_of)
            self._reach(journey, "put", **facts, sector=fields["sector"], reference=fields["reference"])

    def _begin(self, route: str, vm: int, **facts: int) -> Journey:
        journey = self._journeys.open(route, vm, **facts)
        asked = self._asked.get(vm)
        if asked is not None:
            journey.stops.append(asked)
        return journey

    def _answered(self, vm: int, change: Change, facts: dict[str, int]) -> None:
        status = change.fields["status"]
        if change.ring == "receive":
            for journey in self._journeys.under_way(_ARRIVES, "copied", "answered"):
                if journey.vm == vm:
                    self._reach(journey, "answered", **facts, status=status)
                    return
            return
        for route in (_SENDS,) if change.ring == "send" else _BLOCKS:
            for journey in self._journeys.under_way(route, "put", "answered"):
                if journey.vm == vm and journey.facts["index"] == change.place:
                    self._reach(journey, "answered", **facts, status=status)

    # Events, and who gets the processor.

    def _sent(self, event: Event) -> None:
        payload = event.payload
        port, to, sender = int(payload["port"]), int(payload.get("vm", 0)), payload.get("from")
        if event.cause == "pirq" and to == 0:
            self._physical(port)
        elif to == 0 and sender:
            for journey in self._of(int(sender), "put", ("event", "copied", "mapped"), (_SENDS, *_BLOCKS)):
                if self._port_of(journey) == port:
                    self._reach(journey, "event", channel=port)
        elif sender == 0:
            for journey in self._of(to, "answered", ("notified",), _ALL):
                channel = self._monitor.xen.domains[0].channels.get(self._port_of(journey))
                if channel is not None and channel.port == port:
                    self._reach(journey, "notified", channel=port)

    def _physical(self, port: int) -> None:
        """The line of one of domain 0's devices."""
        channel = self._monitor.xen.domains[0].channels.get(port)
        line = -1 if channel is None else channel.detail
        found = []
        if line == LANCE_IRQ:
            found = list(self._journeys.under_way(_ARRIVES, "line", "interrupt"))
        elif line == IDE_IRQ:
            found = [j for route in _BLOCKS for j in self._journeys.under_way(route, "asked", "interrupt")][
                :1
            ]
        for journey in found:
            if self._interrupt is not None:
                journey.stops.append(self._interrupt._replace(facts=(("irq", line),)))
            self._reach(journey, "event", channel=port)
            if line == IDE_IRQ:
                self._reach(journey, "virtual-irq", channel=port)

    def _runs(self, vm: int, *, scheduled: bool) -> None:
        """A domain has the processor, or its upcall has begun: it sees what events are pending."""
        if vm == 0:
            for route in _ALL:
                for journey in self._journeys.under_way(route, "event", "woken"):
                    self._reach(journey, "woken", upcall=int(not scheduled))
        elif not scheduled:
            for journey in self._of(vm, "notified", ("heard",), _ALL):
                self._reach(journey, "heard")
                self._journeys.close(journey)

    def _injected(self, event: Event) -> None:
        """An unmodified kernel hears of events by an interrupt, on the line that it has chosen for them."""
        hvm, vm = self._monitor.xen.hvm, event.target.vm
        machine = None if hvm is None else hvm.vms.get(vm)
        line = 0 if machine is None else callback_line(machine.state_of_hvm)
        if machine is not None and line:
            pic = machine.devices.pic
            vector = pic.master.vector + line if line < 8 else pic.slave.vector + line - 8
            if int(event.payload["vector"]) == vector:
                self._runs(vm, scheduled=False)

    def _of(self, vm: int, after: str, before: tuple[str, ...], among: tuple[str, ...]) -> list[Journey]:
        found = [journey for route in among for journey in self._journeys.under_way(route, after)]
        return [j for j in found if j.vm == vm and not any(j.at(stage) for stage in before)]

    def _port_of(self, journey: Journey) -> int:
        """Domain 0's port of the channel to the device that a journey is of."""
        domain = self._monitor.xen.domains[journey.vm].id
        return self._rings.port(domain, disk=journey.route in _BLOCKS)

    def _vm_of(self, number: int) -> int:
        domain = self._monitor.xen.by_id(number)
        return -1 if domain is None else domain.index

    # What moves the data.

    def _copied(self, event: Event) -> None:
        """Xen has copied a frame by a grant: out of a front end's page, or into one."""
        payload = event.payload
        if "reference" not in payload:
            return
        count, reference = int(payload["bytes"]), int(payload["reference"])
        where = int(payload["frame"]) << PAGE_SHIFT | int(payload["offset"])
        check = check_sequence(self._pc.memory.dump(HostPhysical(where), count))
        source, target = int(payload["from"]), int(payload["to"])
        if target == 0:
            for journey in self._journeys.under_way(_SENDS, "put", "copied"):
                if journey.vm == source and journey.facts["reference"] == reference:
                    journey.facts["check"] = check
                    self._reach(journey, "copied", reference=reference, bytes=count, check=check)
                    return
            return
        arrived = self._journeys.under_way(_ARRIVES, "", "copied")
        found = next((j for j in arrived if j.facts["check"] == check and j.vm < 0), None)
        # Without one, the frame has come over the bridge from another domain.
        journey = found or self._journeys.open(_ARRIVES, target, bytes=count, check=check)
        journey.vm = target
        self._reach(journey, "copied", reference=reference, bytes=count, check=check)

    def _mapped(self, event: Event) -> None:
        payload = event.payload
        if event.kind == ev.GRANT_MAPPED:
            self._rings.look()
        after, stage = ("put", "mapped") if event.kind == ev.GRANT_MAPPED else ("mapped", "unmapped")
        owner, reference = int(payload["from"]), int(payload["reference"])
        for journey in self._of(owner, after, (stage,), _BLOCKS):
            if journey.facts["reference"] == reference:
                self._reach(journey, stage, reference=reference, frame=int(payload["frame"]))
                return

    def _frame(self, event: Event) -> None:
        """The adapter of the machine has sent or stored a frame."""
        payload = event.payload
        check, count = int(payload["check"]), int(payload["bytes"])
        facts = {"address": int(payload["address"]), "bytes": count, "check": check}
        if event.kind == ev.FRAME_RECEIVED:
            self._reach(self._journeys.open(_ARRIVES, -1, bytes=count, check=check), "line", **facts)
            return
        for journey in self._journeys.under_way(_SENDS, "copied", "line"):
            if journey.facts["check"] == check:
                self._reach(journey, "line", **facts)
                return

    def _blocks(self, event: Event) -> None:
        """The drive was given a command: for the oldest request that it can be of."""
        payload = event.payload
        block, count = int(payload["block"]), int(payload["count"])
        for journey in self._journeys.under_way(
            _WRITES if event.cause == "write" else _READS, "mapped", "asked"
        ):
            domain = self._monitor.xen.domains[journey.vm].id
            first = self._rings.first_sector(domain)
            if journey.facts["sector"] + first & M32 == block:
                self._reach(journey, "asked", block=block, count=count)
                return
