"""Nested page tables, AMD's nested paging (APM Vol. 2, "Nested Paging").

The nested tables have the format that the host's own paging had when it executed VMRUN: 32-bit, with 4 MB
pages if the host's CR4.PSE is set, or PAE. Every access of the guest counts as one of user mode there, and a
read of the guest's own tables as a write too, so that their pages must be writable.

A refused access is a nested page fault. EXITINFO2 is the guest-physical address, EXITINFO1

    33  in a walk of the guest's tables   32  of the page itself   4  fetch   3  reserved bit   2  user
     1  write   0  present
"""

from __future__ import annotations

from typing import Final, NoReturn

from vizapp.isa.paging import PF_P, PF_RSVD, PF_U, PF_W, PTE_U, PTE_W
from vizapp.isa.registers import CR4_PAE, CR4_PSE
from vizapp.machine.guest_mode import VmExit
from vizapp.machine.nested_paging import Access, HostMemory, NestedEntry, NestedTables, NestedTranslation
from vizapp.machine.page_tables import Tables, Translation, look_up, read_pointers

EXIT_NPF: Final = 0x400
NPF_FETCH: Final = 1 << 4
NPF_FINAL: Final = 1 << 32
NPF_TABLE: Final = 1 << 33
_LEVELS: Final = ("nPDE", "nPTE")


class NestedPageTables(NestedTables):
    """The tables that nCR3 names, walked as the host's CR4 says."""

    def __init__(self, memory: HostMemory, cr3: int, host_cr4: int, *, pse36: bool = False) -> None:
        super().__init__(memory)
        self.cr3 = cr3
        self._wide = bool(host_cr4 & CR4_PAE)
        self._large = bool(host_cr4 & CR4_PSE)
        self._pse36 = pse36

    def look_up(self, address: int) -> NestedTranslation:
        """Walk for a guest-physical address, without side effects."""
        pointers: tuple[int, ...] = ()
        if self._wide:
            loaded = read_pointers(self._memory, self.cr3)
            if loaded is None:
                return NestedTranslation((), present=True, malformed=True)
            pointers = loaded
        elif address >> 32:  # no table of 32-bit paging leads there
            return NestedTranslation((), present=False)
        tables = Tables(self.cr3, self._large, pointers, self._pse36)
        found = look_up(self._memory, tables, address)
        entries = tuple(
            NestedEntry(level, at, value) for level, (at, value) in zip(_LEVELS, found.entries, strict=False)
        )
        return NestedTranslation(
            entries,
            found.present,
            malformed=found.reserved,
            frame=found.frame,
            readable=bool(found.rights & PTE_U),
            writable=bool(found.rights & PTE_W),
            executable=True,
        )

    def forbids(self, found: NestedTranslation, *, write: bool, fetch: bool, table: bool) -> bool:
        """Whether the rights are too few; a table of the guest's must be writable."""
        return not found.readable or ((write or table) and not found.writable)

    def mark_used(self, found: NestedTranslation, *, write: bool) -> None:
        """Set A in every entry and D in the last, as in any page table."""
        entries = tuple((entry.address, entry.value) for entry in found.entries)
        Translation(entries, present=True).mark_used(self._memory, write=write)

    def refuse(self, address: int, found: NestedTranslation, access: Access, *, table: bool) -> NoReturn:
        """A nested page fault."""
        error = PF_U | (NPF_TABLE if table else NPF_FINAL)
        if found.present:
            error |= PF_P
        if found.malformed:
            error |= PF_RSVD
        if access.write or table:
            error |= PF_W
        if access.fetch:
            error |= NPF_FETCH
        raise VmExit(EXIT_NPF, error, guest_physical=address, guest_linear=access.linear)
