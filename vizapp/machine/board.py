"""The board: the devices of a PC on their ports, their interrupt lines and their clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from vizapp.isa.addresses import HostPhysical
from vizapp.machine.clock import Clock
from vizapp.machine.devices.pic import PIC_PORTS, Pic
from vizapp.machine.devices.pit import PIT_PORTS, PORT_B, Pit, ReadTime
from vizapp.machine.devices.relayed_lance import RelayedLance
from vizapp.machine.devices.screen import CRTC_PORTS, TextScreen
from vizapp.machine.devices.uart import COM1_IRQ, COM1_PORTS, Uart
from vizapp.machine.input_log import KEYBOARD, NETWORK, SERIAL, Input
from vizapp.machine.peripherals import Peripherals
from vizapp.machine.places import Place
from vizapp.machine.ports import PortBus

TIMER_IRQ = 0
# A periodic timer that has gone through two periods without an interrupt getting through will not wake a
# halted processor any more: nothing changes while it waits. A full PC has more that may come.
WAKING_EVENTS, FULL_WAKING_EVENTS = 4, 4096


class Interrupts(Protocol):
    """What the processor takes interrupts from: the 8259s, or a local APIC before them."""

    @property
    def intr(self) -> bool:
        """Whether there is one."""
        ...

    def acknowledge(self) -> int:
        """Take it: its vector."""
        ...


class Board:
    """Interrupt controllers, timer, serial port and text screen, and the processor's way to their ports.

    ``read_memory`` is where the screen finds its characters.

    Attributes:
        ports: what is at which port.
        clock: the devices' time, ``hertz`` cycles a second of the counter ``now``.
        frozen: time does not reach the devices, save where a port is read.
        on_port: told (place, port, size, write, value) after each access by the processor.
        on_line: told (number, level) of each change of an interrupt line.
        interrupts: where the processor takes them from.
        peripherals: what a full PC has besides; None on a plain one.
        waking_events: how many things may happen without an interrupt before a halted processor is given up.
    """

    def __init__(
        self,
        read_memory: Callable[[HostPhysical, int], bytes],
        hertz: int,
        now: Callable[[], int],
        place: Callable[[], Place],
        read_time: ReadTime,
    ) -> None:
        self.ports = PortBus()
        self.clock = Clock(hertz, now)
        self.frozen = False
        self.on_port: Callable[[Place, int, int, bool, int], None] | None = None
        self.on_line: Callable[[int, bool], None] | None = None
        self.peripherals: Peripherals | None = None
        self.waking_events = WAKING_EVENTS
        self.pic = Pic()
        self.interrupts: Interrupts = self.pic
        self.pit = Pit(self.clock, self.line(TIMER_IRQ), read_time)
        self.uart = Uart(self.line(COM1_IRQ))
        self.screen = TextScreen(read_memory)
        self._place = place
        for ports in PIC_PORTS:
            self.ports.register(ports, self.pic)
        self.ports.register(PIT_PORTS, self.pit)
        self.ports.register(range(PORT_B, PORT_B + 1), self.pit)
        self.ports.register(COM1_PORTS, self.uart)
        self.ports.register(CRTC_PORTS, self.screen)

    def attach(self, peripherals: Peripherals) -> None:
        """Make it a full PC's board; ``peripherals`` are wired to it already."""
        self.peripherals = peripherals
        self.waking_events = FULL_WAKING_EVENTS

    def watch_dma(self, tell: Callable[[int, bool], None]) -> None:
        """Have ``tell`` told (frame of the machine, write) before a device uses memory by itself."""

        def allow(frame: int, write: bool) -> bool:
            tell(frame, write)
            return True

        if self.peripherals is not None:
            self.peripherals.bus_master.on_access = allow

    def line(self, number: int) -> Callable[[bool], None]:
        """What drives IRQ ``number``."""

        def drive(high: bool) -> None:
            if high:
                self.pic.raise_irq(number)
            else:
                self.pic.lower_irq(number)
            if self.on_line is not None:
                self.on_line(number, high)

        return drive

    def advance(self) -> None:
        """Let every device act that is due."""
        if not self.frozen:
            self.clock.advance()

    def read(self, port: int, size: int) -> int:
        """IN by the processor."""
        self.advance()
        value = self.ports.read(port, size)
        if self.on_port is not None:
            self.on_port(self._place(), port, size, False, value)
        return value

    def write(self, port: int, size: int, value: int) -> None:
        """OUT by the processor."""
        self.advance()
        self.ports.write(port, size, value)
        if self.on_port is not None:
            self.on_port(self._place(), port, size, True, value)

    def take_input(self, entry: Input) -> None:
        """Something comes from outside, see ``input_log``; without a keyboard its keys are lost."""
        if entry.source == SERIAL:
            (data,) = entry.data
            assert isinstance(data, bytes)
            self.uart.receive(data)
        elif self.peripherals is None:
            return
        elif entry.source == NETWORK:
            network = self.peripherals.network
            assert network is not None
            if isinstance(network, RelayedLance):
                network.take(*entry.data)
            else:
                network.act(*(number for number in entry.data if isinstance(number, int)))
        else:
            key, down = entry.data
            assert isinstance(key, str)
            self.peripherals.keyboard.key(key, bool(down))

    def awaited_inputs(self) -> tuple[str, ...]:
        """Sources of inputs that would interrupt the processor now, on a full PC: tried, and taken back."""
        if self.peripherals is None:
            return ()
        saved = self.save()
        found = []
        for entry in (Input(0, KEYBOARD, ("space", True)), Input(0, SERIAL, (b" ",))):
            self.take_input(entry)
            if self.interrupts.intr:
                found.append(entry.source)
            self.load(saved)
        return tuple(found)

    def request(self, vector: int) -> bool:
        """Raise the line that has ``vector`` and acknowledge it; False if the controllers do not pass it."""
        apic = None if self.peripherals is None else self.peripherals.apic
        if apic is None or apic.passes_external:
            for controller, first in ((self.pic.master, 0), (self.pic.slave, 8)):
                line = vector - controller.vector
                if 0 <= line < 8:
                    self.pic.lower_irq(first + line)
                    self.pic.raise_irq(first + line)
                    if self.pic.intr:
                        return self.pic.acknowledge() == vector
        if apic is None:
            return False
        apic.accept(vector)  # one of its own, the timer's for instance
        return apic.intr and apic.acknowledge() == vector

    def save(self) -> dict[str, Any]:
        """All devices, and when the next of them acts, as plain data."""
        saved: dict[str, Any] = {
            "pic": self.pic.save(),
            "pit": self.pit.save(),
            "uart": self.uart.save(),
            "screen": self.screen.save(),
            "due": self.clock.due,
        }
        if self.peripherals is not None:
            saved["peripherals"] = self.peripherals.save()
        return saved

    def load(self, saved: Mapping[str, Any]) -> None:
        """Take up where ``save`` left off, whatever the counter shows yet."""
        self.pic.load(saved["pic"])
        self.pit.load(saved["pit"])
        self.uart.load(saved["uart"])
        self.screen.load(saved["screen"])
        if self.peripherals is not None:
            self.peripherals.load(saved["peripherals"])
        # What was due and had not been done still is; asked now, a device would tell of the time after it.
        self.clock.due = saved["due"]
