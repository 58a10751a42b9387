"""Follows frames of guests beside a host: VMM, world switch, VMDriver, VMApp, VMNet, adapter, and back.

A guest's frames are found in the transmit ring of its virtual adapter, which the shared page names; past
that a frame is known by its check sequence: in the buffer of VMApp's system call, and on the line. Whose it
is says the process that has the processor, and of one that arrives its address.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import HostPhysical, Linear
from vizapp.machine import events as ev
from vizapp.machine.devices.lance import LANCE_BASE, LANCE_IRQ, RDP, TDMD
from vizapp.machine.places import VM_APP, VM_DRIVER, VMM_WORLD
from vizapp.session.journeys import routes
from vizapp.session.journeys.given_frames import frames_given
from vizapp.session.journeys.journey import Journey, Journeys, Stop, Witness, check_sequence
from vizapp.vmm.hosted import layout
from vizapp.vmm.hosted.monitor import HostedMonitor

if TYPE_CHECKING:
    from vizapp.machine.events import Event
    from vizapp.machine.pc import Pc
    from vizapp.vmm.base import Monitor

_ADAPTER: Final = LANCE_BASE + RDP
_TRANSMIT: Final = 800  # of the shared page: base, size and next descriptor, as host_shared.inc has it
_WRITE, _READ, _NETWORK = 1, 2, 1  # numbers of system calls, and of the file, as host.asm has them
_LONGEST: Final = 2048
_NO_STATION: Final = bytes(6)
_SENDS, _ARRIVES = routes.HOSTED_SEND.name, routes.HOSTED_RECEIVE.name
_BOTH: Final = (_SENDS, _ARRIVES)
_IRQ_VECTOR: Final = layout.HOST_VECTORS.start + LANCE_IRQ


class HostedFollower(Witness):
    """Frames of all guests of one host."""

    kinds: frozenset[str] = frozenset(
        {
            ev.SOFTWARE_INTERRUPT_DELIVERED, ev.EXCEPTION_DELIVERED, ev.INTERRUPT_DELIVERED, ev.RETURNED,
            ev.WORLD_SWITCHED, ev.INSTRUCTION_EMULATED, ev.INTERRUPT_INJECTED,
            ev.FRAME_SENT, ev.FRAME_RECEIVED,
        }
    )  # fmt: skip
    ports: frozenset[int] = frozenset({_ADAPTER})

    def __init__(self, pc: Pc, monitor: HostedMonitor, journeys: Journeys) -> None:
        super().__init__(pc)
        self._monitor = monitor
        self._journeys = journeys
        self._doors: dict[int, Stop] = {}  # by which each guest was left
        self._waiting: dict[int, set[tuple[int, int]]] = {}  # descriptors that a frame has been seen in
        self._reading = 0  # the buffer of VMApp's read

    @classmethod
    def of(
        cls, pc: Pc, monitor: Monitor, symbols: Mapping[str, Linear], journeys: Journeys
    ) -> HostedFollower | None:
        """A follower, if there is a host."""
        return cls(pc, monitor, journeys) if isinstance(monitor, HostedMonitor) else None

    def take(self, event: Event) -> None:
        """An event; the machine stands where it happened."""
        match event.kind:
            case ev.WORLD_SWITCHED:
                self._switched(event)
            case ev.INSTRUCTION_EMULATED:
                if event.payload.get("port") == _ADAPTER and event.cause == "out":
                    self._given()
            case ev.FRAME_SENT | ev.FRAME_RECEIVED:
                self._frame(event)
            case ev.INTERRUPT_INJECTED:
                self._injected(event)
            case ev.RETURNED:
                if event.target.component == VM_APP:
                    self._in_vmapp(event)
            case _:
                self._entered(event)

    def port(self, port: int, write: bool, value: int, vm: int) -> None:
        """The host's driver tells the adapter to send."""
        if vm < 0 and write and value & TDMD:
            for journey in self._journeys.under_way(_SENDS, "write", "driver"):
                self._reach(journey, "driver", port=port, value=value)
                return

    def _entered(self, event: Event) -> None:
        """A door: out of the guest, out of VMApp, or the one by which VMDriver raises an interrupt again."""
        source, payload = event.source, event.payload
        if source.is_guest and not event.target.is_guest:
            self._doors[source.vm] = Stop("out", event.position, event.cycle)
        if payload.get("vector") == _IRQ_VECTOR and event.kind == ev.INTERRUPT_DELIVERED:
            stage = "interrupt" if event.target.world == VMM_WORLD else "served"
            for journey in self._journeys.under_way(_ARRIVES, "line", stage):
                if not journey.at("raised"):
                    self._reach(journey, stage, vector=_IRQ_VECTOR)
        elif payload.get("vector") == _IRQ_VECTOR and source.component == VM_DRIVER:
            for journey in self._journeys.under_way(_ARRIVES, "switch", "raised"):
                self._reach(journey, "raised", vector=_IRQ_VECTOR)
        if source.component == VM_APP and event.kind == ev.SOFTWARE_INTERRUPT_DELIVERED:
            self._system_call()

    def _system_call(self) -> None:
        """VMApp asks the host; its registers say for what."""
        cpu = self._pc.cpu
        self._reading = 0
        if cpu.ebx != _NETWORK:
            return
        if cpu.eax == _READ:
            self._reading = cpu.ecx
        elif cpu.eax == _WRITE:
            frame = self._host_bytes(cpu.ecx, cpu.edx)
            if frame is None:
                return
            check = check_sequence(frame)
            found = self._sent_with(check)
            self._reach(found, "write", bytes=len(frame), check=check)

    def _sent_with(self, check: int) -> Journey:
        """The frame of that check sequence that VMApp has not written yet; a new one if none was seen."""
        for journey in self._mine(_SENDS, "", "write"):
            if journey.facts["check"] == check:
                return journey
        return self._journeys.open(_SENDS, self._monitor.current, check=check)

    def _in_vmapp(self, event: Event) -> None:
        """The host has returned to VMApp: from the run of the VM, or with a frame that it has read."""
        for route, after in ((_SENDS, "switch"), (_ARRIVES, "served"), (_ARRIVES, "raised")):
            for journey in self._mine(route, after, "vmapp"):
                self._reach(journey, "vmapp")
        count, buffer, self._reading = self._pc.cpu.eax, self._reading, 0
        if not buffer or not 0 < count <= _LONGEST:
            return
        data = self._host_bytes(buffer, count)
        if data is None:
            return
        check = check_sequence(data[:-4])  # the adapter stores the check sequence behind the frame
        for journey in self._mine(_ARRIVES, "line", "read"):
            if journey.facts["check"] == check:
                self._reach(journey, "read", bytes=count, check=check)
                return

    def _switched(self, event: Event) -> None:
        if event.payload["direction"] == "host":
            self._given()
            stage, after = "switch", {_SENDS: "out", _ARRIVES: "interrupt"}
            reason = {name: int(event.payload[name]) for name in ("port", "vector") if name in event.payload}
        else:
            stage, after, reason = "back", {_SENDS: "write", _ARRIVES: "read"}, {}
        for journey in self._mine(_SENDS, after[_SENDS], stage):
            self._reach(journey, stage, **reason)
        # The interrupt of a frame's arrival is the host's, whoever it has hit.
        arriving = self._mine if stage == "back" else self._journeys.under_way
        for journey in arriving(_ARRIVES, after[_ARRIVES], stage):
            self._reach(journey, stage, **reason)

    def _injected(self, event: Event) -> None:
        slave = self._monitor.vms[self._monitor.current].hardware.pic.slave
        if int(event.payload["vector"]) != slave.vector + LANCE_IRQ - 8:
            return
        for route in _BOTH:
            for journey in self._mine(route, "back", "injected"):
                self._reach(journey, "injected", vector=int(event.payload["vector"]))
                self._journeys.close(journey)

    def _frame(self, event: Event) -> None:
        payload = event.payload
        facts = {name: int(payload[name]) for name in ("address", "bytes", "check")}
        if event.kind == ev.FRAME_RECEIVED:
            for vm in self._receivers(facts["address"]):
                journey = self._journeys.open(_ARRIVES, vm, bytes=facts["bytes"], check=facts["check"])
                self._reach(journey, "line", **facts)
            return
        for journey in self._journeys.under_way(_SENDS, "write", "line"):
            if journey.facts["check"] == facts["check"]:
                self._reach(journey, "line", **facts)
                return

    def _given(self) -> None:
        """Frames that the guest has given to its adapter: those in its ring that were not there before."""
        current = self._monitor.current
        vm, waiting = self._monitor.machine(current), self._waiting.get(current, set())
        peek, guest, door = vm.shared.peek, vm.memory, self._doors.get(current)
        seen: set[tuple[int, int]] = set()
        for frame in frames_given(guest.peek, *(peek(_TRANSMIT + 4 * index) for index in range(3))):
            seen.add((frame.number, frame.check))
            if (frame.number, frame.check) not in waiting:
                journey = self._journeys.open(_SENDS, current, bytes=frame.bytes, check=frame.check)
                facts = (("descriptor", frame.number), ("address", frame.address), ("bytes", frame.bytes))
                if door is not None:
                    journey.stops.append(door._replace(facts=facts))
        self._waiting[current] = seen

    def _mine(self, route: str, after: str = "", before: str = "") -> Iterator[Journey]:
        """Those under way of the guest whose process or VMM has the processor."""
        current = self._monitor.current
        return (one for one in self._journeys.under_way(route, after, before) if one.vm == current)

    def _receivers(self, address: int) -> list[int]:
        """Whom VMNet has a frame for that lies in the host's memory; of a single guest it is all its."""
        stations = {vm: self._station(vm) for vm in range(len(self._monitor.vms))}
        target = self._pc.memory.dump(HostPhysical(address), len(_NO_STATION))
        if len(stations) == 1 or target[0] & 1:
            return [vm for vm, station in stations.items() if station != _NO_STATION or len(stations) == 1]
        return [vm for vm, station in stations.items() if station == target]

    def _station(self, vm: int) -> bytes:
        at = self._monitor.machine(vm).shared.address + layout.STATION
        return self._pc.memory.dump(HostPhysical(at), len(_NO_STATION))

    def _host_bytes(self, linear: int, count: int) -> bytes | None:
        """What is in VMApp's memory, or None where it has nothing."""
        if not 0 < count <= _LONGEST:
            return None
        data = b""
        while len(data) < count:
            where = Linear(linear + len(data))
            here = min(count - len(data), 4096 - (where & 0xFFF))
            address = self._monitor.processor_translate(where, self._monitor.current)
            if address is None:
                return None
            data += self._pc.memory.dump(address, here)
        return data
