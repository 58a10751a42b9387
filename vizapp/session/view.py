"""Builds frames: everything that the panels show of the machine at the cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizapp.cost.ledger import Ledger
from vizapp.machine.devices.vga import default_color
from vizapp.machine.input_log import KEYBOARD, SERIAL
from vizapp.machine.inputs import INDEX
from vizapp.session.describe import describe, lesson
from vizapp.session.describe_events import principal
from vizapp.session.frames import Frame, ScreenCells, Stopped
from vizapp.session.moment import LastStep
from vizapp.session.truths import truths

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from vizapp.machine.events import Event
    from vizapp.machine.meter import Meter
    from vizapp.machine.pc import Pc
    from vizapp.session.frames import Scorecard
    from vizapp.session.listing import Listing
    from vizapp.session.observe import Observation, Observer
    from vizapp.session.recorder import EventStore
    from vizapp.session.scenario import Scenario
    from vizapp.vmm.base import Devices

ENCODING = "cp437"  # what the PC's character generator shows


def cost(event: Event, meter: Meter) -> int:
    """Cycles of an event's charges, at the prices of the run."""
    return sum(count * meter.prices[INDEX[name]] for name, count in event.charges)


def serial_text(devices: Devices) -> str:
    """What the guest has sent over COM1 as text; carriage returns are the terminal's."""
    return bytes(devices.uart.output).decode(ENCODING).replace("\r\n", "\n")


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
        return frozenset()
    return frozenset((SERIAL,) if devices.board.peripherals is None else (SERIAL, KEYBOARD))


class FrameBuilder:
    """Makes the frames of one session."""

    def __init__(
        self,
        scenario: Scenario,
        pc: Pc,
        devices: Devices,
        listing: Listing,
        observer: Observer,
        store: EventStore,
        ported: Collection[tuple[str, int]],
    ) -> None:
        self._scenario = scenario
        self._pc = pc
        self._devices = devices
        self._listing = listing
        self._observer = observer
        self._store = store
        self._ported = ported

    def build(
        self,
        now: Observation,
        before: Observation | None,
        *,
        end: tuple[int, int, int],
        stopped: Stopped | None,
        scorecard: Scorecard,
        heat: Mapping[int, int],
        breakpoints: Collection[int],
        moving: bool,
        details: Mapping[str, Any],
    ) -> Frame:
        """The frame at the cursor.

        ``before`` is the observation one step earlier, None at the start. ``end`` is position, instruction
        and cycle of the end of the recording, ``stopped`` set where the cursor stands at the end of a run
        that cannot go on.
        """
        pc, moment = self._pc, now.moment
        events = tuple(self._store[index] for index in self._store.at(moment.position - 1))
        step = None if before is None else LastStep(before.moment, moment, events, self._scenario.technique)
        event = principal(events) or (events[-1] if events else None)
        rows = truths(now.pair, None if before is None else before.pair)
        last_position, last_instruction, last_cycle = end
        return Frame(
            technique=self._scenario.technique,
            guest=self._scenario.image.name,
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
            sentence=describe(step, moment, stopped),
            lesson=lesson(step),
            code_title=self._listing.title(moment.linear, moment.bits),
            code=self._listing.lines(
                moment.linear, moment.bits, self._observer.read, heat, breakpoints, self._ported
            ),
            truths=rows,
            scorecard=scorecard,
            purposes={purpose.value: cycles for purpose, cycles in pc.meter.by_purpose().items()},
            event_counts=self._store.counts(moment.position),
            registers=dict(moment.processor),
            guest_registers=dict(moment.guest),
            serial=serial_text(self._devices),
            screen=self._devices.screen.rows(),
            stopped=stopped,
            charges=tuple(
                (entry.place, entry.purpose.value, entry.input, entry.times, entry.cycles)
                for entry in Ledger.of(pc.meter).entries()
            ),
            changed=frozenset(row.key for row in rows if row.changed),
            moving=moving,
            event_cycles=None if event is None else cost(event, pc.meter),
            cells=screen_cells(self._devices),
            devices=input_devices(self._devices),
            details=details,
            inputs=input_devices(self._devices) if self._scenario.technique == "native" else frozenset(),
        )
