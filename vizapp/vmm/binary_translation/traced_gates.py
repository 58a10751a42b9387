"""The guest's IDT as the monitor delivers through it: a copy, kept true by write traces on the table's pages.

    guest writes a gate ─▶ trace ─▶ the copy is stale ─▶ refresh, before the guest goes on
    delivery ─▶ gate from the copy; from the guest's memory while the copy is stale

The processor's own IDT is the monitor's, so a gate of the guest's is only ever read to deliver something on
the virtual CPU. With the copy that needs no walk of the guest's page tables, but for the first one from each
page since they were flushed: the processor would walk then too, and set the accessed bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vizapp.isa.addresses import PAGE_SHIFT
from vizapp.isa.descriptors import DESCRIPTOR_BYTES
from vizapp.machine.segments import TableRegister

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.machine.segmented_access import SystemMemory

MOST_GATES: Final = 256
_NOTHING: Final = TableRegister(0, -1)


class TracedGates:
    """What the virtual CPU reads for itself: gates from the copy, everything else from the guest's memory.

    Attributes:
        is_true: whether nothing has been written to the table since it was copied; the virtual machine's.
        copied: gates that were copied so far; ``used``: how often one was read from the copy.
    """

    def __init__(self, memory: SystemMemory, charge: Callable[[str, int], None]) -> None:
        self.is_true: Callable[[], bool] = bool
        self.copied = self.used = 0
        self._memory = memory
        self._charge = charge
        self._table = _NOTHING
        self._copy = b""
        self._walked: frozenset[int] = frozenset()

    @property
    def gates(self) -> int:
        """How many there are copies of."""
        return len(self._copy) // DESCRIPTOR_BYTES

    def refresh(self, table: TableRegister, contents: bytes) -> None:
        """Bring the copy in step with the guest's table, from its page tables on."""
        before = self._copy if table.base == self._table.base else b""
        size = DESCRIPTOR_BYTES
        changed = sum(
            contents[at : at + size] != before[at : at + size] for at in range(0, len(contents), size)
        )
        self._charge("mon_memory_reference", 2 * changed)
        self.copied += changed
        self._table, self._copy, self._walked = table, contents, frozenset()

    def read(self, linear: int, size: int, user: bool) -> int:
        """As ``SystemMemory``."""
        at = linear - self._table.base
        if size != DESCRIPTOR_BYTES or not 0 <= at <= len(self._copy) - size or not self.is_true():
            return self._memory.read(linear, size, user)
        pages = {linear >> PAGE_SHIFT, linear + size - 1 >> PAGE_SHIFT}
        if not pages <= self._walked:
            self._walked |= pages
            return self._memory.read(linear, size, user)
        self._charge("mon_memory_reference", 2)
        self.used += 1
        return int.from_bytes(self._copy[at : at + size], "little")

    def write(self, linear: int, size: int, value: int, user: bool) -> None:
        """As ``SystemMemory``."""
        self._memory.write(linear, size, value, user)

    def save(self) -> Any:
        """The copy as plain data."""
        return self._table, self._copy, self._walked, self.copied, self.used

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        self._table, self._copy, self._walked, self.copied, self.used = saved
