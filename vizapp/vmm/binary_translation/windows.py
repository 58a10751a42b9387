"""Windows: pages of the monitor segment at which a guest's own traced pages lie, for sequences to write to.

A window belongs to one linear page of the guest until the cache is flushed, because sequences have both for
constants. It is open while what they take for granted is so: the guest's tables lead from the page to the
frame and have granted a write to it, and the segments by which it is reached are flat. Closed, it refuses
everything, and what would use it calls the monitor. Open, it refuses what the monitor has to hear of at
once: code that was translated, and descriptors of which it keeps shadows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vizapp.isa.addresses import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, HostPhysical, Linear
from vizapp.isa.paging import PTE_A, PTE_D, PTE_P, PTE_W
from vizapp.vmm import ring0
from vizapp.vmm.binary_translation.layout import (
    GRANULE,
    GRANULES,
    REFUSED,
    SEGMENT,
    TABLE_WRITTEN,
    WINDOW,
    WINDOWS,
    WRITTEN,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vizapp.machine.memory import PhysicalMemory
    from vizapp.machine.pc import Pc
    from vizapp.vmm.bill import Bill
    from vizapp.vmm.host_tables import HostTables

_FLAGS: Final = PTE_P | PTE_A | PTE_W | PTE_D
_ALL_REFUSED: Final = b"\x01" * PAGE_SIZE


class Window(NamedTuple):
    """What one shows: linear page ``page``, which is guest frame ``frame`` and host frame ``host``."""

    page: int
    frame: int
    host: int
    open: bool


class Windows:
    """The windows of one guest, in the monitor segment at host-physical ``segment``."""

    def __init__(self, pc: Pc, tables: HostTables, segment: HostPhysical, bill: Bill) -> None:
        self._pc = pc
        self._tables = tables
        self._memory: PhysicalMemory = pc.memory
        self._segment = segment
        self._bill = bill
        self._windows: tuple[Window, ...] = ()
        self.clear()

    @property
    def all(self) -> tuple[Window, ...]:
        """By number."""
        return self._windows

    def number(self, page: int) -> int | None:
        """The window of a linear page; None if it has none."""
        return next((number for number, one in enumerate(self._windows) if one.page == page), None)

    def open(self, page: int, frame: int, host: int, refused: Iterable[tuple[int, int]]) -> int | None:
        """Open the window of a page; its number, or None if there are no more.

        ``refused`` are (guest-physical address, count) of bytes that it must not be used for.
        """
        number = self.number(page)
        window = Window(page, frame, host, open=True)
        if number is None:
            if len(self._windows) == WINDOWS:
                return None
            number = len(self._windows)
            self._windows = (*self._windows, window)
        elif self._windows[number] == window:
            return number
        else:
            self._set(number, window)
        linear = Linear(self._tables.base + SEGMENT + WINDOW + number * PAGE_SIZE)
        self._tables.map(linear, host, _FLAGS)
        self._bill.charge("mon_pte_write")
        ring0.invlpg(self._pc, linear)
        # What begins in the last bytes may end in another page.
        self._memory.load(self._refusals(number), bytes(GRANULES - 1) + b"\x01")
        self._bill.charge("mon_memory_reference", GRANULES // 4)
        self._refuse(number, refused)
        return number

    def refuse(self, ranges: Iterable[tuple[int, int]]) -> None:
        """(guest-physical address, count) of bytes that no window must be used for from now on."""
        ranges = tuple(ranges)
        for number, window in enumerate(self._windows):
            if window.open:
                self._refuse(number, ranges)

    def close(self, number: int) -> None:
        """Refuse everything."""
        window = self._windows[number]
        if not window.open:
            return
        self._set(number, window._replace(open=False))
        self._memory.load(self._refusals(number), _ALL_REFUSED)
        self._bill.charge("mon_memory_reference", GRANULES // 4)

    def close_frame(self, host: int) -> None:
        """Refuse everything in a host frame, which will be another guest's."""
        for number, window in enumerate(self._windows):
            if window.open and window.host == host:
                self.close(number)

    def close_all(self) -> None:
        """Refuse everything everywhere."""
        for number in range(len(self._windows)):
            self.close(number)

    def clear(self) -> None:
        """No sequence uses any window any more."""
        for number in range(len(self._windows)):
            linear = Linear(self._tables.base + SEGMENT + WINDOW + number * PAGE_SIZE)
            self._tables.map(linear, 0, 0)
            ring0.invlpg(self._pc, linear)
        self._windows = ()
        for number in range(WINDOWS):
            self._memory.load(self._refusals(number), _ALL_REFUSED)

    def take_written(self) -> tuple[int, ...]:
        """Guest-physical addresses of granules that sequences have written to since this was last asked."""
        if not self._memory.read(HostPhysical(self._segment + TABLE_WRITTEN), 4):
            return ()
        self._memory.write(HostPhysical(self._segment + TABLE_WRITTEN), 4, 0)
        found: list[int] = []
        for number, window in enumerate(self._windows):
            at = HostPhysical(self._segment + WRITTEN + number * GRANULES)
            marks = self._memory.dump(at, GRANULES)
            if any(marks):
                first = window.frame << PAGE_SHIFT
                found += [first + index * GRANULE for index, mark in enumerate(marks) if mark]
                self._memory.load(at, bytes(GRANULES))
        self._bill.charge("mon_memory_reference", len(self._windows) * GRANULES // 4 + len(found))
        return tuple(found)

    def save(self) -> Any:
        """What is not in machine memory."""
        return self._windows

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        self._windows = saved

    def _set(self, number: int, window: Window) -> None:
        self._windows = (*self._windows[:number], window, *self._windows[number + 1 :])

    def _refuse(self, number: int, ranges: Iterable[tuple[int, int]]) -> None:
        """An access of up to four bytes may begin a granule earlier than what it must not touch."""
        window = self._windows[number]
        for start, count in ranges:
            if (
                not count
                or (start + count - 1 >> PAGE_SHIFT) < window.frame
                or start >> PAGE_SHIFT > window.frame
            ):
                continue
            first = max(start, window.frame << PAGE_SHIFT) & PAGE_MASK
            last = min(start + count - 1, window.frame << PAGE_SHIFT | PAGE_MASK) & PAGE_MASK
            low, high = max(0, first // GRANULE - 1), last // GRANULE
            at = HostPhysical(self._refusals(number) + low)
            self._memory.load(at, b"\x01" * (high - low + 1))
            self._bill.charge("mon_memory_reference", (high - low + 4) // 4)

    def _refusals(self, number: int) -> HostPhysical:
        return HostPhysical(self._segment + REFUSED + number * PAGE_SIZE)
