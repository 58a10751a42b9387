"""Physical memory: pages that exist once they are written, and are shared with snapshots until written again.

A snapshot is the tuple of page references. Taking one makes every page shared; the next write to a shared
page copies it first, so a snapshot costs microseconds, and memory in proportion to what the guest writes.

    before      pages[f] ──▶ page A (owned)
    snapshot    pages[f] ──▶ page A ◀── snapshot        write to f: copy first
    write       pages[f] ──▶ page B (owned)             on_unshare(f): references to A are stale
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import NamedTuple

from vizapp.isa.addresses import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, HostPhysical

_DIGEST_BYTES = 16


class MemorySnapshot(NamedTuple):
    """All pages at one moment, by frame number; shared with the memory, never written."""

    pages: tuple[bytearray, ...]


class PhysicalMemory:
    """``size`` bytes of RAM from address 0, a whole number of 4 KiB pages.

    Reads beyond the end give ones and writes there vanish, as on a bus that nobody answers, except where
    ``add_rom`` has put read-only memory.

    Whoever keeps references to pages (the MMU's fast maps) follows these rules:

    - a reference from ``page`` is for reading, and stale once ``on_unshare`` names its frame;
    - a reference from ``writable_page`` may be written until ``generation`` changes;
    - a frame in ``code_frames`` is written through ``write`` or ``load`` only, which call ``on_code_write``.

    Attributes:
        generation: counts snapshots and restorations; ``on_generation`` is called after each.
        code_frames: frames that hold decoded code.
        on_code_write: called after each write to a frame of ``code_frames``, whoever writes, with the frame,
            the offset in it and the count of bytes.
        on_unshare: called with a frame after its page was replaced by a private copy.
    """

    def __init__(self, size: int) -> None:
        if size <= 0 or size & PAGE_MASK:
            raise ValueError(f"memory is a whole number of {PAGE_SIZE}-byte pages, not {size} bytes")
        self.size = size
        self.frames = size >> PAGE_SHIFT
        self.generation = 0
        self.code_frames: set[int] = set()
        self.on_code_write: list[Callable[[int, int, int], None]] = []
        self.on_unshare: list[Callable[[int], None]] = []
        self.on_generation: list[Callable[[], None]] = []
        # Stands for every page that was never written; never written itself.
        self._zero = bytearray(PAGE_SIZE)
        self._pages = [self._zero] * self.frames
        self._owned: set[int] = set()
        self._digests: dict[int, tuple[bytearray, bytes]] = {}
        self._rom: dict[int, bytes] = {}

    def add_rom(self, address: HostPhysical, data: bytes) -> None:
        """Let whole pages beyond the end of memory read as ``data``, for good: no snapshot holds them.

        Raises:
            ValueError: they are no whole pages, or not beyond it.
        """
        if (address | len(data)) & PAGE_MASK or address < self.size:
            raise ValueError(f"{len(data):#x} bytes at {address:#x} are no pages beyond {self.size:#x}")
        for start in range(0, len(data), PAGE_SIZE):
            self._rom[address + start >> PAGE_SHIFT] = data[start : start + PAGE_SIZE]

    def page(self, frame: int) -> bytearray:
        """The page in ``frame``, for reading only; ``frame`` is below ``frames``."""
        return self._pages[frame]

    def writable_page(self, frame: int) -> bytearray:
        """The page in ``frame``, private to this memory from now until ``generation`` changes."""
        if frame in self._owned:
            return self._pages[frame]
        page = bytearray(self._pages[frame])
        self._pages[frame] = page
        self._owned.add(frame)
        for call in self.on_unshare:
            call(frame)
        return page

    def read(self, address: int, size: int) -> int:
        """The little-endian value of ``size`` bytes at a host-physical address."""
        offset = address & PAGE_MASK
        if offset + size <= PAGE_SIZE and 0 <= address < self.size:
            return int.from_bytes(self._pages[address >> PAGE_SHIFT][offset : offset + size], "little")
        return int.from_bytes(self.dump(HostPhysical(address), size), "little")

    def write(self, address: int, size: int, value: int) -> None:
        """Store the low ``size`` bytes of ``value``, little-endian, at a host-physical address."""
        offset = address & PAGE_MASK
        data = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
        if offset + size <= PAGE_SIZE and 0 <= address < self.size:
            frame = address >> PAGE_SHIFT
            page = self._pages[frame] if frame in self._owned else self.writable_page(frame)
            page[offset : offset + size] = data
            if frame in self.code_frames:
                self._code_written(frame, offset, size)
        else:
            self.load(HostPhysical(address), data)

    def dump(self, address: HostPhysical, count: int) -> bytes:
        """``count`` bytes from a host-physical address on; ones where nobody answers."""
        parts: list[bytes | bytearray] = []
        position = int(address)
        end = position + count
        while position < end:
            offset = position & PAGE_MASK
            length = min(PAGE_SIZE - offset, end - position)
            if 0 <= position < self.size:
                parts.append(self._pages[position >> PAGE_SHIFT][offset : offset + length])
            elif position >> PAGE_SHIFT in self._rom:
                parts.append(self._rom[position >> PAGE_SHIFT][offset : offset + length])
            else:
                parts.append(b"\xff" * length)
            position += length
        return b"".join(parts)

    def load(self, address: HostPhysical, data: bytes) -> None:
        """Store ``data`` from a host-physical address on; what lies beyond memory vanishes."""
        done = 0
        while done < len(data):
            position = address + done
            offset = position & PAGE_MASK
            part = data[done : done + PAGE_SIZE - offset]
            if 0 <= position < self.size:
                frame = position >> PAGE_SHIFT
                self.writable_page(frame)[offset : offset + len(part)] = part
                if frame in self.code_frames:
                    self._code_written(frame, offset, len(part))
            done += len(part)

    def snapshot(self) -> MemorySnapshot:
        """The present contents, sharing every page."""
        snapshot = MemorySnapshot(tuple(self._pages))
        self._share()
        return snapshot

    def restore(self, snapshot: MemorySnapshot) -> None:
        """Put back the contents of a snapshot of a memory of the same size.

        ``on_generation`` is called, after which no reference to a page is good, for reading either;
        decoded code is for the caller of ``restore`` to drop.
        """
        if len(snapshot.pages) != self.frames:
            raise ValueError(f"a snapshot of {len(snapshot.pages)} pages for a memory of {self.frames}")
        self._pages = list(snapshot.pages)
        self._share()

    def digest(self) -> bytes:
        """16 bytes that depend on the contents alone, not on which pages were ever touched."""
        total = blake2b(digest_size=_DIGEST_BYTES)
        for frame, page in enumerate(self._pages):
            if page is self._zero:
                continue
            page_digest = self._page_digest(frame, page)
            if page_digest:
                total.update(frame.to_bytes(4, "little"))
                total.update(page_digest)
        return total.digest()

    def _page_digest(self, frame: int, page: bytearray) -> bytes:
        """Digest of one page, empty for zeros; remembered while the page is shared and so cannot change."""
        known = self._digests.get(frame)
        if known is not None and known[0] is page and frame not in self._owned:
            return known[1]
        result = b"" if page == self._zero else blake2b(page, digest_size=_DIGEST_BYTES).digest()
        if frame not in self._owned:
            self._digests[frame] = (page, result)
        return result

    def _share(self) -> None:
        self._owned.clear()
        self.generation += 1
        for call in self.on_generation:
            call()

    def _code_written(self, frame: int, offset: int, count: int) -> None:
        for call in self.on_code_write:
            call(frame, offset, count)
