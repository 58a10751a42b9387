"""The rest of a PC: clock, keyboard, display registers, disks, network, APICs, and how they are wired."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from vizapp.machine.devices import cmos
from vizapp.machine.devices.a20 import SYSTEM_PORTS, A20Gate
from vizapp.machine.devices.apic import APIC_BASE, APIC_BYTES, LocalApic
from vizapp.machine.devices.apic_timer import ApicTimer
from vizapp.machine.devices.ata_drive import Drive
from vizapp.machine.devices.carried_drive import CarriedDrive, Extent
from vizapp.machine.devices.carried_lance import CarriedLance
from vizapp.machine.devices.debug_ports import CONSOLE_PORT, POST_PORT, LoggedPort
from vizapp.machine.devices.disk import Disk
from vizapp.machine.devices.ide import IDE_CONTROL_PORTS, IDE_IRQ, IDE_PORTS, IdeChannel
from vizapp.machine.devices.ioapic import IOAPIC_BASE, IOAPIC_BYTES, IoApic
from vizapp.machine.devices.keyboard_controller import KEYBOARD_IRQ, KEYBOARD_PORTS, KeyboardController
from vizapp.machine.devices.lance import LANCE_IRQ, LANCE_PORTS, RDP, Lance
from vizapp.machine.devices.network import Switch
from vizapp.machine.devices.relayed_lance import RelayedLance
from vizapp.machine.devices.rtc import RTC_IRQ, RTC_PORTS, Rtc
from vizapp.machine.devices.station import Station
from vizapp.machine.devices.vga import VGA_PORTS, Vga
from vizapp.machine.dma import BusMaster, DmaMemory
from vizapp.machine.mp_tables import pin_of

if TYPE_CHECKING:
    from vizapp.machine.board import Board
    from vizapp.machine.devices.pit import ReadTime
    from vizapp.machine.features import Features
    from vizapp.machine.mmio import MmioDevice, MmioSpace

NMI: Final = "nmi"
RESET: Final = "reset"


class Peripherals:
    """The devices of ``features``. They are on the board's ports, clock and interrupt lines from now on.

    ``memory`` is what DMA reaches, of ``memory_bytes``; ``mmio`` is where the APICs appear, ``set_a20`` the
    gate of address line 20.

    Attributes:
        signal: ``nmi`` or ``reset`` when one has come that the processor has not taken yet.
        network: the adapter; without ``features.station`` it has no cable, see ``devices.network``.
        bus_master: its way to memory.
    """

    def __init__(
        self,
        features: Features,
        board: Board,
        memory: DmaMemory,
        memory_bytes: int,
        mmio: MmioSpace,
        set_a20: Callable[[bool], None],
        read_time: ReadTime,
    ) -> None:
        self.signal: str | None = None
        self.bus_master = BusMaster(memory)
        self.rtc = Rtc(board.clock, board.line(RTC_IRQ), features.start, memory_bytes, read_time)
        self.gate = A20Gate(set_a20, self._reset, features.a20)
        self.keyboard = KeyboardController(board.line(KEYBOARD_IRQ), self.gate)
        self.vga = Vga(board.clock, read_time)
        self.console = LoggedPort(answer=CONSOLE_PORT)
        self.post = LoggedPort()
        self.ide: IdeChannel | None = None
        self.apic: LocalApic | None = None
        self.io_apic: IoApic | None = None
        self.network: Lance | None = None
        self._devices: dict[str, Any] = {
            "rtc": self.rtc, "a20": self.gate, "keyboard": self.keyboard, "vga": self.vga,
            "console": self.console, "post": self.post,
        }  # fmt: skip
        ports = board.ports
        ports.register(RTC_PORTS, self.rtc)
        ports.register(SYSTEM_PORTS, self.gate)
        for claimed in KEYBOARD_PORTS:
            ports.register(claimed, self.keyboard)
        for claimed in VGA_PORTS:
            ports.register(claimed, self.vga)
        ports.register(range(CONSOLE_PORT, CONSOLE_PORT + 1), self.console)
        ports.register(range(POST_PORT, POST_PORT + 1), self.post)
        if features.disks:
            kind = Extent.like if features.carried else Disk
            drives = CarriedDrive if features.carried else Drive
            self._add_disks(board, [kind(contents) for contents in features.disks], read_time, drives)
        if features.mac is not None:
            self._add_network(board, features.mac, read_time, _adapter(features))
            if features.station and not features.carried:
                self._add_switch(board)
        if features.apic:
            self._add_apics(board, mmio, read_time)

    def save(self) -> dict[str, Any]:
        """All of them, as plain data."""
        return {"signal": self.signal, **{name: device.save() for name, device in self._devices.items()}}

    def load(self, saved: Mapping[str, Any]) -> None:
        """Take up where ``save`` left off; the counter must already show the time of then."""
        self.signal = saved["signal"]
        for name, device in self._devices.items():
            device.load(saved[name])

    def _add_disks(self, board: Board, disks: list[Disk], read_time: ReadTime, kind: type[Drive]) -> None:
        self.ide = IdeChannel(board.clock, board.line(IDE_IRQ), disks, read_time, kind=kind)
        board.ports.register(IDE_PORTS, self.ide)
        board.ports.register(IDE_CONTROL_PORTS, self.ide)
        board.ports.register_wide(IDE_PORTS[:1], self.ide)
        kinds = sum(0xF0 >> 4 * number for number in range(len(disks)))
        self.rtc.store(cmos.FIXED_DISKS, kinds)
        self._devices["ide"] = self.ide

    def _add_network(self, board: Board, mac: bytes, read_time: ReadTime, kind: type[Lance]) -> None:
        self.network = kind(board.clock, board.line(LANCE_IRQ), self.bus_master, mac, read_time)
        board.ports.register(LANCE_PORTS, self.network)
        board.ports.register_wide(LANCE_PORTS[RDP:], self.network)
        self._devices["network"] = self.network

    def _add_switch(self, board: Board) -> None:
        assert self.network is not None
        switch = Switch()
        self.network.cable = switch.plug(board.clock)
        switch.settle(Station())
        # Before the adapter, which asks it what is on its way.
        self._devices = {"switch": switch, **self._devices}

    def _add_apics(self, board: Board, mmio: MmioSpace, read_time: ReadTime) -> None:
        timer = ApicTimer(board.clock, read_time)
        apic = self.apic = LocalApic(board.pic, timer, self._nmi, self._reset)
        io_apic = self.io_apic = IoApic(apic)
        board.interrupts = apic
        board.on_line = lambda irq, high: io_apic.set_line(pin_of(irq), high)
        mmio.register(APIC_BASE, APIC_BYTES, _InTime(board, apic))
        mmio.register(IOAPIC_BASE, IOAPIC_BYTES, _InTime(board, io_apic))
        self._devices.update(apic=apic, io_apic=io_apic)

    def _nmi(self) -> None:
        if self.rtc.nmi_enabled:
            self.signal = self.signal or NMI

    def _reset(self) -> None:
        self.signal = RESET


def _adapter(features: Features) -> type[Lance]:
    if features.carried:
        return CarriedLance
    return RelayedLance if features.relayed else Lance


class _InTime:
    """A device behind memory to which time passes before each access, as it does before one to a port."""

    def __init__(self, board: Board, device: MmioDevice) -> None:
        self._board = board
        self._device = device

    def read(self, offset: int, size: int) -> int:
        self._board.advance()
        return self._device.read(offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        self._board.advance()
        self._device.write(offset, size, value)
