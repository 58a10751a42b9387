"""Physical memory: pages that exist once they are written, shared with snapshots until written again.

A page is owned from the first write to it on. A snapshot copies the owned pages that have changed since the
last one and shares all others, so it costs time and memory in proportion to what the guest has written:

    shared      pages[f] ──▶ page A ◀── snapshots
    write       pages[f] ──▶ page B (owned)             on_unshare(f): references to A are stale
    snapshot    pages[f] ──▶ page B (owned)             copy of B ◀── snapshot

What is written once is likely to be written again, so a page stays owned, and may be written without a
question, until many snapshots have found it unchanged; then it is shared, and ``generation`` changes. To
compare a page takes much less time than to own it anew: where most of those that were shared had to be owned
again, it takes twice as many snapshots from then on.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from itertools import chain
from operator import is_not
from typing import Final, NamedTuple, TypeAlias

from vizapp.isa.addresses import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, HostPhysical

_DIGEST_BYTES = 16
_CHUNK: Final = 64  # pages
_PATIENCE, _MOST_PATIENCE = 16, 128  # snapshots; a page that none of them has found changed is shared again

Chunk: TypeAlias = tuple[bytearray, ...]


class MemorySnapshot(NamedTuple):
    """All pages at one moment, in order of frames and in chunks of 64; never written.

    Neighbours in time share pages, and whole chunks of them.
    """

    chunks: tuple[Chunk, ...]

    @property
    def pages(self) -> tuple[bytearray, ...]:
        """By frame number."""
        return tuple(chain.from_iterable(self.chunks))

    def unshared(self, other: MemorySnapshot) -> int:
        """How many pages are not the same objects as in another snapshot of the same memory."""
        return sum(
            sum(map(is_not, mine, theirs))
            for mine, theirs in zip(self.chunks, other.chunks, strict=True)
            if mine is not theirs
        )


class PhysicalMemory:
    """``size`` bytes of RAM from address 0, a whole number of 4 KiB pages.

    Reads beyond the end give ones and writes there vanish, as on a bus that nobody answers, except where
    ``add_rom`` has put read-only memory.

    Whoever keeps references to pages (the MMU's fast maps) follows these rules:

    - a reference from ``page`` is for reading, and stale once ``on_unshare`` names its frame;
    - a reference from ``page`` or ``writable_page`` is stale once ``generation`` changes;
    - a frame in ``read_only`` is never written;
    - a frame in ``code_frames`` is written through ``write`` or ``load`` only, which call ``on_code_write``.

    Attributes:
        generation: counts restorations, and snapshots that share what was owned; ``on_generation`` is called
            after each.
        code_frames: frames that hold decoded code.
        on_code_write: called after each write to a frame of ``code_frames``, whoever writes, with the frame,
            the offset in it and the count of bytes.
        read_only: frames that ``protect`` has made so.
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
        self._owned: dict[int, int] = {}  # with the number of the last snapshot that has found it changed
        self._snapshots = 0
        self._patience = _PATIENCE
        self._released: set[int] = set()  # the last time, and not owned again since
        self._released_count = 0
        # Of the last snapshot, or of what was restored: the pages, and the same in chunks.
        self._last = self._pages.copy()
        self._chunks = tuple(
            tuple(self._pages[first : first + _CHUNK]) for first in range(0, self.frames, _CHUNK)
        )
        self._digests: dict[int, tuple[bytearray, bytes]] = {}
        self._rom: dict[int, bytes] = {}
        self.read_only: frozenset[int] = frozenset()

    def add_rom(self, address: HostPhysical, data: bytes) -> None:
        """Let whole pages beyond the end of memory read as ``data``, for good: no snapshot holds them.

        Raises:
            ValueError: they are no whole pages, or not beyond it.
        """
        if (address | len(data)) & PAGE_MASK or address < self.size:
            raise ValueError(f"{len(data):#x} bytes at {address:#x} are no pages beyond {self.size:#x}")
        for start in range(0, len(data), PAGE_SIZE):
            self._rom[address + start >> PAGE_SHIFT] = data[start : start + PAGE_SIZE]

    def protect(self, address: HostPhysical, count: int) -> None:
        """Let whole pages of memory, as they are now, be read-only: whoever writes there changes nothing."""
        self.read_only |= frozenset(range(address >> PAGE_SHIFT, address + count >> PAGE_SHIFT))

    def page(self, frame: int) -> bytearray:
        """The page in ``frame``, for reading only; ``frame`` is below ``frames``."""
        return self._pages[frame]

    def writable_page(self, frame: int) -> bytearray:
        """The page in ``frame``, private to this memory from now until ``generation`` changes."""
        if frame in self._owned:
            return self._pages[frame]
        page = bytearray(self._pages[frame])
        self._pages[frame] = page
        self._owned[frame] = self._snapshots
        self._released.discard(frame)
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
            if frame in self.read_only:
                return
            page = self._pages[frame] if frame in self._owned else self.writable_page(frame)
            page[offset : offset + size] = data
            if frame in self.code_frames:
                self._code_written(frame, offset, size)
        else:
            self.load(HostPhysical(address), data)

    def dump(self, address: HostPhysical, count: int) -> bytes:
        """``count`` bytes from a host-physical address on; ones where nobody answers."""
        first = address & PAGE_MASK
        if first + count <= PAGE_SIZE and 0 <= address < self.size:
            return bytes(self._pages[address >> PAGE_SHIFT][first : first + count])
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
            frame = position >> PAGE_SHIFT
            if 0 <= position < self.size and frame not in self.read_only:
                self.writable_page(frame)[offset : offset + len(part)] = part
                if frame in self.code_frames:
                    self._code_written(frame, offset, len(part))
            done += len(part)

    def snapshot(self) -> MemorySnapshot:
        """The present contents."""
        self._snapshots = now = self._snapshots + 1
        pages, last = self._pages, self._last
        changed = [frame for frame in self._owned if pages[frame] != last[frame]]
        for frame in changed:
            last[frame] = bytearray(pages[frame])
            self._owned[frame] = now
        if changed:
            chunks = list(self._chunks)
            for chunk in {frame // _CHUNK for frame in changed}:
                chunks[chunk] = tuple(last[chunk * _CHUNK : (chunk + 1) * _CHUNK])
            self._chunks = tuple(chunks)
        if not now % self._patience:
            self._release(now - self._patience + 1)
        return MemorySnapshot(self._chunks)

    def _release(self, since: int) -> None:
        """Share the pages that no snapshot since the one with this number has found changed."""
        if 2 * len(self._released) < self._released_count:
            self._patience = min(2 * self._patience, _MOST_PATIENCE)
        idle = [frame for frame, changed in self._owned.items() if changed <= since]
        self._released, self._released_count = set(idle), len(idle)
        for frame in idle:
            del self._owned[frame]
            self._pages[frame] = self._last[frame]
        if idle:
            self._next_generation()

    def restore(self, snapshot: MemorySnapshot) -> None:
        """Put back the contents of a snapshot of a memory of the same size.

        ``on_generation`` is called, after which no reference to a page is good, for reading either;
        decoded code is for the caller of ``restore`` to drop.
        """
        pages = list(snapshot.pages)
        if len(pages) != self.frames:
            raise ValueError(f"a snapshot of {len(pages)} pages for a memory of {self.frames}")
        self._pages, self._last, self._chunks = pages, pages.copy(), snapshot.chunks
        self._owned.clear()
        self._released, self._released_count = set(), 0
        self._next_generation()

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
        """Digest of one page, empty for zeros; remembered where the last snapshot has the same bytes."""
        known, last = self._digests.get(frame), self._last[frame]
        same = page is last or page == last
        if known is not None and known[0] is last and same:
            return known[1]
        result = b"" if page == self._zero else blake2b(page, digest_size=_DIGEST_BYTES).digest()
        if same:
            self._digests[frame] = (last, result)
        return result

    def _next_generation(self) -> None:
        self.generation += 1
        for call in self.on_generation:
            call()

    def _code_written(self, frame: int, offset: int, count: int) -> None:
        for call in self.on_code_write:
            call(frame, offset, count)
