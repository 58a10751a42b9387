"""A guest's physical memory: which host frame stands behind each of its own (p2m, "physical to machine")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.addresses import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, GuestPhysical, HostPhysical

if TYPE_CHECKING:
    from vizapp.machine.memory import PhysicalMemory


class GuestMemory:
    """Guest-physical memory of ``len(p2m)`` pages; reads beyond it give ones, writes there vanish.

    ``p2m`` maps a guest frame to a host frame and may be replaced while the guest runs (balloons, moves).
    """

    def __init__(self, memory: PhysicalMemory, p2m: tuple[int, ...]) -> None:
        self._memory = memory
        self.p2m = p2m

    def host_frame(self, frame: int) -> int | None:
        """The host frame behind a guest frame; None where the guest has no memory."""
        return self.p2m[frame] if 0 <= frame < len(self.p2m) else None

    def host(self, address: GuestPhysical) -> HostPhysical | None:
        """The host-physical address behind a guest-physical one."""
        frame = self.host_frame(address >> PAGE_SHIFT)
        return None if frame is None else HostPhysical(frame << PAGE_SHIFT | address & PAGE_MASK)

    def read(self, address: int, size: int) -> int:
        """The little-endian value of ``size`` bytes."""
        host = self.host(GuestPhysical(address))
        if host is not None and (address & PAGE_MASK) + size <= PAGE_SIZE:
            return self._memory.read(host, size)
        return int.from_bytes(self.dump(GuestPhysical(address), size), "little")

    def write(self, address: int, size: int, value: int) -> None:
        """Store the low ``size`` bytes of ``value``, little-endian."""
        host = self.host(GuestPhysical(address))
        if host is not None and (address & PAGE_MASK) + size <= PAGE_SIZE:
            self._memory.write(host, size, value)
        else:
            self.load(GuestPhysical(address), (value & (1 << 8 * size) - 1).to_bytes(size, "little"))

    def dump(self, address: int, count: int) -> bytes:
        """``count`` bytes from a guest-physical address on."""
        parts: list[bytes] = []
        while count > 0:
            length = min(count, PAGE_SIZE - (address & PAGE_MASK))
            host = self.host(GuestPhysical(address))
            parts.append(b"\xff" * length if host is None else self._memory.dump(host, length))
            address, count = address + length, count - length
        return b"".join(parts)

    def load(self, address: GuestPhysical, data: bytes) -> None:
        """Store ``data`` from a guest-physical address on."""
        done = 0
        while done < len(data):
            part = data[done : done + PAGE_SIZE - (address + done & PAGE_MASK)]
            host = self.host(GuestPhysical(address + done))
            if host is not None:
                self._memory.load(host, part)
            done += len(part)
