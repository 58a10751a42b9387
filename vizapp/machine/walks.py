"""A translation told step by step, without side effects: every entry that it reads, where, and what it says.

With nested paging each entry of the guest's tables is itself reached by a nested walk:

    nested steps, guest entry, nested steps, guest entry, nested steps of the page

so that two levels over four make fourteen references where native paging makes two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from vizapp.isa.addresses import PAGE_MASK, PAGE_SHIFT
from vizapp.isa.paging import PTE_P
from vizapp.machine.page_tables import Tables, look_up

if TYPE_CHECKING:
    from vizapp.machine.nested_paging import NestedTables

GUEST: Final = "guest"
NESTED: Final = "nested"
_LEVELS: Final = ("PDE", "PTE")
_NOWHERE: Final = 0  # an entry that is not present


class Reader(Protocol):
    """Memory that entries are read from."""

    def read(self, address: int, size: int) -> int:
        """``size`` bytes within a page, little-endian."""
        ...


class WalkStep(NamedTuple):
    """One reference of a walk.

    ``table`` is ``guest`` or ``nested``, ``level`` the entry's name; ``guest_physical`` where the guest's
    entry is for the guest, or the address that a nested step translates; ``host_physical`` where the entry
    was read.
    """

    table: str
    level: str
    guest_physical: int
    host_physical: int
    value: int
    present: bool


class Walk(NamedTuple):
    """The references of a translation in order, and the host frame that they lead to: None if to none.

    ``guest_frame`` is what the guest's own tables say.
    """

    steps: tuple[WalkStep, ...]
    frame: int | None
    guest_frame: int | None


class Peek:
    """Guest-physical memory read without side effects: zeros where the nested tables have nothing."""

    def __init__(self, memory: Reader, nested: NestedTables | None) -> None:
        self._memory = memory
        self._nested = nested

    def read(self, address: int, size: int) -> int:
        """``size`` bytes within a page."""
        if self._nested is None:
            return self._memory.read(address, size)
        frame = self._nested.probe(address)
        if frame is None:
            return _NOWHERE
        return self._memory.read(frame << PAGE_SHIFT | address & PAGE_MASK, size)


class _Recorder:
    """Memory that writes down how each read came about."""

    def __init__(self, memory: Reader, nested: NestedTables | None) -> None:
        self.steps: list[WalkStep] = []
        self._memory = memory
        self._nested = nested
        self._read = 0

    def read(self, address: int, size: int) -> int:
        """An entry of the guest's tables, behind the nested steps that lead to it."""
        host = self.reach(address)
        if host is None:
            return _NOWHERE
        value = self._memory.read(host, size)
        level = _LEVELS[min(self._read, len(_LEVELS) - 1)]
        self._read += 1
        self.steps.append(WalkStep(GUEST, level, address, host, value, bool(value & PTE_P)))
        return value

    def reach(self, address: int) -> int | None:
        """The host-physical address of a guest-physical one; None where the nested tables have nothing."""
        if self._nested is None:
            return address
        found = self._nested.look_up(address)
        last = len(found.entries) - 1
        for index, (level, at, value) in enumerate(found.entries):
            present = index < last or found.present
            self.steps.append(WalkStep(NESTED, level, address, at, value, present))
        if not found.present or found.malformed:
            return None
        return found.frame << PAGE_SHIFT | address & PAGE_MASK


def describe_walk(memory: Reader, nested: NestedTables | None, tables: Tables | None, linear: int) -> Walk:
    """The translation of ``linear``; ``tables`` None: the guest's paging is off."""
    recorder = _Recorder(memory, nested)
    frame = linear >> PAGE_SHIFT
    if tables is not None:
        found = look_up(recorder, tables, linear)
        if not found.present or found.reserved:
            return Walk(tuple(recorder.steps), None, None)
        frame = found.frame
    host = recorder.reach(frame << PAGE_SHIFT | linear & PAGE_MASK)
    return Walk(tuple(recorder.steps), None if host is None else host >> PAGE_SHIFT, frame)
