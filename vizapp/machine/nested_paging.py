"""Paging below the guest's own: guest-physical addresses go through a second set of tables, the monitor's.

    linear ──guest tables──▶ guest-physical ──nested tables──▶ host-physical

The guest's tables are themselves guest-physical, so each entry that a walk reads costs a nested walk first:

    guest entry 1 ◀── nested walk      guest entry 2 ◀── nested walk      page ◀── nested walk

Intel calls it EPT, AMD NPT; what they share is here, their formats are in ``ept`` and ``npt``.
"""

from __future__ import annotations

from typing import NamedTuple, NoReturn, Protocol

from vizapp.isa.addresses import PAGE_MASK, PAGE_SHIFT


class HostMemory(Protocol):
    """Physical memory of the machine."""

    def read(self, address: int, size: int) -> int:
        """``size`` bytes, little-endian."""
        ...

    def write(self, address: int, size: int, value: int) -> None:
        """Store ``size`` bytes."""
        ...


class NestedEntry(NamedTuple):
    """One entry on the way: its level by the manual's name, where it lies in host memory, and its value."""

    level: str
    address: int
    value: int


class NestedTranslation(NamedTuple):
    """The outcome of a nested walk: ``entries`` outermost first, and what all of them together allow.

    ``present`` is whether the walk came to an end; ``malformed``, whether an entry is one that the format
    does not have.
    """

    entries: tuple[NestedEntry, ...]
    present: bool
    malformed: bool = False
    frame: int = 0
    readable: bool = True
    writable: bool = False
    executable: bool = False


class Access(NamedTuple):
    """What the walk is for: the linear address that the guest accesses, and how."""

    linear: int
    write: bool
    user: bool
    fetch: bool


class NestedTables:
    """One set of nested tables, and the account of the walk that goes on.

    Attributes:
        references: entries read since ``begin``.
    """

    def __init__(self, memory: HostMemory) -> None:
        self.references = 0
        self._memory = memory
        self._access = Access(0, False, False, False)

    def begin(self, linear: int, *, write: bool, user: bool, fetch: bool) -> None:
        """A walk for an access of the guest begins."""
        self.references = 0
        self._access = Access(linear, write, user, fetch)

    def table(self, address: int, *, write: bool) -> int:
        """The host-physical address of an entry of the guest's tables; raises VmExit."""
        found = self._reach(address, write=write, table=True)
        return found.frame << PAGE_SHIFT | address & PAGE_MASK

    def final(self, address: int) -> NestedTranslation:
        """The page that the access is for; raises VmExit."""
        return self._reach(address, write=self._access.write, table=False)

    def look_up(self, address: int) -> NestedTranslation:
        """Walk for a guest-physical address, without side effects."""
        raise NotImplementedError

    def probe(self, address: int) -> int | None:
        """The host frame of a guest-physical address, without side effects; None: there is none."""
        found = self.look_up(address)
        return found.frame if found.present and not found.malformed else None

    def refuse(self, address: int, found: NestedTranslation, access: Access, *, table: bool) -> NoReturn:
        """Raise the VmExit of an access that the tables do not grant."""
        raise NotImplementedError

    def forbids(self, found: NestedTranslation, *, write: bool, fetch: bool, table: bool) -> bool:
        """Whether the rights are too few."""
        return (write and not found.writable) or (fetch and not found.executable)

    def mark_used(self, found: NestedTranslation, *, write: bool) -> None:
        """Set what the format has of accessed and dirty bits."""

    def _reach(self, address: int, *, write: bool, table: bool) -> NestedTranslation:
        access = self._access
        found = self.look_up(address)
        if not (table and write):  # setting A or D in an entry that has just been read is no further walk
            self.references += len(found.entries)
        fetch = access.fetch and not table
        if not found.present or found.malformed or self.forbids(found, write=write, fetch=fetch, table=table):
            self.refuse(address, found, access._replace(write=write, fetch=fetch), table=table)
        self.mark_used(found, write=write)
        return found


class NestedMemory:
    """Guest-physical memory as a walk of the guest's tables sees it."""

    def __init__(self, memory: HostMemory, nested: NestedTables) -> None:
        self._memory = memory
        self._nested = nested

    def read(self, address: int, size: int) -> int:
        """An entry of the guest's tables; raises VmExit."""
        return self._memory.read(self._nested.table(address, write=False), size)

    def write(self, address: int, size: int, value: int) -> None:
        """Change an entry of the guest's tables; raises VmExit."""
        self._memory.write(self._nested.table(address, write=True), size, value)
