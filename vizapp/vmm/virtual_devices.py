"""A virtual machine's own devices: the board of a PC that no hardware drives.

Nothing here acts by itself. A virtual timer that is due does so when ``advance`` is called, which a monitor
does when one of the processor's doors has brought it in; ``next_event`` is what it programs the physical
timer for. With ``features`` it is a full PC's board: the same classes as on the bare machine, whose APICs
appear in the guest's memory (``GuestMemory.mmio``) and whose network adapter reaches that memory and no
other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vizapp.machine.board import Board
from vizapp.machine.identity import FEATURE_APIC, with_fpu
from vizapp.machine.mp_tables import MP_BASE, mp_tables
from vizapp.machine.peripherals import Peripherals
from vizapp.vmm.base import Devices

if TYPE_CHECKING:
    from vizapp.machine.devices.pit import ReadTime
    from vizapp.machine.features import Features
    from vizapp.machine.identity import Identity
    from vizapp.machine.mmio import MmioSpace
    from vizapp.machine.places import Place
    from vizapp.vmm.guest_memory import GuestMemory


class VirtualDevices(Board):
    """The devices of one virtual machine; without ``features`` interrupt controllers, timer, serial port and
    text screen.

    Its time is the cycle counter ``now``, the one that the guest reads with RDTSC. ``on_port`` is told of the
    guest's accesses, at ``place``.

    Attributes:
        offset: what the virtual machine's counter is ahead of the machine's, in cycles: it has come from
            another machine, whose counter stood elsewhere. The guest's RDTSC shows the sum too.
        mmio: which guest-physical frames are devices, and what answers there.
        on_a20: told when the guest has changed address line 20, so that what is mapped can be dropped.
        on_dma: told (host frame, write) for each frame of a transfer before it happens; answers whether it
            may.
    """

    def __init__(
        self,
        memory: GuestMemory,
        hertz: int,
        now: Callable[[], int],
        place: Callable[[], Place],
        read_time: ReadTime,
        features: Features | None = None,
    ) -> None:
        self.offset = 0
        super().__init__(memory.peek, hertz, lambda: now() + self.offset, place, read_time)
        self.devices = Devices(self.pic, self.pit, self.uart, self.screen, self)
        self.on_a20: Callable[[], None] | None = None
        self.on_dma: Callable[[int, bool], bool] | None = None
        self._memory = memory
        self._features = features
        if features is not None:
            self.attach(
                Peripherals(features, self, memory, memory.size, memory.mmio, self._set_a20, read_time)
            )
            assert self.peripherals is not None
            self.peripherals.bus_master.on_access = self._dma

    def watch_dma(self, tell: Callable[[int, bool], None]) -> None:
        """As the board does, with frames of the machine and not of the guest."""

        def allow(frame: int, write: bool) -> bool:
            tell(frame, write)
            return True

        self.on_dma = allow

    @property
    def mmio(self) -> MmioSpace:
        """Which guest-physical frames are devices, and what answers there."""
        return self._memory.mmio

    def identity(self, identity: Identity) -> Identity:
        """What the virtual processor says of itself on this board; with APICs firmware's tables tell of them.

        The caller adds what concerns paging, which is the monitor's to virtualize.
        """
        features = self._features
        if features is None:
            return identity
        if features.fpu:
            identity = with_fpu(identity)
        if features.apic:
            identity = identity.with_features(FEATURE_APIC)
            leaf = identity.leaf(1)
            self._memory.load(MP_BASE, mp_tables(MP_BASE, leaf.eax, leaf.edx))
        return identity

    def next_event(self) -> int | None:
        """The machine's cycle at which a device next raises its interrupt line by itself, None if none will.

        What is due must have happened. A timer's falling edge interrupts nobody, so nobody is woken for it:
        the line is seen to have fallen when it rises. Of a full board's devices each is looked after when it
        asks.
        """
        due = self.clock.deadline()
        if due is not None and self.peripherals is None and self.pit.output:
            due = self.pit.next_event(due)
        return None if due is None else due - self.offset

    @property
    def interrupt_pending(self) -> bool:
        """Whether the virtual interrupt controller asks for the virtual CPU."""
        return self.interrupts.intr

    def acknowledge(self) -> int:
        """The virtual CPU takes the interrupt: its vector."""
        return self.interrupts.acknowledge()

    def take_signal(self) -> str | None:
        """``nmi`` or ``reset`` if the virtual CPU is to take one now; see ``machine.peripherals``."""
        if self.peripherals is None:
            return None
        signal, self.peripherals.signal = self.peripherals.signal, None
        return signal

    def save(self) -> dict[str, Any]:
        """All devices, when the next of them acts and their time's distance, as plain data."""
        return {**super().save(), "offset": self.offset}

    def load(self, saved: Any) -> None:
        """Take up where ``save`` left off, whatever the counter shows yet."""
        self.offset = saved["offset"]
        super().load(saved)

    def _set_a20(self, enabled: bool) -> None:
        if enabled != self._memory.a20:
            self._memory.a20 = enabled
            if self.on_a20 is not None:
                self.on_a20()

    def _dma(self, frame: int, write: bool) -> bool:
        """A device is about to use a guest frame; where there is no memory nothing is transferred."""
        self._memory.transfer = True
        host = self._memory.host_frame(frame)
        if host is None or (write and self._memory.read_only(frame)):
            return False
        return self.on_dma is None or self.on_dma(host, write)
