"""What a guest's port to the paravirtual interface changed, beside what published ports took."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vizapp.guest.published_ports import PublishedPort, published_ports

if TYPE_CHECKING:
    from vizapp.guest.port import DiffLine
    from vizapp.session.details.registry import Subject


class Porting(NamedTuple):
    """A guest's port, counted as Barham et al. counted theirs: in lines that make code, modified or added.

    Attributes:
        lines: both builds' lines that make code, in the order of their addresses.
        removed, added: how many stand in one build only.
        total: how many the ported build has.
        published: other systems' ports.
    """

    lines: tuple[DiffLine, ...]
    removed: int
    added: int
    total: int
    published: tuple[PublishedPort, ...]

    @property
    def share(self) -> float:
        """The added lines' part of the ported build, 0 to 1."""
        return self.added / self.total if self.total else 0.0


def porting(subject: Subject) -> Porting | None:
    """The port of the guest that runs; None of one that runs as it is."""
    lines = subject.porting
    if not lines:
        return None
    sides = [line.side for line in lines]
    added = sides.count("ported")
    return Porting(lines, sides.count("native"), added, sides.count("both") + added, published_ports())
