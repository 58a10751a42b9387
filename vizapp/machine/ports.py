"""The I/O address space: which device answers at which port.

A bus is a plain map without a processor behind it, so a monitor gives each virtual machine one of its own,
with virtual devices of the same classes.
"""

from __future__ import annotations

from typing import Protocol


class PortDevice(Protocol):
    """A device behind ports. Values are bytes: wider accesses reach it a byte at a time."""

    def read_port(self, port: int) -> int:
        """The byte that IN reads at ``port``."""
        ...

    def write_port(self, port: int, value: int) -> None:
        """OUT of one byte to ``port``."""
        ...


class WideDevice(Protocol):
    """What a device does with accesses of 2 or 4 bytes that it takes whole."""

    def read_wide(self, port: int, size: int) -> int:
        """What IN of ``size`` bytes reads."""
        ...

    def write_wide(self, port: int, size: int, value: int) -> None:
        """OUT of ``size`` bytes."""
        ...


class PortBus:
    """64 K byte-wide ports. A port that no device claims reads as ones and ignores writes."""

    def __init__(self) -> None:
        self._devices: dict[int, PortDevice] = {}
        self._wide: dict[int, WideDevice] = {}

    def register(self, ports: range, device: PortDevice) -> None:
        """Let ``device`` answer at ``ports``; the later of two claims holds."""
        self._devices.update(dict.fromkeys(ports, device))

    def register_wide(self, ports: range, device: WideDevice) -> None:
        """Let ``device`` take accesses of more than a byte that begin at one of ``ports``."""
        self._wide.update(dict.fromkeys(ports, device))

    def claimed(self, port: int) -> bool:
        """Whether a device answers at ``port``."""
        return port in self._devices

    def constant(self, port: int) -> int | None:
        """The byte that ``port`` always reads as, where nothing comes of reading it; None of others."""
        device = self._devices.get(port)
        answer: int | None = 0xFF if device is None else getattr(device, "constant", None)
        return answer

    def read(self, port: int, size: int) -> int:
        """IN of ``size`` bytes: one byte from each of the consecutive ports, low byte first."""
        if size > 1 and port in self._wide:
            return self._wide[port].read_wide(port, size)
        value = 0
        for index in range(size):
            device = self._devices.get(port + index & 0xFFFF)
            byte = 0xFF if device is None else device.read_port(port + index & 0xFFFF)
            value |= byte << 8 * index
        return value

    def write(self, port: int, size: int, value: int) -> None:
        """OUT of the low ``size`` bytes of ``value``, low byte to ``port`` first."""
        if size > 1 and port in self._wide:
            self._wide[port].write_wide(port, size, value & (1 << 8 * size) - 1)
            return
        for index in range(size):
            device = self._devices.get(port + index & 0xFFFF)
            if device is not None:
                device.write_port(port + index & 0xFFFF, value >> 8 * index & 0xFF)
