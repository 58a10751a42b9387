"""The monitor's side of nested paging: tables in host memory that say which host frame a guest frame is.

They are filled as the guest comes: an access that they do not grant yet leads to the monitor. What differs
between EPT and NPT is the format, which a vendor's class has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from vizapp.isa.addresses import PAGE_SHIFT, PAGE_SIZE

if TYPE_CHECKING:
    from vizapp.isa.addresses import GuestPhysical, HostPhysical
    from vizapp.machine.nested_paging import NestedTables


class NestedMap(Protocol):
    """One guest's nested tables.

    Attributes:
        pointer: what names them to the processor: EPTP or nCR3.
    """

    pointer: int

    def map(self, guest_frame: int, host_frame: int, *, writable: bool) -> int:
        """Let the guest have a frame; the entry that says so."""
        ...

    def entry(self, guest_frame: int) -> int:
        """The entry of a guest frame; 0 where there is none."""
        ...

    def translate(self, address: GuestPhysical) -> HostPhysical | None:
        """Where the tables put a guest-physical address; None where they have nothing."""
        ...

    def as_walked(self) -> NestedTables:
        """The tables as the processor reads them."""
        ...

    def clear(self) -> int:
        """Forget everything; how many pages were mapped."""
        ...

    def save(self) -> Any:
        """The state outside machine memory, as plain data."""
        ...

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        ...


def tables_needed(memory: int) -> int:
    """How many tables of the last level a guest with ``memory`` bytes can need, in either format.

    2 MB a table of EPT; the top of 4 GB, the APICs below it and an identity map need some of their own.
    """
    return -(-memory // (PAGE_SIZE << 9)) + 4


def frames_of(address: int) -> int:
    """The frame number of an address."""
    return address >> PAGE_SHIFT
