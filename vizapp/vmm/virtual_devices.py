"""A virtual machine's own devices: the machine's device classes on a bus and a clock that no hardware drives.

Nothing here acts by itself. A virtual timer that is due does so when ``advance`` is called, which a monitor
does when one of the processor's doors has brought it in; ``next_event`` is what it programs the physical
timer for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vizapp.isa.addresses import HostPhysical
from vizapp.machine.clock import Clock
from vizapp.machine.devices.pic import PIC_PORTS, Pic
from vizapp.machine.devices.pit import PIT_PORTS, PORT_B, Pit, ReadTime
from vizapp.machine.devices.screen import CRTC_PORTS, TextScreen
from vizapp.machine.devices.uart import COM1_IRQ, COM1_PORTS, Uart
from vizapp.machine.ports import PortBus
from vizapp.vmm.base import Devices

if TYPE_CHECKING:
    from vizapp.vmm.guest_memory import GuestMemory

TIMER_IRQ = 0


class VirtualDevices:
    """Interrupt controllers, timer, serial port and text screen of one virtual machine.

    Attributes:
        ports: the guest's I/O address space.
        clock: its time; the same cycle counter that the guest reads with RDTSC.
        devices: what is behind the ports, for whoever shows it.
    """

    def __init__(
        self, memory: GuestMemory, hertz: int, now: Callable[[], int], read_time: ReadTime | None
    ) -> None:
        def read_screen(address: HostPhysical, count: int) -> bytes:
            return memory.dump(address, count)  # the screen's window is guest-physical

        self.ports = PortBus()
        self.clock = Clock(hertz, now)
        pic = Pic()

        def line(number: int) -> Callable[[bool], None]:
            return lambda high: pic.raise_irq(number) if high else pic.lower_irq(number)

        pit = Pit(self.clock, line(TIMER_IRQ), read_time)
        self.devices = Devices(pic, pit, Uart(line(COM1_IRQ)), TextScreen(read_screen))
        for ports in PIC_PORTS:
            self.ports.register(ports, pic)
        self.ports.register(PIT_PORTS, pit)
        self.ports.register(range(PORT_B, PORT_B + 1), pit)
        self.ports.register(COM1_PORTS, self.devices.uart)
        self.ports.register(CRTC_PORTS, self.devices.screen)

    def advance(self) -> None:
        """Let every device act that is due by now."""
        self.clock.advance()

    def next_event(self) -> int | None:
        """The cycle at which a device will next act by itself, None if none ever will."""
        return self.clock.deadline()

    @property
    def interrupt_pending(self) -> bool:
        """Whether the virtual interrupt controller asks for the virtual CPU."""
        return self.devices.pic.intr

    def acknowledge(self) -> int:
        """The virtual CPU takes the interrupt: its vector."""
        return self.devices.pic.acknowledge()

    def save(self) -> Any:
        """All devices, as plain data."""
        return tuple(device.save() for device in self.devices)

    def load(self, saved: Any) -> None:
        """Take up where ``save`` left off."""
        for device, state in zip(self.devices, saved, strict=True):
            device.load(state)
