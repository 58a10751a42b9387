"""Traces: the guest's page tables that shadow entries were made from are kept read-only.

So writes to them exit, and the entries do not outlive what they were made from:

    guest writes an entry of a traced table ──#PF──▶ walk ──▶ trace: drop what came of that entry ──▶ decode

A processor need not notice such a write before the guest flushes, and a monitor could leave it at that.
Keeping the shadow true is what software MMUs did: it costs an exit at each change of an entry, and is where
nested paging gains most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vizapp.isa.addresses import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vizapp.vmm.guest_mmu import Translation
    from vizapp.vmm.shadow import Shadow

_AROUND: Final = 32  # bytes on either side of a write's address that one instruction may change


class Traced(NamedTuple):
    """A use of a table, which maps from ``base`` on, ``span`` bytes by each entry of ``size`` bytes."""

    base: int
    span: int
    size: int


class Traces:
    """The traced tables of one guest: guest frame to its uses."""

    def __init__(self, shadow: Shadow) -> None:
        self._shadow = shadow
        self._uses: dict[int, tuple[Traced, ...]] = {}

    def covers(self, guest_frame: int) -> bool:
        """Whether a guest frame is such a table."""
        return guest_frame in self._uses

    def add(self, linear: int, guest: Translation, host_frames: Mapping[int, int | None]) -> tuple[int, ...]:
        """Trace the tables that a translation came from; the linear pages that lose the right to be written.

        ``host_frames`` says by guest frame where those tables are.
        """
        lost: tuple[int, ...] = ()
        for address, span, size in guest.entries:
            frame = address >> PAGE_SHIFT
            reach = span * (PAGE_SIZE // size)
            use = Traced(linear & ~(reach - 1), span, size)
            known = self._uses.get(frame, ())
            if use in known:
                continue
            self._uses = {**self._uses, frame: (*known, use)}
            host = host_frames.get(frame)
            if not known and host is not None:
                lost += self._shadow.protect(host)
        return lost

    def written(self, address: int) -> tuple[int, ...]:
        """A guest-physical address in a traced table is about to be written: drop what came of it."""
        dropped: list[int] = []
        offset = address & PAGE_MASK
        for base, span, size in self._uses[address >> PAGE_SHIFT]:
            first = max(0, offset - _AROUND) // size
            last = min(PAGE_MASK, offset + _AROUND) // size
            low, high = base + first * span, base + (last + 1) * span
            for linear in self._shadow.filled_between(low, high):
                if self._shadow.drop(linear):
                    dropped.append(linear)
        return tuple(dropped)

    def release(self, guest_frame: int) -> None:
        """Forget the uses of a table that no entry is made from any more: the guest may use it otherwise."""
        uses = self._uses[guest_frame]
        kept = tuple(
            use
            for use in uses
            if self._shadow.filled_between(use.base, use.base + use.span * (PAGE_SIZE // use.size))
        )
        if kept != uses:
            rest = {frame: known for frame, known in self._uses.items() if frame != guest_frame}
            self._uses = {**rest, guest_frame: kept} if kept else rest

    def clear(self) -> None:
        """The shadow was emptied: nothing is made from any table."""
        self._uses = {}

    def save(self) -> Any:
        """The state, as plain data."""
        return self._uses

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        self._uses = saved
