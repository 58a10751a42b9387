"""Whose each machine frame is, who else may be using it, and when it is free again.

A frame that its owner has given up, or whose owner has died, is free once the last reference to it is gone:
until then somebody may still write to it through a mapping.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def _nobody(domain: int, frame: int) -> bool:
    """No domain has a device until one has been given."""
    return False


def _kept(frame: int) -> None:
    """Before the machine is up no frame is given up."""


class FrameOwners:
    """The owners of a machine's frames, by domain id.

    Attributes:
        owners: frame to domain; a frame without one is the hypervisor's, a device's or free.
        visitors: (frame, domain) to (mappings, writable ones) in tables of a domain that does not own it.
        has_device: whether a domain may map a frame that is a device's.
        on_free: called with a frame that nobody has or uses any more.
    """

    def __init__(self) -> None:
        self.owners: dict[int, int] = {}
        self.visitors: dict[tuple[int, int], tuple[int, int]] = {}
        self.has_device: Callable[[int, int], bool] = _nobody
        self.on_free: Callable[[int], None] = _kept
        self._condemned: set[int] = set()
        self._saved_owners: dict[int, int] = {}  # checkpoints share it while nothing changes hands

    def owner(self, frame: int) -> int | None:
        """The domain that owns a frame."""
        return self.owners.get(frame)

    def owned_by(self, domain: int) -> list[int]:
        """The frames of a domain, in order."""
        return sorted(frame for frame, owner in self.owners.items() if owner == domain)

    def is_device(self, frame: int, domain: int) -> bool:
        """Whether a frame is no memory of any domain, but a device that the domain may map."""
        return frame not in self.owners and self.has_device(domain, frame)

    def visit(self, frame: int, domain: int, *, writable: bool) -> None:
        """A page table of a domain leads to a frame of another."""
        mappings, writes = self.visitors.get((frame, domain), (0, 0))
        self.visitors[frame, domain] = mappings + 1, writes + writable

    def leave(self, frame: int, domain: int, *, writable: bool) -> None:
        """It does no longer."""
        mappings, writes = self.visitors[frame, domain]
        if mappings == 1:
            del self.visitors[frame, domain]
        else:
            self.visitors[frame, domain] = mappings - 1, writes - writable

    def condemn(self, frame: int, references: int) -> bool:
        """Free a frame as soon as nothing refers to it; whether that is now."""
        if references:
            self._condemned.add(frame)
            return False
        self._free(frame)
        return True

    @property
    def condemned(self) -> frozenset[int]:
        """The frames that wait to be free."""
        return frozenset(self._condemned)

    def unreferenced(self, frame: int) -> None:
        """The last reference to a frame has gone."""
        if frame in self._condemned:
            self._condemned.discard(frame)
            self._free(frame)

    def _free(self, frame: int) -> None:
        del self.owners[frame]
        self.on_free(frame)

    def save(self) -> Any:
        """As plain data."""
        if self._saved_owners != self.owners:
            self._saved_owners = dict(self.owners)
        return self._saved_owners, dict(self.visitors), frozenset(self._condemned)

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        owners, visitors, condemned = saved
        self.owners, self.visitors, self._condemned = dict(owners), dict(visitors), set(condemned)
