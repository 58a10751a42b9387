"""A guest's physical memory: which host frame stands behind each of its own (p2m, "physical to machine").

0                       len(p2m) pages          FEC00000, FEE00000         top of 4 GB
|------ memory: p2m -------|  nothing: ones  |-- devices: ``mmio`` --|  |-- ROM, if there is any --|
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizapp.isa.addresses import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, GuestPhysical, HostPhysical
from vizapp.machine.mmio import MmioSpace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vizapp.machine.memory import PhysicalMemory

A20_FRAME = 1 << 20 >> PAGE_SHIFT


class GuestMemory:
    """Guest-physical memory of ``len(p2m)`` pages; where nothing answers, reads give ones and writes vanish.

    ``p2m`` maps a guest frame to a host frame and may be replaced while the guest runs (balloons, moves).

    Attributes:
        mmio: the guest's devices behind memory addresses. They have no host frame: an access to one has to
            trap, and is then carried out here.
        a20: whether address line 20 reaches memory. Whoever changes it drops what was mapped.
        bring_in: makes sure that a guest frame is in memory, and says where; None: all always are.
        transfer: what is done with memory now is a transfer of one of the guest's disks.
    """

    def __init__(self, memory: PhysicalMemory, p2m: tuple[int, ...]) -> None:
        self._memory = memory
        self.p2m = p2m
        self.mmio = MmioSpace()
        self.a20 = True
        self._rom: dict[int, int] = {}
        self.bring_in: Callable[[int], int] | None = None
        self.transfer = False
        self.observed = Observed(self)

    @property
    def size(self) -> int:
        """Bytes of memory, without devices and ROM."""
        return len(self.p2m) << PAGE_SHIFT

    def add_rom(self, first: int, host_frames: tuple[int, ...]) -> None:
        """Let host frames be read, and not written, from guest frame ``first`` on."""
        self._rom.update({first + index: host for index, host in enumerate(host_frames)})

    def protect(self, first: int, count: int) -> None:
        """Let ``count`` guest frames of memory be read and not written: the copy of a ROM below 1 MB."""
        self.add_rom(first, self.p2m[first : first + count])

    def read_only(self, frame: int) -> bool:
        """Whether the guest may not write to a frame of its own."""
        return (frame if self.a20 else frame & ~A20_FRAME) in self._rom

    def host_frame(self, frame: int) -> int | None:
        """The host frame behind a guest frame; None where the guest has no memory."""
        if not self.a20:
            frame &= ~A20_FRAME
        if 0 <= frame < len(self.p2m):
            return self.p2m[frame] if self.bring_in is None else self.bring_in(frame)
        return self._rom.get(frame)

    def where(self, address: GuestPhysical) -> HostPhysical | None:
        """As ``host``, for who only looks: a page that was paged out is where its contents are."""
        frame = address >> PAGE_SHIFT
        if not self.a20:
            frame &= ~A20_FRAME
        host = self.p2m[frame] if 0 <= frame < len(self.p2m) else self._rom.get(frame)
        return None if host is None else HostPhysical(host << PAGE_SHIFT | address & PAGE_MASK)

    def peek(self, address: int, count: int) -> bytes:
        """As ``dump``, for who only looks."""
        parts = []
        while count > 0:
            length = min(count, PAGE_SIZE - (address & PAGE_MASK))
            host = self.where(GuestPhysical(address))
            parts.append(b"\xff" * length if host is None else self._memory.dump(host, length))
            address, count = address + length, count - length
        return b"".join(parts)

    def host(self, address: GuestPhysical) -> HostPhysical | None:
        """The host-physical address behind a guest-physical one."""
        frame = self.host_frame(address >> PAGE_SHIFT)
        return None if frame is None else HostPhysical(frame << PAGE_SHIFT | address & PAGE_MASK)

    def read(self, address: int, size: int) -> int:
        """The little-endian value of ``size`` bytes."""
        if (address & PAGE_MASK) + size <= PAGE_SIZE:
            host = self.host(GuestPhysical(address))
            if host is not None:
                return self._memory.read(host, size)
            if address >> PAGE_SHIFT in self.mmio.frames:
                return self.mmio.read(address, size)
        return int.from_bytes(self.dump(GuestPhysical(address), size), "little")

    def write(self, address: int, size: int, value: int) -> None:
        """Store the low ``size`` bytes of ``value``, little-endian."""
        if (address & PAGE_MASK) + size <= PAGE_SIZE and not self.read_only(address >> PAGE_SHIFT):
            host = self.host(GuestPhysical(address))
            if host is not None:
                self._memory.write(host, size, value)
                return
            if address >> PAGE_SHIFT in self.mmio.frames:
                self.mmio.write(address, size, value)
                return
        self.load(GuestPhysical(address), (value & (1 << 8 * size) - 1).to_bytes(size, "little"))

    def dump(self, address: int, count: int) -> bytes:
        """``count`` bytes of memory from a guest-physical address on; ones where there is none."""
        return b"".join(
            b"\xff" * length if host is None else self._memory.dump(host, length)
            for host, length, _ in self._pieces(address, count)
        )

    def load(self, address: int, data: bytes) -> None:
        """Store ``data`` in memory from a guest-physical address on; ROM stays as it is."""
        done = 0
        for host, length, frame in self._pieces(address, len(data)):
            if host is not None and not self.read_only(frame):
                self._memory.load(host, data[done : done + length])
            done += length

    def save(self) -> Any:
        """Which frames it has, as plain data; what is in them is the machine memory's."""
        return self.p2m, self.a20, dict(self._rom)

    def load_state(self, saved: Any) -> None:
        """Take up a saved state."""
        self.p2m, self.a20, rom = saved
        self._rom = dict(rom)

    def _pieces(self, address: int, count: int) -> Iterator[tuple[HostPhysical | None, int, int]]:
        """The pages of an access: (host-physical address or None, bytes, guest frame)."""
        while count > 0:
            length = min(count, PAGE_SIZE - (address & PAGE_MASK))
            yield self.host(GuestPhysical(address)), length, address >> PAGE_SHIFT
            address, count = address + length, count - length


class Observed:
    """Guest memory for who only looks, as page tables are read."""

    def __init__(self, memory: GuestMemory) -> None:
        self._guest = memory

    def read(self, address: int, size: int) -> int:
        """``size`` bytes, little-endian."""
        return int.from_bytes(self._guest.peek(address, size), "little")
