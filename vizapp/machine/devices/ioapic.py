"""An 82093AA I/O APIC, memory-mapped at FEC00000h (Intel 82093AA datasheet).

00h register select   10h window
registers   0 ID   1 version   2 arbitration   10h + 2n, 11h + 2n redirection entry n, low and high

entry   | 63-56 destination | 16 masked | 15 level | 14 remote IRR | 13 active low | 11 logical |
        | 10-8 delivery mode | 7-0 vector |
"""

from __future__ import annotations

from vizapp.isa.addresses import M32, PAGE_SIZE, HostPhysical
from vizapp.machine.devices.apic import FIXED, LOWEST, LocalApic, mode_of

IOAPIC_BASE = HostPhysical(0xFEC0_0000)
IOAPIC_BYTES = PAGE_SIZE
ENTRIES = 24
VERSION = (ENTRIES - 1) << 16 | 0x11
MASKED = 1 << 16
LEVEL = 1 << 15
REMOTE_IRR = 1 << 14
ACTIVE_LOW = 1 << 13
LOGICAL = 1 << 11
_WRITABLE = 0xFF00_0000_0001_AFFF
_SELECT, _WINDOW = 0x00, 0x10
_FIRST_ENTRY = 0x10


class IoApic:
    """24 inputs to one local APIC, whose ``ended`` it takes. A device of ``MmioSpace``."""

    def __init__(self, apic: LocalApic, identifier: int = 1) -> None:
        self._apic = apic
        self._identifier = identifier
        self._select = 0
        self._entries = [MASKED] * ENTRIES
        self._levels = 0  # bit n: input n is high
        apic.ended = self._ended

    def set_line(self, pin: int, high: bool) -> None:
        """Drive an input. Polarity is the driver's business: high is active whatever the entry says."""
        bit = 1 << pin
        rising = high and not self._levels & bit
        self._levels = self._levels | bit if high else self._levels & ~bit
        if self._entries[pin] & LEVEL:
            self._service(pin)
        elif rising and not self._entries[pin] & MASKED:
            self._send(pin)

    def read(self, offset: int, size: int) -> int:
        """The select register or, at the window, the selected one."""
        if offset == _SELECT:
            return self._select
        if offset != _WINDOW:
            return 0
        index = self._select
        if index in (0, 2):
            return self._identifier << 24
        if index == 1:
            return VERSION
        pin, high = divmod(index - _FIRST_ENTRY, 2)
        if not 0 <= pin < ENTRIES:
            return M32
        return self._entries[pin] >> 32 * high & M32

    def write(self, offset: int, size: int, value: int) -> None:
        """Select a register, or write the selected one through the window."""
        if offset == _SELECT:
            self._select = value & 0xFF
            return
        if offset != _WINDOW or size != 4:
            return
        if self._select == 0:
            self._identifier = value >> 24 & 0x0F
        pin, high = divmod(self._select - _FIRST_ENTRY, 2)
        if 0 <= pin < ENTRIES:
            shift = 32 * high
            kept = self._entries[pin] & ~(_WRITABLE & M32 << shift)
            self._entries[pin] = kept | value << shift & _WRITABLE
            if not self._entries[pin] & LEVEL:
                self._entries[pin] &= ~REMOTE_IRR
            self._service(pin)

    def save(self) -> tuple[int, int, tuple[int, ...], int]:
        """Registers and inputs, as plain data."""
        return self._identifier, self._select, tuple(self._entries), self._levels

    def load(self, saved: tuple[int, int, tuple[int, ...], int]) -> None:
        """Take up where ``save`` left off."""
        self._identifier, self._select, entries, self._levels = saved
        self._entries = list(entries)

    def _service(self, pin: int) -> None:
        """Send a level-triggered interrupt that is active, unless its last one has not ended."""
        entry = self._entries[pin]
        if entry & LEVEL and self._levels >> pin & 1 and not entry & (MASKED | REMOTE_IRR):
            self._send(pin)

    def _send(self, pin: int) -> None:
        entry = self._entries[pin]
        if not self._apic.addressed(entry >> 56, bool(entry & LOGICAL)):
            return
        mode, level = mode_of(entry), bool(entry & LEVEL)
        if level and mode in (FIXED, LOWEST):
            self._entries[pin] = entry | REMOTE_IRR
        self._apic.deliver(mode, entry & 0xFF, level)

    def _ended(self, vector: int) -> None:
        for pin, entry in enumerate(self._entries):
            if entry & REMOTE_IRR and entry & 0xFF == vector:
                self._entries[pin] = entry & ~REMOTE_IRR
                self._service(pin)
