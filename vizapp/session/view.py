"""Builds frames: everything that the panels show of the machine at the cursor."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from vizapp.cost.ledger import Ledger
from vizapp.machine.devices.vga import default_color
from vizapp.machine.input_log import KEYBOARD, SERIAL
from vizapp.machine.inputs import priced
from vizapp.session.builder import techniques_of
from vizapp.session.describe import describe, lesson, waiting_for
from vizapp.session.describe_events import principal
from vizapp.session.frames import Frame, ScreenCells, Stopped, VmState
from vizapp.session.moment import LastStep
from vizapp.session.truths import truths
from vizapp.vmm import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from vizapp.machine.events import Event
    from vizapp.machine.meter import Meter
    from vizapp.machine.pc import Pc
    from vizapp.session.frames import Scorecard
    from vizapp.session.listing import Listing
    from vizapp.session.observe import Observation, Observer
    from vizapp.session.recorder import EventStore
    from vizapp.session.scenario import Scenario
    from vizapp.vmm.base import Devices, Guest

ENCODING = "cp437"  # what the PC's character generator shows


def cost(event: Event, meter: Meter) -> int:
    """Cycles of an event's charges, at the prices of the run."""
    return priced(event.charges, meter.prices)


def serial_text(devices: Devices) -> str:
    """What the guest has sent over COM1 as text, or had sent; carriage returns are the terminal's."""
    text = bytes(devices.uart.output).decode(ENCODING).replace("\r\n", "\n")
    if not devices.console:
        return text
    lines = text.splitlines(keepends=True)
    return "".join(line.removeprefix(devices.console) for line in lines if line.startswith(devices.console))


def screen_cells(devices: Devices) -> ScreenCells:
    """The look of the text screen; a plain PC, which has no VGA to program, shows the default colours."""
    full = None if devices.board is None else devices.board.peripherals
    return ScreenCells(
        devices.screen.attributes(),
        tuple(map(default_color if full is None else full.vga.color, range(16))),
        True if full is None else full.vga.blinks,
        devices.screen.cursor(),
    )


def input_devices(devices: Devices) -> frozenset[str]:
    """What of the guest's hardware could be given something from outside."""
    if devices.board is None:
        return frozenset((SERIAL,))  # a console, whoever has the port that it ends at
    return frozenset((SERIAL,) if devices.board.peripherals is None else (SERIAL, KEYBOARD))


def vm_state(guest: Guest, name: str) -> VmState:
    """A virtual machine now; ``name`` is its guest's."""
    return VmState(
        guest.index,
        guest.name,
        name,
        guest.weight,
        guest.state,
        guest.instructions,
        sum(guest.cycles().values()),
        None if guest.stopped is None else Stopped(*guest.stopped),
    )


class FrameBuilder:
    """Makes the frames of one session."""

    def __init__(
        self,
        scenario: Scenario,
        pc: Pc,
        guests: Sequence[Guest],
        listings: Sequence[Listing],
        observer: Observer,
        store: EventStore,
        ported: Collection[tuple[str, int]],
    ) -> None:
        self._scenario = scenario
        self._pc = pc
        self._guests = guests
        self._listings = listings
        self._names = [vm.image.name for vm in scenario.machines]
        self._techniques = techniques_of(scenario)
        self._observer = observer
        self._store = store
        self._ported = ported
        self._takes_input = registry.maker(scenario.technique).abilities.inputs

    def build(
        self,
        now: Observation,
        before: Observation | None,
        *,
        end: tuple[int, int, int],
        stopped: Stopped | None,
        scorecard: Scorecard,
        heat: Mapping[int, int],
        way: Callable[[int], str],
        breakpoints: Collection[int],
        moving: bool,
        details: Mapping[str, Any],
        awaited: tuple[str, ...] = (),
    ) -> Frame:
        """The frame at the cursor.

        ``before`` is the observation one step earlier, None at the start. ``end`` is position, instruction
        and cycle of the end of the recording, ``stopped`` set where the cursor stands at the end of a run
        that cannot go on. ``awaited`` are the inputs without one of which the run does not go on there.
        """
        waiting = waiting_for(awaited)
        pc, moment, shown = self._pc, now.moment, now.shown
        devices, listing = self._guests[now.vm].hardware, self._listings[now.vm]
        read = partial(self._observer.read, vm=now.vm)
        # What another machine had a step ago is no change of this one's.
        former = None if before is None or before.vm != now.vm else before.pair
        events = tuple(self._store[index] for index in self._store.at(moment.position - 1))
        technique = self._techniques[self._observer.current]
        step = None if before is None else LastStep(before.moment, moment, events, technique)
        event = principal(events) or (events[-1] if events else None)
        rows = truths(now.pair, former)
        last_position, last_instruction, last_cycle = end
        return Frame(
            technique=self._scenario.technique,
            guest=self._names[now.vm],
            processor=self._scenario.processor,
            position=moment.position,
            last_position=last_position,
            instruction=moment.instructions,
            last_instruction=last_instruction,
            cycle=pc.meter.cycles,
            last_cycle=last_cycle,
            place=moment.place,
            phase=moment.phase,
            event=event,
            sentence=waiting or describe(step, moment, stopped),
            lesson=lesson(step),
            code_title=listing.title(shown.linear, shown.bits),
            code=listing.lines(
                shown.linear,
                shown.bits,
                read,
                heat,
                breakpoints,
                self._ported,
                application=shown.guest["cpl"] == 3,
                way=way,
            ),
            truths=rows,
            scorecard=scorecard,
            purposes={purpose.value: cycles for purpose, cycles in pc.meter.by_purpose().items()},
            event_counts=self._store.counts(moment.position),
            registers=dict(shown.processor),
            guest_registers=dict(shown.guest),
            serial=serial_text(devices),
            screen=devices.screen.rows(),
            stopped=stopped,
            charges=tuple(
                (entry.place, entry.purpose.value, entry.input, entry.times, entry.cycles)
                for entry in Ledger.of(pc.meter).entries()
            ),
            changed=frozenset(row.key for row in rows if row.changed),
            moving=moving,
            event_cycles=None if event is None else cost(event, pc.meter),
            cells=screen_cells(devices),
            devices=input_devices(devices),
            details=details,
            inputs=input_devices(devices) if self._takes_input else frozenset(),
            vm=now.vm,
            translated=sum((Counter(guest.translated) for guest in self._guests), Counter()),
            vms=tuple(vm_state(guest, name) for guest, name in zip(self._guests, self._names, strict=True)),
            waiting=waiting,
            unfinished=pc.meter.unfinished(),
        )
