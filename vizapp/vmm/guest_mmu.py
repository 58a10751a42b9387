"""The address space of a virtual processor: walks the guest's own page tables in guest-physical memory.

It is to the virtual CPU what ``machine.mmu`` is to the physical one, with two differences: its memory is the
guest's, and it remembers no translation. What the processor remembers for the guest is the shadow table, so a
flush or an INVLPG of the virtual CPU is only noted here, for the monitor to carry out on the shadow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from vizapp.isa import vectors
from vizapp.isa.addresses import M32, PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, GuestPhysical, Linear
from vizapp.isa.paging import PF_P, PF_RSVD, PF_U, PF_W, PTE_D, PTE_U, PTE_W
from vizapp.isa.registers import CR0_PG, CR0_WP, CR4_PAE, CR4_PGE, CR4_PSE
from vizapp.machine.faults import Fault
from vizapp.machine.page_tables import Tables, look_up
from vizapp.machine.page_tables import Translation as PageWalk
from vizapp.vmm.guest_memory import GuestMemory

_FORMAT = CR4_PAE | CR4_PSE | CR4_PGE


class Translation(NamedTuple):
    """What the guest's tables say of a page that an access may use: its frame and the rights of all levels.

    ``dirty``: D is set, so the guest's tables already tell of a write. Without paging every right is given.
    ``entries`` are where the entries lie: (guest-physical address, bytes that an entry of that table maps,
    bytes of an entry).
    """

    frame: int
    writable: bool
    user: bool
    dirty: bool
    entries: tuple[tuple[int, int, int], ...] = ()


class GuestMmu:
    """The guest's paging as its control registers have it.

    Attributes:
        flush_requested: the guest loaded CR3, or changed how its tables are read.
        reshaped: more has changed than the address space: how tables are read, or where memory lies.
        invalidated: linear addresses that the guest named to INVLPG.
        pse36: the virtual processor's 4 MB pages may lie anywhere in 64 GB.
    """

    def __init__(self, memory: GuestMemory, charge: Callable[[str, int], None]) -> None:
        self.memory = memory
        self.flush_requested = self.reshaped = False
        self.invalidated: tuple[Linear, ...] = ()
        self._charge = charge
        self._paging = False
        self._write_protect = False
        self._mode = 0  # the bits of CR4 that make the format of the tables
        self._tables = Tables()
        self.pse36 = False

    def configure(self, cr0: int, cr3: int, cr4: int = 0, pointers: tuple[int, ...] = ()) -> None:
        """Take over the virtual control registers; ``pointers`` are the PDPTEs, with PAE."""
        now = bool(cr0 & CR0_PG), bool(cr0 & CR0_WP), cr4 & _FORMAT
        if now != (self._paging, self._write_protect, self._mode):
            self.flush_requested = self.reshaped = True
        self._paging, self._write_protect, self._mode = now
        self._tables = Tables(cr3, bool(cr4 & CR4_PSE), pointers if cr4 & CR4_PAE else (), self.pse36)

    def flush(self) -> None:
        """The virtual CPU loaded CR3."""
        self.flush_requested = True

    def reshape(self) -> None:
        """What was known of every address space is void."""
        self.flush_requested = self.reshaped = True

    @property
    def paging(self) -> bool:
        """Whether addresses go through tables."""
        return self._paging

    def invalidate(self, linear: int) -> None:
        """INVLPG of the virtual CPU."""
        self.invalidated = (*self.invalidated, Linear(linear))

    def translate(self, linear: int, write: bool, user: bool) -> Translation:
        """Walk for an access, setting A and D as the processor does, or raise the guest's page fault."""
        if not self._paging:
            return Translation(linear >> PAGE_SHIFT, True, True, True)
        found = look_up(self.memory, self._tables, linear)
        self._charge("mon_memory_reference", len(found.entries))
        if not found.present:
            self._refuse(linear, 0, write, user)
        if found.reserved:
            self._refuse(linear, PF_P | PF_RSVD, write, user)
        writable, for_user = bool(found.rights & PTE_W), bool(found.rights & PTE_U)
        if (user and not for_user) or (write and not writable and (user or self._write_protect)):
            self._refuse(linear, PF_P, write, user)
        for _ in range(found.mark_used(self.memory, write=write)):
            self._charge("mon_pte_write", 1)
        dirty = write or bool(found.last & PTE_D)
        return Translation(found.frame, writable, for_user, dirty, self._levels(found))

    def _levels(self, found: PageWalk) -> tuple[tuple[int, int, int], ...]:
        size = 8 if self._tables.pointers else 4
        spans = (PAGE_SIZE * (PAGE_SIZE // size), PAGE_SIZE)
        return tuple((address, span, size) for (address, _), span in zip(found.entries, spans, strict=False))

    def look(self, linear: int) -> Translation | None:
        """What the tables say of an address, without side effects or charge; None: nothing present."""
        if not self._paging:
            return Translation(linear >> PAGE_SHIFT, True, True, True)
        found = look_up(self.memory, self._tables, linear)
        if not found.present or found.reserved:
            return None
        writable, for_user = bool(found.rights & PTE_W), bool(found.rights & PTE_U)
        return Translation(found.frame, writable, for_user, bool(found.last & PTE_D), self._levels(found))

    def probe(self, linear: int) -> GuestPhysical | None:
        """Where the guest's tables put an address, without side effects or charge; None: nothing present."""
        if not self._paging:
            return GuestPhysical(linear)
        found = look_up(self.memory.observed, self._tables, linear)
        if not found.present or found.reserved:
            return None
        return GuestPhysical(found.frame << PAGE_SHIFT | linear & PAGE_MASK)

    def read(self, linear: int, size: int, user: bool) -> int:
        """``size`` bytes at a linear address, little-endian."""
        return self._read(self._pieces(linear, size, write=False, user=user))

    def write(self, linear: int, size: int, value: int, user: bool) -> None:
        """Store ``size`` bytes; where two pages are touched, neither is written if one of them faults."""
        for shift, address, length in self._pieces(linear, size, write=True, user=user):
            self.memory.write(address, length, value >> shift & (1 << 8 * length) - 1)

    def modify(self, linear: int, size: int, user: bool) -> int:
        """As ``read``, by an instruction that will write the same bytes: faults as a write."""
        return self._read(self._pieces(linear, size, write=True, user=user))

    def fetch(self, linear: int, count: int, user: bool) -> bytes:
        """``count`` bytes of code."""
        data = b""
        while len(data) < count:
            at = linear + len(data) & M32
            length = min(count - len(data), PAGE_SIZE - (at & PAGE_MASK))
            frame = self.translate(at, False, user).frame
            self._charge("mon_memory_reference", (length + 3) // 4)
            data += self.memory.dump(frame << PAGE_SHIFT | at & PAGE_MASK, length)
        return data

    def save(self) -> Any:
        """The control registers as last told, and what is yet to be carried out, as plain data."""
        return (
            (self._paging, self._write_protect, self._mode, self._tables),
            self.flush_requested,
            self.reshaped,
            self.invalidated,
        )

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        (self._paging, self._write_protect, self._mode, self._tables), *rest = saved
        self.flush_requested, self.reshaped, self.invalidated = rest

    def _read(self, pieces: list[tuple[int, int, int]]) -> int:
        value = 0
        for shift, address, length in pieces:
            value |= self.memory.read(address, length) << shift
        return value

    def _pieces(self, linear: int, size: int, *, write: bool, user: bool) -> list[tuple[int, int, int]]:
        """An access as (bit shift, guest-physical address, bytes), one piece a page; all translated first."""
        linear &= M32
        length = min(size, PAGE_SIZE - (linear & PAGE_MASK))
        frame = self.translate(linear, write, user).frame
        pieces = [(0, frame << PAGE_SHIFT | linear & PAGE_MASK, length)]
        if length < size:
            frame = self.translate(linear + length & M32, write, user).frame
            pieces.append((8 * length, frame << PAGE_SHIFT, size - length))
        self._charge("mon_memory_reference", len(pieces))
        return pieces

    def _refuse(self, linear: int, cause: int, write: bool, user: bool) -> NoReturn:
        raise Fault(vectors.PF, cause | (PF_W if write else 0) | (PF_U if user else 0), linear)
